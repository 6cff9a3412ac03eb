package wasm_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zenconn/server/hooks"
	"github.com/zenconn/server/hooks/hooktest"
	"github.com/zenconn/server/hooks/host"
	"github.com/zenconn/server/hooks/wasm"
	"github.com/zenconn/server/hooks/wasm/wasmtest"
)

// allow is the smallest plugin.
func allow() []byte {
	m := &wasmtest.Module{}
	m.Memory(1, -1)
	m.Hook("on_publish", wasmtest.Const(0))
	return m.Bytes()
}

func TestRefusedWhenLoaded(t *testing.T) {
	build := func(change func(m *wasmtest.Module)) []byte {
		m := &wasmtest.Module{}
		change(m)
		m.Memory(1, -1)
		m.Hook("on_publish", wasmtest.Const(0))
		return m.Bytes()
	}
	one := wasmtest.Values(i32)
	for _, tt := range []struct {
		name   string
		binary []byte
		want   string
	}{
		{"opens files", build(func(m *wasmtest.Module) {
			m.Import("wasi_snapshot_preview1", "path_open", wasmtest.Values(i32, i32, i32, i32, i32, i64, i64, i32, i32), one)
		}), "it imports wasi_snapshot_preview1.path_open, which the server does not have: plugins have no files"},
		{"sends to sockets", build(func(m *wasmtest.Module) {
			m.Import("wasi_snapshot_preview1", "sock_send", wasmtest.Values(i32, i32, i32, i32, i32), one)
		}), "it imports wasi_snapshot_preview1.sock_send, which the server does not have: plugins have no sockets"},
		{"imports what comes later", build(func(m *wasmtest.Module) { m.Import("hook_v1", "kv_watch", one, one) }),
			"it imports hook_v1.kv_watch, which the server does not have; hook_v1 has get, http_request, jwt_sign, jwt_verify, kv_cas, kv_delete, "},
		{"imports with a typing error", build(func(m *wasmtest.Module) { m.Import("hook_v1", "gett", one, one) }), "(did you mean get?)"},
		{"imports from another version", build(func(m *wasmtest.Module) { m.Import("hook_v2", "get", one, one) }), "it speaks hook_v1"},
		{"imports abort", build(func(m *wasmtest.Module) { m.Import("env", "abort", one, nil) }), "--use abort="},
		{"imports the meter", build(func(m *wasmtest.Module) { m.Import("meter", "tick", nil, one) }), "it imports meter.tick"},
		{"imports another signature", build(func(m *wasmtest.Module) { m.Import("hook_v1", "get", one, one) }),
			"it imports hook_v1.get as (i32) -> (i32); it is (i32, i32, i32) -> (i32)"},
		{"exports another signature", build(func(m *wasmtest.Module) {
			m.Export("on_connect", 0, m.Function(one, one, nil, wasmtest.Const(0)))
		}), "it exports on_connect as (i32) -> (i32); it must be () -> (i32)"},
		{"exports an initialization with a result", build(func(m *wasmtest.Module) { m.Hook("_initialize", wasmtest.Const(0)) }),
			"it exports _initialize as () -> (i32); it must be () -> ()"},
		{"exports a hook that is no function", build(func(m *wasmtest.Module) { m.Export("on_connect", 2, 0) }),
			"it exports on_connect as a memory; it must be a function () -> (i32)"},
		{"exports an unknown hook", build(func(m *wasmtest.Module) { m.Hook("on_conect", wasmtest.Const(0)) }),
			"it exports on_conect, which is no hook (did you mean on_connect?)"},
		{"is a program", build(func(m *wasmtest.Module) { m.Export("_start", 0, m.Function(nil, nil, nil)) }), "it is a program; build a library"},
		{"no hook", func() []byte { m := &wasmtest.Module{}; m.Memory(1, 1); return m.Bytes() }(), "it exports no hook; the hooks are on_connect, "},
		{"no memory", func() []byte { m := &wasmtest.Module{}; m.Hook("on_publish", wasmtest.Const(0)); return m.Bytes() }(), "it exports no memory"},
		{"too much memory", func() []byte {
			m := &wasmtest.Module{}
			m.Memory(257, -1)
			m.Hook("on_publish", wasmtest.Const(0))
			return m.Bytes()
		}(), "it begins with 16448 KiB of memory and may have 16384 KiB; set the plugin's memory higher"},
		{"types that do not match", build(func(m *wasmtest.Module) { m.Function(nil, one, nil, wasmtest.Const64(1)) }), "test.wasm: invalid function"},
		{"truncated", allow()[:len(allow())-3], "test.wasm: at byte"},
		{"empty", nil, "test.wasm: this is no WebAssembly module"},
		{"large", slices.Concat(allow(), make([]byte, wasm.DefaultMaxSize)), "the module is longer than 16777216 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := wasm.LoadSource(t.Context(), "test.wasm", tt.binary, wasm.Options{})
			if err == nil {
				p.Close() //nolint:errcheck // The test has failed.
			}
			if err == nil || !strings.HasPrefix(err.Error(), "test.wasm: ") || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

func TestLoad(t *testing.T) {
	file := filepath.Join(t.TempDir(), "gate.wasm")
	if _, err := wasm.Load(t.Context(), file, wasm.Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if err := os.WriteFile(file, allow(), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := wasm.Load(t.Context(), file, wasm.Options{MaxSize: 10}); err == nil || !strings.Contains(err.Error(), "longer than 10 bytes") {
		t.Errorf("a long file: %v", err)
	}
	p, err := wasm.Load(t.Context(), file, wasm.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if hash := sha256.Sum256(allow()); p.Name() != "gate" || p.Hash() != hex.EncodeToString(hash[:]) || !slices.Equal(p.Hooks(), []hooks.Hook{hooks.OnPublish}) {
		t.Errorf("name %s, hash %s, hooks %v", p.Name(), p.Hash(), p.Hooks())
	}
	for range 2 {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := p.Publish(t.Context(), hooktest.NewPublish("")); !errors.Is(err, host.ErrClosed) {
		t.Errorf("a call after the end: %v", err)
	}
}

// The memory a plugin may have is what the configuration says, whatever the module declares.
func TestMemoryLimit(t *testing.T) {
	m := &wasmtest.Module{}
	m.Memory(1, 60000)
	// Grows by 15 pages, which works, then by one more, which does not: 0 allows.
	m.Hook("on_publish", wasmtest.Const(15), 0x40, 0, wasmtest.Const(1), 0x47, wasmtest.Const(1), 0x40, 0, wasmtest.Const(-1), 0x47, 0x72)
	p := load(t, m.Bytes(), wasm.Options{Memory: 1 << 20})
	if a, err := p.Publish(t.Context(), hooktest.NewPublish("")); err != nil || a.Verdict != hooks.Allow {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestCache(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	for range 2 {
		p := load(t, allow(), wasm.Options{Cache: dir})
		if a, err := p.Publish(t.Context(), hooktest.NewPublish("")); err != nil || a.Verdict != hooks.Allow {
			t.Errorf("%+v, %v", a, err)
		}
	}
	var files []string
	if err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files = append(files, path)
			err = os.WriteFile(path, []byte("broken"), 0o600)
		}
		return err
	}); err != nil || len(files) != 1 {
		t.Fatalf("files %v, %v", files, err)
	}
	var out bytes.Buffer
	p := load(t, allow(), wasm.Options{Cache: dir, Logger: slog.New(slog.NewTextHandler(&out, nil))})
	if a, err := p.Publish(t.Context(), hooktest.NewPublish("")); err != nil || a.Verdict != hooks.Allow {
		t.Errorf("with a broken cache: %+v, %v", a, err)
	}
	if !strings.Contains(out.String(), "cache of compiled code cannot be used") {
		t.Errorf("nothing was said about the broken cache: %s", &out)
	}
}

// Who waits is told of a compilation, and of nothing when the cache has it.
func TestCompilingIsTold(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	var told []string
	o := wasm.Options{Cache: dir, Compiling: func() func() {
		told = append(told, "compiling")
		return func() { told = append(told, "compiled") }
	}}
	for range 2 {
		load(t, allow(), o)
	}
	if !slices.Equal(told, []string{"compiling", "compiled"}) {
		t.Errorf("with a cache, twice: %q", told)
	}
	o.Cache, told = "", nil
	for range 2 {
		load(t, allow(), o)
	}
	if len(told) != 4 {
		t.Errorf("without a cache, twice: %q", told)
	}
}

// Nobody waits for a compilation that is no longer needed, and nothing is blamed on the cache.
func TestCompilingIsEnded(t *testing.T) {
	for name, dir := range map[string]string{"without a cache": "", "with a cache": filepath.Join(t.TempDir(), "cache")} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			begun, finished := 0, 0
			ctx, cancel := context.WithCancel(t.Context())
			o := wasm.Options{Cache: dir, Logger: slog.New(slog.NewTextHandler(&out, nil)), Compiling: func() func() {
				begun++
				cancel()
				return func() { finished++ }
			}}
			p, err := wasm.LoadSource(ctx, "test.wasm", allow(), o)
			if p != nil || !errors.Is(err, context.Canceled) || begun != 1 || finished != 0 || out.Len() > 0 {
				t.Errorf("%v, %v; begun %d, finished %d, said %q", p, err, begun, finished, &out)
			}
			p = load(t, allow(), o) // Nothing of the first attempt is in the way.
			if a, err := p.Publish(t.Context(), hooktest.NewPublish("")); err != nil || a.Verdict != hooks.Allow || finished != 1 {
				t.Errorf("the second attempt: %+v, %v, finished %d", a, err, finished)
			}
		})
	}
}

// Of many modules, those used last stay in the cache, however old they are.
func TestPrune(t *testing.T) {
	dir := t.TempDir()
	if err := wasm.Prune(filepath.Join(dir, "none")); err != nil {
		t.Error(err)
	}
	load(t, allow(), wasm.Options{Cache: dir})
	own := entries(t, dir)
	long := time.Now().Add(-time.Hour)
	for i := range 40 { // Others, used after it.
		if err := os.MkdirAll(filepath.Join(dir, fmt.Sprintf("%064x", i), "wazero-x"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"wazero-v1-amd64-linux", "not ours"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chtimes(filepath.Join(dir, own[0]), long, long); err != nil {
		t.Fatal(err)
	}
	load(t, allow(), wasm.Options{Cache: dir}) // Which is a use.
	if err := wasm.Prune(dir); err != nil {
		t.Fatal(err)
	}
	left := entries(t, dir)
	if len(left) != 32+1 || !slices.Contains(left, own[0]) || !slices.Contains(left, "not ours") {
		t.Errorf("left are %q", left)
	}
	if err := os.Chtimes(filepath.Join(dir, own[0]), long, long); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, strings.Repeat("f", 64)), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := wasm.Prune(dir); err != nil {
		t.Fatal(err)
	}
	if left := entries(t, dir); slices.Contains(left, own[0]) {
		t.Errorf("left are %q", left)
	}
}

func entries(t *testing.T, dir string) (names []string) {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		names = append(names, e.Name())
	}
	return names
}

func TestLog(t *testing.T) {
	var out bytes.Buffer
	p := load(t, guest(t, "chatty"), wasm.Options{Name: "chatty", Config: map[string]any{"greeting": "hello"},
		Logger: slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	if a, err := p.Publish(t.Context(), hooktest.NewPublish("x")); err != nil || a.Verdict != hooks.Allow {
		t.Fatalf("%+v, %v", a, err)
	}
	for _, want := range []string{
		`level=INFO msg="the greeting is hello" plugin=chatty`, `level=WARN msg="a warning"`, `level=ERROR msg="an error"`,
		`level=INFO msg="on standard output"`, `level=WARN msg="on standard error, without an end of line"`,
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the log has no %s:\n%s", want, &out)
		}
	}
	_, err := p.Publish(t.Context(), hooktest.NewPublish("panic"))
	if err == nil || !strings.HasSuffix(err.Error(), ", saying: panic: oops") {
		t.Errorf("fault %v", err)
	}
	_, err = p.Publish(t.Context(), hooktest.NewPublish("bad time"))
	if err == nil || !strings.Contains(err.Error(), "this is no value for the field expire_at") ||
		!strings.HasSuffix(err.Error(), "(before that: set expire_at: -1; it must be from 0 to 9007199254740992)") {
		t.Errorf("fault %v, want one that says what was wrong with the value", err)
	}
}

// What WASI has: clocks that go, random numbers, sleep within the deadline; and no arguments, variables or files.
func TestWASI(t *testing.T) {
	p := load(t, guest(t, "chatty"), wasm.Options{})
	for _, what := range []string{"clock", "random", "sleep", "nothing"} {
		if a, err := p.Publish(t.Context(), hooktest.NewPublish(what)); err != nil || a.Verdict != hooks.Allow {
			t.Errorf("%s: %+v, %v", what, a, err)
		}
	}
}

func TestManyCallsAtOnce(t *testing.T) {
	p := load(t, guest(t, "publish"), wasm.Options{Instances: 2, Config: map[string]any{"behaviour": "rewrite"}})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 30 {
				e := hooktest.NewPublish("allow")
				if i%10 == 9 {
					e.Data = []byte("fault") // Breaks the instance.
				}
				a, err := p.Publish(t.Context(), e)
				if faulty := i%10 == 9; (err != nil) != faulty || !faulty && (a.Verdict != hooks.Allow || string(e.Data) != "written") {
					t.Errorf("%+v, %v, %s", a, err, e.Data)
				}
			}
		})
	}
	wg.Wait()
	if n := p.Instances(); n > 2 {
		t.Errorf("%d instances", n)
	}
}
