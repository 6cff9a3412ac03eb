package session

import (
	"context"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/channel"
	"github.com/zenconn/server/hooks"
)

// Namespaces finds the options of a channel, or says why there is no such channel. What it returns is immutable. Implemented by
// *channel.Namespaces, and by *Channels, which asks the plugins too. Resolve may be called concurrently.
type Namespaces interface {
	Resolve(channel string) (*channel.Namespace, *core.Error)
}

// What the plugins said about channels is remembered for so many names and so long.
const (
	channelsKept   = 1 << 16
	channelsFor    = 5 * time.Minute
	channelsShards = 16
)

// Channels are namespaces whose channels' options the plugins decide, once per name, if any wants to. An answer is a look-up away until it
// is too old, other names are used more, or the plugins are replaced; a fault is not remembered. Subscriptions keep what they began with.
type Channels struct {
	base  Namespaces
	hooks *hooks.Chain
	seed  maphash.Seed

	shards [channelsShards]channelShard
}

// channelShard evicts by the clock algorithm, which approximates the least recently used without a write per look-up.
type channelShard struct {
	mu    sync.RWMutex
	known map[string]*knownChannel
	ring  []*knownChannel // All of known; as long as it is full, hand goes round for the next to give up its place.
	hand  int
}

// knownChannel is what was said about one name. Only used changes.
type knownChannel struct {
	name    string
	ns      *channel.Namespace // nil when the name was refused,
	refused *core.Error        // with this.
	until   time.Time
	by      uint64 // The generation of plugins that said it.
	used    atomic.Bool
}

// NewChannels makes namespaces of base's with what the chain's plugins say about their channels.
func NewChannels(base Namespaces, chain *hooks.Chain) *Channels {
	c := &Channels{base: base, hooks: chain, seed: maphash.MakeSeed()}
	for i := range c.shards {
		c.shards[i].known = make(map[string]*knownChannel)
	}
	return c
}

// Resolve implements Namespaces.
func (c *Channels) Resolve(name string) (*channel.Namespace, *core.Error) {
	if !c.hooks.Has(hooks.OnChannel) {
		return c.base.Resolve(name)
	}
	generation := c.hooks.Generation() // Asked before the plugins are: what they say may be too new for it, and is never too old.
	s := &c.shards[maphash.String(c.seed, name)%channelsShards]
	s.mu.RLock()
	k := s.known[name]
	s.mu.RUnlock()
	if k != nil && k.by == generation && time.Now().Before(k.until) {
		if !k.used.Load() {
			k.used.Store(true)
		}
		return k.ns, k.refused
	}
	ns, bad := c.base.Resolve(name)
	if bad != nil {
		return nil, bad // Strangers' nonsense is not worth a place.
	}
	if ns.Reserved {
		return ns, nil
	}
	event := &hooks.Channel{Channel: name, Namespace: ns.Name, Options: optionsOf(ns)}
	answer := c.hooks.Channel(context.Background(), event)
	k = &knownChannel{name: name, until: time.Now().Add(channelsFor), by: generation}
	switch {
	case answer.Verdict != hooks.Deny:
		k.ns = with(ns, event.Options)
	case answer.Code == core.ErrInternal.Code:
		return nil, core.ErrInternal
	default:
		k.refused = refusedName(answer)
	}
	s.remember(k)
	return k.ns, k.refused
}

// refusedName is error 102, with the plugin's own sentence if it has one.
func refusedName(a hooks.Answer) *core.Error {
	if a.Reason == core.ErrPermissionDenied.Message {
		return core.ErrUnknownChannel
	}
	return &core.Error{Code: core.ErrUnknownChannel.Code, Message: a.Reason}
}

func (s *channelShard) remember(k *knownChannel) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.known[k.name]
	s.known[k.name] = k
	switch {
	case old != nil:
		for i := range s.ring { // Rare: an answer grew too old, or two were asked at once.
			if s.ring[i] == old {
				s.ring[i] = k
			}
		}
	case len(s.ring) < channelsKept/channelsShards:
		s.ring = append(s.ring, k)
	default:
		for s.ring[s.hand].used.Swap(false) {
			s.hand = (s.hand + 1) % len(s.ring)
		}
		delete(s.known, s.ring[s.hand].name)
		s.ring[s.hand] = k
		s.hand = (s.hand + 1) % len(s.ring)
	}
}

func optionsOf(ns *channel.Namespace) hooks.ChannelOptions {
	return hooks.ChannelOptions{
		Subscribe: ns.Subscribe.String(), Publish: ns.Publish.String(), Presence: ns.Presence, JoinLeave: ns.JoinLeave,
		HistorySize: ns.HistorySize, HistoryTTL: ns.HistoryTTL, Recovery: ns.Recovery, ExcludeSender: ns.ExcludeSender,
		SlowConsumer: ns.SlowConsumer.String(),
	}
}

// with returns ns with other options; ns itself when they are the same. The chain has checked the words.
func with(ns *channel.Namespace, o hooks.ChannelOptions) *channel.Namespace {
	if o == optionsOf(ns) {
		return ns
	}
	own := *ns
	own.Subscribe, _ = channel.ParseRule(o.Subscribe)
	own.Publish, _ = channel.ParseRule(o.Publish)
	own.SlowConsumer, _ = channel.ParseSlowPolicy(o.SlowConsumer)
	own.Presence, own.JoinLeave, own.Recovery, own.ExcludeSender = o.Presence, o.JoinLeave, o.Recovery, o.ExcludeSender
	if !ns.Durable || o.HistorySize == 0 { // A history in files is made for its namespace: a channel has it or not.
		own.HistorySize, own.HistoryTTL = o.HistorySize, o.HistoryTTL
	}
	return &own
}
