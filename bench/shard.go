package bench

import "sync"

// shard collects what some of the connections find out, so that readers do not meet at one counter. A reader holds mu while it
// works off what it read.
type shard struct {
	mu         sync.Mutex
	received   uint64 // Publications, without duplicates.
	answered   uint64 // Publish commands that were acknowledged.
	measured   uint64 // What the scenario counts, within the measured time.
	latency    Histogram
	duplicate  uint64
	reordered  uint64
	stray      uint64 // Publications of other channels.
	damaged    uint64 // Publications whose mark is missing or whose payload is too short.
	refused    uint64
	subscribed uint64 // Subscribe commands that succeeded after the connection was made.
	ended      uint64 // Connections that ended before the run did.
	faults     map[string]uint64

	bytes    uint64 // Read from the network.
	inflater inflater

	dirty []*client // Clients with something to send. Guarded by mu.
}

// maxFaults bounds how many different errors are kept.
const maxFaults = 16

func (s *shard) fault(err error) {
	if s.faults == nil {
		s.faults = map[string]uint64{}
	}
	text := err.Error()
	if _, known := s.faults[text]; known || len(s.faults) < maxFaults {
		s.faults[text]++
	}
}

// flushLater remembers that c has something to send; the reader flushes it when it has worked off what it read.
func (s *shard) flushLater(c *client) {
	s.dirty = append(s.dirty, c)
}

// flush sends what the clients of the list queued, without holding mu meanwhile. A loop shares its shard with the goroutines that read
// connections with TLS.
func (s *shard) flush() {
	s.mu.Lock()
	dirty := s.dirty
	s.dirty = nil
	s.mu.Unlock()
	if len(dirty) == 0 {
		return
	}
	for _, c := range dirty {
		if err := c.flush(); err != nil {
			c.abort()
		}
	}
	clear(dirty)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dirty == nil {
		s.dirty = dirty[:0]
	}
}
