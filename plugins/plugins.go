// Package plugins holds the bundled plugins, one folder each, and turns the configuration's list of plugins into the links of a
// chain. A bundled plugin called x is the file x/x.lua; it runs only when the configuration names it.
//
// The package knows hooks, its runtimes and core/config. It starts no goroutine.
package plugins

import (
	"cmp"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/zenconn/server/core/config"
	"github.com/zenconn/server/hooks"
	"github.com/zenconn/server/hooks/lua"
	"github.com/zenconn/server/hooks/wasm"
)

//go:embed */*.lua
var bundled embed.FS

// Bundled is the plugins that come with the server.
func Bundled() fs.FS { return bundled }

// Load loads the plugins of the ordered list, then the *.lua and *.wasm files directly in the directory by name, except those the
// list has already. A directory that does not exist is empty. cache is a directory for compiled code; empty: none. All that is wrong
// is reported at once, and then nothing stays loaded. The links belong to the caller, who gives them to a chain or closes their plugins.
func Load(cfg config.Plugins, bundled fs.FS, cache string, log *slog.Logger) ([]hooks.Link, error) {
	l := loader{cfg: cfg, bundled: bundled, cache: cache, log: log, names: map[string]string{}}
	for i, entry := range cfg.Load {
		l.add(fmt.Sprintf("plugins.load[%d]", i), entry)
	}
	l.addDirectory(cfg.Dir)
	if len(l.errs) == 0 {
		return l.links, nil
	}
	for _, link := range l.links {
		l.errs = append(l.errs, link.Plugin.Close())
	}
	return nil, errors.Join(l.errs...)
}

type loader struct {
	cfg     config.Plugins
	bundled fs.FS
	cache   string
	log     *slog.Logger

	links []hooks.Link
	errs  []error
	names map[string]string // Where each name was seen first.
	files []fs.FileInfo     // Loaded from disk.
}

func (l *loader) fail(key string, err error) { l.errs = append(l.errs, fmt.Errorf("%s: %w", key, err)) }

// add loads one entry. key is where it stands in the configuration.
func (l *loader) add(key string, entry config.Plugin) {
	failOpen, err := failsOpen(cmp.Or(entry.OnError, l.cfg.OnError))
	if err != nil {
		l.fail(key, err)
	}
	file, source, err := l.read(entry)
	if err != nil {
		l.fail(key, err)
		return
	}
	name := cmp.Or(entry.Name, strings.TrimSuffix(filepath.Base(file), filepath.Ext(file)))
	if first, taken := l.names[name]; taken {
		l.fail(key, fmt.Errorf("there is already a plugin called %s (%s); give one of them another name", name, first))
		return
	}
	l.names[name] = key
	p, err := l.load(file, source, name, entry)
	if err != nil {
		l.fail(key, err)
		return
	}
	l.links = append(l.links, hooks.Link{
		Plugin: p, Deadline: cmp.Or(entry.Deadline, l.cfg.Deadline), FailOpen: failOpen, Breaker: l.breaker(entry.Breaker),
	})
}

// load hands a file to the runtime of its ending.
func (l *loader) load(file string, source []byte, name string, entry config.Plugin) (hooks.Plugin, error) {
	if filepath.Ext(file) == ".wasm" {
		return wasm.LoadSource(file, source, wasm.Options{
			Name: name, Config: entry.Config, Memory: int64(cmp.Or(entry.Memory, l.cfg.Memory)), MaxSize: int64(l.cfg.MaxSize),
			Cache: l.cache, Logger: l.log,
		})
	}
	return lua.LoadSource(file, source, lua.Options{Name: name, Config: entry.Config, Logger: l.log})
}

// endings are those of plugins.
var endings = []string{".lua", ".wasm"}

// breaker is an entry's, with the common values where it says nothing.
func (l *loader) breaker(own config.Breaker) hooks.Breaker {
	common := l.cfg.Breaker
	return hooks.Breaker{
		Faults: cmp.Or(own.Faults, common.Faults), Window: cmp.Or(own.Window, common.Window), Cooldown: cmp.Or(own.Cooldown, common.Cooldown),
	}
}

func failsOpen(onError string) (bool, error) {
	switch onError {
	case "", "deny":
		return false, nil
	case "allow":
		return true, nil
	}
	return false, fmt.Errorf("on_error is %q, want deny or allow", onError)
}

// read finds and reads an entry's file. Without a path, the name means a bundled plugin.
func (l *loader) read(entry config.Plugin) (file string, source []byte, err error) {
	if entry.Path == "" {
		if entry.Name == "" {
			return "", nil, errors.New("needs a name, of a bundled plugin, or a path")
		}
		file = path.Join(entry.Name, entry.Name+".lua")
		if source, err = fs.ReadFile(l.bundled, file); err != nil {
			return "", nil, fmt.Errorf("no plugin called %q comes with the server (there are: %s); for a file of your own, set path",
				entry.Name, strings.Join(l.bundledNames(), ", "))
		}
		return file, source, nil
	}
	if !slices.Contains(endings, filepath.Ext(entry.Path)) {
		return "", nil, fmt.Errorf("%s: plugins are files whose names end in .lua or .wasm", entry.Path)
	}
	info, err := os.Stat(entry.Path)
	if err != nil {
		return "", nil, err
	}
	if filepath.Ext(entry.Path) == ".wasm" && l.cfg.MaxSize > 0 && info.Size() > int64(l.cfg.MaxSize) {
		return "", nil, fmt.Errorf("%s: the module is longer than plugins.max_size, %s", entry.Path, l.cfg.MaxSize)
	}
	source, err = os.ReadFile(entry.Path)
	l.files = append(l.files, info)
	return entry.Path, source, err
}

func (l *loader) bundledNames() []string {
	files, _ := fs.Glob(l.bundled, "*/*.lua") // The pattern is well formed, which is all Glob complains about.
	var names []string
	for _, file := range files {
		if name := path.Dir(file); path.Base(file) == name+".lua" {
			names = append(names, name)
		}
	}
	return names
}

// addDirectory loads the files directly in dir that the list has not loaded.
func (l *loader) addDirectory(dir string) {
	if dir == "" {
		return
	}
	entries, err := os.ReadDir(dir) // Sorted by name.
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err != nil {
		l.fail("plugins.dir", err)
		return
	}
	for _, e := range entries {
		if !slices.Contains(endings, filepath.Ext(e.Name())) {
			continue
		}
		file := filepath.Join(dir, e.Name())
		info, err := os.Stat(file)
		if err != nil {
			l.fail("plugins.dir", err)
			continue
		}
		listed := slices.ContainsFunc(l.files, func(other fs.FileInfo) bool { return os.SameFile(info, other) })
		if info.Mode().IsRegular() && !listed {
			l.add("plugins.dir", config.Plugin{Path: file})
		}
	}
}
