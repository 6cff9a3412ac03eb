package wasm_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zenconn/server/hooks"
	"github.com/zenconn/server/hooks/hooktest"
	"github.com/zenconn/server/hooks/host"
	"github.com/zenconn/server/hooks/wasm"
	"github.com/zenconn/server/hooks/wasm/wasmtest"
)

// tooSlow is far beyond any deadline here: a call that takes longer hangs.
const tooSlow = time.Minute

const (
	i32 = wasmtest.I32
	i64 = wasmtest.I64
)

// abi is a module with the functions of hook_v1 imported, and a memory.
type abi struct {
	wasmtest.Module
	get, set, reject, log, now                          int
	result, kvSet, kvGet, random, wait, publish, verify int
	imports                                             int // How many functions are imported, which is the number of the first that is not.
}

func newABI() *abi {
	m := &abi{}
	three, one := wasmtest.Values(i32, i32, i32), wasmtest.Values(i32)
	m.get = m.Import("hook_v1", "get", three, one)
	m.set = m.Import("hook_v1", "set", three, one)
	m.reject = m.Import("hook_v1", "reject", three, nil)
	m.log = m.Import("hook_v1", "log", three, nil)
	m.now = m.Import("hook_v1", "now_ms", nil, wasmtest.Values(i64))
	m.result = m.Import("hook_v1", "result", three, one)
	m.kvSet = m.Import("hook_v1", "kv_set", wasmtest.Values(i32, i32, i32, i32, i64), one)
	m.kvGet = m.Import("hook_v1", "kv_get", wasmtest.Values(i32, i32), one)
	m.random = m.Import("hook_v1", "random_bytes", wasmtest.Values(i64), one)
	m.wait = m.Import("hook_v1", "http_request", wasmtest.Values(i32, i32, i32, i32, i32, i32, i32, i32), one)
	m.publish = m.Import("hook_v1", "server_publish", wasmtest.Values(i32, i32, i32, i32, i32, i32), one)
	m.verify = m.Import("hook_v1", "jwt_verify", wasmtest.Values(i32, i32, i32, i32), one)
	m.imports = m.verify + 1
	m.Memory(1, -1)
	return m
}

// call calls a host function with constants.
func call(function int, args ...int) []byte {
	var code []byte
	for _, a := range args {
		code = append(code, wasmtest.Const(a)...)
	}
	return append(code, wasmtest.Call(function)...)
}

// forEver is a loop around code that leaves nothing behind.
func forEver(code ...any) []byte {
	return wasmtest.Code(0x03, 0x40, wasmtest.Code(code...), 0x0c, 0, 0x0b)
}

const drop = 0x1a

