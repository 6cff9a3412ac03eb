package history

import (
	"context"
	"crypto/rand"
	"hash/maphash"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/zenconn/server/core"
)

// Options of a Memory. Zero fields take the value in brackets.
type Options struct {
	// MetaTTL is how long the position of a channel is remembered when nobody published, read or asked for it [24 h]. It bounds the
	// memory that somebody can take with ever new names, 250 bytes or so for each, and is the longest absence after which a client
	// can still recover. While publications are kept, so is the position.
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
	sweepStride   = 1024 // Channels that a sweep looks at before it lets others have the shard, some 100 µs.
)

type shard struct {
	mu       sync.Mutex // Guards the map and the logs in it.
	channels map[string]*log
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
	now, seen, forgotten := time.Now(), 0, 0
	for name, l := range s.channels {
		l.expire(now)
		if l.count == 0 && now.Sub(l.used) >= metaTTL {
			delete(s.channels, name)
			forgotten++
		}
		if seen++; seen%sweepStride == 0 { // A map may change while it is ranged over.
			s.mu.Unlock()
			s.mu.Lock()
		}
	}
	if forgotten > len(s.channels) { // Maps do not shrink by themselves.
		remaining := make(map[string]*log, len(s.channels))
		maps.Copy(remaining, s.channels)
		s.channels = remaining
	}
}

// lock returns the log of a channel, with its shard locked; a new one when the channel is not known.
func (m *Memory) lock(channel string) (*shard, *log) {
	s := &m.shards[maphash.String(m.seed, channel)%shardCount]
	s.mu.Lock()
	now := time.Now()
	l := s.channels[channel]
	if l == nil {
		l = &log{epoch: strings.Clone(rand.Text()[:8])}
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
	l.push(entry{pub, l.used}, max(limits.Size, 0))
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
	from, to := 0, l.count // Of the entries, the oldest first.
	if q.Since != nil {
		if q.Since.Epoch != "" && q.Since.Epoch != l.epoch {
			return nil, at, core.ErrUnrecoverablePosition
		}
		if q.Reverse && q.Since.Offset == 0 {
			return nil, at, core.ErrBadRequest.Saying("nothing lies before offset 0")
		}
		if q.Reverse {
			to = l.upTo(q.Since.Offset - 1)
		} else {
			from = l.upTo(q.Since.Offset)
		}
	}
	n, limit := to-from, to-from
	if q.Limit >= 0 {
		limit = min(n, q.Limit)
	}
	pubs, now := make([]*core.Publication, 0, limit), l.used.Unix()
	for i := 0; i < n && len(pubs) < limit; i++ {
		pub := l.entry(from + i).pub
		if q.Reverse {
			pub = l.entry(to - 1 - i).pub
		}
		if !pub.Expired(now) {
			pubs = append(pubs, pub)
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
	n := int(l.top - since.Offset)
	missed, now := make([]*core.Publication, 0, n), l.used.Unix()
	for i := l.count - n; i < l.count; i++ {
		if pub := l.entry(i).pub; !pub.Expired(now) {
			missed = append(missed, pub)
		}
	}
	return missed, at, true, nil
}

// Remove implements Store.
func (m *Memory) Remove(_ context.Context, channel string) error {
	s, l := m.lock(channel)
	defer s.mu.Unlock()
	l.clear()
	return nil
}
