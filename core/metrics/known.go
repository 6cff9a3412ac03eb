package metrics

import (
	"maps"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// known remembers what was looked up by labels, for what is counted with every message: a look-up in a vector hashes the labels and
// compares them, under a lock. Keys come from the configuration or the code, never from clients, and so there are few.
type known[T any] struct {
	make func(name string) T
	all  atomic.Pointer[map[string]T]
	mu   sync.Mutex // Held to change all.
}

func newKnown[T any](look func(name string) T) *known[T] {
	k := &known[T]{make: look}
	k.all.Store(&map[string]T{})
	return k
}

func (k *known[T]) get(name string) T {
	if one, ok := (*k.all.Load())[name]; ok {
		return one
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	more := maps.Clone(*k.all.Load())
	one, ok := more[name]
	if !ok {
		one = k.make(name)
		more[name] = one
		k.all.Store(&more)
	}
	return one
}

// traffic is what is counted of a namespace.
type traffic struct{ publications, deliveries prometheus.Counter }

// Command returns the counter of a command.
func (m *Metrics) Command(name string) prometheus.Counter { return m.commands.get(name) }

// Published counts a publication that was accepted, and the subscribers it was queued for.
func (m *Metrics) Published(namespace string, deliveries int) {
	t := m.traffic.get(namespace)
	t.publications.Inc()
	t.deliveries.Add(float64(deliveries))
}

// Delivered counts subscribers that a publication was queued for later.
func (m *Metrics) Delivered(namespace string, deliveries int) {
	m.traffic.get(namespace).deliveries.Add(float64(deliveries))
}