// A hostile hook is on_subscribe of a module whose on_publish is well behaved.
func TestHostile(t *testing.T) {
	const deadline = "context deadline exceeded"
	for _, tt := range []struct {
		name string
		want string // In the fault; several, one a line, when it depends on which limit comes first.
		make func(m *abi) (hook []byte)
	}{
		{"infinite loop", deadline, func(*abi) []byte { return forEver() }},
		{"recursion without a loop", deadline, func(m *abi) []byte {
			f := m.Function(nil, nil, nil)
			for range 60 {
				f = m.Function(nil, nil, nil, wasmtest.Call(f), wasmtest.Call(f))
			}
			return wasmtest.Call(f)
		}},
		{"deep recursion", "call each other too deep", func(m *abi) []byte {
			f := m.imports // The function itself.
			return wasmtest.Call(m.Function(nil, nil, nil, wasmtest.Call(f), wasmtest.Call(f)))
		}},
		{"deep recursion with values on the stack", "call each other too deep\nstack overflow", func(m *abi) []byte {
			f, body := m.imports, []byte{}
			for i := range 500 {
				body = append(body, wasmtest.Code(wasmtest.Get(0), wasmtest.Const(i), 0x6a, 0x67)...)
			}
			body = append(body, wasmtest.Code(wasmtest.Get(0), wasmtest.Call(f))...)
			return wasmtest.Code(wasmtest.Const(1), wasmtest.Call(m.Function(wasmtest.Values(i32), wasmtest.Values(i32), nil, body,
				bytes.Repeat([]byte{0x6a}, 500))), drop)
		}},
		{"memory hog", deadline, func(*abi) []byte { return forEver(wasmtest.Const(16), 0x40, 0, drop) }},
		{"filling memory", deadline, func(*abi) []byte {
			return wasmtest.Code(wasmtest.Const(255), 0x40, 0, drop,
				forEver(wasmtest.Const(0), wasmtest.Const(1), wasmtest.Const(256<<16), 0xfc, 11, 0))
		}},
		{"trap", "trapped: unreachable", func(*abi) []byte { return []byte{0x00} }},
		{"division by zero", "trapped: integer divide by zero", func(*abi) []byte {
			return wasmtest.Code(wasmtest.Const(1), wasmtest.Const(0), 0x6d, drop)
		}},
		{"reading beyond memory", "trapped: out of bounds memory access", func(*abi) []byte {
			return wasmtest.Code(wasmtest.Const(-1), 0x28, 0, 0, drop)
		}},
		{"flood of reads", deadline, func(m *abi) []byte { return forEver(call(m.get, 12, 0, 100), drop) }},
		{"flood of reads of nothing", deadline, func(m *abi) []byte { return forEver(call(m.get, 99, 0, 100), drop) }},
		{"flood of writes", deadline, func(m *abi) []byte { return forEver(call(m.set, 13, 0, 60000), drop) }},
		{"flood of refused writes", deadline, func(m *abi) []byte { return forEver(call(m.set, 15, 0, 3), drop) }},
		{"flood of grants", deadline, func(m *abi) []byte {
			m.Data(2000, `{"allow":["pub"]}`)
			return forEver(call(m.set, 27, 2000, 17), drop)
		}},
		{"flood of log lines", deadline, func(m *abi) []byte { return forEver(call(m.log, 1, 0, 5000)) }},
		{"flood of rejections", deadline, func(m *abi) []byte { return forEver(call(m.reject, 1, 0, 60000)) }},
		{"flood of clock reads", deadline, func(m *abi) []byte { return forEver(wasmtest.Call(m.now), drop) }},
		{"reading to beyond memory", "not within its memory", func(m *abi) []byte { return wasmtest.Code(call(m.get, 12, 65535, 100), drop) }},
		{"reading to a negative address", "not within its memory", func(m *abi) []byte { return wasmtest.Code(call(m.get, 12, -5, 100), drop) }},
		{"writing from beyond memory", "not within its memory", func(m *abi) []byte { return wasmtest.Code(call(m.set, 13, 65530, 100), drop) }},
		{"writing a negative length", "handed over 4294967295 bytes at 10", func(m *abi) []byte { return wasmtest.Code(call(m.set, 13, 10, -1), drop) }},
		{"rejecting with a negative length", "not within its memory", func(m *abi) []byte { return call(m.reject, 1, 0, -1) }},
		{"logging from beyond memory", "not within its memory", func(m *abi) []byte { return call(m.log, 1, -1, 1) }},
		{"logging at no level", "log level 7", func(m *abi) []byte { return call(m.log, 7, 0, 1) }},
		{"flood of reads of the store", deadline, func(m *abi) []byte { return forEver(call(m.kvGet, 0, 10), drop) }},
		{"flood of writes to the store", deadline, func(m *abi) []byte {
			return forEver(wasmtest.Const(0), wasmtest.Const(10), wasmtest.Const(0), wasmtest.Const(60000), wasmtest.Const64(0),
				wasmtest.Call(m.kvSet), drop)
		}},
		{"flood of long arguments", deadline, func(m *abi) []byte {
			return wasmtest.Code(wasmtest.Const(200), 0x40, 0, drop, forEver(call(m.kvGet, 0, 200<<16), drop))
		}},
		{"flood of random bytes", deadline, func(m *abi) []byte { return forEver(wasmtest.Const64(1024), wasmtest.Call(m.random), drop) }},
		{"flood of results", deadline, func(m *abi) []byte {
			return wasmtest.Code(wasmtest.Const64(1024), wasmtest.Call(m.random), drop, forEver(call(m.result, 0, 0, 1024), drop))
		}},
		{"flood of results that are not there", deadline, func(m *abi) []byte { return forEver(call(m.result, 7, 0, 10), drop) }},
		{"flood of failures", deadline, func(m *abi) []byte { return forEver(wasmtest.Const64(-1), wasmtest.Call(m.random), drop) }},
		{"requests to a server that is not allowed", deadline, func(m *abi) []byte {
			m.Data(2000, "GEThttp://192.0.2.1/")
			return forEver(call(m.wait, 2000, 3, 2003, 17, 0, 0, 0, 0), drop)
		}},
		{"publishing without the right", "used server_publish without allow.publish", func(m *abi) []byte {
			return wasmtest.Code(call(m.publish, 0, 1, 0, 1, 0, 0), drop)
		}},
		{"a key beyond memory", "not within its memory", func(m *abi) []byte { return wasmtest.Code(call(m.kvGet, 65530, 100), drop) }},
		{"a key of a negative length", "handed over 4294967295 bytes at 10", func(m *abi) []byte { return wasmtest.Code(call(m.kvGet, 10, -1), drop) }},
		{"a result to beyond memory", "not within its memory", func(m *abi) []byte {
			return wasmtest.Code(wasmtest.Const64(1024), wasmtest.Call(m.random), drop, call(m.result, 0, 65000, 1024), drop)
		}},
		{"rejecting and allowing", "called reject and returned 0", func(m *abi) []byte { return call(m.reject, 1, 0, 0) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newABI()
			m.Hook("on_subscribe", tt.make(m), wasmtest.Const(0))
			m.Hook("on_publish", wasmtest.Const(0))
			p := load(t, m.Bytes(), wasm.Options{
				Instances: 2, Services: host.New(host.Options{}), Rights: host.Rights{KV: true, HTTP: []string{"example.com"}},
			})
			limit := 50 * time.Millisecond
			if tt.want != deadline {
				limit = tooSlow // It must end by itself, and for another reason.
			}
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			start := time.Now()
			_, err := p.Subscribe(ctx, &hooks.Subscribe{Client: hooktest.NewClient(), Channel: "room:1"})
			if took := time.Since(start); took > tooSlow {
				t.Errorf("ended after %v", took)
			}
			if tt.want == deadline && !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("fault %v, want one that wraps context.DeadlineExceeded", err)
			} else if err == nil || !containsAny(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("fault %q, want %q in one line", err, tt.want)
			}
			if a, err := p.Publish(t.Context(), hooktest.NewPublish("good")); err != nil || a != (hooks.Answer{}) {
				t.Errorf("the next call: %+v, %v", a, err)
			}
			if n := p.Instances(); n > 2 {
				t.Errorf("%d instances are left", n)
			}
		})
	}
}

