package door

import (
	"net"
	"net/netip"
	"sync"
	"time"
)

// mostAddresses bounds what is remembered: about 4 MiB. When more addresses come at a time, the ones too many are not limited.
const mostAddresses = 1 << 16

// addresses is a token bucket for each address that has connected lately. A bucket that is full again is forgotten.
type addresses struct {
	rate, burst float64

	mu      sync.Mutex // Guards all below.
	buckets map[netip.Addr]bucket
	swept   time.Time
}

// bucket is what an address has left, at a time.
type bucket struct {
	tokens float64
	at     time.Time
}

// newAddresses lets so many connections per second in from each address, and two seconds' worth at once.
func newAddresses(perSecond float64) *addresses {
	return &addresses{rate: perSecond, burst: max(2*perSecond, 1), buckets: make(map[netip.Addr]bucket)}
}

// allow reports whether a connection from an address is within its limit.
func (a *addresses) allow(from net.Addr, now time.Time) bool {
	at, err := netip.ParseAddrPort(from.String())
	if err != nil {
		return true // It comes over no network.
	}
	who := household(at.Addr())
	a.mu.Lock()
	defer a.mu.Unlock()
	b, known := a.buckets[who]
	if !known {
		if len(a.buckets) >= mostAddresses {
			a.sweepLocked(now)
		}
		if len(a.buckets) >= mostAddresses {
			return true
		}
		b = bucket{a.burst, now}
	}
	b = a.filled(b, now)
	if b.tokens < 1 {
		a.buckets[who] = b
		return false
	}
	b.tokens--
	a.buckets[who] = b
	return true
}

// filled returns a bucket as it is now.
func (a *addresses) filled(b bucket, now time.Time) bucket {
	return bucket{min(b.tokens+a.rate*max(now.Sub(b.at).Seconds(), 0), a.burst), now}
}

// sweepLocked forgets the buckets that are full, once a second at most.
func (a *addresses) sweepLocked(now time.Time) {
	if now.Sub(a.swept) < time.Second {
		return
	}
	a.swept = now
	for who, b := range a.buckets {
		if a.filled(b, now).tokens >= a.burst {
			delete(a.buckets, who)
		}
	}
}

// household returns what stands for one customer: an IPv4 address, or the /64 that an IPv6 customer has all of.
func household(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if a.Is6() {
		prefix, _ := a.Prefix(64) //nolint:errcheck // IPv6 addresses have 128 bits.
		return prefix.Addr()
	}
	return a
}
