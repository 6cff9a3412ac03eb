package cluster_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/bus"
	"github.com/zenconn/server/core/cluster"
	"github.com/zenconn/server/core/metrics"
)

// wire is a bus within the test, so that time can be the test's: NATS has goroutines that wait for the real one.
type wire struct {
	mu    sync.Mutex
	cut   bool                                        // Nothing gets through.
	hears func(string, []byte)                        // The one process under test.
	pings func(ctx context.Context, uid string) error // How the others answer.
	asked int                                         // Pings.
	said  []map[string]any                            // What the process said.
}

func (w *wire) Publish(_ string, body []byte) error {
	w.mu.Lock()
	hears, cut := w.hears, w.cut
	var h map[string]any
	if err := json.Unmarshal(body, &h); err != nil {
		return err
	}
	w.said = append(w.said, h)
	w.mu.Unlock()
	if cut {
		return errors.New("the bus is not there")
	}
	hears("nodes.hello", body)
	return nil
}

func (w *wire) Listen(_ string, each func(string, []byte)) (func(), error) {
	w.hears = each
	return func() {}, nil
}

func (w *wire) Handle(string, func(context.Context, []byte) ([]byte, error)) (func(), error) {
	return func() {}, nil
}

func (w *wire) Request(ctx context.Context, subject string, _ []byte) ([]byte, error) {
	uid := strings.Split(subject, ".")[1]
	w.mu.Lock()
	w.asked++
	pings, cut := w.pings, w.cut
	w.mu.Unlock()
	if cut {
		return nil, errors.New("the bus is not there")
	}
	return nil, pings(ctx, uid)
}

// answer has the others answer pings so, from now on.
func (w *wire) answer(pings func(context.Context, string) error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pings = pings
}

func (w *wire) pinged() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.asked
}

// timed is Members on a wire, in the time of the test.
type timed struct {
	*cluster.Members
	*wire
	log *logged
}

// begin runs Members named "here" until the test ends.
func begin(t *testing.T) *timed {
	one := &timed{wire: &wire{}, log: &logged{}}
	one.answer(func(ctx context.Context, _ string) error { <-ctx.Done(); return ctx.Err() })
	uid := core.NewID().String()
	one.Members = cluster.New(cluster.Options{
		Bus: one.wire, Log: slog.New(slog.NewTextHandler(one.log, nil)), Metrics: metrics.New(prometheus.NewRegistry()),
		Self: func() cluster.Member { return cluster.Member{UID: uid, Name: "here", State: cluster.Ready} },
	})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := one.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
	synctest.Wait()
	return one
}

// hello has another process say hello, whose clock is ahead.
func (w *wire) hello(uid, name string, ahead time.Duration) {
	w.hears("", []byte(fmt.Sprintf(`{"v":1,"bus":%d,"now":%d,"uid":%q,"name":%q,"state":"ready"}`, bus.Version, time.Now().Add(ahead).UnixMilli(), uid, name)))
}

// hellos says hello twice a second for a while.
func (w *wire) hellos(d time.Duration, uid, name string, ahead time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); <-time.After(500 * time.Millisecond) {
		w.hello(uid, name, ahead)
	}
}

func (one *timed) knows(uid string) bool {
	_, ok := one.Find(uid)
	return ok
}

