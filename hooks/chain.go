package hooks

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zenconn/server/core"
)

// DefaultDeadline is the time a plugin has for one answer when its Link does not say.
const DefaultDeadline = 50 * time.Millisecond

// Link is one plugin's place in a chain.
type Link struct {
	Plugin   Plugin
	Deadline time.Duration // For one answer; 0: DefaultDeadline.
	FailOpen bool          // A fault means Pass instead of Deny.
	Breaker  Breaker
}

// Chain asks plugins in their order and combines what they say. It is safe for concurrent use and starts no goroutine. Its plugins can be
// replaced at any time; a call that has begun asks those with which it began.
type Chain struct {
	observer Observer
	now      atomic.Pointer[generation]

	visits sync.Pool // What a processor puts in, it gets back as a rule: their cells are its own.
	made   atomic.Uint32
	cells  int // In each generation.

	mu     sync.Mutex // Of Replace and Close.
	closed bool
	close  func() error
}

// seat is a plugin that wants one hook, with its method bound once so that a call allocates nothing.
type seat[E any] struct {
	*Link
	breaker *breaker
	hash    string
	called  func(took time.Duration) // nil: nobody wants to know.
	ask     func(context.Context, *E) (Answer, error)
}

// NewChain makes a chain of links, asked in this order. The chain owns the plugins from now on. observer may be nil.
func NewChain(links []Link, observer Observer) *Chain {
	c := &Chain{observer: observer}
	c.close = sync.OnceValue(c.closeNow)
	c.cells = cellsPerProcessor * runtime.GOMAXPROCS(0)
	c.visits.New = func() any { return &visit{cell: int(c.made.Add(1)) % c.cells, ctx: &callContext{}} }
	c.now.Store(c.newGeneration(links, nil))
	return c
}

// take gives a plugin its seat at one hook.
func (g *generation) take(hook Hook, m *member) {
	link, p, hash, b, called := &m.Link, m.Plugin, m.Plugin.Hash(), m.breakers[hook], m.called[hook]
	switch hook {
	case OnConnect:
		g.connect = append(g.connect, seat[Connect]{link, b, hash, called, p.(Connector).Connect})
	case OnRefresh:
		g.refresh = append(g.refresh, seat[Refresh]{link, b, hash, called, p.(Refresher).Refresh})
	case OnSubscribe:
		g.subscribe = append(g.subscribe, seat[Subscribe]{link, b, hash, called, p.(Subscriber).Subscribe})
	case OnChannel:
		g.channel = append(g.channel, seat[Channel]{link, b, hash, called, p.(Definer).Channel})
	case OnPublish:
		g.publish = append(g.publish, seat[Publish]{link, b, hash, called, p.(Publisher).Publish})
	case OnRPC:
		g.rpc = append(g.rpc, seat[RPC]{link, b, hash, called, p.(Caller).Call})
	case OnSend:
		g.send = append(g.send, seat[Send]{link, b, hash, called, p.(Receiver).Send})
	case OnUnsubscribe:
		g.unsubscribe = append(g.unsubscribe, seat[Unsubscribe]{link, b, hash, called, p.(Unsubscriber).Unsubscribe})
	case OnDisconnect:
		g.disconnect = append(g.disconnect, seat[Disconnect]{link, b, hash, called, p.(Disconnector).Disconnect})
	case OnAudit:
		g.audit = append(g.audit, seat[Audit]{link, b, hash, called, p.(Redactor).Audit})
	}
}

// hooksOf lists the hooks a plugin has a method for and, if it is Selective, wants.
func hooksOf(p Plugin) []Hook {
	all := slices.DeleteFunc(slices.Clone(All[:]), func(h Hook) bool { return !hasMethod(p, h) })
	if s, ok := p.(Selective); ok {
		wanted := s.Hooks()
		all = slices.DeleteFunc(all, func(h Hook) bool { return !slices.Contains(wanted, h) })
	}
	return all
}

