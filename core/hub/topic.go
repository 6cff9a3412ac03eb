package hub

import (
	"hash/maphash"
	"sync"
	"sync/atomic"

	"github.com/zenconn/server/core/channel"
	"github.com/zenconn/server/core/outbound"
)

// topic is one channel with members, or with a publication under way.
type topic struct {
	// Fixed after construction.
	name  string
	flow  *flow  // nil: the hub has no relay.
	batch *batch // nil: publications do not wait for others.

	order  *ordering    // nil until something is published into a history; set once, under mu.
	number atomic.Int64 // Stands for the name in pushes to some of the members; 0: to none of them. It is given once, under mu.

	mu      sync.RWMutex // Guards all below.
	members []*Member
	holders int32 // Publications under way.
	gone    bool  // Removed from its shard; look the channel up again.

	lane outbound.Lane // Fixed.
}

// shardCount spreads the channels so that their look-ups do not meet. A power of two.
const shardCount = 64

type shard struct {
	mu     sync.RWMutex // Held for map work only.
	topics map[string]*topic
}

type shards struct {
	seed  maphash.Seed
	flows bool // New topics get one.
	all   [shardCount]shard

	channels, members atomic.Int64 // Channels with members, and those.
}

// counts may be called at any time, and costs nothing: gauges are read often.
func (s *shards) counts() (channels, members int) {
	return int(s.channels.Load()), int(s.members.Load())
}

func (s *shards) make() {
	for i := range s.all {
		s.all[i].topics = make(map[string]*topic)
	}
}

func (s *shards) of(channel string) *shard {
	return &s.all[maphash.String(s.seed, channel)%shardCount]
}

// find returns the topic of a channel, or nil.
func (s *shards) find(channel string) *topic {
	sh := s.of(channel)
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	return sh.topics[channel]
}

// list returns the topics of a shard.
func (sh *shard) list() []*topic {
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	topics := make([]*topic, 0, len(sh.topics))
	for _, t := range sh.topics {
		topics = append(topics, t)
	}
	return topics
}

// lock returns the topic of a channel with its mu held for writing, and makes it if there is none.
func (s *shards) lock(name string, ns *channel.Namespace) *topic {
	sh := s.of(name)
	for {
		sh.mu.RLock()
		t := sh.topics[name]
		sh.mu.RUnlock()
		if t == nil {
			sh.mu.Lock()
			if t = sh.topics[name]; t == nil {
				t = &topic{name: name, lane: outbound.Lane{Policy: policy(ns)}}
				if ns.Batch.Delay > 0 {
					t.batch = &batch{options: ns.Batch}
				}
				if s.flows {
					t.flow = new(flow)
				}
				sh.topics[name] = t
			}
			sh.mu.Unlock()
		}
		t.mu.Lock()
		if !t.gone {
			return t
		}
		t.mu.Unlock()
	}
}

// unlock releases the topic, and forgets it when nobody needs it any more.
func (s *shards) unlock(t *topic) {
	t.gone = len(t.members) == 0 && t.holders == 0
	gone := t.gone
	if gone {
		sh := s.of(t.name)
		sh.mu.Lock()
		delete(sh.topics, t.name)
		sh.mu.Unlock()
	}
	t.mu.Unlock()
}

func (s *shards) addLocked(t *topic, m *Member) {
	s.members.Add(1)
	if len(t.members) == 0 {
		s.channels.Add(1)
	}
	m.topic, m.index = t, int32(len(t.members)) //nolint:gosec // There are fewer.
	t.members = append(t.members, m)
}

// removeLocked reports whether m was still a member.
func (s *shards) removeLocked(t *topic, m *Member) bool {
	last := int32(len(t.members) - 1) //nolint:gosec // There are fewer.
	if m.index > last || t.members[m.index] != m {
		return false
	}
	t.members[m.index] = t.members[last]
	t.members[m.index].index = m.index
	t.members[last] = nil
	t.members = t.members[:last]
	s.members.Add(-1)
	if last == 0 {
		s.channels.Add(-1)
	}
	if cap(t.members) > 64 && len(t.members) < cap(t.members)/4 {
		t.members = append(make([]*Member, 0, 2*len(t.members)), t.members...)
	}
	return true
}
