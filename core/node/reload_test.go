package node_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lxzan/gws"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/bus"
	"github.com/zenconn/server/core/cluster"
	"github.com/zenconn/server/core/config"
	"github.com/zenconn/server/core/node"
	"github.com/zenconn/server/hooks/host"
	"github.com/zenconn/server/hooks/wasm/wasmtest"
	"github.com/zenconn/server/plugins"
)

// patience is how long a test waits for what must come. It is long, because the machine may be slow.
const patience = time.Minute

// luaStamps is two plugins of which the first writes a number into publications, and the second denies those with another.
func luaStamps(number int) map[string][]byte {
	return map[string][]byte{
		"first.lua":  fmt.Appendf(nil, `function on_publish(ev) ev.data = "%d" return true end`, number),
		"second.lua": fmt.Appendf(nil, `function on_publish(ev) if ev.data ~= "%d" then return false, 4000, "mixed" end return true end`, number),
	}
}

// wasmStamps is the same in Wasm. The number has four digits.
func wasmStamps(number int) map[string][]byte {
	text := fmt.Sprint(number)
	i32 := byte(wasmtest.I32)
	three, one := wasmtest.Values(i32, i32, i32), wasmtest.Values(i32)
	const drop, load, unequal = 0x1a, 0x28, 0x47
	var first, second wasmtest.Module
	first.Import("hook_v1", "set", three, one)
	first.Memory(1, -1)
	first.Data(0, text)
	first.Hook("on_publish", wasmtest.Const(int(host.FieldData)), wasmtest.Const(0), wasmtest.Const(len(text)), wasmtest.Call(0), drop, wasmtest.Const(0))
	second.Import("hook_v1", "get", three, one)
	second.Memory(1, -1)
	second.Data(0, text)
	second.Hook("on_publish", wasmtest.Const(int(host.FieldData)), wasmtest.Const(8), wasmtest.Const(len(text)), wasmtest.Call(0), drop,
		wasmtest.Const(0), load, 2, 0, wasmtest.Const(8), load, 2, 0, unequal) // 1 is Deny.
	return map[string][]byte{"first.wasm": first.Bytes(), "second.wasm": second.Bytes()}
}

