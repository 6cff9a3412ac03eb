package registry_test

import (
	"context"
	"log/slog"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/cluster"
	"github.com/zenconn/server/core/hub"
	"github.com/zenconn/server/core/registry"
	"github.com/zenconn/server/core/session"
)

// What a connection pays for being announced, opened and closed, with the sender at work; without the bus behind it.
func BenchmarkAnnounce(b *testing.B) {
	node := newNode(b, "node", silent{}, hub.Options{})
	sender := registry.NewSender(registry.SenderOptions{Node: node, UID: core.NewID().String(), Bus: nowhere{}, Log: slog.New(slog.DiscardHandler)})
	go sender.Run(b.Context()) //nolint:errcheck // It has nothing to fail with.
	o := session.Opening{
		ID: core.NewID(), User: "alice", Transport: "websocket", Protocol: "json", UserAgent: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0)",
		RemoteAddr: netip.MustParseAddr("192.0.2.7"), ConnectedAt: time.Now(),
	}
	b.ReportAllocs()
	for b.Loop() {
		sender.Opened(o)
		sender.Closed(o, o.ConnectedAt, core.DisconnectConnectionClosed)
	}
}

// The allocations of a session's announcement are those of the batches: far below one.
func TestAnnounceAllocates(t *testing.T) {
	node := newNode(t, "node", silent{}, hub.Options{})
	sender := registry.NewSender(registry.SenderOptions{Node: node, UID: core.NewID().String(), Log: slog.New(slog.DiscardHandler)})
	o := session.Opening{ID: core.NewID(), User: "alice"}
	if n := testing.AllocsPerRun(2000, func() {
		sender.Opened(o)
		sender.Closed(o, o.ConnectedAt, core.DisconnectConnectionClosed)
	}); n > 1 {
		t.Errorf("a session's announcements take %v allocations", n)
	}
}

// What 100,000 sessions take in an agent's list, and how long the list is read from the process.
func BenchmarkRead100000(b *testing.B) {
	i := newInstallation(b)
	worker := i.start(birth{kind: cluster.Worker, name: "a-1"})
	worker.open(100_000)
	for b.Loop() {
		before := heap()
		begun := time.Now()
		agent := i.start(birth{kind: cluster.Agent, name: "a"})
		agent.current(2)
		took := time.Since(begun)
		if n, _, _ := agent.registry.Counts(nil); n != 100_000 {
			b.Fatal(n)
		}
		b.ReportMetric(float64(took.Milliseconds()), "ms/read")
		b.ReportMetric(float64(heap()-before)/100_000, "B/session")
		begun = time.Now()
		agent.registry.Sessions(worker.uid, session.Filter{}, core.ID{}, 100)
		b.ReportMetric(float64(time.Since(begun).Microseconds()), "µs/page")
		agent.stop()
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// nowhere is a bus without anybody on it.
type nowhere struct{ registry.Bus }

func (nowhere) Publish(string, []byte) error                        { return nil }
func (nowhere) Listen(string, func(string, []byte)) (func(), error) { return func() {}, nil }
func (nowhere) OnReconnect(func()) func()                           { return func() {} }
func (nowhere) Handle(string, func(context.Context, []byte) ([]byte, error)) (func(), error) {
	return func() {}, nil
}
