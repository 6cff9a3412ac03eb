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

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/channel"
	"github.com/zenconn/server/core/history"
	"github.com/zenconn/server/core/hub"
	"github.com/zenconn/server/core/metrics"
	"github.com/zenconn/server/core/outbound"
)

// wire is a relay that brings nothing and remembers what it was asked for.
type wire struct {
	mu         sync.Mutex
	subscribed map[string]int
	published  []*core.Publication
	checks     []hub.Urgency
	changes    []hub.Change
}

func (w *wire) change(name string, by int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.subscribed[name] += by
}

func (w *wire) Subscribe(name string)        { w.change(name, 1) }
func (w *wire) Unsubscribe(name string)      { w.change(name, -1) }
func (w *wire) Settle(context.Context) error { return nil }

func (w *wire) Publish(pub *core.Publication) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.published = append(w.published, pub)
}

func (w *wire) Announce(_ string, change hub.Change, _ core.ClientInfo) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.changes = append(w.changes, change)
}

func (w *wire) Check(_ string, when hub.Urgency) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.checks = append(w.checks, when)
}

// asked returns the checks that were asked for since the last call.
func (w *wire) asked() (checks []hub.Urgency) {
	w.mu.Lock()
	defer w.mu.Unlock()
	checks, w.checks = w.checks, nil
	return checks
}

// shelf is a history whose answers a test can change.
type shelf struct {
	*history.Memory
	position func(core.Position) core.Position // nil: as it is.
	missing  bool                              // It cannot recover.
	knows    uint64                            // It is a replica that has come so far; 0: as far as there is anything.
}

func (s *shelf) Position(ctx context.Context, name string) (core.Position, error) {
	at, err := s.Memory.Position(ctx, name)
	if s.position != nil {
		at = s.position(at)
	}
	return at, err
}

func (s *shelf) Recover(ctx context.Context, name string, since core.Position) ([]*core.Publication, core.Position, bool, error) {
	if s.missing {
		at, err := s.Position(ctx, name)
		return nil, at, false, err
	}
	missed, at, recovered, err := s.Memory.Recover(ctx, name, since)
	if s.knows > 0 {
		at.Offset = min(at.Offset, s.knows)
		missed = slices.DeleteFunc(missed, func(pub *core.Publication) bool { return pub.Offset > s.knows })
	}
	return missed, at, recovered && at.Epoch == since.Epoch, err
}

// tape is a connection that remembers what is written.
type tape struct {
	sink
	mu    sync.Mutex
	text  strings.Builder
	count int
}

func (t *tape) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.count++
	return t.text.Write(p)
}

// writes returns how many there were.
func (t *tape) writes() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.count
}

// numbers returns the n of the publications that were written.
func (t *tape) numbers() (all []int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, part := range strings.Split(t.text.String(), `{"n":`)[1:] {
		var n int
		_, _ = fmt.Sscan(part, &n)
		all = append(all, n)
	}
	return all
}

// owner counts how often it was told that a member misses something.
type owner struct {
	hub  *hub.Hub
	lost int
}

func (o *owner) Lost(m *hub.Member) { o.lost++; o.hub.Leave(m) }

// scene is a hub among others, and a member.
type scene struct {
	*testing.T
	hub       *hub.Hub
	wire      *wire
	store     *shelf
	tape      *tape
	owner     *owner
	flushers  *outbound.Flushers
	delivered int
	at        core.Position
}

var ordered = &channel.Namespace{Name: "default", HistorySize: 100}

