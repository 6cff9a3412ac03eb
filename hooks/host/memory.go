package host

import (
	"bytes"
	"context"
	"sync"
	"time"
)

// maxMemory is what a Memory may hold, in bytes of keys and values and a little for each entry.
const (
	maxMemory     = 64 << 20
	entryOverhead = 128
)

// Memory is a KV in the memory of this process.
type Memory struct {
	mu       sync.Mutex // Guards all below. Nobody waits while holding it.
	entries  map[entryKey]entry
	size     int
	revision uint64
}

type entryKey struct{ plugin, key string }

type entry struct {
	value    []byte // Never changed.
	revision uint64
	expires  time.Time // Zero: never.
}

func (e entry) expired(now time.Time) bool { return !e.expires.IsZero() && !now.Before(e.expires) }

func sizeOf(k entryKey, e entry) int {
	return len(k.plugin) + len(k.key) + len(e.value) + entryOverhead
}

// NewMemory makes an empty one.
func NewMemory() *Memory { return &Memory{entries: map[entryKey]entry{}} }

// Get implements KV.
func (m *Memory) Get(_ context.Context, plugin, key string) (value []byte, revision uint64, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.findLocked(entryKey{plugin, key})
	return e.value, e.revision, nil
}

// Set implements KV.
func (m *Memory) Set(_ context.Context, plugin, key string, value []byte, ttl time.Duration) (revision uint64, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.putLocked(entryKey{plugin, key}, value, ttl)
}

// Swap implements KV.
func (m *Memory) Swap(_ context.Context, plugin, key string, value []byte, ttl time.Duration, revision uint64) (next uint64, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.findLocked(entryKey{plugin, key}).revision != revision {
		return 0, nil
	}
	return m.putLocked(entryKey{plugin, key}, value, ttl)
}

// Delete implements KV.
func (m *Memory) Delete(_ context.Context, plugin, key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.removeLocked(entryKey{plugin, key})
	return nil
}

// findLocked returns the zero entry when there is none.
func (m *Memory) findLocked(k entryKey) entry {
	e, ok := m.entries[k]
	if ok && e.expired(time.Now()) {
		m.removeLocked(k)
		return entry{}
	}
	return e
}

func (m *Memory) putLocked(k entryKey, value []byte, ttl time.Duration) (uint64, error) {
	e := entry{value: bytes.Clone(value)}
	now := time.Now()
	if ttl > 0 {
		e.expires = now.Add(ttl)
	}
	m.sweepLocked(now, 4)
	grows := sizeOf(k, e)
	if old, ok := m.entries[k]; ok {
		grows -= sizeOf(k, old)
	}
	if m.size+grows > maxMemory {
		m.sweepLocked(now, 1000)
	}
	if m.size+grows > maxMemory {
		return 0, Failure("the store is full")
	}
	m.revision++
	e.revision = m.revision
	m.entries[k] = e
	m.size += grows
	return e.revision, nil
}

func (m *Memory) removeLocked(k entryKey) {
	if e, ok := m.entries[k]; ok {
		m.size -= sizeOf(k, e)
		delete(m.entries, k)
	}
}

// sweepLocked looks at a few entries, always others, and forgets those whose time is over: more than come in.
func (m *Memory) sweepLocked(now time.Time, most int) {
	for k, e := range m.entries {
		if e.expired(now) {
			m.removeLocked(k)
		}
		if most--; most <= 0 {
			return
		}
	}
}