func containsAny(s, alternatives string) bool {
	for a := range strings.SplitSeq(alternatives, "\n") {
		if strings.Contains(s, a) {
			return true
		}
	}
	return false
}

// Reading with a negative capacity asks for the length, and writes nothing.
func TestLengthOnly(t *testing.T) {
	m := newABI()
	m.Hook("on_publish", call(m.get, 13, -1, -1), wasmtest.Const(5), 0x47, // 5 bytes of data: 0 allows.
		wasmtest.Const(0), 0x28, 0, 0, 0x72)
	p := load(t, m.Bytes(), wasm.Options{})
	if a, err := p.Publish(t.Context(), hooktest.NewPublish("hello")); err != nil || a.Verdict != hooks.Allow {
		t.Errorf("%+v, %v", a, err)
	}
}

// Results are there until the next call of a function, and no longer than the call of the hook.
func TestResults(t *testing.T) {
	m := newABI()
	equals := func(want int) []byte { // Traps unless it is what lies on the stack.
		return wasmtest.Code(wasmtest.Const(want), 0x47, 0x04, 0x40, 0x00, 0x0b)
	}
	m.Hook("on_publish",
		call(m.result, 0, 0, 10), equals(-2), // There was no call.
		wasmtest.Const(0), wasmtest.Const(0), 0x36, 0, 0,
		wasmtest.Const64(5), wasmtest.Call(m.random), equals(5),
		call(m.result, 0, 0, 4), equals(5), // Too long: nothing is written.
		wasmtest.Const(0), 0x28, 0, 0, equals(0),
		call(m.result, 0, 0, 5), equals(5),
		call(m.result, 1, 0, 5), equals(-2),
		call(m.result, -1, 0, 5), equals(-2),
		call(m.kvGet, 100, 1), equals(-1),
		call(m.result, 0, 0, 5), equals(-2),
		call(m.kvGet, 0, 0), equals(-2),
		call(m.result, 0, 100, 1000), wasmtest.Const(40), 0x4a, equals(1), // A sentence.
		wasmtest.Const(0))
	p := load(t, m.Bytes(), wasm.Options{Services: host.New(host.Options{}), Rights: host.Rights{KV: true}})
	for range 2 { // By the same instance.
		if a, err := p.Publish(t.Context(), hooktest.NewPublish("")); err != nil || a.Verdict != hooks.Allow {
			t.Errorf("%+v, %v", a, err)
		}
	}
}