func newScene(t *testing.T) *scene {
	s := &scene{
		T: t, wire: &wire{subscribed: map[string]int{}}, store: &shelf{Memory: history.NewMemory(history.Options{})}, tape: &tape{},
		flushers: outbound.NewFlushers(1), owner: &owner{},
	}
	s.hub = hub.New(hub.Options{
		History: s.store, Flushers: s.flushers, Relay: s.wire, Metrics: metrics.New(prometheus.NewRegistry()),
		Delivered: func(_ *core.Publication, n, _ int) { s.delivered += n },
	})
	s.owner.hub = s.hub
	m := s.join()
	var err error
	if s.at, err = s.hub.Position(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	m.Release(s.at)
	s.wire.asked()
	return s
}

func (s *scene) join() *hub.Member {
	return s.hub.Join(ordered, "news", &hub.Listener{Queue: newQueue(s.T, s.flushers, s.tape), Session: core.NewID(), Owner: s.owner}, hub.MemberOptions{Positioned: true})
}

// stored puts publications into the history that nobody brings here.
func (s *scene) stored(numbers ...int) (pubs []hub.Live) {
	s.Helper()
	for _, n := range numbers {
		pub := publication("news", n)
		at, err := s.store.Append(s.Context(), "news", pub, history.Limits{Size: 100})
		if err != nil {
			s.Fatal(err)
		}
		pubs = append(pubs, hub.Live{Pub: pub, Epoch: at.Epoch})
	}
	return pubs
}

// wrote waits until the member has got these publications.
func (s *scene) wrote(want ...int) {
	s.Helper()
	deadline := time.Now().Add(time.Minute)
	for !slices.Equal(s.tape.numbers(), want) {
		if time.Now().After(deadline) {
			s.Fatalf("the member got %v, not %v", s.tape.numbers(), want)
		}
		<-time.After(time.Millisecond)
	}
}

func TestOrderIsThatOfTheHistory(t *testing.T) {
	s := newScene(t)
	pubs := s.stored(1, 2, 3, 4, 5)
	s.hub.Deliver([]hub.Live{pubs[0], pubs[0], pubs[2], pubs[4], pubs[2]})
	s.wrote(1)
	if got := s.wire.asked(); len(got) == 0 || got[0] != hub.Now {
		t.Errorf("asked for %v", got)
	}
	s.hub.Deliver([]hub.Live{pubs[1]})
	s.wrote(1, 2, 3)
	if s.hub.Verify(t.Context(), "news") {
		t.Error("something is missing after all was read")
	}
	s.hub.Deliver(pubs)
	s.wrote(1, 2, 3, 4, 5)
	if s.delivered != 5 || s.owner.lost != 0 {
		t.Errorf("%d deliveries, %d times lost", s.delivered, s.owner.lost)
	}
}

// An own publication goes out at once, unless one of somebody else's before it has not arrived yet.
func TestOwnPublications(t *testing.T) {
	s := newScene(t)
	publish := func(n int) int {
		out, err := s.hub.Publish(t.Context(), ordered, publication("news", n), core.ID{})
		if err != nil {
			t.Fatal(err)
		}
		return out.Deliveries
	}
	if n := publish(1); n != 1 {
		t.Errorf("%d deliveries", n)
	}
	other := s.stored(2)
	if n := publish(3); n != 0 {
		t.Errorf("%d deliveries before what precedes it", n)
	}
	if got := s.wire.asked(); !slices.Equal(got, []hub.Urgency{hub.Later}) {
		t.Errorf("asked for %v", got)
	}
	s.hub.Deliver(other)
	s.wrote(1, 2, 3)
	if s.delivered != 2 {
		t.Errorf("told of %d deliveries", s.delivered)
	}
}

func TestTooMuchWaits(t *testing.T) {
	s := newScene(t)
	var numbers []int
	for i := range 3000 {
		numbers = append(numbers, i)
	}
	s.store.missing = true // Of the history's hundred nothing reaches as far back as that.
	pubs := s.stored(numbers...)
	s.hub.Deliver(pubs[1:])
	s.wrote()
	s.hub.Deliver(pubs[:1])
	s.wrote(numbers[:1025]...)
	s.store.missing = false
	s.hub.Deliver(pubs[1025:])
	s.wrote(numbers...)
}

// A history that does not know yet what was delivered, as a replica may not, is asked again; one that begins anew ends the subscriptions.
func TestHistoryDisagrees(t *testing.T) {
	for name, test := range map[string]struct {
		position func(core.Position) core.Position
		lost     bool
	}{
		"behind":        {func(at core.Position) core.Position { at.Offset--; return at }, false},
		"another epoch": {func(at core.Position) core.Position { at.Epoch = "other"; return at }, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			s.hub.Deliver(s.stored(1, 2))
			s.store.missing, s.store.position = true, test.position
			if !s.hub.Verify(t.Context(), "news") {
				t.Error("it is not asked again")
			}
			if lost := s.owner.lost == 1; lost != test.lost {
				t.Errorf("lost: %v", lost)
			}
			s.hub.Deliver(s.stored(3))
			if test.lost {
				s.wrote(1, 2)
				return
			}
			s.wrote(1, 2, 3)
			s.store.missing, s.store.position = false, nil
			if s.hub.Verify(t.Context(), "news") {
				t.Error("it is asked again for nothing")
			}
		})
	}
}

// A history that lags but tells what it knows fills one gap after the other, however long that takes.
func TestSlowProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		pubs := s.stored(1, 2, 3, 4, 5, 6, 7)
		for i := range 3 {
			s.hub.Deliver(pubs[2*i : 2*i+1]) // The first, the third and the fifth.
		}
		for _, knows := range []uint64{2, 4} {
			<-time.After(4 * time.Second)
			s.store.knows = knows
			if again := s.hub.Verify(t.Context(), "news"); again != (knows == 2) {
				t.Errorf("it knows %d; it is asked again: %v", knows, again)
			}
		}
		s.wrote(1, 2, 3, 4, 5)
		if s.owner.lost != 0 {
			t.Error("subscriptions have ended")
		}
	})
}

// Who is just joining when the subscriptions end is told by Release, and gets nothing that follows.
func TestEndWhileJoining(t *testing.T) {
	s := newScene(t)
	m := s.join()
	at, err := s.hub.Position(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	s.store.missing = true
	s.store.position = func(at core.Position) core.Position { at.Epoch = "other"; return at }
	s.hub.Verify(t.Context(), "news")
	if s.owner.lost != 1 {
		t.Errorf("told %d times", s.owner.lost)
	}
	if m.Release(at) {
		t.Error("the member that was joining was not told")
	}
	s.hub.Leave(m)
	s.wrote()
	if n := s.wire.subscribed["news"]; n != 0 {
		t.Errorf("%d subscriptions are left", n)
	}
}

func TestFleeting(t *testing.T) {
	s := newScene(t)
	out, err := s.hub.Publish(t.Context(), &channel.Namespace{Name: "default"}, publication("news", 7), core.ID{})
	if err != nil || out.Deliveries != 1 || len(s.wire.published) != 1 {
		t.Errorf("%+v, %d to others: %v", out, len(s.wire.published), err)
	}
	s.hub.AnnounceJoin("news", core.ClientInfo{})
	s.hub.AnnounceLeave("news", core.ClientInfo{})
	if !slices.Equal(s.wire.changes, []hub.Change{hub.Joined, hub.Left}) {
		t.Errorf("announced %v", s.wire.changes)
	}
	s.wrote(7)
}
