package history

import (
	"time"

	"github.com/zenconn/server/core"
)

// log is one channel. Its entries are a ring that grows up to the limit. The lock of its shard guards it.
type log struct {
	epoch string
	top   uint64 // Offset of the last publication, kept or not.
	used  time.Time
	ttl   time.Duration // As the last append said.

	ring  []entry
	first int // Index of the oldest entry.
	count int
}

type entry struct {
	pub *core.Publication
	at  time.Time
}

func (l *log) position() core.Position { return core.Position{Offset: l.top, Epoch: l.epoch} }

// entry returns an entry by its age, 0 the oldest.
func (l *log) entry(i int) *entry { return &l.ring[(l.first+i)%len(l.ring)] }

// upTo returns how many of the entries have an offset of at most offset.
func (l *log) upTo(offset uint64) int {
	gone := l.top - uint64(l.count)
	return int(min(max(offset, gone), l.top) - gone)
}

// push adds an entry and drops the oldest beyond size, which may differ from call to call.
func (l *log) push(e entry, size int) {
	for l.count > 0 && l.count >= size {
		l.pop()
	}
	switch {
	case size == 0:
		l.clear()
		return
	case len(l.ring) > size:
		l.resize(size) // The limit was lowered.
	case l.count == len(l.ring):
		l.resize(min(max(2*l.count, 4), size))
	}
	l.count++
	*l.entry(l.count - 1) = e
}

func (l *log) resize(size int) {
	ring := make([]entry, size)
	for i := range l.count {
		ring[i] = *l.entry(i)
	}
	l.ring, l.first = ring, 0
}

func (l *log) pop() {
	*l.entry(0) = entry{}
	l.first = (l.first + 1) % len(l.ring)
	l.count--
}

func (l *log) clear() { l.ring, l.first, l.count = nil, 0, 0 }

// expire drops entries that are older than the time to live.
func (l *log) expire(now time.Time) {
	if l.ttl <= 0 || l.count == 0 {
		return
	}
	for l.count > 0 && now.Sub(l.entry(0).at) >= l.ttl {
		l.pop()
	}
	if l.count == 0 {
		l.clear()
	}
}