func TestHostileInitialization(t *testing.T) {
	for _, tt := range []struct {
		name, want string
		make       func(m *abi) []byte
	}{
		{"trap", "while it was initialized: trapped: unreachable", func(*abi) []byte { return []byte{0x00} }},
		{"endless loop", "while it was initialized: context deadline exceeded", func(*abi) []byte { return forEver() }},
		{"reading an event that is not there", "while it was initialized: trapped: unreachable", func(m *abi) []byte {
			return wasmtest.Code(call(m.get, 12, 0, 100), wasmtest.Const(-2), 0x46, 0x04, 0x40, 0x00, 0x0b)
		}},
	} {
		for _, export := range []bool{true, false} {
			t.Run(tt.name, func(t *testing.T) {
				m := newABI()
				f := m.Function(nil, nil, nil, tt.make(m))
				if export {
					m.Export("_initialize", 0, f)
				} else {
					m.Start(f)
				}
				m.Hook("on_publish", wasmtest.Const(0))
				if _, err := wasm.LoadSource(t.Context(), "test.wasm", m.Bytes(), wasm.Options{}); err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("error %v, want %q", err, tt.want)
				}
			})
		}
	}
}

// An instance that cannot be made any more must not hold up calls beyond their deadline.
func TestSlowInitializationHonoursTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newABI()
		m.Export("_initialize", 0, m.Function(nil, nil, nil, call(m.log, 1, 0, 1)))
		m.Hook("on_subscribe", 0x00)
		m.Hook("on_publish", wasmtest.Const(0))
		p := load(t, m.Bytes(), wasm.Options{Instances: 1, Logger: slog.New(slowLog(time.Second))})
		if _, err := p.Subscribe(t.Context(), &hooks.Subscribe{}); err == nil {
			t.Fatal("no trap")
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := p.Publish(ctx, hooktest.NewPublish("")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("while the instance is made: %v", err)
		}
		if _, err := p.Publish(t.Context(), hooktest.NewPublish("")); err != nil {
			t.Errorf("after that: %v", err)
		}
	})
}

// slowLog is a log that takes so long for a line.
type slowLog time.Duration

func (slowLog) Enabled(context.Context, slog.Level) bool { return true }
func (l slowLog) WithAttrs([]slog.Attr) slog.Handler     { return l }
func (l slowLog) WithGroup(string) slog.Handler          { return l }
func (l slowLog) Handle(context.Context, slog.Record) error {
	<-time.After(time.Duration(l))
	return nil
}

// What nobody waits for may stand still for as long as the machine does.
func TestStandstill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newABI()
		stand := wasmtest.Code(wasmtest.Const64(1), wasmtest.Call(m.random), drop, call(m.log, 1, 0, 1), wasmtest.Const64(1), wasmtest.Call(m.random), drop)
		m.Export("_initialize", 0, m.Function(nil, nil, nil, stand))
		m.Hook("on_publish", stand, wasmtest.Const(0))
		p := load(t, m.Bytes(), wasm.Options{Logger: slog.New(slowLog(time.Minute))})
		if a, err := p.Publish(t.Context(), hooktest.NewPublish("")); err != nil || a.Verdict != hooks.Allow {
			t.Errorf("%+v, %v", a, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := p.Publish(ctx, hooktest.NewPublish("")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("who waits a second: %v", err)
		}
	})
}

// While a guest spins, others answer and the garbage collector runs; afterwards its memory is back.
func TestOthersGoOn(t *testing.T) {
	m := newABI()
	m.Hook("on_subscribe", wasmtest.Const(255), 0x40, 0, drop, forEver(), wasmtest.Const(0))
	evil := load(t, m.Bytes(), wasm.Options{Instances: 4})
	m = newABI()
	m.Hook("on_publish", wasmtest.Const(0))
	good := load(t, m.Bytes(), wasm.Options{})
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	before := heap()
	ended := make(chan error, 4)
	for range cap(ended) {
		go func() {
			_, err := evil.Subscribe(ctx, &hooks.Subscribe{})
			ended <- err
		}()
	}
	for ctx.Err() == nil {
		if _, err := good.Publish(t.Context(), hooktest.NewPublish("")); err != nil {
			t.Fatal(err)
		}
		runtime.GC()
	}
	for range cap(ended) {
		if err := <-ended; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("ended with %v", err)
		}
	}
	if after := heap(); after > before+16<<20 {
		t.Errorf("%d MiB were kept", (after-before)>>20)
	}
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return s.HeapAlloc
}
