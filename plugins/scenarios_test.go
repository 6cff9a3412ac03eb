package plugins_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/zenconn/server/core/config"
	"github.com/zenconn/server/hooks"
	"github.com/zenconn/server/hooks/lua"
	"github.com/zenconn/server/hooks/scenario"
	"github.com/zenconn/server/hooks/wasm"
	"github.com/zenconn/server/plugins"
)

// Every bundled plugin does what its scenarios say.
func TestScenarios(t *testing.T) {
	for _, name := range []string{"json-schema", "jwt-claims", "profanity", "rate-limit", "webhook-auth", "welcome"} {
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join(name, name+".test.yaml"))
			if err != nil {
				t.Fatal(err)
			}
			file, err := scenario.Parse(text)
			if err != nil {
				t.Fatal(err)
			}
			bundles, err := plugins.Resolve(config.Plugins{Load: []config.Plugin{{Name: name}}}, plugins.Bundled())
			if err != nil {
				t.Fatal(err)
			}
			b, cache := bundles[0], compiled
			load := func(ctx context.Context, l scenario.Load) (hooks.Plugin, error) {
				if filepath.Ext(b.File) == ".lua" {
					return lua.LoadSource(b.File, b.Source, lua.Options{Name: name, Config: l.Config, Services: l.Services, Rights: l.Rights, Logger: l.Log})
				}
				return wasm.LoadSource(ctx, b.File, b.Source, wasm.Options{
					Name: name, Config: l.Config, Services: l.Services, Rights: l.Rights, Logger: l.Log, Memory: 16 << 20, Cache: cache,
				})
			}
			for _, s := range file.Scenarios {
				for _, p := range s.Run(t.Context(), load).Problems {
					t.Errorf("%s: line %d: %s", s.Name, p.Line, p.Text)
				}
			}
		})
	}
}