func hasMethod(p Plugin, hook Hook) (ok bool) {
	switch hook {
	case OnConnect:
		_, ok = p.(Connector)
	case OnRefresh:
		_, ok = p.(Refresher)
	case OnSubscribe:
		_, ok = p.(Subscriber)
	case OnChannel:
		_, ok = p.(Definer)
	case OnPublish:
		_, ok = p.(Publisher)
	case OnRPC:
		_, ok = p.(Caller)
	case OnSend:
		_, ok = p.(Receiver)
	case OnUnsubscribe:
		_, ok = p.(Unsubscriber)
	case OnDisconnect:
		_, ok = p.(Disconnector)
	case OnAudit:
		_, ok = p.(Redactor)
	}
	return ok
}

// Has reports whether any plugin wants the hook. When it does not, asking answers Pass.
func (c *Chain) Has(hook Hook) bool {
	g := c.now.Load()
	switch hook {
	case OnConnect:
		return len(g.connect) > 0
	case OnRefresh:
		return len(g.refresh) > 0
	case OnSubscribe:
		return len(g.subscribe) > 0
	case OnChannel:
		return len(g.channel) > 0
	case OnPublish:
		return len(g.publish) > 0
	case OnRPC:
		return len(g.rpc) > 0
	case OnSend:
		return len(g.send) > 0
	case OnUnsubscribe:
		return len(g.unsubscribe) > 0
	case OnDisconnect:
		return len(g.disconnect) > 0
	case OnAudit:
		return len(g.audit) > 0
	}
	return false
}

// PluginInfo describes one plugin of a chain, for logs and status.
type PluginInfo struct {
	Name     string
	Hash     string
	Hooks    []Hook
	Breakers map[Hook]BreakerState
}

// Plugins describes the plugins in their order.
func (c *Chain) Plugins() []PluginInfo {
	members := c.now.Load().members
	infos := make([]PluginInfo, len(members))
	for i, m := range members {
		infos[i] = PluginInfo{Name: m.Plugin.Name(), Hash: m.Plugin.Hash(), Hooks: hooksOf(m.Plugin), Breakers: make(map[Hook]BreakerState)}
		for hook, b := range m.breakers {
			infos[i].Breakers[hook] = b.current()
		}
	}
	return infos
}

// Close closes the plugins, the last one first; those that were replaced are closed by what Replace returned. No hook may be asked
// afterwards. Further calls return the first one's result.
func (c *Chain) Close() error { return c.close() }

// Connect asks whether a client may connect: Deny if somebody denied, else Allow if at least one allowed, else Pass.
func (c *Chain) Connect(ctx context.Context, event *Connect) Answer {
	v := c.enter()
	defer c.leave(v)
	return ask(ctx, v, c.observer, &connectRules, v.connect, event)
}

// Subscribe asks whether a client may join a channel: Deny if somebody denied, else Allow if at least one allowed, else Pass.
func (c *Chain) Subscribe(ctx context.Context, event *Subscribe) Answer {
	v := c.enter()
	defer c.leave(v)
	return ask(ctx, v, c.observer, &subscribeRules, v.subscribe, event)
}

// Publish asks about a publication: Deny or Drop as soon as somebody says so, else Allow if at least one allowed, else Pass.
func (c *Chain) Publish(ctx context.Context, event *Publish) Answer {
	v := c.enter()
	defer c.leave(v)
	return ask(ctx, v, c.observer, &publishRules, v.publish, event)
}

// Call asks for the answer to a remote procedure call: the first Allow or Deny stands, Pass when nobody knows the method.
func (c *Chain) Call(ctx context.Context, event *RPC) Answer {
	v := c.enter()
	defer c.leave(v)
	return ask(ctx, v, c.observer, &rpcRules, v.rpc, event)
}

// Refresh asks whether a session or subscription may live longer: as Connect.
func (c *Chain) Refresh(ctx context.Context, event *Refresh) Answer {
	v := c.enter()
	defer c.leave(v)
	return ask(ctx, v, c.observer, &refreshRules, v.refresh, event)
}

// Channel asks for the options of a channel: Deny if somebody refused the name, else what the event's Options then are.
func (c *Chain) Channel(ctx context.Context, event *Channel) Answer {
	v := c.enter()
	defer c.leave(v)
	return ask(ctx, v, c.observer, &channelRules, v.channel, event)
}

// Send hands over a one-way message: Deny if somebody denied, else Allow if at least one allowed, else Pass.
func (c *Chain) Send(ctx context.Context, event *Send) Answer {
	v := c.enter()
	defer c.leave(v)
	return ask(ctx, v, c.observer, &sendRules, v.send, event)
}

