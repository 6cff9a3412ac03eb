package plugins_test

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/zenconn/server/core/config"
	"github.com/zenconn/server/hooks"
	"github.com/zenconn/server/hooks/host"
	"github.com/zenconn/server/plugins"
)

// bundle loads one bundled plugin as the server does. cache is a folder for compiled code.
func bundle(t testing.TB, cache string, entry config.Plugin, o host.Options) (*hooks.Chain, error) {
	t.Helper()
	if entry.Deadline == 0 {
		entry.Deadline = time.Minute // A busy machine must not fail a test.
	}
	links, err := plugins.Load(t.Context(), config.Plugins{Load: []config.Plugin{entry}, MaxSize: 16 << 20, Memory: 16 << 20}, plugins.Bundled(), plugins.Options{
		Cache: cache, Services: host.New(o), Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, err
	}
	chain := hooks.NewChain(links, nil)
	t.Cleanup(func() {
		if err := chain.Close(); err != nil {
			t.Error(err)
		}
	})
	return chain, nil
}

// mustBundle is bundle for a configuration that is right.
func mustBundle(t testing.TB, cache string, entry config.Plugin, o host.Options) *hooks.Chain {
	t.Helper()
	c, err := bundle(t, cache, entry, o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// testRefused tries configurations, by what is wrong with them.
func testRefused(t *testing.T, cache, name string, refused map[string]map[string]any) {
	t.Helper()
	for want, settings := range refused {
		_, err := bundle(t, cache, config.Plugin{Name: name, Config: settings}, host.Options{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("configuration %v: error %v, want %q", settings, err, want)
		}
	}
}
