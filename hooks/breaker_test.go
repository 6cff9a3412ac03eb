package hooks_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zenconn/server/hooks"
)

// watch notes decisions and the changes of breakers.
type watch struct {
	mu      sync.Mutex
	told    decisions
	changes []string
}

func (w *watch) Decided(d hooks.Decision) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.told = append(w.told, d)
}

func (w *watch) BreakerChanged(plugin string, hook hooks.Hook, s hooks.BreakerState) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.changes = append(w.changes, plugin+" "+string(hook)+" "+s.String())
}

// failing is a chain of one plugin that counts its calls and fails while broken is set.
type failing struct {
	watch
	*hooks.Chain
	calls  int
	broken bool
	fault  error
}

func newFailing(failOpen bool, b hooks.Breaker) *failing {
	f := &failing{broken: true, fault: errors.New("broken")}
	p := &plugin{name: "p", wants: []hooks.Hook{hooks.OnPublish}, publish: func(context.Context, *hooks.Publish) (hooks.Answer, error) {
		f.calls++
		if f.broken {
			return hooks.Answer{}, f.fault
		}
		return hooks.Answer{Verdict: hooks.Allow}, nil
	}}
	f.Chain = hooks.NewChain([]hooks.Link{{Plugin: p, FailOpen: failOpen, Breaker: b}}, &f.watch)
	return f
}

func (f *failing) ask(t *testing.T, n int) (answer hooks.Answer) {
	for range n {
		answer = f.Publish(t.Context(), &hooks.Publish{})
	}
	return answer
}

var breaker = hooks.Breaker{Faults: 3, Window: 10 * time.Second, Cooldown: time.Minute}

func TestBreakerOpensAndRecovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFailing(false, breaker)
		f.ask(t, 2)
		<-time.After(11 * time.Second) // The faults so far are too old to count.
		f.ask(t, 2)
		if state := f.Plugins()[0].Breakers[hooks.OnPublish]; state != hooks.BreakerClosed || f.calls != 4 {
			t.Fatalf("%s after %d calls", state, f.calls)
		}
		f.ask(t, 1)
		if state := f.Plugins()[0].Breakers[hooks.OnPublish]; state != hooks.BreakerOpen {
			t.Fatalf("%s after three faults at once", state)
		}
		if a := f.ask(t, 10); a.Verdict != hooks.Deny || a.Code != 100 || f.calls != 5 {
			t.Errorf("open: answer %+v after %d calls", a, f.calls)
		}
		if last := f.told[len(f.told)-1]; !errors.Is(last.Fault, hooks.ErrBreakerOpen) || last.Plugin != "p" || len(f.told) != 15 {
			t.Errorf("%d decisions, the last %+v", len(f.told), last)
		}
		<-time.After(time.Minute)
		f.ask(t, 3) // One of them tries, in vain.
		if f.calls != 6 {
			t.Errorf("%d calls after the cool-down", f.calls)
		}
		<-time.After(time.Minute)
		f.broken = false
		if a := f.ask(t, 1); a.Verdict != hooks.Allow || f.Plugins()[0].Breakers[hooks.OnPublish] != hooks.BreakerClosed {
			t.Errorf("answer %+v, breaker %s", a, f.Plugins()[0].Breakers[hooks.OnPublish])
		}
		f.broken = true
		f.ask(t, 2) // Old faults are forgotten.
		if state := f.Plugins()[0].Breakers[hooks.OnPublish]; state != hooks.BreakerClosed {
			t.Errorf("%s after two faults", state)
		}
		if want := []string{"p publish open", "p publish half-open", "p publish open", "p publish half-open", "p publish closed"}; !slices.Equal(f.changes, want) {
			t.Errorf("changes %q, want %q", f.changes, want)
		}
	})
}

func TestBreakerOfPluginThatFailsOpen(t *testing.T) {
	f := newFailing(true, hooks.Breaker{Faults: 1, Cooldown: time.Hour})
	if a := f.ask(t, 10); a != (hooks.Answer{Verdict: hooks.Pass}) || f.calls != 1 || len(f.told) != 1 {
		t.Errorf("answer %+v, %d calls, %d decisions", a, f.calls, len(f.told))
	}
}

