package hooks

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// cellsPerProcessor is how many counters of calls there are for each processor, so that two rarely share one.
const cellsPerProcessor = 4

// generation is the plugins that a chain asks between two replacements. Nothing of it changes but the counters.
type generation struct {
	number  uint64
	members []*member

	connect     []seat[Connect]
	refresh     []seat[Refresh]
	subscribe   []seat[Subscribe]
	channel     []seat[Channel]
	publish     []seat[Publish]
	rpc         []seat[RPC]
	send        []seat[Send]
	unsubscribe []seat[Unsubscribe]
	disconnect  []seat[Disconnect]
	audit       []seat[Audit]

	retired atomic.Bool
	left    chan struct{} // Holds one when a call has ended after retired was set.

	// How many calls are in it. One counter for all would go from processor to processor with every message; a call comes and goes by
	// the cell of its context.
	inside []cell
}

// cell is a counter with a cache line of its own.
type cell struct {
	calls atomic.Int64
	_     [56]byte
}

// member is a plugin in all generations that have it.
type member struct {
	Link
	breakers map[Hook]*breaker
	called   map[Hook]func(took time.Duration)
	uses     *int // Generations that have the plugin. Guarded by Chain.mu.

	mu   sync.Mutex
	gone bool // The latest generation does not have it: what becomes of its breakers is nobody's business.
}

// newGeneration makes a generation of links. Those that are as in the one before keep what is known of their plugin.
func (c *Chain) newGeneration(links []Link, before *generation) *generation {
	g := &generation{left: make(chan struct{}, 1), inside: make([]cell, c.cells)}
	if before != nil {
		g.number = before.number + 1
	}
	for _, link := range links {
		link.Deadline = deadlineOf(link)
		m := before.find(link.Plugin)
		if m == nil || m.Link != link {
			m = c.newMember(link, m)
		}
		*m.uses++
		g.members = append(g.members, m)
		for _, hook := range hooksOf(link.Plugin) {
			g.take(hook, m)
		}
	}
	return g
}

// find returns what is known of a plugin; nil when it is new.
func (g *generation) find(p Plugin) *member {
	if g == nil {
		return nil
	}
	if i := slices.IndexFunc(g.members, func(m *member) bool { return m.Plugin == p }); i >= 0 {
		return g.members[i]
	}
	return nil
}

func deadlineOf(l Link) time.Duration {
	if l.Deadline <= 0 {
		return DefaultDeadline
	}
	return l.Deadline
}

// newMember takes a plugin in, or one that there was with another link.
func (c *Chain) newMember(link Link, before *member) *member {
	m := &member{Link: link, uses: new(int), breakers: map[Hook]*breaker{}, called: map[Hook]func(time.Duration){}}
	if before != nil {
		m.uses = before.uses
	}
	calls, measures := c.observer.(CallObserver)
	for _, hook := range hooksOf(link.Plugin) {
		m.breakers[hook] = newBreaker(link.Breaker, m.breakerChanged(c.observer, hook))
		if measures {
			m.called[hook] = calls.Calls(link.Plugin.Name(), hook)
		}
	}
	return m
}

// breakerChanged returns what tells the observer of a breaker.
func (m *member) breakerChanged(o Observer, hook Hook) func(BreakerState) {
	observer, ok := o.(BreakerObserver)
	if !ok {
		return func(BreakerState) {}
	}
	name := m.Plugin.Name()
	return func(state BreakerState) {
		m.mu.Lock()
		defer m.mu.Unlock()
		if !m.gone {
			observer.BreakerChanged(name, hook, state)
		}
	}
}

// leave tells the observer that the plugin is no longer asked.
func (m *member) leave(o Observer) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.gone = true
	if observer, ok := o.(LeaveObserver); ok {
		for hook := range m.breakers {
			observer.Left(m.Plugin.Name(), hook)
		}
	}
}

// visit is a call's stay in a generation.
type visit struct {
	*generation
	cell int // In which it is counted.
	ctx  *callContext
}

// enter begins a call with the plugins there are now. They stay until it leaves.
func (c *Chain) enter() *visit {
	v := c.visits.Get().(*visit) //nolint:forcetypeassert // The pool is the chain's.
	for {
		v.generation = c.now.Load()
		v.inside[v.cell].calls.Add(1)
		if c.now.Load() == v.generation {
			return v
		}
		v.leave(v.cell) // It was replaced in this moment, and perhaps nobody was seen in it.
	}
}

// leave ends a call.
func (c *Chain) leave(v *visit) {
	v.leave(v.cell)
	v.generation = nil
	c.visits.Put(v)
}

func (g *generation) leave(cell int) {
	g.inside[cell].calls.Add(-1)
	if g.retired.Load() {
		select {
		case g.left <- struct{}{}:
		default: // It will be looked anyway.
		}
	}
}

// drain waits until the last call has left a generation that has been replaced. A call ends with its plugins' deadlines.
func (g *generation) drain() {
	g.retired.Store(true)
	for i := range g.inside {
		for g.inside[i].calls.Load() > 0 {
			<-g.left
		}
	}
}

// Generation is another number after each Replace.
func (c *Chain) Generation() uint64 { return c.now.Load().number }

// Replace has all calls that begin from now on ask the plugins of other links, in their order. A link that is as it was before keeps its
// plugin, with the state of its breakers. The chain owns the plugins from now on.
//
// retire, which must be called, waits until the last call that asks the former plugins has ended, and closes those that are asked no
// longer. It may take as long as a call. A chain that is closed is not changed; retire then closes the plugins that are new.
func (c *Chain) Replace(links []Link) (retire func() error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.now.Load()
	if c.closed {
		links = slices.DeleteFunc(slices.Clone(links), func(l Link) bool { return before.find(l.Plugin) != nil })
		return sync.OnceValue(func() error { return closePlugins(links) })
	}
	after := c.newGeneration(links, before)
	c.now.Store(after)
	for _, m := range before.members {
		if !slices.Contains(after.members, m) {
			m.leave(c.observer)
		}
	}
	return sync.OnceValue(func() error {
		before.drain()
		return c.release(before)
	})
}

// release closes the plugins of a generation that no other has.
func (c *Chain) release(g *generation) error {
	c.mu.Lock()
	var unused []Link
	for _, m := range g.members {
		if *m.uses--; *m.uses == 0 {
			unused = append(unused, m.Link)
		}
	}
	c.mu.Unlock()
	return closePlugins(unused)
}

// closePlugins closes the last one first.
func closePlugins(links []Link) error {
	var errs []error
	for _, link := range slices.Backward(links) {
		if err := link.Plugin.Close(); err != nil {
			errs = append(errs, fmt.Errorf("close plugin %s: %w", link.Plugin.Name(), err))
		}
	}
	return errors.Join(errs...)
}

// closeNow is Close, which is done once.
func (c *Chain) closeNow() error {
	c.mu.Lock()
	c.closed = true
	last := c.now.Load()
	c.mu.Unlock()
	return c.release(last)
}
