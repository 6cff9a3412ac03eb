package chaos

import (
	"slices"
	"time"
)

// Heard says how many subscribers a publication came to, and how.
type Heard struct {
	Live      int // As it was published, over a connection that lasted for a while after.
	Doubtful  int // The same, over one that broke soon after: what the server knew of it may have been lost with its process.
	Recovered int // With the answer to a subscription.
}

// Heard returns what came of each channel's publications: of number n at index n. A connection that broke makes doubtful what came in
// the time before. It is called when the fleet is silent.
func (f *Fleet) Heard(doubt time.Duration) map[string][]Heard {
	all := make(map[string][]Heard, len(f.speakers))
	for _, h := range f.hearers {
		h.client.mu.Lock()
		visits := slices.Clone(h.visits)
		h.client.mu.Unlock()
		h.mu.Lock()
		counts := all[h.channel]
		for _, one := range h.heard {
			if missing := int(one.number) + 1 - len(counts); missing > 0 {
				counts = append(counts, make([]Heard, missing)...)
			}
			for len(visits) > 0 && !visits[0].Ended.IsZero() && visits[0].Ended.Before(one.at) {
				visits = visits[1:]
			}
			switch c := &counts[one.number]; {
			case one.recovered:
				c.Recovered++
			case len(visits) > 1 && visits[0].Ended.Sub(one.at) <= doubt:
				c.Doubtful++
			default:
				c.Live++
			}
		}
		h.mu.Unlock()
		all[h.channel] = counts
	}
	return all
}

// Visits returns all connections that the clients have had.
func (f *Fleet) Visits() (all []Visit) {
	take := func(c *client) {
		c.mu.Lock()
		defer c.mu.Unlock()
		all = append(all, c.visits...)
	}
	for _, h := range f.hearers {
		take(h.client)
	}
	for _, s := range f.speakers {
		take(s.client)
	}
	return all
}

// Listeners returns how many subscribers each channel has.
func (f *Fleet) Listeners() map[string]int {
	n := make(map[string]int, len(f.speakers))
	for _, h := range f.hearers {
		n[h.channel]++
	}
	return n
}

// Answered returns when each of the acknowledged publications was, in the order of Numbers.
func (f *Fleet) Answered() map[string][]time.Time {
	all := make(map[string][]time.Time, len(f.speakers))
	for _, s := range f.speakers {
		s.mu.Lock()
		all[s.channel] = slices.Clone(s.answered)
		s.mu.Unlock()
	}
	return all
}