// Unsubscribe tells everybody that a client has left a channel.
func (c *Chain) Unsubscribe(ctx context.Context, event *Unsubscribe) {
	v := c.enter()
	defer c.leave(v)
	ask(ctx, v, c.observer, &unsubscribeRules, v.unsubscribe, event)
}

// Disconnect tells everybody that a session has ended.
func (c *Chain) Disconnect(ctx context.Context, event *Disconnect) {
	v := c.enter()
	defer c.leave(v)
	ask(ctx, v, c.observer, &disconnectRules, v.disconnect, event)
}

// Audit shows an event before it is stored: Drop if it must not be, Deny if it must be without what can be redacted (also when a plugin
// that fails closed failed), else what the event then is.
func (c *Chain) Audit(ctx context.Context, event *Audit) Answer {
	v := c.enter()
	defer c.leave(v)
	return ask(ctx, v, c.observer, &auditRules, v.audit, event)
}

// ask is the whole of a chain: every plugin in turn, until one of them settles the matter.
func ask[E any](ctx context.Context, v *visit, observer Observer, rules *rules[E], seats []seat[E], event *E) Answer {
	result := Answer{Verdict: Pass}
	for i := range seats {
		s := &seats[i]
		answer := askOne(ctx, v, observer, rules, s, event)
		switch {
		case rules.tells:
			continue
		case answer.Verdict == Deny || answer.Verdict == Drop:
			return answer
		case answer.Verdict == Allow:
			result.Verdict = Allow
		}
		result.Modified = result.Modified || answer.Modified
		if result.Verdict == Allow && rules.firstAllowAnswers {
			return result
		}
	}
	return result
}

// askOne asks one plugin, undoes what it wrote if it failed, and tells the observer.
func askOne[E any](ctx context.Context, v *visit, observer Observer, rules *rules[E], s *seat[E], event *E) Answer {
	start := time.Now()
	var answer Answer
	fault := ErrBreakerOpen
	if ok, probe := s.breaker.enter(start); ok {
		before := rules.snapshot(event)
		answer, fault = call(ctx, v, s, event, start)
		took := time.Since(start)
		if s.called != nil {
			s.called(took)
		}
		if fault == nil {
			answer, fault = rules.check(answer, before, event)
		}
		if fault != nil {
			*event = before
		}
		s.breaker.leave(probe, fault, took-s.Deadline)
	}
	if fault != nil {
		answer = s.meaningOfFault()
		fault = fmt.Errorf("plugin %s: on_%s: %w", s.Plugin.Name(), rules.hook, fault)
	}
	unasked := answer.Verdict == Pass && errors.Is(fault, ErrBreakerOpen) // Every message, perhaps: the observer knows the state.
	if observer != nil && !unasked && (answer.Verdict != Pass || answer.Modified || fault != nil) {
		d := Decision{ID: core.NewID(), Hook: rules.hook, Plugin: s.Plugin.Name(), Hash: s.hash, Verdict: answer.Verdict, Modified: answer.Modified,
			Code: answer.Code, Reason: answer.Reason, Fault: fault, Duration: time.Since(start)}
		d.Client, d.Channel, d.Message = rules.describe(event)
		observer.Decided(d)
		if rules.decided != nil {
			rules.decided(event, d.ID)
		}
	}
	return answer
}

// meaningOfFault is what the client is told: nothing about the plugin's inside.
func (l *Link) meaningOfFault() Answer {
	if l.FailOpen {
		return Answer{Verdict: Pass}
	}
	return Answer{Verdict: Deny, Code: core.ErrInternal.Code, Reason: core.ErrInternal.Message}
}

// PanicError is the fault of a plugin that panicked.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// call asks one plugin within its deadline and turns a panic into a fault.
func call[E any](parent context.Context, v *visit, s *seat[E], event *E, start time.Time) (answer Answer, fault error) {
	v.ctx.begin(parent, start.Add(s.Deadline))
	defer func() {
		v.ctx = v.ctx.end()
		if v := recover(); v != nil {
			fault = &PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	return s.ask(v.ctx, event)
}
