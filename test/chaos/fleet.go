package chaos

import (
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Load says how many clients talk how much.
type Load struct {
	Subscribers int      // Spread evenly over the channels.
	Channels    int      // Each with one publisher.
	Rate        int      // Publications a second in each channel.
	URLs        []string // Client i prefers URL i modulo their number.
}

// Fleet is clients under load. Each publication carries its number; every subscriber checks that what was acknowledged arrives once and
// in order.
type Fleet struct {
	t        testing.TB
	load     Load
	hearers  []*hearer
	speakers []*speaker
	running  sync.WaitGroup
	stop     chan struct{}
	silent   sync.WaitGroup // Speakers that still speak.
	failures atomic.Int64
}

// hearer is a subscriber and what it has heard.
type hearer struct {
	*client
	mu    sync.Mutex
	heard []hearing // In the order they came.
}

// hearing is one publication that came to a subscriber.
type hearing struct {
	number    int64
	at        time.Time
	recovered bool
}

// speaker is the publisher of one channel.
type speaker struct {
	*client
	channel string

	mu           sync.Mutex
	acknowledged []int64
	answered     []time.Time // When each was.
	unknown      int         // Publications nobody knows the fate of.
}

// Board connects the clients, waits until all have subscribed, and begins to publish. What is wrong fails the test at once; the clients
// go when it ends.
func Board(t testing.TB, load Load) *Fleet {
	t.Helper()
	f := &Fleet{t: t, load: load, stop: make(chan struct{})}
	t.Cleanup(f.Leave)
	for i := range load.Subscribers {
		h := &hearer{client: f.client(i, fmt.Sprintf("hearer%d", i))}
		h.channel = channelName(i % load.Channels)
		h.client.heard = h.hear
		f.hearers = append(f.hearers, h)
		f.running.Go(h.run)
	}
	for i := range load.Channels {
		s := &speaker{client: f.client(i, fmt.Sprintf("speaker%d", i)), channel: channelName(i)}
		f.speakers = append(f.speakers, s)
		f.running.Go(s.run)
	}
	f.AwaitAll()
	for _, s := range f.speakers {
		f.silent.Go(func() { f.speak(s) })
	}
	return f
}

func channelName(i int) string { return fmt.Sprintf("chaos %d.*", i) }

func (f *Fleet) client(i int, user string) *client {
	own := i % len(f.load.URLs)
	return &client{
		urls: slices.Concat(f.load.URLs[own:], f.load.URLs[:own]), user: user, heard: func(*publication) {},
		failed: func(err error) {
			if f.failures.Add(1) <= 20 { // One loss shows at many clients.
				f.t.Errorf("%s: %v", user, err)
			}
		},
	}
}

// AwaitAll returns when every client is connected and subscribed.
func (f *Fleet) AwaitAll() {
	f.t.Helper()
	Await(f.t, Patience, "all clients are back", func() string {
		up := 0
		for _, h := range f.hearers {
			if h.up.Load() {
				up++
			}
		}
		for _, s := range f.speakers {
			if s.up.Load() {
				up++
			}
		}
		if all := len(f.hearers) + len(f.speakers); up < all {
			return fmt.Sprintf("%d of %d", up, all)
		}
		return ""
	})
}

// Patience is how long a test waits for what must come. It is long, because the machine may be slow.
const Patience = 2 * time.Minute

// Await fails the test when there is something left to wait for after the time; left returns what, or "".
func Await(t testing.TB, patience time.Duration, what string, left func() string) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		rest := left()
		if rest == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited %v until %s: %s", patience, what, rest)
		}
		<-time.After(20 * time.Millisecond)
	}
}

