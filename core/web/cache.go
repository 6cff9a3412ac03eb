package web

import "sync"

// cacheSize bounds what one cache keeps, in bytes.
const cacheSize = 32 << 20

// cache keeps what was computed from files, by file name. The zero value is ready. It makes each value once even when many ask
// at the same time, and keeps only the newest version of a file.
type cache[T any] struct {
	mu      sync.Mutex
	entries map[string]*cacheEntry[T]
	size    int64
}

type cacheEntry[T any] struct {
	version string
	once    sync.Once

	// Set by once.
	value T
	size  int64
	err   error

	kept bool // Guarded by cache.mu: size is counted.
}

// get returns the value for this version of the file, made by compute unless it is there already. An error is not kept. When the
// cache is full the value is returned and forgotten.
func (c *cache[T]) get(name, version string, compute func() (T, int64, error)) (T, error) {
	e := c.entry(name, version)
	e.once.Do(func() {
		e.value, e.size, e.err = compute()
		c.settle(name, e)
	})
	return e.value, e.err
}

func (c *cache[T]) entry(name, version string) *cacheEntry[T] {
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.entries[name]
	if old != nil && old.version == version {
		return old
	}
	c.dropLocked(name, old)
	if c.entries == nil {
		c.entries = map[string]*cacheEntry[T]{}
	}
	e := &cacheEntry[T]{version: version}
	c.entries[name] = e
	return e
}

// settle keeps a finished entry or drops it.
func (c *cache[T]) settle(name string, e *cacheEntry[T]) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.entries[name] != e {
		return // A newer version of the file came meanwhile.
	}
	if e.err != nil || c.size+e.size > cacheSize {
		c.dropLocked(name, e)
		return
	}
	e.kept = true
	c.size += e.size
}

func (c *cache[T]) dropLocked(name string, e *cacheEntry[T]) {
	if e == nil {
		return
	}
	if e.kept {
		c.size -= e.size
	}
	delete(c.entries, name)
}
