package hooks_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zenconn/server/hooks"
)

// stamping is a generation of plugins that stamp publications with its number, one after the other, and count those that are closed.
func stamping(number int, names []string, closed *atomic.Int32) []hooks.Link {
	links := make([]hooks.Link, len(names))
	for i, name := range names {
		var gone atomic.Bool
		links[i].Plugin = &plugin{name: name, wants: []hooks.Hook{hooks.OnPublish}, publish: func(_ context.Context, e *hooks.Publish) (hooks.Answer, error) {
			if gone.Load() {
				return hooks.Answer{}, errors.New("asked after it was closed")
			}
			e.Data = fmt.Append(e.Data, number, " ")
			return hooks.Answer{Verdict: hooks.Allow, Modified: true}, nil
		}, closed: func() error {
			gone.Store(true)
			closed.Add(1)
			return nil
		}}
	}
	return links
}

func TestReplaceUnderLoad(t *testing.T) {
	var closed atomic.Int32
	names := []string{"a", "b", "c"}
	c := hooks.NewChain(stamping(0, names, &closed), nil)
	var load sync.WaitGroup
	var stop atomic.Bool
	for range 4 {
		load.Go(func() {
			for !stop.Load() {
				e := &hooks.Publish{}
				answer := c.Publish(t.Context(), e)
				var one, two, three int
				if _, err := fmt.Sscan(string(e.Data), &one, &two, &three); err != nil || one != two || two != three || answer.Verdict != hooks.Allow {
					t.Errorf("%+v, stamps %q, %v", answer, e.Data, err)
					return
				}
			}
		})
	}
	const times = 500
	for i := range times {
		if err := c.Replace(stamping(i+1, names, &closed))(); err != nil {
			t.Error(err)
		}
		if got := closed.Load(); got != int32(3*(i+1)) { //nolint:gosec // Small.
			t.Fatalf("%d plugins are closed after %d replacements", got, i+1)
		}
	}
	stop.Store(true)
	load.Wait()
	if err := c.Close(); err != nil || closed.Load() != 3*(times+1) {
		t.Errorf("%d plugins are closed, %v", closed.Load(), err)
	}
}

// The former plugins are closed when the last call that asks them has ended, and not before.
func TestReplaceWaitsForCalls(t *testing.T) {
	inside, leave := make(chan struct{}), make(chan struct{})
	closed := make(chan string, 10)
	slow := &plugin{name: "slow", wants: []hooks.Hook{hooks.OnPublish}, closed: func() error { closed <- "slow"; return nil },
		publish: func(context.Context, *hooks.Publish) (hooks.Answer, error) {
			close(inside)
			<-leave
			return hooks.Answer{Verdict: hooks.Pass}, nil
		}}
	var last atomic.Bool
	second := &plugin{name: "second", wants: []hooks.Hook{hooks.OnPublish}, closed: func() error { closed <- "second"; return errors.New("no") },
		publish: func(context.Context, *hooks.Publish) (hooks.Answer, error) {
			last.Store(len(closed) == 0)
			return hooks.Answer{Verdict: hooks.Pass}, nil
		}}
	c := hooks.NewChain([]hooks.Link{{Plugin: slow, Deadline: time.Hour}, {Plugin: second}}, nil)
	var call, retiring sync.WaitGroup
	call.Go(func() { c.Publish(t.Context(), &hooks.Publish{}) })
	<-inside
	retire := c.Replace(script("103"))
	var err error
	retiring.Go(func() { err = retire() })
	if a := c.Publish(t.Context(), &hooks.Publish{}); a.Code != 103 {
		t.Errorf("a call after the replacement: %+v", a)
	}
	if len(closed) != 0 {
		t.Error("closed while it was asked")
	}
	close(leave)
	call.Wait()
	retiring.Wait()
	if !last.Load() {
		t.Error("the call did not end with the plugins it began with")
	}
	if got := []string{<-closed, <-closed}; !slices.Equal(got, []string{"second", "slow"}) || err == nil {
		t.Errorf("closed %v, %v", got, err)
	}
	if again := retire(); again == nil || len(closed) != 0 {
		t.Errorf("retired twice: %v", again)
	}
}

// gauges keeps what an observer of breakers would show.
type gauges struct {
	mu     sync.Mutex
	states map[string]hooks.BreakerState
}

func (*gauges) Decided(hooks.Decision) {}

func (g *gauges) BreakerChanged(plugin string, hook hooks.Hook, state hooks.BreakerState) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.states[plugin+" "+string(hook)] = state
}

func (g *gauges) Left(plugin string, hook hooks.Hook) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.states, plugin+" "+string(hook))
}

// A plugin that stays keeps its breakers, wherever it is now; one that is new, or run in another way, begins afresh.
func TestReplaceKeepsWhatStays(t *testing.T) {
	broken := func(name string) hooks.Link {
		return hooks.Link{Breaker: hooks.Breaker{Faults: 1, Window: time.Hour, Cooldown: time.Hour}, Plugin: &plugin{
			name: name, wants: []hooks.Hook{hooks.OnPublish, hooks.OnConnect}, publish: func(context.Context, *hooks.Publish) (hooks.Answer, error) {
				return hooks.Answer{}, errors.New("broken")
			},
		}, FailOpen: true}
	}
	var closed []string
	g := &gauges{states: map[string]hooks.BreakerState{}}
	stays, changes, leaves := broken("stays"), broken("changes"), broken("leaves")
	for _, l := range []hooks.Link{stays, changes, leaves} {
		p := l.Plugin.(*plugin)
		p.closed = func() error { closed = append(closed, p.name); return nil }
	}
	c := hooks.NewChain([]hooks.Link{stays, changes, leaves}, g)
	before := c.Generation()
	c.Publish(t.Context(), &hooks.Publish{})
	if len(g.states) != 3 {
		t.Fatalf("breakers %v", g.states)
	}
	changed := broken("changes")
	if err := c.Replace([]hooks.Link{changed, stays})(); err != nil {
		t.Error(err)
	}
	if c.Generation() == before {
		t.Error("the generation is the same")
	}
	states := ""
	for _, p := range c.Plugins() {
		states += p.Name + "=" + p.Breakers[hooks.OnPublish].String() + " "
	}
	if states != "changes=closed stays=open " || !slices.Equal(closed, []string{"leaves", "changes"}) {
		t.Errorf("breakers %s, closed %v", states, closed)
	}
	if len(g.states) != 1 || g.states["stays publish"] != hooks.BreakerOpen {
		t.Errorf("shown %v", g.states)
	}
	other := stays
	other.Deadline = time.Hour
	if err := c.Replace([]hooks.Link{other})(); err != nil {
		t.Error(err)
	}
	if got := c.Plugins()[0].Breakers[hooks.OnPublish]; got != hooks.BreakerClosed {
		t.Errorf("with another deadline: %v", got)
	}
	if len(closed) != 2 {
		t.Errorf("closed %v", closed)
	}
	if c.Has(hooks.OnRPC) || !c.Has(hooks.OnConnect) {
		t.Error("the chain does not know its hooks")
	}
}

func TestReplaceAfterClose(t *testing.T) {
	var closed atomic.Int32
	links := stamping(1, []string{"a"}, &closed)
	c := hooks.NewChain(links, nil)
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if err := c.Replace(append(stamping(2, []string{"b"}, &closed), links...))(); err != nil || closed.Load() != 2 {
		t.Errorf("%d plugins are closed, %v", closed.Load(), err)
	}
	if err := c.Close(); err != nil || closed.Load() != 2 {
		t.Errorf("closed again: %d plugins, %v", closed.Load(), err)
	}
}