func TestWhenMembersCountAsGone(t *testing.T) {
	nobody := func(context.Context, string) error { return fmt.Errorf("ping: %w", bus.ErrNobody) }
	timeout := func(ctx context.Context, _ string) error { <-ctx.Done(); return ctx.Err() }
	answer := func(context.Context, string) error { return nil }
	newer := func(context.Context, string) error { return fmt.Errorf("ping: %w", bus.RemoteError("other version")) }
	flapping := 0
	sometimes := func(ctx context.Context, uid string) error {
		if flapping++; flapping%2 == 0 {
			return timeout(ctx, uid)
		}
		return nobody(ctx, uid)
	}
	for name, test := range map[string]struct {
		pings       func(context.Context, string) error
		from, until time.Duration // After its last hello, in which it is found to have gone; 0: never.
	}{
		"its process has ended": {nobody, 1200 * time.Millisecond, 1600 * time.Millisecond},
		"it hangs":              {timeout, 10 * time.Second, 10200 * time.Millisecond},
		"only hellos get lost":  {answer, 0, 0},
		"it is newer":           {newer, 0, 0},
		"it comes and goes":     {sometimes, 10 * time.Second, 10200 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				one, uid := begin(t), core.NewID().String()
				one.answer(test.pings)
				one.hello(uid, "there", 0)
				began := time.Now()
				for time.Since(began) < 30*time.Second && one.knows(uid) {
					<-time.After(10 * time.Millisecond)
				}
				took := time.Since(began)
				if one.knows(uid) != (test.until == 0) || test.until > 0 && (took < test.from || took > test.until) {
					t.Errorf("known after %v: %v", took, one.knows(uid))
				}
				if asked := one.pinged(); asked == 0 || asked > 60 {
					t.Errorf("asked %d times", asked)
				}
			})
		})
	}
}

// Who is cut off does not take the others for gone; back on the bus it asks who is there.
func TestWhoIsCutOffJudgesNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, uid := begin(t), core.NewID().String()
		one.hello(uid, "there", 0)
		one.mu.Lock()
		one.cut = true
		one.mu.Unlock()
		<-time.After(time.Minute)
		if !one.knows(uid) {
			t.Fatal("the other one was given up")
		}
		one.mu.Lock()
		one.cut, one.said = false, nil
		one.mu.Unlock()
		<-time.After(600 * time.Millisecond)
		one.mu.Lock()
		defer one.mu.Unlock()
		if len(one.said) == 0 || one.said[0]["ask"] != true {
			t.Errorf("it said %v", one.said)
		}
	})
}

// Clocks of other machines decide nothing; how wrong they are is told.
func TestClockSkew(t *testing.T) {
	for _, ahead := range []time.Duration{time.Hour, -time.Hour, 3 * time.Second, -1500 * time.Millisecond, 0} {
		t.Run(ahead.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				one, uid := begin(t), core.NewID().String()
				one.hello(uid, "there", ahead-5*time.Second) // This one was under way for long.
				one.hellos(5*time.Second, uid, "there", ahead)
				m, ok := one.Find(uid)
				if wrong := ahead.Abs() > 2*time.Second; !ok || m.Skew.Round(10*time.Millisecond) != ahead || strings.Contains(m.Problem, "clock") != wrong || m.Incompatible {
					t.Errorf("%+v", m)
				} else if strings.Contains(one.log.String(), "clock") != wrong {
					t.Errorf("the log says %s", one.log)
				}
				one.hellos(10*time.Second, uid, "there", 0) // Somebody has set it.
				if m, _ := one.Find(uid); m.Problem != "" {
					t.Errorf("%+v", m)
				}
			})
		})
	}
}

func TestSameName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, first, second := begin(t), core.NewID().String(), core.NewID().String()
		one.hellos(5*time.Second, first, "here", 0)
		if m, _ := one.Find(first); !strings.Contains(m.Problem, "same name") {
			t.Errorf("%+v", m)
		}
		if n := strings.Count(one.log.String(), "same name"); n != 1 {
			t.Errorf("told %d times", n)
		}
		one.Gone(first, "it was stopped")
		// The successor of a process that was killed has its name for a moment while that one is still listed.
		one.hellos(5*time.Second, second, "worker", 0)
		third := core.NewID().String()
		one.hellos(9*time.Second, third, "worker", 0)
		if m, _ := one.Find(third); m.Problem != "" || strings.Count(one.log.String(), "same name") != 1 {
			t.Errorf("%+v: %s", m, one.log)
		}
	})
}

// More processes than there can be do not take the memory of this one.
func TestTooManyMembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one := begin(t)
		for range 1500 {
			one.hello(core.NewID().String(), "flood", 0)
		}
		if n := len(one.List()); n != 1001 {
			t.Errorf("%d members", n)
		}
	})
}
