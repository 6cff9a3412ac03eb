package hub_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/channel"
	"github.com/zenconn/server/core/history"
	"github.com/zenconn/server/core/hub"
	"github.com/zenconn/server/core/outbound"
	"github.com/zenconn/server/core/protocol"
	"github.com/zenconn/server/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

type noDrops struct{}

func (noDrops) Dropped(outbound.DropReason, int) {}

// sink is a connection that takes everything and gives nothing.
type sink struct{ net.Conn }

func (sink) Write(p []byte) (int, error)      { return len(p), nil }
func (sink) Close() error                     { return nil }
func (sink) SetDeadline(time.Time) error      { return nil }
func (sink) SetReadDeadline(time.Time) error  { return nil }
func (sink) SetWriteDeadline(time.Time) error { return nil }

var limits = outbound.Limits{Messages: 1 << 20, Bytes: 1 << 30, WriteTimeout: time.Minute}

func newHub() (*hub.Hub, *outbound.Flushers) {
	flushers := outbound.NewFlushers(1)
	return hub.New(hub.Options{History: history.NewMemory(history.Options{}), Flushers: flushers}), flushers
}

func newQueue(t testing.TB, f *outbound.Flushers, conn net.Conn) *outbound.Queue {
	q := outbound.New(conn, protocol.WebSocketJSON, limits, noDrops{}, f, func(core.Disconnect) []byte { return nil })
	t.Cleanup(q.Destroy)
	return q
}

func publication(name string, n int) *core.Publication {
	return &core.Publication{Channel: name, Data: fmt.Appendf(nil, `{"n":%d}`, n)}
}

func TestFanOutDoesNotAllocatePerMember(t *testing.T) {
	cost := func(members int) float64 {
		h, f := newHub()
		ns := &channel.Namespace{Name: "default"}
		for range members {
			m := h.Join(ns, "news", &hub.Listener{Queue: newQueue(t, f, sink{}), Session: core.NewID()}, hub.MemberOptions{})
			m.Release(core.Position{})
		}
		pub := publication("news", 1)
		publish := func() {
			if out, err := h.Publish(t.Context(), ns, pub, core.ID{}); err != nil || out.Deliveries != members {
				t.Fatalf("%+v, %v", out, err)
			}
		}
		for range 300 { // The queues' lists, which nobody empties here, have grown then.
			publish()
		}
		return testing.AllocsPerRun(200, publish)
	}
	few, many := cost(8), cost(800)
	if many > few+8 { // Lists that double now and then, over 800 members.
		t.Errorf("%v allocations for 800 members, %v for 8", many, few)
	}
}

func TestMembershipUnderRace(t *testing.T) {
	h, f := newHub()
	ns := &channel.Namespace{Name: "default", Presence: true, HistorySize: 10}
	var wg sync.WaitGroup
	for k := range 8 {
		wg.Go(func() {
			q := newQueue(t, f, sink{})
			for i := range 300 {
				name := fmt.Sprintf("c%d", i%5)
				m := h.Join(ns, name, &hub.Listener{Queue: q, Session: core.NewID()}, hub.MemberOptions{Presence: true})
				if _, err := h.Publish(t.Context(), ns, publication(name, k), core.ID{}); err != nil {
					t.Error(err)
				}
				m.Release(core.Position{})
				h.AnnounceJoin(name, m.Info())
				h.Members(name)
				if !h.Leave(m) {
					t.Error("a member could not leave")
				}
				if h.Leave(m) {
					t.Error("a member left twice")
				}
			}
		})
	}
	wg.Wait()
	if channels, members := h.Counts(); channels != 0 || members != 0 {
		t.Errorf("%d channels and %d members are left", channels, members)
	}
}

func TestTooMuchWhileJoining(t *testing.T) {
	h, f := newHub()
	ns := &channel.Namespace{Name: "default"}
	m := h.Join(ns, "news", &hub.Listener{Queue: newQueue(t, f, sink{}), Session: core.NewID()}, hub.MemberOptions{})
	for i := range 1025 {
		if _, err := h.Publish(t.Context(), ns, publication("news", i), core.ID{}); err != nil {
			t.Fatal(err)
		}
	}
	if m.Release(core.Position{}) {
		t.Error("Release did not tell that publications were lost")
	}
}

