package relay_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/history"
	"github.com/zenconn/server/core/hub"
)

// Everybody publishes in one channel on all nodes, while some listen all the time and others come, recover on any node, and go. Nobody
// misses anything, gets anything twice, or in another order.
func storm(t *testing.T, nodes []*node, each int, meanwhile func()) {
	t.Helper()
	const name = "kept:storm"
	var listeners, guests []*client
	for _, n := range nodes {
		listeners = append(listeners, n.join(t, kept, name), n.join(t, kept, name))
		guests = append(guests, n.join(t, kept, name))
	}
	start := listeners[0].where()
	var publishing, visiting sync.WaitGroup
	done := make(chan struct{})
	for p := range 2 * len(nodes) {
		publishing.Go(func() {
			for i := range each {
				nodes[p%len(nodes)].publish(t, kept, name, fmt.Sprint(p, " ", i), core.ID{})
			}
		})
	}
	for i, guest := range guests {
		visiting.Go(func() {
			for k := i + 1; ; k++ {
				select {
				case <-done:
					return
				case <-time.After(time.Millisecond):
				}
				guest.leave()
				guest.enter(t, nodes[k%len(nodes)])
			}
		})
	}
	if meanwhile != nil {
		meanwhile()
	}
	publishing.Wait()
	close(done)
	visiting.Wait()
	total := 2 * len(nodes) * each
	want := listeners[0].gets(t, total)
	for i, c := range append(listeners, guests...) {
		if got := c.gets(t, total); !slices.Equal(got, want) {
			t.Errorf("client %d got something else", i)
		}
		if at := c.where(); at.Offset != start.Offset+uint64(total) {
			t.Errorf("client %d is at %v", i, at)
		}
	}
	unique := slices.Compact(slices.Sorted(slices.Values(want)))
	if len(unique) != total {
		t.Errorf("of %d publications %d are different", total, len(unique))
	}
}

func TestOrder(t *testing.T) {
	for name, memory := range map[string]bool{"file": false, "memory": true} {
		t.Run(name, func(t *testing.T) {
			in := install(t)
			for range 3 {
				in.add(t, settings{interval: time.Hour, memory: memory})
			}
			storm(t, in.nodes, 100, nil)
		})
	}
}

// A connection that breaks again and again costs nothing but time.
func TestBrokenConnection(t *testing.T) {
	in := install(t)
	for range 2 {
		in.add(t, settings{interval: time.Hour})
	}
	storm(t, in.nodes, 200, func() {
		for range 5 {
			for _, n := range in.nodes {
				if err := n.relay.Conn().ForceReconnect(); err != nil {
					t.Error(err)
				}
				<-time.After(20 * time.Millisecond)
			}
		}
	})
}

// What live messages are lost is read from the history: at the next publication, or, after the last one, by a check.
func TestLostMessages(t *testing.T) {
	for name, lose := range map[string]func(*core.Publication) bool{
		"one":      func(pub *core.Publication) bool { return pub.Offset == 5 },
		"some":     func(pub *core.Publication) bool { return pub.Offset%7 < 3 },
		"the last": func(pub *core.Publication) bool { return pub.Offset == 50 },
		"all":      func(*core.Publication) bool { return true },
	} {
		t.Run(name, func(t *testing.T) {
			in := install(t)
			a := in.add(t, settings{interval: time.Hour})
			b := in.add(t, settings{interval: 200 * time.Millisecond, histories: losing(lose)})
			c := b.join(t, kept, "kept:a")
			for i := range 50 {
				a.publish(t, kept, "kept:a", i, core.ID{})
			}
			for i, got := range c.gets(t, 50) {
				if got != fmt.Sprint(i) {
					t.Fatalf("publication %d is %s", i, got)
				}
			}
			if c.losses > 0 {
				t.Errorf("told %d times that something is missing", c.losses)
			}
		})
	}
}

// Shortly after somebody came the channel is verified: the bus may not have known of it everywhere.
func TestFreshInterest(t *testing.T) {
	in := install(t)
	a := in.add(t, settings{interval: time.Hour})
	b := in.add(t, settings{interval: time.Hour, histories: losing(func(*core.Publication) bool { return true })})
	for name, early := "kept:a", false; !early; name += "a" {
		began := time.Now()
		c := b.join(t, kept, name)
		a.publish(t, kept, name, "x", core.ID{})
		if early = time.Since(began) < time.Second; early { // Else it may have been verified before there was anything to be found.
			c.gets(t, 1)
		}
	}
}

