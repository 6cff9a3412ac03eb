package hooks

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
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
}

// Chain asks plugins in their order and combines what they say. It is safe for concurrent use and starts no goroutine.
type Chain struct {
	links    []Link
	observer Observer
	close    func() error

	connect   []seat[Connect]
	subscribe []seat[Subscribe]
	publish   []seat[Publish]
	rpc       []seat[RPC]
}

// seat is a plugin that wants one hook, with its method bound once so that a call allocates nothing.
type seat[E any] struct {
	*Link
	hash string
	ask  func(context.Context, *E) (Answer, error)
}

// NewChain makes a chain of links, asked in this order. The chain owns the plugins from now on. observer may be nil.
func NewChain(links []Link, observer Observer) *Chain {
	c := &Chain{links: slices.Clone(links), observer: observer}
	c.close = sync.OnceValue(c.closePlugins)
	for i := range c.links {
		link := &c.links[i]
		if link.Deadline <= 0 {
			link.Deadline = DefaultDeadline
		}
		for _, hook := range hooksOf(link.Plugin) {
			switch hook {
			case OnConnect:
				c.connect = append(c.connect, seat[Connect]{link, link.Plugin.Hash(), link.Plugin.(Connector).Connect})
			case OnSubscribe:
				c.subscribe = append(c.subscribe, seat[Subscribe]{link, link.Plugin.Hash(), link.Plugin.(Subscriber).Subscribe})
			case OnPublish:
				c.publish = append(c.publish, seat[Publish]{link, link.Plugin.Hash(), link.Plugin.(Publisher).Publish})
			case OnRPC:
				c.rpc = append(c.rpc, seat[RPC]{link, link.Plugin.Hash(), link.Plugin.(Caller).Call})
			}
		}
	}
	return c
}

// hooksOf lists the hooks a plugin has a method for and, if it is Selective, wants.
func hooksOf(p Plugin) []Hook {
	var all []Hook
	if _, ok := p.(Connector); ok {
		all = append(all, OnConnect)
	}
	if _, ok := p.(Subscriber); ok {
		all = append(all, OnSubscribe)
	}
	if _, ok := p.(Publisher); ok {
		all = append(all, OnPublish)
	}
	if _, ok := p.(Caller); ok {
		all = append(all, OnRPC)
	}
	if s, ok := p.(Selective); ok {
		wanted := s.Hooks()
		all = slices.DeleteFunc(all, func(h Hook) bool { return !slices.Contains(wanted, h) })
	}
	return all
}

// Has reports whether any plugin wants the hook. When it does not, asking answers Pass.
func (c *Chain) Has(hook Hook) bool {
	switch hook {
	case OnConnect:
		return len(c.connect) > 0
	case OnSubscribe:
		return len(c.subscribe) > 0
	case OnPublish:
		return len(c.publish) > 0
	case OnRPC:
		return len(c.rpc) > 0
	}
	return false
}

// PluginInfo describes one plugin of a chain, for logs and status.
type PluginInfo struct {
	Name  string
	Hash  string
	Hooks []Hook
}

// Plugins describes the plugins in their order.
func (c *Chain) Plugins() []PluginInfo {
	infos := make([]PluginInfo, len(c.links))
	for i, link := range c.links {
		infos[i] = PluginInfo{Name: link.Plugin.Name(), Hash: link.Plugin.Hash(), Hooks: hooksOf(link.Plugin)}
	}
	return infos
}

// Close closes the plugins, the last one first. No hook may be asked afterwards. Further calls return the first one's result.
func (c *Chain) Close() error { return c.close() }

func (c *Chain) closePlugins() error {
	var errs []error
	for _, link := range slices.Backward(c.links) {
		if err := link.Plugin.Close(); err != nil {
			errs = append(errs, fmt.Errorf("close plugin %s: %w", link.Plugin.Name(), err))
		}
	}
	return errors.Join(errs...)
}

// Connect asks whether a client may connect: Deny if somebody denied, else Allow if at least one allowed, else Pass.
func (c *Chain) Connect(ctx context.Context, event *Connect) Answer {
	return ask(ctx, c, &connectRules, c.connect, event)
}

// Subscribe asks whether a client may join a channel: Deny if somebody denied, else Allow if at least one allowed, else Pass.
func (c *Chain) Subscribe(ctx context.Context, event *Subscribe) Answer {
	return ask(ctx, c, &subscribeRules, c.subscribe, event)
}

// Publish asks about a publication: Deny or Drop as soon as somebody says so, else Allow if at least one allowed, else Pass.
func (c *Chain) Publish(ctx context.Context, event *Publish) Answer {
	return ask(ctx, c, &publishRules, c.publish, event)
}

// Call asks for the answer to a remote procedure call: the first Allow or Deny stands, Pass when nobody knows the method.
func (c *Chain) Call(ctx context.Context, event *RPC) Answer {
	return ask(ctx, c, &rpcRules, c.rpc, event)
}

// ask is the whole of a chain: every plugin in turn, until one of them settles the matter.
func ask[E any](ctx context.Context, c *Chain, rules *rules[E], seats []seat[E], event *E) Answer {
	result := Answer{Verdict: Pass}
	for i := range seats {
		s := &seats[i]
		before := rules.snapshot(event)
		start := time.Now()
		answer, fault := call(ctx, s, event, start)
		if fault == nil {
			answer, fault = rules.check(answer, before, event)
		}
		if fault != nil {
			*event = before
			answer = s.meaningOfFault()
			fault = fmt.Errorf("plugin %s: on_%s: %w", s.Plugin.Name(), rules.hook, fault)
		}
		if c.observer != nil && (answer.Verdict != Pass || answer.Modified || fault != nil) {
			d := Decision{Hook: rules.hook, Plugin: s.Plugin.Name(), Hash: s.hash, Verdict: answer.Verdict, Modified: answer.Modified,
				Code: answer.Code, Reason: answer.Reason, Fault: fault, Duration: time.Since(start)}
			d.Client, d.Channel, d.Message = rules.describe(event)
			c.observer.Decided(d)
		}
		switch answer.Verdict {
		case Deny, Drop:
			return answer
		case Allow:
			result.Verdict = Allow
		}
		result.Modified = result.Modified || answer.Modified
		if result.Verdict == Allow && rules.firstAllowAnswers {
			return result
		}
	}
	return result
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
func call[E any](parent context.Context, s *seat[E], event *E, start time.Time) (answer Answer, fault error) {
	ctx := borrowContext(parent, start.Add(s.Deadline))
	defer func() {
		ctx.giveBack()
		if v := recover(); v != nil {
			fault = &PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	return s.ask(ctx, event)
}
