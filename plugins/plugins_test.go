package plugins_test

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/zenconn/server/core/config"
	"github.com/zenconn/server/hooks"
	"github.com/zenconn/server/hooks/wasm/wasmtest"
	"github.com/zenconn/server/plugins"
)

const hook = "function on_publish(ev) return true end\n"

// directory makes a directory of files, given as name, content, name, content….
func directory(t *testing.T, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	for i := 0; i < len(files); i += 2 {
		path := filepath.Join(dir, files[i])
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(files[i+1]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func load(t *testing.T, cfg config.Plugins) ([]hooks.Link, error) {
	t.Helper()
	return loadWith(t, cfg, "")
}

func loadWith(t *testing.T, cfg config.Plugins, cache string) ([]hooks.Link, error) {
	t.Helper()
	bundled := fstest.MapFS{
		"one/one.lua": {Data: []byte(hook)}, "one/helper.lua": {Data: []byte("x = 1")}, "two/two.lua": {Data: []byte(hook)},
	}
	cfg.Deadline = cmp.Or(cfg.Deadline, time.Minute) // A busy machine must not fail a test.
	links, err := plugins.Load(t.Context(), cfg, bundled, plugins.Options{Cache: cache, Log: slog.New(slog.DiscardHandler)})
	t.Cleanup(func() { hooks.NewChain(links, nil).Close() })
	return links, err
}

func TestOrderNamesAndDefaults(t *testing.T) {
	dir := directory(t, "b.lua", hook, "a.lua", hook+"-- a", "listed.lua", hook, "plugins.go", "package x", "deep/c.lua", "syntax error",
		"x.lua/y.txt", "a folder, not a plugin", "notes.lua.txt", "nothing")
	links, err := load(t, config.Plugins{
		Dir: dir, Deadline: 30 * time.Millisecond, OnError: "allow",
		Breaker: config.Breaker{Faults: 5, Window: time.Second, Cooldown: time.Minute},
		Load: []config.Plugin{
			{Name: "two", OnError: "deny", Deadline: time.Second, Breaker: config.Breaker{Faults: -1, Window: time.Hour}},
			{Path: filepath.Join(dir, "listed.lua")},
			{Name: "mine", Path: filepath.Join(dir, "..", filepath.Base(dir), "b.lua")},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, l := range links {
		got = append(got, l.Plugin.Name()+" "+l.Deadline.String())
		breaker := hooks.Breaker{Faults: 5, Window: time.Second, Cooldown: time.Minute}
		if l.Plugin.Name() == "two" {
			breaker.Faults, breaker.Window = -1, time.Hour
		}
		if l.Breaker != breaker {
			t.Errorf("%s: breaker %+v, want %+v", l.Plugin.Name(), l.Breaker, breaker)
		}
		if l.FailOpen == (l.Plugin.Name() == "two") {
			t.Errorf("%s fails open: %v", l.Plugin.Name(), l.FailOpen)
		}
	}
	if want := []string{"two 1s", "listed 30ms", "mine 30ms", "a 30ms"}; !slices.Equal(got, want) {
		t.Errorf("loaded %q, want %q", got, want)
	}
}

// module is a Wasm plugin that allows everything, and begins with so many pages of memory.
func module(pages int) string {
	m := &wasmtest.Module{}
	m.Memory(pages, -1)
	m.Hook("on_publish", wasmtest.Const(0))
	return string(m.Bytes())
}

func TestWasmBesideLua(t *testing.T) {
	dir := directory(t, "b.wasm", module(1), "a.lua", hook, "large.wasm", module(300), "huge.wasm", module(1)+strings.Repeat("x", 1000))
	links, err := load(t, config.Plugins{MaxSize: 500, Load: []config.Plugin{
		{Path: filepath.Join(dir, "large.wasm"), Memory: 32 << 20},
		{Path: filepath.Join(dir, "b.wasm"), Name: "c"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	c := hooks.NewChain(links, nil)
	if a := c.Publish(t.Context(), &hooks.Publish{}); a.Verdict != hooks.Allow || links[1].Plugin.Name() != "c" {
		t.Errorf("answer %+v of %v", a, c.Plugins())
	}
	_, err = load(t, config.Plugins{MaxSize: 500, Dir: dir})
	for _, want := range []string{
		"huge.wasm: the module is longer than plugins.max_size, 500", "large.wasm: it begins with 19200 KiB of memory and may have 16384 KiB",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

func TestMissingDirectoryIsEmpty(t *testing.T) {
	links, err := load(t, config.Plugins{Dir: filepath.Join(t.TempDir(), "none")})
	if err != nil || len(links) != 0 {
		t.Errorf("%v, %v", links, err)
	}
}

func TestConfigReachesTheScript(t *testing.T) {
	dir := directory(t, "p.lua", `function on_publish(ev) return false, config.why end`)
	links, err := load(t, config.Plugins{Load: []config.Plugin{
		{Path: filepath.Join(dir, "p.lua"), Config: map[string]any{"why": "because"}}}})
	if err != nil {
		t.Fatal(err)
	}
	if a := hooks.NewChain(links, nil).Publish(t.Context(), &hooks.Publish{}); a.Reason != "because" {
		t.Errorf("answer %+v", a)
	}
}

func TestAllThatIsWrongIsReported(t *testing.T) {
	dir := directory(t, "bad.lua", "function on_publish(ev)\n if then end", "typo.lua", "function on_publsh(ev) end", "good.lua", hook)
	links, err := load(t, config.Plugins{Dir: dir, Load: []config.Plugin{
		{Name: "onne"},
		{},
		{Path: "plugin.txt"},
		{Path: filepath.Join(dir, "missing.lua")},
		{Name: "one", OnError: "ignore"},
		{Name: "one"},
		{Name: "good", Path: filepath.Join(dir, "good.lua")},
	}})
	if err == nil || links != nil {
		t.Fatalf("%v, %v", links, err)
	}
	lines := strings.Split(err.Error(), "\n")
	for i, want := range []string{
		`plugins.load[0]: no plugin called "onne" comes with the server (there are: one, two); for a file of your own, set path`,
		`plugins.load[1]: needs a name, of a bundled plugin, or a path`,
		`plugins.load[2]: plugin.txt: plugins are files whose names end in .lua or .wasm`,
		`plugins.load[3]: stat ` + filepath.Join(dir, "missing.lua"),
		`plugins.load[4]: on_error is "ignore", want deny or allow`,
		`plugins.load[5]: there is already a plugin called one (plugins.load[4])`,
		`plugins.dir: ` + filepath.Join(dir, "bad.lua") + `:2: syntax error near "then"`,
		`plugins.dir: ` + filepath.Join(dir, "typo.lua") + `: there is no hook on_publsh (did you mean on_publish?)`,
	} {
		if i >= len(lines) || !strings.HasPrefix(lines[i], want) {
			t.Errorf("line %d of\n%s\nwant %s…", i, err, want)
		}
	}
}

// The repository's folder is also the directory of the demo: what lies directly in it would be loaded there.
func TestNoPluginLiesDirectlyHere(t *testing.T) {
	links, err := plugins.Load(t.Context(), config.Plugins{Dir: "."}, plugins.Bundled(), plugins.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil || len(links) != 0 {
		t.Errorf("%v, %v", links, err)
	}
}

func TestBundlesOutliveTheirFiles(t *testing.T) {
	dir := directory(t, "b.wasm", module(1), "a.lua", `function on_publish(ev) return false, config.why end`)
	cfg := config.Plugins{
		Dir: dir, Deadline: time.Minute, OnError: "allow", Memory: 1 << 20, MaxSize: 1 << 20,
		Load: []config.Plugin{{Path: filepath.Join(dir, "a.lua"), OnError: "deny", Config: map[string]any{"why": "because"}}},
	}
	bundles, err := plugins.Resolve(cfg, plugins.Bundled())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	links, err := plugins.Links(t.Context(), bundles, plugins.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	chain := hooks.NewChain(links, nil)
	defer chain.Close()
	for i, info := range chain.Plugins() {
		if info.Hash != bundles[i].Hash || info.Name != bundles[i].Name {
			t.Errorf("bundle %s %s became plugin %s %s", bundles[i].Name, bundles[i].Hash, info.Name, info.Hash)
		}
	}
	if a := chain.Publish(t.Context(), &hooks.Publish{}); a.Reason != "because" || links[0].FailOpen || !links[1].FailOpen {
		t.Errorf("answer %+v of %+v", a, links)
	}
}

func TestResolveReportsFilesAndNames(t *testing.T) {
	bundles, err := plugins.Resolve(config.Plugins{Load: []config.Plugin{{Name: "welcome"}, {Path: "missing.lua"}, {}}}, plugins.Bundled())
	if bundles != nil || err == nil || strings.Count(err.Error(), "\n") != 1 || !strings.HasPrefix(err.Error(), "plugins.load[1]: stat missing.lua") {
		t.Errorf("%v, %v", bundles, err)
	}
}

// Nothing else is loaded, and nothing else is complained of, when nobody needs the plugins any more.
func TestLinksEndsWithItsContext(t *testing.T) {
	bundles, err := plugins.Resolve(config.Plugins{Load: []config.Plugin{{Name: "rate-limit"}}}, plugins.Bundled())
	if err != nil {
		t.Fatal(err)
	}
	bad := plugins.Bundle{Key: "plugins.dir", Name: "bad", File: "bad.lua", Source: []byte("if")}
	ctx, cancel := context.WithCancel(t.Context())
	var compiled []string
	links, err := plugins.Links(ctx, append([]plugins.Bundle{bad}, append(bundles, bundles[0])...), plugins.Options{
		Log: slog.New(slog.DiscardHandler),
		Compiling: func(plugin string) func() {
			compiled = append(compiled, plugin)
			cancel()
			return func() { t.Error("it went on") }
		},
	})
	if links != nil || err == nil || err.Error() != context.Canceled.Error() || !errors.Is(err, context.Canceled) || !slices.Equal(compiled, []string{"rate-limit"}) {
		t.Errorf("%v, %v, %v", links, err, compiled)
	}
}

func TestLinksReportsWhatDoesNotLoad(t *testing.T) {
	links, err := plugins.Links(t.Context(), []plugins.Bundle{
		{Key: "plugins.dir", Name: "good", File: "good.lua", Source: []byte(hook)},
		{Key: "plugins.load[3]", Name: "bad", File: "bad.lua", Source: []byte("if")},
	}, plugins.Options{Log: slog.New(slog.DiscardHandler)})
	if links != nil || err == nil || !strings.HasPrefix(err.Error(), "plugins.load[3]: bad.lua:1: syntax error") {
		t.Errorf("%v, %v", links, err)
	}
}
