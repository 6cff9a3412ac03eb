package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/zenconn/server/core/config"
	"github.com/zenconn/server/hooks"
	"github.com/zenconn/server/hooks/scenario"
	"github.com/zenconn/server/plugins"
)

func newPluginCommand(env *environment) *cobra.Command {
	cmd := group("plugin", "Write, check, test and measure plugins, and show those of the server")
	cmd.Example = `  zenconn plugin new words --lang lua                   a plugin to begin with
  zenconn plugin check words/words.lua                  what it is, and what is wrong with it
  zenconn plugin test words/words.lua                   play its scenarios
  zenconn plugin list                                   those that the running server asks`
	cmd.AddCommand(
		newPluginNewCommand(env), newPluginCheckCommand(env), newPluginTestCommand(env), newPluginBenchCommand(env), newPluginListCommand(env),
		newPluginReloadCommand(env), newPluginReplayCommand(env),
	)
	return cmd
}

// pluginFile is a plugin that was read, to be loaded as often as needed.
type pluginFile struct {
	path   string
	name   string
	source []byte
	wasm   bool
	config config.Plugins
	cache  string            // Directory for compiled code.
	tell   func(line string) // Tells who waits at a terminal; nobody else.
}

// readPlugin reads a plugin. close removes what loading it leaves on the disk.
func (env *environment) readPlugin(path string, c config.Plugins) (p *pluginFile, remove func() error, err error) {
	p = &pluginFile{path: path, wasm: filepath.Ext(path) == ".wasm", config: c, tell: func(string) {}}
	if _, ok := terminal(env.stderr); ok {
		p.tell = func(line string) { fmt.Fprintln(env.stderr, line) }
	}
	if !p.wasm && filepath.Ext(path) != ".lua" {
		return nil, nil, fmt.Errorf("%s: plugins are files whose names end in .lua or .wasm", path)
	}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, nil, fmt.Errorf("%s: %w", path, cause(err))
	case info.IsDir():
		return nil, nil, fmt.Errorf("%s is a directory, and no plugin", path)
	case p.wasm && c.MaxSize > 0 && info.Size() > int64(c.MaxSize):
		return nil, nil, fmt.Errorf("%s: the module is longer than plugins.max_size, %s", path, c.MaxSize)
	}
	if p.source, err = os.ReadFile(path); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, cause(err))
	}
	p.name = strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
	if p.cache, err = os.MkdirTemp("", "zenconn-plugin-"); err != nil {
		return nil, nil, err
	}
	return p, func() error { return os.RemoveAll(p.cache) }, nil
}

// load implements scenario.Loader, by the way on which a server loads plugins.
func (p *pluginFile) load(ctx context.Context, l scenario.Load) (hooks.Plugin, error) {
	const key = "plugin"
	links, err := plugins.Links(ctx, []plugins.Bundle{{
		Key: key, Name: p.name, File: p.path, Source: p.source, Config: l.Config, Memory: p.config.Memory, MaxSize: p.config.MaxSize, Rights: l.Rights,
	}}, plugins.Options{Cache: p.cache, Services: l.Services, Log: l.Log, Compiling: func(string) func() {
		p.tell("compiling " + p.path + " …")
		return func() {}
	}})
	if err != nil {
		return nil, errors.New(strings.TrimPrefix(err.Error(), key+": "))
	}
	return links[0].Plugin, nil
}

// pluginConfig is what the configuration says about all plugins: memory, size and deadline.
func (env *environment) pluginConfig(cmd *cobra.Command, files []string) (config.Plugins, error) {
	loaded, err := env.loadFiles(cmd, files)
	if err != nil {
		return config.Plugins{}, err
	}
	return loaded.Config.Plugins, nil
}

// scenarioPath is where the scenarios of a plugin are.
func scenarioPath(plugin string) string {
	return strings.TrimSuffix(plugin, filepath.Ext(plugin)) + ".test.yaml"
}

// readScenarios reads a file of scenarios. Mistakes in it are errors that begin with "file:line: ".
func readScenarios(path string) (*scenario.File, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, cause(err))
	}
	f, err := scenario.Parse(text)
	if err != nil {
		line, what := scenario.Line(err)
		return nil, fmt.Errorf("%s:%d: %s", path, line, what)
	}
	return f, nil
}

// pluginOf finds the plugin that a file of scenarios is about.
func pluginOf(path string, f *scenario.File) (string, error) {
	if f.Plugin != "" {
		if filepath.IsAbs(f.Plugin) {
			return f.Plugin, nil
		}
		return filepath.Join(filepath.Dir(path), f.Plugin), nil
	}
	base := strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(path, filepath.Ext(path)), ".test"), ".")
	var found []string
	for _, ending := range []string{".lua", ".wasm"} {
		if _, err := os.Stat(base + ending); err == nil {
			found = append(found, base+ending)
		}
	}
	switch len(found) {
	case 0:
		return "", fmt.Errorf("%s: there is no plugin %s.lua or %s.wasm (is it built?); otherwise say which it is about, with plugin: FILE", path, base, base)
	case 1:
		return found[0], nil
	}
	return "", fmt.Errorf("%s: both %s are there; say which it is about, with plugin: FILE", path, strings.Join(found, " and "))
}