func TestNoBreaker(t *testing.T) {
	f := newFailing(false, hooks.Breaker{})
	if f.ask(t, 1000); f.calls != 1000 || len(f.changes) != 0 {
		t.Errorf("%d calls, changes %q", f.calls, f.changes)
	}
}

// What a client can provoke does not cut others off, as long as others are answered. Time-outs count all the same.
func TestGoodAnswersForgive(t *testing.T) {
	for _, tt := range []struct {
		fault error
		want  hooks.BreakerState
	}{{errors.New("broken"), hooks.BreakerClosed}, {fmt.Errorf("late: %w", context.DeadlineExceeded), hooks.BreakerOpen}} {
		f := newFailing(false, hooks.Breaker{Faults: 3, Window: time.Hour, Cooldown: time.Hour})
		f.fault = tt.fault
		for range 2 {
			f.broken = true
			f.ask(t, 2)
			f.broken = false
			f.ask(t, 1)
		}
		if state := f.Plugins()[0].Breakers[hooks.OnPublish]; state != tt.want {
			t.Errorf("%s after faults such as %v", state, tt.fault)
		}
	}
}

// When the machine stands still, all calls that are under way are late. That is not the plugin's fault.
func TestStandstillsDoNotCount(t *testing.T) {
	for took, want := range map[time.Duration]hooks.BreakerState{
		hooks.DefaultDeadline: hooks.BreakerOpen, 5 * time.Second: hooks.BreakerClosed,
	} {
		t.Run(took.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &plugin{name: "p", wants: []hooks.Hook{hooks.OnPublish}, publish: func(context.Context, *hooks.Publish) (hooks.Answer, error) {
					<-time.After(took)
					return hooks.Answer{}, context.DeadlineExceeded
				}}
				c := hooks.NewChain([]hooks.Link{{Plugin: p, Breaker: breaker}}, nil)
				var calls sync.WaitGroup
				for range 100 {
					calls.Go(func() {
						if a := c.Publish(t.Context(), &hooks.Publish{}); a.Verdict != hooks.Deny {
							t.Errorf("answer %+v", a)
						}
					})
				}
				calls.Wait()
				if got := c.Plugins()[0].Breakers[hooks.OnPublish]; got != want {
					t.Errorf("%s, want %s", got, want)
				}
			})
		})
	}
}

// While one call tries, the others are not let through; and what began before the breaker opened does not decide about it.
func TestOnlyTheProbeDecides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answers := make(chan error)
		p := &plugin{name: "p", wants: []hooks.Hook{hooks.OnPublish}, publish: func(context.Context, *hooks.Publish) (hooks.Answer, error) {
			return hooks.Answer{Verdict: hooks.Allow}, <-answers
		}}
		w := &watch{}
		c := hooks.NewChain([]hooks.Link{{Plugin: p, Breaker: hooks.Breaker{Faults: 1, Window: time.Second, Cooldown: time.Second}}}, w)
		ask := func() { c.Publish(context.Background(), &hooks.Publish{}) }
		state := func(want hooks.BreakerState) {
			t.Helper()
			synctest.Wait()
			if got := c.Plugins()[0].Breakers[hooks.OnPublish]; got != want {
				t.Fatalf("%s, want %s", got, want)
			}
		}
		go ask()
		go ask()
		go ask()
		synctest.Wait()
		answers <- errors.New("broken")
		state(hooks.BreakerOpen)
		answers <- nil
		state(hooks.BreakerOpen)
		<-time.After(time.Second)
		go ask()
		state(hooks.BreakerHalfOpen)
		ask() // Refused at once.
		answers <- errors.New("an old call, or the probe: whichever takes it")
		answers <- errors.New("the other")
		state(hooks.BreakerOpen)
		if want := []string{"p publish open", "p publish half-open", "p publish open"}; !slices.Equal(w.changes, want) {
			t.Errorf("changes %q, want %q", w.changes, want)
		}
	})
}