// BenchmarkFanOut is one publication to 1,000 members on real sockets: encode, queue, flush.
func BenchmarkFanOut(b *testing.B) {
	h, f := newHub()
	ns := &channel.Namespace{Name: "default"}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	const members = 1000
	for range members {
		peer, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		server, err := l.Accept()
		if err != nil {
			b.Fatal(err)
		}
		go func() { _, _ = io.Copy(io.Discard, peer) }()
		b.Cleanup(func() { peer.Close() })
		h.Join(ns, "news", &hub.Listener{Queue: newQueue(b, f, server), Session: core.NewID()}, hub.MemberOptions{}).Release(core.Position{})
	}
	go f.Run(b.Context())
	pub := publication("news", 1)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := h.Publish(b.Context(), ns, pub, core.ID{}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/members, "ns/delivery")
}

// A publication can be in the history, and so in the reply to a subscriber, before it is fanned out. It must not come twice; and one
// with the same offset in a later epoch is another one.
func TestKnownPublicationsAreNotRepeated(t *testing.T) {
	store := &latched{Memory: history.NewMemory(history.Options{}), appended: make(chan struct{}), goOn: make(chan struct{})}
	flushers := outbound.NewFlushers(1)
	h := hub.New(hub.Options{History: store, Flushers: flushers})
	ns := &channel.Namespace{Name: "default", HistorySize: 10}
	m := h.Join(ns, "news", &hub.Listener{Queue: newQueue(t, flushers, sink{}), Session: core.NewID()}, hub.MemberOptions{})
	published := make(chan hub.Published)
	go func() {
		out, err := h.Publish(t.Context(), ns, publication("news", 1), core.ID{})
		if err != nil {
			t.Error(err)
		}
		published <- out
	}()
	<-store.appended // Now it is in the history, and the subscriber reads that.
	at, err := store.Position(t.Context(), "news")
	if err != nil || at.Offset != 1 {
		t.Fatal(at, err)
	}
	m.Release(at)
	close(store.goOn)
	if out := <-published; out.Deliveries != 0 {
		t.Error("the publication was delivered again")
	}
	if out, err := h.Publish(t.Context(), ns, publication("news", 2), core.ID{}); err != nil || out.Deliveries != 1 {
		t.Errorf("the next one: %+v, %v", out, err)
	}
	store.epoch = "later"
	if out, err := h.Publish(t.Context(), ns, &core.Publication{Channel: "news", Data: []byte("1")}, core.ID{}); err != nil || out.Deliveries != 1 {
		t.Errorf("one of a later epoch: %+v, %v", out, err)
	}
}

// A publication whose time others have used up is refused. For one that has waited for nobody it is the history's to say.
func TestDeadlineOfThoseWhoWait(t *testing.T) {
	store := &latched{Memory: history.NewMemory(history.Options{}), appended: make(chan struct{}), goOn: make(chan struct{})}
	h := hub.New(hub.Options{History: store, Flushers: outbound.NewFlushers(1)})
	ns := &channel.Namespace{Name: "default", HistorySize: 10}
	first, second := make(fates, 1), make(fates, 1)
	go h.Start(time.Time{}, ns, publication("news", 1), core.ID{}, first)
	<-store.appended
	h.Start(time.Now(), ns, publication("news", 2), core.ID{}, second) // In line when this returns.
	close(store.goOn)
	if one, two := <-first, <-second; one != nil || !errors.Is(two, context.DeadlineExceeded) {
		t.Errorf("the first: %v; the second: %v", one, two)
	}
	h.Start(time.Now(), ns, publication("news", 3), core.ID{}, second)
	if err := <-second; err != nil {
		t.Errorf("alone: %v", err)
	}
}

// fates is told how publications ended.
type fates chan error

func (f fates) Published(_ hub.Published, err error) { f <- err }

// latched is a history that stops between an append and its answer, once.
type latched struct {
	*history.Memory
	appended, goOn chan struct{}
	once           sync.Once
	epoch          string // Stands in for the real one, with offset 1, when it is set.
}

func (l *latched) Append(ctx context.Context, name string, pub *core.Publication, limits history.Limits) (core.Position, error) {
	at, err := l.Memory.Append(ctx, name, pub, limits)
	l.once.Do(func() { close(l.appended); <-l.goOn })
	if l.epoch != "" {
		pub.Offset, at = 1, core.Position{Offset: 1, Epoch: l.epoch}
	}
	return at, err
}