// A lane that is full loses messages, and what has a history is read from there.
func TestFullLane(t *testing.T) {
	in := install(t)
	a := in.add(t, settings{interval: time.Hour})
	blocked, free := make(chan struct{}), make(chan struct{})
	var once sync.Once
	b := in.add(t, settings{interval: time.Hour, lane: 4, delivered: func(*core.Publication, int, int) {
		once.Do(func() { close(blocked); <-free })
	}})
	c := b.join(t, kept, "kept:a")
	const n = 300
	for i := range n {
		a.publish(t, kept, "kept:a", i, core.ID{})
		if i == 0 {
			<-blocked
		}
	}
	eventually(t, func() string {
		if testutil.ToFloat64(b.metrics.Live.Dropped.WithLabelValues("slow")) == 0 {
			return "nothing was dropped"
		}
		return ""
	})
	close(free)
	c.gets(t, n)
}

// What cannot be filled ends the subscriptions of those who rely on it, before they get anything that follows.
func TestUnfillable(t *testing.T) {
	in := install(t)
	a := in.add(t, settings{interval: time.Hour})
	var deaf atomic.Bool
	var lost atomic.Int32
	b := in.add(t, settings{interval: time.Hour, histories: losing(func(*core.Publication) bool { return deaf.Load() && lost.Add(1) > 0 })})
	c := b.join(t, short, "short:a")
	a.publish(t, short, "short:a", "heard", core.ID{})
	c.gets(t, 1)
	eventually(t, func() string { // Else that may happen in between, and find what is only just lost.
		if checks := b.metrics.Live.Checks; testutil.ToFloat64(checks.WithLabelValues("current"))+testutil.ToFloat64(checks.WithLabelValues("behind")) == 0 {
			return "the channel is not verified after somebody came"
		}
		return ""
	})
	deaf.Store(true)
	for i := range 10 {
		a.publish(t, short, "short:a", i, core.ID{})
	}
	eventually(t, func() string {
		if n := lost.Load(); n < 10 {
			return fmt.Sprintf("%d of 10 were lost", n)
		}
		return ""
	})
	deaf.Store(false)
	a.publish(t, short, "short:a", "after", core.ID{})
	eventually(t, func() string {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.losses == 0 {
			return "nobody was told"
		}
		return ""
	})
	if got := c.all(t); len(got) != 1 {
		t.Errorf("got %q", got)
	}
	d := b.join(t, short, "short:a") // The channel goes on for others.
	a.publish(t, short, "short:a", "later", core.ID{})
	d.gets(t, 1)
}

// A history that begins anew ends the subscriptions, and new ones follow it.
func TestEpoch(t *testing.T) {
	in := install(t)
	a, b := in.add(t, settings{interval: time.Hour}), in.add(t, settings{interval: 300 * time.Millisecond})
	clients := []*client{a.join(t, kept, "kept:a"), b.join(t, kept, "kept:a")}
	for i := range 3 {
		a.publish(t, kept, "kept:a", i, core.ID{})
	}
	for _, c := range clients {
		c.gets(t, 3)
	}
	js, err := in.bus.Conn().JetStream(nats.MaxWait(patience))
	if err != nil {
		t.Fatal(err)
	}
	for stream := range js.StreamNames() {
		if err := js.DeleteStream(stream); err != nil {
			t.Fatal(err)
		}
	}
	b.publish(t, kept, "kept:a", "anew", core.ID{})
	for i, c := range clients {
		eventually(t, func() string {
			c.mu.Lock()
			defer c.mu.Unlock()
			if c.losses == 0 {
				return fmt.Sprintf("client %d was not told", i)
			}
			return ""
		})
		if got := c.all(t); len(got) != 3 {
			t.Errorf("client %d got %q", i, got)
		}
	}
	again := []*client{a.join(t, kept, "kept:a"), b.join(t, kept, "kept:a")}
	a.publish(t, kept, "kept:a", "on", core.ID{})
	for _, c := range again {
		c.gets(t, 1)
	}
}

// unsure is a history whose acknowledgement gets lost.
type unsure struct{ history.Store }

func (u unsure) Append(ctx context.Context, name string, pub *core.Publication, limits history.Limits) (core.Position, error) {
	at, err := u.Store.Append(ctx, name, pub, limits)
	if err == nil && strings.Contains(string(pub.Data), "unsure") {
		return core.Position{}, errors.New("no answer")
	}
	return at, err
}

// A publication may have been stored although its publisher is told that it failed. It comes like any other.
func TestUnsurePublication(t *testing.T) {
	in := install(t)
	a := in.add(t, settings{interval: time.Hour, history: func(s history.Store) history.Store { return unsure{s} }})
	b := in.add(t, settings{interval: time.Hour})
	clients := []*client{a.join(t, kept, "kept:a"), b.join(t, kept, "kept:a")}
	a.publish(t, kept, "kept:a", "before", core.ID{})
	pub := &core.Publication{ID: core.NewID(), Channel: "kept:a", Data: []byte(`"unsure"`)}
	if _, err := a.hub.Publish(t.Context(), kept, pub, core.ID{}); err == nil {
		t.Error("the publisher was not told")
	}
	a.publish(t, kept, "kept:a", "after", core.ID{})
	for _, c := range clients {
		if got := c.gets(t, 3); got[1] != `"unsure"` {
			t.Errorf("got %q", got)
		}
	}
}

