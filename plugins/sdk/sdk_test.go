package sdk_test

import (
	"bytes"
	"flag"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/zenconn/server/hooks"
	"github.com/zenconn/server/hooks/hooktest"
	"github.com/zenconn/server/hooks/lua"
	"github.com/zenconn/server/hooks/wasm"
	"github.com/zenconn/server/internal/testenv"
	"github.com/zenconn/server/plugins/sdk"
)

// compiled keeps the machine code of modules, which takes long to make with the race detector, while the tests run.
var compiled string

func TestMain(m *testing.M) {
	var err error
	if compiled, err = os.MkdirTemp("", "zenconn-compiled"); err != nil {
		panic(err)
	}
	testenv.Main(m, func() { os.RemoveAll(compiled) }) //nolint:errcheck // A left-over in the temporary directory.
}

var update = flag.Bool("update", false, "copy the kit for Go anew")

// The kit for Go is a module of its own, which cannot be embedded: its template has a copy.
func TestGoKitIsCopied(t *testing.T) {
	kit, err := filepath.Glob("go/*.go")
	copied, _ := filepath.Glob("templates/go/hook/*")
	if err != nil || len(kit) == 0 {
		t.Fatal(kit, err)
	}
	if !*update && len(kit) != len(copied) {
		t.Errorf("the copy has %d files, the kit %d: run go generate ./plugins/sdk", len(copied), len(kit))
	}
	for _, file := range kit {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		to := filepath.Join("templates/go/hook", filepath.Base(file)+".txt")
		if *update {
			err = os.WriteFile(to, content, 0o644)
		} else if have, _ := os.ReadFile(to); !bytes.Equal(have, content) {
			t.Errorf("%s is stale: run go generate ./plugins/sdk", to)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestNames(t *testing.T) {
	for _, language := range sdk.Languages() {
		files, err := sdk.Files(language, "word-filter")
		if err != nil || files["README.md"] == nil {
			t.Fatalf("%s: %v, %v", language, err, slices.Collect(maps.Keys(files)))
		}
		for name, content := range files {
			if strings.Contains(name+string(content), "myplugin") || strings.HasPrefix(name, "/") || strings.HasSuffix(name, ".txt") {
				t.Errorf("%s: the file %s is not finished", language, name)
			}
		}
	}
	for _, bad := range []string{"", "Words", "9", "a/b", "..", "a b", "-a", "a-", "a--b", "größe", strings.Repeat("x", 65)} {
		if files, err := sdk.Files("c", bad); err == nil {
			t.Errorf("%q is a name: %v", bad, files)
		}
	}
	if _, err := sdk.Files("cobol", "words"); err == nil || !strings.Contains(err.Error(), "lua, go, rust, as, c") {
		t.Errorf("error %v", err)
	}
}

// What a new plugin begins with can be built the way its README says, and works.
func TestTemplates(t *testing.T) {
	for _, language := range sdk.Languages() {
		t.Run(language, func(t *testing.T) {
			files, err := sdk.Files(language, "word-filter")
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			for name, content := range files {
				path := filepath.Join(dir, filepath.FromSlash(name))
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, content, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			p := buildTemplate(t, language, dir)
			defer p.Close() //nolint:errcheck // Nothing is asserted about it here.
			for _, tt := range []struct {
				data string
				want hooks.Answer
			}{
				{"short", hooks.Answer{Verdict: hooks.Pass}},
				{strings.Repeat("x", 1001), hooks.Answer{Verdict: hooks.Deny, Code: 106, Reason: "keep it short"}},
			} {
				if a, err := p.(hooks.Publisher).Publish(t.Context(), hooktest.NewPublish(tt.data)); err != nil || a != tt.want {
					t.Errorf("%.10s: %+v, %v; want %+v", tt.data, a, err, tt.want)
				}
			}
		})
	}
}

func buildTemplate(t *testing.T, language, dir string) hooks.Plugin {
	t.Helper()
	switch language {
	case "lua":
		source, err := os.ReadFile(filepath.Join(dir, "word-filter.lua"))
		if err != nil {
			t.Fatal(err)
		}
		p, err := lua.LoadSource("word-filter.lua", source, lua.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return p
	case "as":
		assemblyScript(t) // Or it says what is missing.
		modules, err := filepath.Abs("assemblyscript/node_modules")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(modules, filepath.Join(dir, "node_modules")); err != nil { // What npm ci would install.
			t.Fatal(err)
		}
		run(t, dir, nil, "npm", "run", "--silent", "build")
	case "rust":
		rustc := rust(t)
		cargo := "/usr/bin/cargo" // Debian's fits Debian's compiler.
		if _, err := os.Stat(cargo); err != nil {
			cargo = testenv.Program(t, "cargo")
		}
		run(t, dir, []string{"RUSTC=" + rustc, "CARGO_NET_OFFLINE=true"}, testenv.Program(t, "make"), "CARGO="+cargo)
	default:
		if language == "c" {
			clang(t)
		}
		run(t, dir, []string{"GOWORK=off", "GOPROXY=off", "GOFLAGS="}, testenv.Program(t, "make"))
	}
	p, err := wasm.Load(t.Context(), filepath.Join(dir, "word-filter.wasm"), wasm.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func run(t testing.TB, dir string, environment []string, program string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), environment...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, out)
	}
}
