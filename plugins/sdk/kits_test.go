package sdk_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zenconn/server/hooks"
	"github.com/zenconn/server/hooks/hooktest"
	"github.com/zenconn/server/hooks/host"
	"github.com/zenconn/server/hooks/wasm"
	"github.com/zenconn/server/internal/testenv"
)

// kit compiles the samples and the guests of a kit.
type kit struct {
	name    string
	compile func(t testing.TB, file, to string) // file lacks its ending.
}

var kits = []kit{{"c", compileC}, {"rust", compileRust}, {"assemblyscript", compileAssemblyScript}}

var built sync.Map // A kit and a file → func() []byte. A test that cannot build ends; the next one tries again.

// build compiles samples/x or testdata/x, once.
func (k kit) build(t testing.TB, file string) []byte {
	t.Helper()
	if binary, ok := built.Load(k.name + file); ok {
		return binary.([]byte)
	}
	to := filepath.Join(t.TempDir(), "plugin.wasm")
	k.compile(t, file, to)
	binary, err := os.ReadFile(to)
	if err != nil {
		t.Fatal(err)
	}
	built.Store(k.name+file, binary)
	return binary
}

func clang(t testing.TB) string {
	t.Helper()
	program, err := exec.LookPath("clang")
	if _, lldErr := exec.LookPath("wasm-ld"); err != nil || lldErr != nil {
		testenv.Skip(t, "clang and its linker for WebAssembly are not installed (Debian: apt-get install clang lld)")
	}
	return program
}

func compileC(t testing.TB, file, to string) {
	t.Helper()
	run(t, "c", nil, clang(t), "--target=wasm32", "-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-mbulk-memory", "-ffreestanding", "-nostdlib",
		"-Wl,--no-entry,--strip-all,-z,stack-size=65536", "-I.", "-o", to, file+".c")
}

// rust finds a compiler that has the target; the first one may lack it.
func rust(t testing.TB) string {
	t.Helper()
	for _, program := range []string{"rustc", "/usr/bin/rustc"} {
		root, err := exec.CommandContext(t.Context(), program, "--print", "sysroot").Output()
		if err != nil {
			continue
		}
		if _, err := os.Stat(filepath.Join(strings.TrimSpace(string(root)), "lib/rustlib/wasm32-unknown-unknown/lib")); err == nil {
			return program
		}
	}
	testenv.Skip(t, "Rust with the target wasm32-unknown-unknown is not installed (Debian: apt-get install cargo rustc libstd-rust-dev-wasm32 lld)")
	return ""
}

func compileRust(t testing.TB, file, to string) {
	t.Helper()
	rustc, common := rust(t), []string{"--edition=2021", "--target=wasm32-unknown-unknown", "-Copt-level=3", "-Cpanic=abort", "-Dwarnings"}
	library := filepath.Join(t.TempDir(), "libzenconn.rlib")
	run(t, "rust", nil, rustc, append(common, "--crate-type=rlib", "--crate-name=zenconn", "--cfg=feature=\"std\"", "-o", library, "src/lib.rs")...)
	run(t, "rust", nil, rustc, append(common, "--crate-type=cdylib", "-Cstrip=symbols", "--extern=zenconn="+library, "-o", to, file+".rs")...)
}

// Without the standard library, too. The plugin that uses it needs a newer compiler than this test asks for.
func TestRustWithoutStandardLibrary(t *testing.T) {
	run(t, "rust", nil, rust(t), "--edition=2021", "--target=wasm32-unknown-unknown", "-Dwarnings", "--crate-type=rlib", "--crate-name=zenconn",
		"-o", filepath.Join(t.TempDir(), "libzenconn.rlib"), "src/lib.rs")
}

func assemblyScript(t testing.TB) string {
	t.Helper()
	const compiler = "assemblyscript/node_modules/assemblyscript/bin/asc.js"
	if _, err := os.Stat(compiler); err != nil {
		testenv.Skip(t, "the compiler of AssemblyScript is not installed: npm ci in plugins/sdk/assemblyscript, or make test")
	}
	return filepath.Join("..", compiler)
}

