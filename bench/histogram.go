package bench

import (
	"math/bits"
	"time"
)

// Histogram counts durations in buckets that are at most 1.6 % wide, from a nanosecond to about an hour; longer ones count as
// that. The zero value is empty. It is not safe for concurrent use.
type Histogram struct {
	counts [buckets]uint64
	total  uint64
	max    time.Duration
}

const (
	subBits  = 6 // Buckets per doubling: 64.
	maxBits  = 42
	buckets  = (maxBits - subBits + 1) << subBits
	maxValue = 1<<maxBits - 1
)

// Record counts d. A negative duration counts as none.
func (h *Histogram) Record(d time.Duration) {
	d = max(d, 0)
	h.counts[bucket(uint64(d))]++
	h.total++
	h.max = max(h.max, d)
}

func bucket(v uint64) int {
	v = min(v, maxValue)
	shift := max(bits.Len64(v)-subBits-1, 0)
	return shift<<subBits + int(v>>shift)
}

// upper returns the largest value of a bucket.
func upper(i int) time.Duration {
	if i < 2<<subBits {
		return time.Duration(i)
	}
	shift := i>>subBits - 1
	return time.Duration((uint64(i)-uint64(shift)<<subBits+1)<<shift - 1)
}

// Add counts all of other's durations, too.
func (h *Histogram) Add(other *Histogram) {
	for i, n := range other.counts {
		h.counts[i] += n
	}
	h.total += other.total
	h.max = max(h.max, other.max)
}

// Count returns how many durations were recorded.
func (h *Histogram) Count() uint64 { return h.total }

// Max returns the longest duration, exactly.
func (h *Histogram) Max() time.Duration { return h.max }

// Quantile returns the duration that a share q (0 to 1) of all does not exceed, at most 1.6 % too long; 0 when there is none.
func (h *Histogram) Quantile(q float64) time.Duration {
	if h.total == 0 {
		return 0
	}
	rank := min(max(uint64(q*float64(h.total)+0.999999), 1), h.total)
	var seen uint64
	for i, n := range h.counts {
		if seen += n; seen >= rank {
			return min(upper(i), h.max)
		}
	}
	return h.max
}

// Bar is a range of durations and how many lie in it.
type Bar struct {
	To    time.Duration // The longest one.
	Count uint64
}

// Bars returns the distribution in steps of doubling durations, without the empty ones at both ends.
func (h *Histogram) Bars() []Bar {
	var all []Bar
	first, last := -1, -1
	var i int
	for to := uint64(1); to <= maxValue; to <<= 1 {
		var n uint64
		for ; i < buckets && upper(i) < time.Duration(to); i++ {
			n += h.counts[i]
		}
		if n > 0 {
			last = len(all)
			if first < 0 {
				first = len(all)
			}
		}
		all = append(all, Bar{time.Duration(to), n})
	}
	if first < 0 {
		return nil
	}
	return all[first : last+1]
}
