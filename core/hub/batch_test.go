package hub_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/channel"
	"github.com/zenconn/server/core/history"
	"github.com/zenconn/server/core/hub"
	"github.com/zenconn/server/core/metrics"
	"github.com/zenconn/server/core/outbound"
)

// The delay of the batches in these tests, on a clock that only moves when all wait.
const delay = 50 * time.Millisecond

func batching(size int) *channel.Namespace {
	return &channel.Namespace{Name: "default", Batch: channel.Batch{Delay: delay, Size: size}}
}

// bench is a hub whose Run runs, and what it told of.
type bench struct {
	*hub.Hub
	t        *testing.T
	flushers *outbound.Flushers
	metrics  *metrics.Metrics
	stop     func() // Ends Run.

	mu         sync.Mutex
	deliveries map[int]int // By the n of publications.
	drops      int
}

// inBubble runs a test with a hub and a clock of its own.
func inBubble(t *testing.T, test func(t *testing.T, b *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := &bench{t: t, flushers: outbound.NewFlushers(1), metrics: metrics.New(prometheus.NewRegistry()), deliveries: map[int]int{}}
		b.Hub = hub.New(hub.Options{
			History: history.NewMemory(history.Options{}), Flushers: b.flushers, Metrics: b.metrics, Delivered: b.delivered,
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { b.Run(ctx); close(done) }()
		b.stop = func() { cancel(); <-done }
		defer b.stop()
		test(t, b)
	})
}

func (b *bench) delivered(pub *core.Publication, deliveries, drops int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var n int
	_, _ = fmt.Sscanf(string(pub.Data), `{"n":%d}`, &n)
	b.deliveries[n] += deliveries
	b.drops += drops
}

// listen makes a member and the connection it gets everything on.
func (b *bench) listen(ns *channel.Namespace, name string, session core.ID) (*hub.Member, *tape) {
	b.t.Helper()
	conn := &tape{}
	m := b.Join(ns, name, &hub.Listener{Queue: newQueue(b.t, b.flushers, conn), Session: session}, hub.MemberOptions{})
	m.Release(core.Position{})
	return m, conn
}

func (b *bench) publish(ns *channel.Namespace, name string, n int, except core.ID) {
	b.t.Helper()
	if out, err := b.Publish(b.t.Context(), ns, publication(name, n), except); err != nil || out.Deliveries != 0 {
		b.t.Errorf("publication %d: %+v, %v", n, out, err)
	}
}

// expect compares what has been written so far.
func expect(t *testing.T, when string, conn *tape, want ...int) {
	t.Helper()
	synctest.Wait()
	if got := conn.numbers(); !slices.Equal(got, want) {
		t.Errorf("%s the member has %v, want %v", when, got, want)
	}
}

func TestBatchWaitsForItsDelay(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		ns := batching(100)
		_, conn := b.listen(ns, "ticks", core.NewID())
		for round := range 3 {
			for n := range 5 {
				b.publish(ns, "ticks", 10*round+n, core.ID{})
			}
			<-time.After(delay - time.Millisecond)
			if synctest.Wait(); conn.writes() != round {
				t.Errorf("%d writes before the delay of round %d", conn.writes(), round)
			}
			<-time.After(2 * time.Millisecond)
			if synctest.Wait(); conn.writes() != round+1 {
				t.Errorf("%d writes after round %d: what waits together leaves together", conn.writes(), round)
			}
			<-time.After(time.Hour) // Nothing happens in a channel that is quiet.
		}
		expect(t, "in the end", conn, 0, 1, 2, 3, 4, 10, 11, 12, 13, 14, 20, 21, 22, 23, 24)
		if got := testutil.ToFloat64(b.metrics.Batches.Flushed.WithLabelValues("delay")); got != 3 {
			t.Errorf("%v batches are counted", got)
		}
		for n := range 5 {
			if b.deliveries[n] != 1 {
				t.Errorf("publication %d was told of as delivered %d times", n, b.deliveries[n])
			}
		}
	})
}

