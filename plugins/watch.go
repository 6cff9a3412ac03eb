package plugins

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/zenconn/server/core/config"
)

// LookEvery is how often a server looks whether files of plugins have changed.
const LookEvery = time.Second

// Watch looks at the files of the configured plugins, and of their keys, so often until ctx ends. When some have another size or time of
// change, or came or went, and then stayed as they are from one look to the next, it resolves the plugins and hands over what came of it;
// the first time without such a reason. So what is still being written is not resolved, as long as its writer does not pause for so long.
func Watch(ctx context.Context, every time.Duration, configured func() config.Plugins, bundled fs.FS, changed func([]Bundle, error)) {
	ticks := time.NewTicker(every)
	defer ticks.Stop()
	var done, before string // What was resolved, and what was seen last.
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
		}
		c := configured()
		now := look(c)
		if steady := now == before; now == done || !steady {
			before = now
			continue
		}
		bundles, err := Resolve(c, bundled)
		if before = look(c); before == now { // Nobody wrote while it was read.
			done = now
			changed(bundles, err)
		}
	}
}

// look says in one text how the files are that plugins are made of.
func look(c config.Plugins) string {
	var paths []string
	for _, p := range c.Load {
		paths = append(paths, p.Path)
		for _, k := range p.Keys {
			if !strings.Contains(k.PEM, "-----BEGIN ") {
				paths = append(paths, k.PEM)
			}
		}
	}
	if c.Dir != "" {
		entries, _ := os.ReadDir(c.Dir) // Without it there is nothing to see.
		for _, e := range entries {
			if slices.Contains(endings, filepath.Ext(e.Name())) {
				paths = append(paths, filepath.Join(c.Dir, e.Name()))
			}
		}
	}
	var seen strings.Builder
	seen.WriteString("files:\n") // Without any there is something to have seen, too.
	for _, path := range slices.DeleteFunc(paths, func(path string) bool { return path == "" }) {
		info, err := os.Stat(path)
		if err != nil {
			fmt.Fprintf(&seen, "%q missing\n", path)
			continue
		}
		fmt.Fprintf(&seen, "%q %d %d %s\n", path, info.Size(), info.ModTime().UnixNano(), info.Mode())
	}
	return seen.String()
}