func compileAssemblyScript(t testing.TB, file, to string) {
	t.Helper()
	run(t, "assemblyscript", nil, testenv.Program(t, "node"), assemblyScript(t), file+".ts", "-O3", "--exportStart", "_initialize",
		"--use", "abort=zenconn/fault", "-o", to)
}

func load(t testing.TB, binary []byte, o wasm.Options) *wasm.Plugin {
	t.Helper()
	o.Cache = compiled
	p, err := wasm.LoadSource(t.Context(), "test.wasm", binary, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() }) //nolint:errcheck // The suites assert it; closing twice is fine.
	return p
}

func TestConformance(t *testing.T) {
	for _, k := range kits {
		t.Run(k.name, func(t *testing.T) {
			publish, life := k.build(t, "testdata/publish"), k.build(t, "testdata/life")
			hooktest.Run(t, func(t *testing.T, b hooktest.Behaviour) hooks.Plugin {
				binary := life
				switch b {
				case hooktest.Verdicts, hooktest.Fields, hooktest.Rewrite, hooktest.Route, hooktest.Spin:
					binary = publish
				}
				return load(t, binary, wasm.Options{Config: map[string]any{"behaviour": string(b)}})
			})
		})
	}
}

func TestFunctions(t *testing.T) {
	for _, k := range kits {
		t.Run(k.name, func(t *testing.T) {
			binary := k.build(t, "testdata/functions")
			hooktest.RunFunctions(t, func(t *testing.T, services *host.Services, rights host.Rights) hooks.Plugin {
				return load(t, binary, wasm.Options{Services: services, Rights: rights, Config: map[string]any{"probe": rights.KV}})
			})
		})
	}
}

func TestWords(t *testing.T) {
	pass, masked := hooks.Answer{Verdict: hooks.Pass}, hooks.Answer{Verdict: hooks.Pass, Modified: true}
	refused := hooks.Answer{Verdict: hooks.Deny, Code: 400, Reason: "a message needs a text"}
	for _, k := range kits {
		t.Run(k.name, func(t *testing.T) {
			p := load(t, k.build(t, "samples/words"), wasm.Options{Config: map[string]any{"words": []any{"Darn", "heck"}}})
			for _, tt := range []struct {
				data, want, tag string
				answer          hooks.Answer
			}{
				{`{"text":"darning a sock"}`, `{"text":"darning a sock"}`, "", pass},
				{`{"text":"DARN it, heck!","to":"darn"}`, `{"text":"**** it, ****!","to":"darn","masked":2}`, "2", masked},
				{` { "id" : [1, {"text":"darn"}], "text" : "a\ndarn\"" } `, ` { "id" : [1, {"text":"darn"}], "text" : "a\n****\"" ,"masked":1}`, "1", masked},
				{`{"text":"größdarn"}`, `{"text":"größdarn"}`, "", pass},
				{`{"text":""}`, `{"text":""}`, "", refused},
				{`{"text":7}`, `{"text":7}`, "", refused},
				{`"text"`, `"text"`, "", refused},
				{`{"text`, `{"text`, "", refused},
				{``, ``, "", refused},
			} {
				e := hooktest.NewPublish(tt.data)
				e.Tags = nil
				a, err := p.Publish(t.Context(), e)
				if err != nil || a != tt.answer || string(e.Data) != tt.want || e.Tags["masked"] != tt.tag {
					t.Errorf("%s: %+v, %v, %s, tags %v; want %+v, %s", tt.data, a, err, e.Data, e.Tags, tt.answer, tt.want)
				}
			}
			if _, err := wasm.LoadSource(t.Context(), "test.wasm", k.build(t, "samples/words"), wasm.Options{}); err == nil {
				t.Error("without words it is loaded")
			}
		})
	}
}