func TestBatchIsFull(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		ns := batching(4)
		_, conn := b.listen(ns, "ticks", core.NewID())
		for n := range 9 {
			b.publish(ns, "ticks", n, core.ID{})
		}
		expect(t, "before the delay", conn, 0, 1, 2, 3, 4, 5, 6, 7)
		<-time.After(delay - time.Millisecond)
		b.publish(ns, "ticks", 9, core.ID{})
		expect(t, "just before the delay", conn, 0, 1, 2, 3, 4, 5, 6, 7)
		<-time.After(2 * time.Millisecond)
		expect(t, "after the delay", conn, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9)

		big := &core.Publication{Channel: "ticks", Data: []byte(`{"n":10,"x":"` + strings.Repeat("x", 70_000) + `"}`)}
		if _, err := b.Publish(t.Context(), ns, big, core.ID{}); err != nil {
			t.Fatal(err)
		}
		expect(t, "after a large one", conn, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
	})
}

func TestBatchOfTheNewest(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		ns := batching(4)
		ns.Batch.Latest = true
		_, conn := b.listen(ns, "state", core.NewID())
		for n := range 9 {
			b.publish(ns, "state", n, core.ID{})
		}
		expect(t, "before the delay", conn)
		<-time.After(delay + time.Millisecond)
		expect(t, "after the delay", conn, 8)
		if got := testutil.ToFloat64(b.metrics.Batches.Outdated.WithLabelValues("default")); got != 8 {
			t.Errorf("%v publications count as outdated, want 8", got)
		}
	})
}

// TestBatchAndMembership lets members come and go while publications wait: each gets what came while it was there, once and in order.
func TestBatchAndMembership(t *testing.T) {
	for _, size := range []int{0, 100} {
		t.Run(fmt.Sprintf("history of %d", size), func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bench) {
				ns := batching(100)
				ns.HistorySize, ns.HistoryTTL = size, time.Minute
				sender := core.NewID()
				stays, stayed := b.listen(ns, "ticks", core.NewID())
				_, sent := b.listen(ns, "ticks", sender)
				leaves, left := b.listen(ns, "ticks", core.NewID())
				b.publish(ns, "ticks", 1, core.ID{})
				b.publish(ns, "ticks", 2, sender)
				if !b.Leave(leaves) || b.Leave(leaves) {
					t.Error("Leave does not tell the first time from the second")
				}
				expect(t, "who left", left, 1, 2)
				expect(t, "who stayed", stayed)

				late := &tape{}
				m := b.Join(ns, "ticks", &hub.Listener{Queue: newQueue(t, b.flushers, late), Session: core.NewID()}, hub.MemberOptions{})
				at, err := b.Position(t.Context(), m)
				if err != nil {
					t.Fatal(err)
				}
				b.publish(ns, "ticks", 3, core.ID{})
				if !m.Release(at) {
					t.Error("the newcomer misses something")
				}
				<-time.After(2 * delay)
				expect(t, "who stayed", stayed, 1, 2, 3)
				expect(t, "the sender of 2", sent, 1, 3)
				expect(t, "who left", left, 1, 2)
				if size > 0 {
					expect(t, "who came later and knows 1 and 2", late, 3)
				} else {
					expect(t, "who came later", late, 1, 2, 3)
				}
				b.publish(ns, "ticks", 4, core.ID{})
				b.Hasten(stays)
				expect(t, "who is to be told something", stayed, 1, 2, 3, 4)
				b.publish(ns, "ticks", 5, core.ID{})
				b.AnnounceLeave("ticks", core.ClientInfo{User: "u"})
				expect(t, "before somebody's leaving is told", stayed, 1, 2, 3, 4, 5)
			})
		})
	}
}

// TestBatchHeld keeps a batch back for somebody who is just joining.
func TestBatchHeld(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		ns := batching(3)
		conn := &tape{}
		queue := newQueue(t, b.flushers, conn)
		m := b.Join(ns, "ticks", &hub.Listener{Queue: queue, Session: core.NewID()}, hub.MemberOptions{})
		for n := range 3 {
			b.publish(ns, "ticks", n, core.ID{})
		}
		expect(t, "before its release", conn)
		m.Release(core.Position{})
		queue.Flush()
		b.publish(ns, "ticks", 3, core.ID{})
		<-time.After(2 * delay)
		expect(t, "in the end", conn, 0, 1, 2, 3)
	})
}