// resolved is the bundles of files.
func resolved(t *testing.T, files map[string][]byte) []plugins.Bundle {
	t.Helper()
	c := config.Default().Plugins
	c.Dir, c.Deadline = t.TempDir(), time.Minute
	for name, source := range files {
		if err := os.WriteFile(filepath.Join(c.Dir, name), source, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	bundles, err := plugins.Resolve(c, plugins.Bundled())
	if err != nil {
		t.Fatal(err)
	}
	return bundles
}

// serving is a node with clients.
type serving struct {
	*node.Node
	t    *testing.T
	addr string
	log  logged
}

type logged struct {
	mu   sync.Mutex
	text strings.Builder
	on   map[string]func() // What is done when a line says so. Guarded by mu.
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for text, do := range l.on {
		if strings.Contains(string(b), text) {
			do()
		}
	}
	return l.text.Write(b)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func serveNode(t *testing.T, bundles []plugins.Bundle) *serving {
	t.Helper()
	s := &serving{t: t}
	c := config.Default()
	c.Data, c.Auth.Type, c.Audit.Store, c.Shutdown.Timeout = t.TempDir(), "none", "none", patience
	// However long a client or the server stands still, no client is cut off.
	c.Client.HandshakeTimeout, c.Client.ConnectTimeout, c.Client.WriteTimeout = time.Hour, time.Hour, time.Hour
	c.Client.Ping.Interval, c.Client.Ping.Timeout = time.Hour, time.Hour
	c.Client.Limits.CommandsPerSecond, c.Client.Limits.QueueMessages, c.Client.Limits.QueueSize = 0, 1<<20, 1<<30
	open := config.DefaultNamespace()
	open.Subscribe = "anyone"
	c.Namespaces = map[string]config.Namespace{"default": open}
	b := bus.New(bus.Options{Config: c.Bus, Data: c.Data, Node: "node", Log: slog.New(slog.DiscardHandler)})
	if err := b.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	var err error
	s.Node, err = node.Open(t.Context(), node.Options{
		Config: &c, UID: core.NewID(), Name: "node", Kind: cluster.Agent, Version: "v0", Plugins: bundles, Bus: b, Stdout: &s.log,
		Log: slog.New(slog.NewTextHandler(&s.log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = l.Addr().String()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// talker is a client that publishes, one message after the other, and looks at what comes.
type talker struct {
	gws.BuiltinEventHandler
	frames chan string
	closed atomic.Pointer[string]
}

func (c *talker) OnMessage(_ *gws.Conn, m *gws.Message) { c.frames <- m.Data.String() }

func (c *talker) OnClose(_ *gws.Conn, err error) {
	why := fmt.Sprint(err)
	c.closed.Store(&why)
	close(c.frames)
}

// talk publishes until stop is set, and counts the publications that were accepted. It returns what went wrong.
func (s *serving) talk(stop *atomic.Bool, accepted *atomic.Int64) error {
	c := &talker{frames: make(chan string, 1000)}
	conn, _, err := gws.NewClient(c, &gws.ClientOption{
		Addr: "ws://" + s.addr + "/connection/websocket", HandshakeTimeout: patience,
		NewDialer: func() (gws.Dialer, error) { return &net.Dialer{}, nil }, // The usual one gives up after five seconds.
	})
	if err != nil {
		return err
	}
	var reading sync.WaitGroup
	reading.Go(conn.ReadLoop)
	defer reading.Wait()
	defer conn.NetConn().Close()
	say := func(id int, command string) error {
		if err := conn.WriteString(fmt.Sprintf(`{"id":%d,%s}`, id, command)); err != nil {
			return err
		}
		timeout := time.After(patience)
		for {
			select {
			case frame, open := <-c.frames:
				if !open {
					return fmt.Errorf("closed: %s", *c.closed.Load())
				}
				for line := range strings.Lines(frame) {
					if strings.Contains(line, `"error"`) || strings.Contains(line, `"data":"talk"`) {
						return fmt.Errorf("the answer to %s is %s", command, line)
					}
					if strings.HasPrefix(line, fmt.Sprintf(`{"id":%d,`, id)) {
						return nil
					}
				}
			case <-timeout:
				return fmt.Errorf("no answer to %s", command)
			}
		}
	}
	if err := say(1, `"connect":{}`); err != nil {
		return err
	}
	if err := say(2, `"subscribe":{"channel":"room"}`); err != nil {
		return err
	}
	for id := 3; !stop.Load(); id++ {
		if err := say(id, `"publish":{"channel":"room","data":"talk"}`); err != nil {
			return err
		}
		accepted.Add(1)
	}
	return nil
}

// instances is what the gauge of instances says of all plugins.
func (s *serving) instances() (n int) {
	families, err := s.Registerer().(prometheus.Gatherer).Gather()
	if err != nil {
		s.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "zenconn_plugin_instances" {
			for _, m := range f.GetMetric() {
				n += int(m.GetGauge().GetValue())
			}
		}
	}
	return n
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// Fifty reloads under full load: no call fails, none is judged by plugins of two versions, and nothing is left behind.
func TestReloadUnderLoad(t *testing.T) {
	for name, stamps := range map[string]func(int) map[string][]byte{"lua": luaStamps, "wasm": wasmStamps} {
		t.Run(name, func(t *testing.T) {
			const clients, reloads, settled = 4, 50, 10
			s := serveNode(t, resolved(t, stamps(1000)))
			var stop atomic.Bool
			var accepted atomic.Int64
			var talking sync.WaitGroup
			for range clients {
				talking.Go(func() {
					if err := s.talk(&stop, &accepted); err != nil {
						t.Error(err)
					}
				})
			}
			var heapThen uint64
			var goroutinesThen int
			for i := range reloads {
				before := accepted.Load()
				eventually(t, "there is load", func() bool { return t.Failed() || accepted.Load() >= before+2*clients })
				change, err := s.Reload(t.Context(), resolved(t, stamps(1001+i)))
				if err != nil || !change.Changed || len(change.After) != 2 || change.Before[0].Hash == change.After[0].Hash {
					t.Fatalf("reload %d: %+v, %v", i, change, err)
				}
				if i == settled {
					heapThen, goroutinesThen = heap(), runtime.NumGoroutine()
				}
			}
			eventually(t, "no more memory is in use than after the first reloads", func() bool { return heap() <= heapThen+16<<20 })
			eventually(t, "there are no more goroutines than after the first reloads", func() bool {
				return runtime.NumGoroutine() <= goroutinesThen+clients // Those that make instances and retire plugins come and go.
			})
			stop.Store(true)
			talking.Wait()
			eventually(t, "the instances of the former plugins are gone", func() bool { n := s.instances(); return n >= 2 && n <= 4*runtime.GOMAXPROCS(0) })
			if t.Failed() {
				t.FailNow()
			}
			if log := s.log.String(); strings.Contains(log, "a plugin failed") || strings.Contains(log, "could not be closed") {
				t.Error(log)
			}
			t.Logf("%d publications during %d reloads", accepted.Load(), reloads)
		})
	}
}

// A new version that is broken changes nothing, is seen everywhere, and leaves nothing behind; what is as it was is not loaded again.
func TestBrokenVersion(t *testing.T) {
	s := serveNode(t, resolved(t, luaStamps(1000)))
	before := s.instances()
	complaint := func() string {
		for _, m := range s.Members().List() {
			if m.Self {
				return m.Complaint
			}
		}
		return "there is no member"
	}
	broken := luaStamps(1000)
	broken["second.lua"] = []byte("function on_publish(ev)\n  retrun true\nend")
	broken["third.lua"] = []byte("function on_connect() end")
	if _, err := s.Reload(t.Context(), resolved(t, broken)); err == nil || !strings.Contains(err.Error(), "second.lua:2:") {
		t.Errorf("the broken version: %v", err)
	}
	if got := complaint(); !strings.Contains(got, "second.lua:2:") || !strings.Contains(got, "older plugins") {
		t.Errorf("complaint %q", got)
	}
	if n := s.instances(); n != before {
		t.Errorf("%d instances, %d before", n, before)
	}
	if !strings.Contains(s.log.String(), "new plugins were refused") {
		t.Errorf("the log says\n%s", &s.log)
	}
	if got := s.Plugins(); len(got) != 2 || got[1].Name != "second" {
		t.Errorf("asked are %+v", got)
	}
	if change, err := s.Reload(t.Context(), resolved(t, luaStamps(1001))); err != nil || !change.Changed || complaint() != "" {
		t.Errorf("after the mistake was mended: %+v, %v, complaint %q", change, err, complaint())
	}
	same := resolved(t, luaStamps(1002))
	for range 2 {
		if _, err := s.Reload(t.Context(), same); err != nil {
			t.Error(err)
		}
	}
	if change, err := s.Reload(t.Context(), same); err != nil || change.Changed {
		t.Errorf("the same once more: %+v, %v", change, err)
	}
	reversed := slices.Clone(same)
	slices.Reverse(reversed)
	if change, err := s.Reload(t.Context(), reversed); err != nil || !change.Changed || change.After[0].Name != "second" || s.Plugins()[0].Name != "second" {
		t.Errorf("reordered: %+v, %v", change, err)
	}
	if change, err := s.Reload(t.Context(), reversed[:1]); err != nil || len(change.After) != 1 || len(s.Plugins()) != 1 {
		t.Errorf("removed: %+v, %v", change, err)
	}
	if change, err := s.Reload(t.Context(), nil); err != nil || len(change.After) != 0 {
		t.Errorf("all removed: %+v, %v", change, err)
	}
	eventually(t, "all instances are gone", func() bool { return s.instances() == 0 })
}

// A server that is to stop does not wait for the plugins it is compiling, and goes on with those it has until it does.
func TestReloadEndsWithTheServer(t *testing.T) {
	s := serveNode(t, resolved(t, luaStamps(1000)))
	ctx, cancel := context.WithCancel(t.Context())
	s.log.mu.Lock()
	s.log.on = map[string]func(){"compiling a plugin": cancel}
	s.log.mu.Unlock()
	change, err := s.Reload(ctx, resolved(t, wasmStamps(1001)))
	if err == nil || !strings.Contains(err.Error(), "the server is stopping") || len(s.Plugins()) != 2 || strings.Contains(s.log.String(), "msg=compiled") {
		t.Errorf("%+v, %v, %+v\n%s", change, err, s.Plugins(), &s.log)
	}
	if change, err = s.Reload(t.Context(), resolved(t, wasmStamps(1001))); err != nil || !change.Changed {
		t.Errorf("once more: %+v, %v", change, err)
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
		<-time.After(10 * time.Millisecond)
	}
}
