package history

import (
	"context"
	"crypto/rand"
	"hash/maphash"
	"sync"
	"time"

	"github.com/zenconn/server/core"
)

// Options of a Memory. Zero fields take the value in brackets.
type Options struct {
	// MetaTTL is how long the position of a channel that nobody uses is remembered [24 h]. It bounds the memory that names of
	// channels cost, and must exceed the time after which clients still hope to recover.
	MetaTTL time.Duration
}

// Memory is a Store in memory: lost with the process, and with it its epochs.
type Memory struct {
	metaTTL time.Duration
	seed    maphash.Seed
	shards  [shardCount]shard
}

const (
	shardCount    = 64
	sweepInterval = 10 * time.Second
)

type shard struct {
	mu       sync.Mutex // Guards the map and the logs in it.
	channels map[string]*log
}

// log is one channel. Its entries are a ring that grows up to the limit.
type log struct {
	epoch string
	top   uint64 // Offset of the last publication.
	used  time.Time
	ttl   time.Duration

	ring  []entry
	first int // Index of the oldest entry.
	count int
}

type entry struct {
	pub *core.Publication
	at  time.Time
}

// NewMemory makes an empty store. Run drops what is too old.
func NewMemory(o Options) *Memory {
	if o.MetaTTL <= 0 {
		o.MetaTTL = 24 * time.Hour
	}
	m := &Memory{metaTTL: o.MetaTTL, seed: maphash.MakeSeed()}
	for i := range m.shards {
		m.shards[i].channels = make(map[string]*log)
	}
	return m
}

// Run frees what is too old until ctx ends. What is too old is never returned, with or without it.
func (m *Memory) Run(ctx context.Context) {
	ticker := time.NewTicker(sweepInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			for i := range m.shards {
				m.shards[i].sweep(m.metaTTL)
			}
		}
	}
}

func (s *shard) sweep(metaTTL time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for name, l := range s.channels {
		l.expire(now)
		if l.count == 0 && now.Sub(l.used) >= metaTTL {
			delete(s.channels, name)
		}
	}
}

// lock returns the log of a channel, with its shard locked; a new one when the channel is not known.
func (m *Memory) lock(channel string) (*shard, *log) {
	s := &m.shards[maphash.String(m.seed, channel)%shardCount]
	s.mu.Lock()
	now := time.Now()
	l := s.channels[channel]
	if l == nil {
		l = &log{epoch: rand.Text()[:8]}
		s.channels[channel] = l
	}
	l.used = now
	l.expire(now)
	return s, l
}

// Append implements Store.
func (m *Memory) Append(_ context.Context, channel string, pub *core.Publication, limits Limits) (core.Position, error) {
	s, l := m.lock(channel)
	defer s.mu.Unlock()
	l.top++
	pub.Offset = l.top
	l.ttl = limits.TTL
	l.push(entry{pub, l.used}, limits.Size)
	return l.position(), nil
}

// Position implements Store.
func (m *Memory) Position(_ context.Context, channel string) (core.Position, error) {
	s, l := m.lock(channel)
	defer s.mu.Unlock()
	return l.position(), nil
}

// Read implements Store.
func (m *Memory) Read(_ context.Context, channel string, q Query) ([]*core.Publication, core.Position, error) {
	s, l := m.lock(channel)
	defer s.mu.Unlock()
	at := l.position()
	if q.Since != nil && q.Since.Epoch != "" && q.Since.Epoch != l.epoch {
		return nil, at, core.ErrUnrecoverablePosition
	}
	from, to := 0, l.count // Of the entries, the oldest first.
	oldest := l.top - uint64(l.count) + 1
	if q.Since != nil {
		if q.Reverse {
			to = int(min(max(q.Since.Offset, oldest)-oldest, uint64(l.count)))
		} else {
			from = int(min(max(q.Since.Offset+1, oldest)-oldest, uint64(l.count)))
		}
	}
	n := to - from
	if q.Limit >= 0 {
		n = min(n, q.Limit)
	}
	pubs := make([]*core.Publication, n)
	for i := range pubs {
		if q.Reverse {
			pubs[i] = l.entry(to - 1 - i).pub
		} else {
			pubs[i] = l.entry(from + i).pub
		}
	}
	return pubs, at, nil
}

// Recover implements Store.
func (m *Memory) Recover(_ context.Context, channel string, since core.Position) ([]*core.Publication, core.Position, bool, error) {
	s, l := m.lock(channel)
	defer s.mu.Unlock()
	at := l.position()
	if since.Epoch != l.epoch || since.Offset > l.top || l.top-since.Offset > uint64(l.count) {
		return nil, at, false, nil
	}
	missed := make([]*core.Publication, l.top-since.Offset)
	for i := range missed {
		missed[i] = l.entry(l.count - len(missed) + i).pub
	}
	return missed, at, true, nil
}

// Remove implements Store.
func (m *Memory) Remove(_ context.Context, channel string) error {
	s, l := m.lock(channel)
	defer s.mu.Unlock()
	l.ring, l.first, l.count = nil, 0, 0
	return nil
}

func (l *log) position() core.Position { return core.Position{Offset: l.top, Epoch: l.epoch} }

// entry returns an entry by its age, 0 the oldest.
func (l *log) entry(i int) *entry { return &l.ring[(l.first+i)%len(l.ring)] }

// push adds an entry and drops the oldest beyond size, which may differ from call to call.
func (l *log) push(e entry, size int) {
	for l.count >= max(size, 1) {
		l.pop()
	}
	if l.count == len(l.ring) {
		grown := make([]entry, min(max(2*l.count, 4), max(size, 1)))
		for i := range l.count {
			grown[i] = *l.entry(i)
		}
		l.ring, l.first = grown, 0
	}
	l.count++
	*l.entry(l.count - 1) = e
}

func (l *log) pop() {
	*l.entry(0) = entry{}
	l.first = (l.first + 1) % len(l.ring)
	l.count--
}

// expire drops entries that are older than the time to live.
func (l *log) expire(now time.Time) {
	if l.ttl <= 0 {
		return
	}
	for l.count > 0 && now.Sub(l.entry(0).at) >= l.ttl {
		l.pop()
	}
	if l.count == 0 && l.ring != nil {
		l.ring, l.first = nil, 0
	}
}