// TestBatchAtTheEnd lets nothing wait that nobody would deliver any more.
func TestBatchAtTheEnd(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		ns := batching(100)
		_, conn := b.listen(ns, "ticks", core.NewID())
		b.publish(ns, "ticks", 1, core.ID{})
		b.publish(ns, "ticks", 2, core.ID{})
		b.stop()
		expect(t, "when the delays have ended", conn, 1, 2)
		b.publish(ns, "ticks", 3, core.ID{})
		expect(t, "afterwards", conn, 1, 2, 3)
	})
}

// TestBatchFromElsewhere puts publications in order before they wait.
func TestBatchFromElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := history.NewMemory(history.Options{})
		flushers := outbound.NewFlushers(1)
		h := hub.New(hub.Options{
			History: store, Flushers: flushers, Metrics: metrics.New(prometheus.NewRegistry()), Relay: &wire{subscribed: map[string]int{}},
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { h.Run(ctx); close(done) }()
		defer func() { cancel(); <-done }()
		ns := batching(100)
		ns.HistorySize, ns.HistoryTTL = 10, time.Minute
		conn := &tape{}
		listener := &hub.Listener{Queue: newQueue(t, flushers, conn), Session: core.NewID(), Owner: &owner{hub: h}}
		m := h.Join(ns, "ticks", listener, hub.MemberOptions{Positioned: true})
		at, err := h.Position(t.Context(), m)
		if err != nil {
			t.Fatal(err)
		}
		m.Release(at)
		for _, n := range []int{2, 1, 4, 3, 3} {
			pub := publication("ticks", n)
			pub.Offset = uint64(n)
			h.Deliver([]hub.Live{{Pub: pub, Epoch: at.Epoch}})
		}
		expect(t, "before the delay", conn)
		<-time.After(2 * delay)
		expect(t, "after it", conn, 1, 2, 3, 4)
		if conn.writes() != 1 {
			t.Errorf("%d writes for one batch", conn.writes())
		}
	})
}

// TestBatchUnderRace publishes, comes and goes from all sides. Nobody gets anything twice or out of order.
func TestBatchUnderRace(t *testing.T) {
	flushers := outbound.NewFlushers(1)
	h := hub.New(hub.Options{
		History: history.NewMemory(history.Options{}), Flushers: flushers, Metrics: metrics.New(prometheus.NewRegistry()),
	})
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { h.Run(ctx) })
	running.Go(func() { flushers.Run(ctx) })
	defer running.Wait()
	defer cancel()
	ns := &channel.Namespace{Name: "default", HistorySize: 1000, HistoryTTL: time.Minute, Batch: channel.Batch{Delay: time.Millisecond, Size: 7}}
	const all = 1000 // No more than are kept back for who is just joining, however long that takes.
	stayed := &tape{}
	h.Join(ns, "ticks", &hub.Listener{Queue: newQueue(t, flushers, stayed), Session: core.NewID()}, hub.MemberOptions{}).Release(core.Position{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for n := range all {
			if _, err := h.Publish(t.Context(), ns, publication("ticks", n), core.ID{}); err != nil {
				t.Error(err)
			}
		}
	})
	for range 4 {
		wg.Go(func() {
			for range 100 {
				conn := &tape{}
				q := newQueue(t, flushers, conn)
				m := h.Join(ns, "ticks", &hub.Listener{Queue: q, Session: core.NewID()}, hub.MemberOptions{})
				at, err := h.Position(t.Context(), m)
				if err != nil {
					t.Error(err)
				}
				if !m.Release(at) {
					t.Error("a member misses something")
				}
				q.Flush()
				<-time.After(time.Millisecond)
				h.Leave(m)
				got := conn.numbers()
				for i, n := range got {
					if n != got[0]+i {
						t.Errorf("a member got %v", got)
						break
					}
				}
			}
		})
	}
	wg.Wait()
	deadline := time.Now().Add(30 * time.Second)
	for len(stayed.numbers()) < all && time.Now().Before(deadline) {
		<-time.After(time.Millisecond)
	}
	if got := stayed.numbers(); len(got) != all || !slices.IsSorted(got) {
		t.Errorf("who stayed got %d of %d publications, in order: %v", len(got), all, slices.IsSorted(got))
	}
}
