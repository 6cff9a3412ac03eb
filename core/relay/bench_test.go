package relay_test

import (
	"fmt"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/channel"
	"github.com/zenconn/server/core/history"
	"github.com/zenconn/server/core/hub"
	"github.com/zenconn/server/core/outbound"
	"github.com/zenconn/server/core/protocol"
)

// sink is a connection that takes everything.
type sink struct{ net.Conn }

func (sink) Write(p []byte) (int, error)      { return len(p), nil }
func (sink) Close() error                     { return nil }
func (sink) SetDeadline(time.Time) error      { return nil }
func (sink) SetReadDeadline(time.Time) error  { return nil }
func (sink) SetWriteDeadline(time.Time) error { return nil }

func newSink(b testing.TB, f *outbound.Flushers) *outbound.Queue {
	limits := outbound.Limits{Messages: 1 << 20, Bytes: 1 << 30, WriteTimeout: time.Minute}
	q := outbound.New(sink{}, protocol.WebSocketJSON, limits, noDrops{}, f, func(core.Disconnect) []byte { return nil })
	b.Cleanup(q.Destroy)
	return q
}

// nobody is an owner whose members lose nothing.
type nobody struct{}

func (nobody) Lost(*hub.Member) {}

// BenchmarkPublish is one publication to one member on the publishing node, without other nodes and with one that listens too.
func BenchmarkPublish(b *testing.B) {
	for _, ns := range []*channel.Namespace{plain, kept} {
		name := ns.Name + ":a"
		run := func(h *hub.Hub) func(*testing.B) {
			return func(b *testing.B) {
				data := []byte(`"0123456789012345678901234567890123456789"`)
				b.ReportAllocs()
				for b.Loop() {
					if _, err := h.Publish(b.Context(), ns, &core.Publication{Channel: name, Data: data}, core.ID{}); err != nil {
						b.Fatal(err)
					}
				}
			}
		}
		b.Run(ns.Name+"/alone", func(b *testing.B) {
			f := outbound.NewFlushers(1)
			h := hub.New(hub.Options{History: history.NewMemory(history.Options{}), Flushers: f})
			m := h.Join(ns, name, &hub.Listener{Queue: newSink(b, f), Session: core.NewID(), Owner: nobody{}}, hub.MemberOptions{})
			m.Release(core.Position{})
			run(h)(b)
		})
		b.Run(ns.Name+"/relay", func(b *testing.B) {
			in := install(b)
			for range 2 {
				n := in.add(b, settings{interval: time.Hour})
				m := n.hub.Join(ns, name, &hub.Listener{Queue: newSink(b, n.flushers), Session: core.NewID(), Owner: nobody{}}, hub.MemberOptions{})
				at, err := n.hub.Position(b.Context(), m)
				if err != nil {
					b.Fatal(err)
				}
				m.Release(at)
			}
			run(in.nodes[0].hub)(b)
		})
	}
}

// BenchmarkChannels is what a node needs for 100,000 channels with one member each, the embedded server's part included.
func BenchmarkChannels(b *testing.B) {
	const channels = 100_000
	for _, ns := range []*channel.Namespace{plain, kept} {
		b.Run(ns.Name, func(b *testing.B) {
			for b.Loop() {
				in := install(b)
				n := in.add(b, settings{interval: time.Hour})
				q := newSink(b, n.flushers)
				session := core.NewID()
				before := heap()
				members := make([]*hub.Member, channels)
				start := time.Now()
				for i := range members {
					m := n.hub.Join(ns, fmt.Sprintf("%s:room-%06d", ns.Name, i), &hub.Listener{Queue: q, Session: session, Owner: nobody{}}, hub.MemberOptions{Positioned: true})
					at, err := n.hub.Position(b.Context(), m)
					if err != nil {
						b.Fatal(err)
					}
					m.Release(at)
					members[i] = m
				}
				b.ReportMetric(float64(time.Since(start).Microseconds())/channels, "µs/join")
				b.ReportMetric(float64(heap()-before)/(1<<20), "MiB")
				b.ReportMetric(float64(heap()-before)/channels, "B/channel")
				for _, m := range members {
					n.hub.Leave(m)
				}
			}
		})
	}
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return s.HeapAlloc + s.StackInuse
}