// speak publishes at the rate until the fleet is told to be silent. One publication is under way at a time.
func (f *Fleet) speak(s *speaker) {
	pace := time.NewTicker(time.Second / time.Duration(f.load.Rate))
	defer pace.Stop()
	for n := int64(1); ; n++ {
		select {
		case <-f.stop:
			return
		case <-pace.C:
		}
		err := s.publish(s.channel, n)
		s.mu.Lock()
		if err == nil {
			s.acknowledged, s.answered = append(s.acknowledged, n), append(s.answered, time.Now())
		} else {
			s.unknown++
		}
		s.mu.Unlock()
	}
}

func (h *hearer) hear(pub *publication) {
	var n int64
	if err := json.Unmarshal(pub.Data, &n); err != nil {
		h.failed(fmt.Errorf("the payload is %.50q", pub.Data))
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if last := len(h.heard) - 1; last >= 0 && n <= h.heard[last].number {
		h.failed(fmt.Errorf("%s: number %d came after %d", h.channel, n, h.heard[last].number))
	}
	h.heard = append(h.heard, hearing{n, time.Now(), pub.recovered})
}

// Acknowledged returns how many publications have been acknowledged so far.
func (f *Fleet) Acknowledged() (n int) {
	for _, s := range f.speakers {
		s.mu.Lock()
		n += len(s.acknowledged)
		s.mu.Unlock()
	}
	return n
}

// Numbers returns those of the publications that have been acknowledged so far, in order, by channel. A channel's publications are numbered
// from 1, and the number is all of their payload.
func (f *Fleet) Numbers() map[string][]int64 {
	all := make(map[string][]int64, len(f.speakers))
	for _, s := range f.speakers {
		s.mu.Lock()
		all[s.channel] = slices.Clone(s.acknowledged)
		s.mu.Unlock()
	}
	return all
}

// Users returns the names of all clients, sorted.
func (f *Fleet) Users() (users []string) {
	for _, h := range f.hearers {
		users = append(users, h.user)
	}
	for _, s := range f.speakers {
		users = append(users, s.user)
	}
	slices.Sort(users)
	return users
}

// Breaks returns how often connections of clients have ended so far.
func (f *Fleet) Breaks() (n int64) {
	for _, h := range f.hearers {
		n += h.breaks.Load()
	}
	for _, s := range f.speakers {
		n += s.breaks.Load()
	}
	return n
}

// Verify ends the speaking and checks that every subscriber has heard all that was acknowledged.
func (f *Fleet) Verify() {
	f.t.Helper()
	close(f.stop)
	f.silent.Wait()
	f.AwaitAll()
	unknown, recoveries := 0, int64(0)
	for i, h := range f.hearers {
		s := f.speakers[i%f.load.Channels]
		recoveries += h.recoveries.Load()
		Await(f.t, Patience, h.user+" has heard all that was acknowledged", func() string {
			h.mu.Lock()
			defer h.mu.Unlock()
			return missing(s.acknowledged, h.heard)
		})
	}
	for _, s := range f.speakers {
		unknown += s.unknown
	}
	f.t.Logf("%d publications acknowledged to %d publishers, %d of unknown fate; %d subscribers, %d broken connections, %d recoveries",
		f.Acknowledged(), len(f.speakers), unknown, len(f.hearers), f.Breaks(), recoveries)
}

// missing says what of the wanted numbers was not heard; both rise.
func missing(want []int64, got []hearing) string {
	lost, first := 0, int64(0)
	for _, n := range want {
		for len(got) > 0 && got[0].number < n {
			got = got[1:]
		}
		if len(got) == 0 || got[0].number != n {
			if lost == 0 {
				first = n
			}
			lost++
		}
	}
	if lost == 0 {
		return ""
	}
	return fmt.Sprintf("%d of %d are missing, the first is %d", lost, len(want), first)
}

// Leave closes all connections and returns when they have ended. It may be called again.
func (f *Fleet) Leave() {
	select {
	case <-f.stop:
	default:
		close(f.stop)
	}
	for _, h := range f.hearers {
		h.close()
	}
	for _, s := range f.speakers {
		s.close()
	}
	f.silent.Wait()
	f.running.Wait()
}