func TestExcludeSender(t *testing.T) {
	in := install(t)
	a, b := in.add(t, settings{}), in.add(t, settings{})
	for _, ns := range []string{"kept:a", "plain:a"} {
		options := plain
		if strings.HasPrefix(ns, kept.Name) {
			options = kept
		}
		here, there, other := a.join(t, options, ns), b.join(t, options, ns), b.join(t, options, ns)
		there.mu.Lock()
		there.known = false // It does not follow the offsets: one of them is not for it.
		there.mu.Unlock()
		a.publish(t, options, ns, "not for one", there.session)
		a.publish(t, options, ns, "for all", core.ID{})
		here.gets(t, 2)
		other.gets(t, 2)
		if got := there.gets(t, 1); got[0] != `"for all"` {
			t.Errorf("%s: got %q", ns, got)
		}
	}
}

func TestAnnouncements(t *testing.T) {
	in := install(t)
	a, b := in.add(t, settings{}), in.add(t, settings{})
	c := b.join(t, plain, "plain:a")
	a.hub.AnnounceJoin("plain:a", core.ClientInfo{User: "u", Client: "c"})
	a.hub.AnnounceLeave("plain:a", core.ClientInfo{User: "u", Client: "c"})
	if got := c.gets(t, 2); !slices.Equal(got, []string{"join", "leave"}) {
		t.Errorf("got %q", got)
	}
}

func TestNames(t *testing.T) {
	in := install(t)
	deliveries := map[string]int{}
	var mu sync.Mutex
	a := in.add(t, settings{})
	b := in.add(t, settings{delivered: func(pub *core.Publication, n, _ int) {
		mu.Lock()
		defer mu.Unlock()
		deliveries[pub.Channel] += n
	}})
	var names []string
	for _, rest := range []string{"a.b..c", " with spaces ", "*", ">", "a.*.>", "🎉 größer 日本語", "%2E", "{{wildcard(1)}}", "$1", `"\`} {
		names = append(names, "kept:"+rest, "plain:"+rest)
	}
	names = append(names, "kept:"+strings.Repeat(".", 250), "plain:"+strings.Repeat("*", 249))
	for _, name := range names {
		options := plain
		if strings.HasPrefix(name, kept.Name) {
			options = kept
		}
		c := b.join(t, options, name)
		for i := range 3 {
			a.publish(t, options, name, i, core.ID{})
		}
		if got := c.gets(t, 3); !slices.Equal(got, []string{"0", "1", "2"}) {
			t.Errorf("%q: got %q", name, got)
		}
	}
	for _, name := range names {
		eventually(t, func() string {
			mu.Lock()
			defer mu.Unlock()
			if n := deliveries[name]; n != 3 {
				return fmt.Sprintf("%q: told of %d deliveries", name, n)
			}
			return ""
		})
	}
}

// Publications without a history keep the order of each publisher.
func TestOrderOfPublisher(t *testing.T) {
	in := install(t)
	a, b, c := in.add(t, settings{}), in.add(t, settings{}), in.add(t, settings{})
	listener := c.join(t, plain, "plain:a")
	var wg sync.WaitGroup
	const each = 500
	for p, n := range []*node{a, b, c} {
		wg.Go(func() {
			for i := range each {
				n.publish(t, plain, "plain:a", p*each+i, core.ID{})
			}
		})
	}
	wg.Wait()
	next := map[int]int{}
	for _, text := range listener.gets(t, 3*each) {
		var v int
		if _, err := fmt.Sscan(text, &v); err != nil {
			t.Fatal(err)
		}
		if v%each != next[v/each] {
			t.Fatalf("publisher %d: %d came instead of %d", v/each, v%each, next[v/each])
		}
		next[v/each]++
	}
}

// Those who are gone are forgotten everywhere.
func TestNothingIsLeft(t *testing.T) {
	in := install(t)
	a := in.add(t, settings{})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for k := range 50 {
				c := &client{ns: plain, name: fmt.Sprint("plain:", (i+k)%5), session: core.NewID()}
				c.enter(t, a)
				c.leave()
			}
		})
	}
	wg.Wait()
	eventually(t, func() string {
		if n := a.relay.Conn().NumSubscriptions(); n > 1 { // That to the elections.
			return fmt.Sprintf("%d subscriptions are left", n)
		}
		return ""
	})
	if channels, members := a.hub.Counts(); channels != 0 || members != 0 {
		t.Errorf("%d channels, %d members are left", channels, members)
	}
}

var _ hub.Owner = (*client)(nil)
