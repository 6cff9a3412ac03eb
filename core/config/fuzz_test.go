package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/zenconn/server/core/config"
)

// Whatever a file holds, it is refused with problems, or taken and written in a form that means the same.
func FuzzFile(f *testing.F) {
	annotated, err := os.ReadFile("../../configs/production.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{
		string(annotated),
		"a: &a {b: *a}", "<<: {data: x}", "? [a]\n: b", "client: &c {addr: ':1'}\napi: *c", "1: 2\ntrue: ~", "data: !!binary AA==",
		"[[plugins.load]]\nname='a'\n[plugins.load.config.x]\ny=1\n[[plugins.load]]\npath.z=2\n", "client={addr=':1',limits.channels=5}\n", "'client'.\"addr\"=':1'\n",
		`{"namespaces": {"a": {"recovery": true, "history_size": 1}}}`, `{"plugins":{"load":[{"name":"a","config":{"x":[{"y":null}]}}]}}`, "null", "",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, content string) {
		for _, name := range []string{"a.yaml", "a.toml", "a.json"} {
			path := filepath.Join(t.TempDir(), name)
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			loaded, err := config.Load(config.Sources{Files: []string{path}})
			if err != nil {
				if broken, ok := errors.AsType[*config.Error](err); !ok || len(broken.Problems) == 0 {
					t.Fatalf("%s: %v", name, err)
				}
				continue
			}
			path = filepath.Join(t.TempDir(), "again.yaml")
			if err := os.WriteFile(path, loaded.YAML(true), 0o600); err != nil {
				t.Fatal(err)
			}
			again, err := config.Load(config.Sources{Files: []string{path}})
			if err != nil || !reflect.DeepEqual(withoutFree(again.Config), withoutFree(loaded.Config)) {
				t.Fatalf("%s: written as\n%s\nand read as %+v, %v", name, loaded.YAML(true), again, err)
			}
		}
	})
}

// withoutFree leaves out what is handed to plugins: its numbers are of the types of the format they were read from.
func withoutFree(c config.Config) config.Config {
	for i := range c.Plugins.Load {
		c.Plugins.Load[i].Config = nil
	}
	return c
}
