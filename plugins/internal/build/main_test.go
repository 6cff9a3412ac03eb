package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zenconn/server/core/config"
	"github.com/zenconn/server/internal/testenv"
	"github.com/zenconn/server/plugins"
)

// Every module is the one that was built last, of the sources as they are; with the same compiler and kit, it is built again, and comes
// out the same to the byte.
func TestModulesAreOfTheirSources(t *testing.T) {
	const dir = "../.."
	lines, err := os.ReadFile(filepath.Join(dir, sumFile))
	if err != nil {
		t.Fatal(err)
	}
	recorded := map[string]sum{}
	for line := range strings.Lines(string(lines)) {
		s, ok := parseSum(strings.TrimSpace(line))
		if !ok {
			t.Fatalf("%q is no line of it", line)
		}
		recorded[s.name] = s
	}
	for _, m := range modules {
		t.Run(m.name, func(t *testing.T) {
			want := recorded[m.name]
			bundles, err := plugins.Resolve(config.Plugins{Load: []config.Plugin{{Name: m.name}}}, plugins.Bundled())
			if err != nil {
				t.Fatal(err)
			}
			if bundles[0].Hash != want.module {
				t.Errorf("the bundled module is %s, built was %s; run go generate ./plugins", bundles[0].Hash, want.module)
			}
			sources, err := hashFiles(filepath.Join(dir, m.name))
			if err != nil {
				t.Fatal(err)
			}
			if sources != want.sources {
				t.Fatal("its sources have changed since it was built; run go generate ./plugins")
			}
			found, err := compiler(t.Context(), m.kit)
			if err != nil {
				testenv.Skip(t, "clang and its linker for WebAssembly are not installed (Debian: apt-get install clang lld)")
			}
			got, _, err := build(t.Context(), dir, m.name, m.kit)
			if err != nil {
				t.Fatal(err)
			}
			if found != want.compiler || got.kit != want.kit {
				t.Logf("not compared: it was built by %s, here is %s, or with another kit", want.compiler, found)
			} else if got.module != want.module {
				t.Errorf("built again, the module is %s and not %s; run go generate ./plugins", got.module, want.module)
			}
		})
	}
}
