package hooks

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Breaker says when a hook of a failing plugin is cut out of the chain, so that it costs neither its deadline nor the log on every message.
// What a client can provoke must not cut others off: faults count that come in a row, with no good answer in between. Only those of
// time, which are dear, count whatever comes in between. The zero value never cuts.
type Breaker struct {
	Faults   int           // Faults that open it, when they come
	Window   time.Duration // within this time.
	Cooldown time.Duration // How long it stays open before one call tries again.
}

// BreakerState is whether a hook of a plugin is asked.
type BreakerState uint8

// The states of a breaker.
const (
	BreakerClosed   BreakerState = iota // It is asked.
	BreakerOpen                         // It is not asked: every answer is the fault ErrBreakerOpen.
	BreakerHalfOpen                     // One call is trying whether it works again; the others are answered as when open.
)

func (s BreakerState) String() string {
	switch s {
	case BreakerClosed:
		return "closed"
	case BreakerOpen:
		return "open"
	case BreakerHalfOpen:
		return "half-open"
	}
	return "invalid"
}

// ErrBreakerOpen is the fault of a plugin that is not asked because it failed too often.
var ErrBreakerOpen = errors.New("not asked: it failed too often, and is tried again after its cool-down")

// breaker is that of one hook of one plugin. A closed one costs a call two atomic loads.
type breaker struct {
	options Breaker
	changed func(BreakerState) // Called without mu, by the call that made the change.

	state      atomic.Uint32
	forgivable atomic.Bool // A good answer has something to forget.

	mu     sync.Mutex
	recent []fault // Those that count; at most options.Faults.
	opened time.Time
}

type fault struct {
	at   time.Time
	late bool // It cost the deadline.
}

func newBreaker(o Breaker, changed func(BreakerState)) *breaker {
	return &breaker{options: o, changed: changed}
}

func (b *breaker) current() BreakerState { return BreakerState(b.state.Load()) }

// enter reports whether the plugin may be asked now, and whether the call is the one that tries. Whoever may must call leave.
func (b *breaker) enter(now time.Time) (ok, probe bool) {
	if b.current() == BreakerClosed {
		return true, false
	}
	b.mu.Lock()
	probe = b.current() == BreakerOpen && now.Sub(b.opened) >= b.options.Cooldown
	if probe {
		b.state.Store(uint32(BreakerHalfOpen))
	}
	ok = probe || b.current() == BreakerClosed
	b.mu.Unlock()
	if probe {
		b.changed(BreakerHalfOpen)
	}
	return ok, probe
}

// standstill is how long after its deadline a call ends that it was not the plugin's fault: runtimes notice a deadline at once, unless the
// machine, or the process, stands still. All calls that were under way are late then.
const standstill = 100 * time.Millisecond

// leave notes how an answer went that enter let through, and how long after its deadline it came. While the breaker is not closed only the
// probe counts: calls that began before say nothing about now.
func (b *breaker) leave(probe bool, failure error, overrun time.Duration) {
	if b.options.Faults <= 0 || failure == nil && !probe && !b.forgivable.Load() {
		return
	}
	late := errors.Is(failure, context.DeadlineExceeded)
	if late && overrun > standstill && !probe {
		return
	}
	now := time.Now()
	b.mu.Lock()
	before := b.current()
	switch {
	case probe && failure == nil:
		b.recent = nil
		b.forgivable.Store(false)
		b.state.Store(uint32(BreakerClosed))
	case failure == nil:
		b.recent = slices.DeleteFunc(b.recent, func(f fault) bool { return !f.late })
		b.forgivable.Store(false)
	case probe, before == BreakerClosed && b.tooManyLocked(fault{now, late}):
		b.opened = now
		b.state.Store(uint32(BreakerOpen))
	}
	after := b.current()
	b.mu.Unlock()
	if after != before {
		b.changed(after)
	}
}

// tooManyLocked notes a fault and reports whether it is the one too many.
func (b *breaker) tooManyLocked(f fault) bool {
	b.recent = slices.DeleteFunc(b.recent, func(old fault) bool { return f.at.Sub(old.at) > b.options.Window })
	b.recent = append(b.recent, f)
	if !f.late {
		b.forgivable.Store(true)
	}
	return len(b.recent) >= b.options.Faults
}
