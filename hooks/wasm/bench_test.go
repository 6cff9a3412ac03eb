package wasm_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/zenconn/server/hooks"
	"github.com/zenconn/server/hooks/hooktest"
	"github.com/zenconn/server/hooks/host"
	"github.com/zenconn/server/hooks/wasm"
	"github.com/zenconn/server/hooks/wasm/wasmtest"
	"github.com/zenconn/server/internal/testenv"
)

// cGuest compiles a guest in C.
func cGuest(t testing.TB, name string) []byte {
	t.Helper()
	clang, err := exec.LookPath("clang")
	if _, lldErr := exec.LookPath("wasm-ld"); err != nil || lldErr != nil {
		testenv.Skip(t, "clang and its linker for WebAssembly are not installed (Debian: apt-get install clang lld)")
	}
	file := filepath.Join(t.TempDir(), name+".wasm")
	cmd := exec.CommandContext(t.Context(), clang, "--target=wasm32", "-O2", "-nostdlib", "-ffreestanding", "-Wl,--no-entry", "-Wl,--strip-all",
		"-Wl,-z,stack-size=16384", "-o", file, "testdata/guests/"+name+".c")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	binary, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

const payload = `{"text":"well, darn it, that is a message of ordinary length","id":1234,"room":"lobby"}`

func checkRealistic(t *testing.T, binary []byte) {
	p := load(t, binary, wasm.Options{})
	e := hooktest.NewPublish(payload)
	a, err := p.Publish(t.Context(), e)
	if err != nil || a != (hooks.Answer{Verdict: hooks.Allow, Modified: true}) || string(e.Data) != "alice: "+strings.ToUpper(payload) {
		t.Errorf("%+v, %v, %s", a, err, e.Data)
	}
	e.Channel = "elsewhere"
	if a, err := p.Publish(t.Context(), e); err != nil || a != (hooks.Answer{Verdict: hooks.Deny, Code: 403, Reason: "rooms only"}) {
		t.Errorf("elsewhere: %+v, %v", a, err)
	}
}

func TestRealisticC(t *testing.T)  { checkRealistic(t, cGuest(t, "realistic")) }
func TestRealisticGo(t *testing.T) { checkRealistic(t, guest(t, "realistic")) }

// A call that changes nothing allocates nothing; one that writes data allocates the copy.
func TestAllocations(t *testing.T) {
	for _, tt := range []struct {
		name   string
		binary []byte
		most   float64
	}{{"allow", allow(), 0}, {"realistic", cGuest(t, "realistic"), 1}} {
		p := load(t, tt.binary, wasm.Options{})
		e, data, ctx := hooktest.NewPublish(payload), []byte(payload), t.Context()
		if n := testing.AllocsPerRun(200, func() {
			e.Data = data
			if _, err := p.Publish(ctx, e); err != nil {
				t.Fatal(err)
			}
		}); n > tt.most {
			t.Errorf("%s: %v allocations per call, want at most %v", tt.name, n, tt.most)
		}
	}
}

func benchmarkGuests(b *testing.B, bench func(b *testing.B, p *wasm.Plugin)) {
	for _, bb := range []struct {
		name string
		make func() []byte
	}{
		{"allow", allow},
		{"realistic-c", func() []byte { return cGuest(b, "realistic") }},
		{"realistic-go", func() []byte { return guest(b, "realistic") }},
	} {
		b.Run(bb.name, func(b *testing.B) { bench(b, load(b, bb.make(), wasm.Options{})) })
	}
}

// BenchmarkPublish is one call of a plugin.
func BenchmarkPublish(b *testing.B) {
	benchmarkGuests(b, func(b *testing.B, p *wasm.Plugin) {
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

// BenchmarkChain is the same through the chain, with its snapshot, deadline and checks.
func BenchmarkChain(b *testing.B) {
	benchmarkGuests(b, func(b *testing.B, p *wasm.Plugin) {
		c := hooks.NewChain([]hooks.Link{{Plugin: p, Deadline: time.Minute}}, nil)
		e, data, ctx := hooktest.NewPublish(payload), []byte(payload), b.Context()
		b.ReportAllocs()
		for b.Loop() {
			e.Data = data
			if a := c.Publish(ctx, e); a.Verdict != hooks.Allow {
				b.Fatal(a)
			}
		}
	})
}

func BenchmarkPublishParallel(b *testing.B) {
	benchmarkGuests(b, func(b *testing.B, p *wasm.Plugin) {
		b.ReportAllocs()
		b.ResetTimer() // Loading took longer.
		b.RunParallel(func(pb *testing.PB) {
			e, data, ctx := hooktest.NewPublish(payload), []byte(payload), b.Context()
			for pb.Next() {
				e.Data = data
				if _, err := p.Publish(ctx, e); err != nil {
					b.Error(err)
				}
			}
		})
	})
}

// BenchmarkLoad is metering and compiling a plugin of Go, without and with compiled code in the cache.
func BenchmarkLoad(b *testing.B) {
	binary := guest(b, "realistic")
	for name, cache := range map[string]string{"compile": "", "cached": b.TempDir()} {
		b.Run(name, func(b *testing.B) {
			load(b, binary, wasm.Options{Cache: cache})
			for b.Loop() {
				p, err := wasm.LoadSource(b.Context(), "test.wasm", binary, wasm.Options{Cache: cache})
				if err != nil {
					b.Fatal(err)
				}
				p.Close() //nolint:errcheck // Nothing is asserted about it here.
			}
		})
	}
}

// BenchmarkFunctions is a call of a plugin that calls one function of the server and reads its result.
func BenchmarkFunctions(b *testing.B) {
	rights := host.Rights{KV: true, JWT: true, Keys: map[string]host.Key{"k": {Secret: strings.Repeat("s", 32)}}}
	services := host.New(host.Options{})
	p, err := host.NewPlugin(services, "test", rights, host.NewLog(nil, "test"))
	if err != nil {
		b.Fatal(err)
	}
	do := func(name string, args ...string) string {
		c := host.Call{Hook: hooks.OnRPC, Deadline: time.Now().Add(time.Minute)}
		for i, a := range args {
			c.Args[i].Text = a
		}
		if err := p.Call(host.Functions()[slices.IndexFunc(host.Functions(), func(f *host.Function) bool { return f.Name == name })], &c); err != nil {
			b.Fatal(err)
		}
		return c.Results[0].Text
	}
	do("kv_set", "k", strings.Repeat("x", 100))
	token := do("jwt_sign", `{"sub":"alice","exp":4000000000}`, "k")
	for _, bb := range []struct {
		name string
		call func(m *abi) []byte
	}{
		{"kv_get", func(m *abi) []byte { return call(m.kvGet, 2000, 1) }},
		{"jwt_verify", func(m *abi) []byte { return call(m.verify, 3000, len(token), 2000, 1) }},
	} {
		b.Run(bb.name, func(b *testing.B) {
			m := newABI()
			m.Data(2000, "k")
			m.Data(3000, token)
			m.Hook("on_publish", bb.call(m), wasmtest.Const(0), 0x48, 0x04, 0x40, 0x00, 0x0b, // Traps when it failed.
				call(m.result, 0, 0, 1000), drop, wasmtest.Const(0))
			p := load(b, m.Bytes(), wasm.Options{Name: "test", Services: services, Rights: rights})
			e, ctx := hooktest.NewPublish(""), b.Context()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.Publish(ctx, e); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