func TestLogin(t *testing.T) {
	rights := host.Rights{JWT: true, Keys: map[string]host.Key{"main": {Secret: strings.Repeat("s", 32)}}}
	services := host.New(host.Options{})
	signer, err := host.NewPlugin(services, "signer", rights, host.NewLog(nil, "signer"))
	if err != nil {
		t.Fatal(err)
	}
	sign := func(claims string) string {
		t.Helper()
		c := host.Call{Hook: hooks.OnRPC, Deadline: time.Now().Add(time.Minute), Args: [host.MaxParams]host.Value{{Text: claims}, {Text: "main"}}}
		for _, f := range host.Functions() {
			if f.Name == "jwt_sign" {
				if err := signer.Call(f, &c); err != nil {
					t.Fatal(err)
				}
			}
		}
		return c.Results[0].Text
	}
	for _, k := range kits {
		t.Run(k.name, func(t *testing.T) {
			p := load(t, k.build(t, "samples/login"), wasm.Options{Services: services, Rights: rights})
			e := &hooks.Connect{Client: hooktest.NewClient(), Token: sign(`{"sub":"a\"ä","exp":4000000000,"name":"Al \"ice"}`)}
			a, err := p.Connect(t.Context(), e)
			if err != nil || a != (hooks.Answer{Verdict: hooks.Allow, Modified: true}) {
				t.Fatalf("%+v, %v", a, err)
			}
			if _, own := e.Subs[`user:a"ä`]; !own || e.User != `a"ä` || e.ExpireAt != 4000000000 || string(e.Info) != `{"name":"Al \"ice"}` ||
				len(e.Grants) != 1 {
				t.Errorf("%+v", e)
			}
			for token, reason := range map[string]string{
				"": "a token is needed", "x.y.z": "the token is not good", sign(`{"sub":"a","exp":1}`): "the token is not good",
				sign(`{"name":"nobody"}`): "the token does not say whose it is",
			} {
				a, err := p.Connect(t.Context(), &hooks.Connect{Client: hooktest.NewClient(), Token: token})
				if err != nil || a != (hooks.Answer{Verdict: hooks.Deny, Code: 101, Reason: reason}) {
					t.Errorf("%q: %+v, %v; want %q", token, a, err, reason)
				}
			}
		})
	}
}

// Memory is free again after each call: ten times what an instance has goes through it.
func TestNothingLeaks(t *testing.T) {
	for _, k := range kits {
		t.Run(k.name, func(t *testing.T) {
			const memory, size = 2 << 20, 20_000
			p := load(t, k.build(t, "samples/words"), wasm.Options{Memory: memory, Config: map[string]any{"words": []any{"darn"}}})
			data := `{"text":"` + strings.Repeat("well, darn it: ", 5) + strings.Repeat("x", size) + `"}`
			for i := range 10 * memory / size {
				if a, err := p.Publish(t.Context(), hooktest.NewPublish(data)); err != nil || !a.Modified {
					t.Fatalf("call %d: %+v, %v", i, a, err)
				}
			}
		})
	}
}

const (
	clean = `{"text":"well, that is a message of ordinary length, isn't it","id":1234,"room":"lobby"}`
	dirty = `{"text":"well, darn it, that is a message of ordinary length","id":1234,"room":"lobby"}`
)

// BenchmarkWords is the sample: it reads the message and looks for words; in the second case it masks one, and writes data and tags.
func BenchmarkWords(b *testing.B) {
	for _, k := range kits {
		for name, payload := range map[string]string{"clean": clean, "masked": dirty} {
			b.Run(k.name+"/"+name, func(b *testing.B) {
				p := load(b, k.build(b, "samples/words"), wasm.Options{Config: map[string]any{"words": []any{"darn", "heck"}}})
				e, data, ctx := hooktest.NewPublish(payload), []byte(payload), b.Context()
				b.ReportAllocs()
				for b.Loop() {
					e.Data = data
					if _, err := p.Publish(ctx, e); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
