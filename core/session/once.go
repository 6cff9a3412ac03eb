package session

import (
	"context"
	"crypto/sha256"
	"sync"
	"time"

	"github.com/zenconn/server/core"
)

// once lets a publication with an idempotency key happen once: whoever repeats it gets the position of the first. What failed may be
// tried again.
type once struct {
	ttl time.Duration // How long a result is remembered.
	max int           // Most results that are remembered; beyond it the oldest are forgotten. Some 300 bytes each.

	mu       sync.Mutex // Guards all below.
	calls    map[onceKey]*onceCall
	finished []finishedCall // Successful calls, the oldest first.
}

// onceKey is a hash, so that long names and keys take no more memory than short ones.
type onceKey [sha256.Size]byte

// keyOf makes the key of a channel and an idempotency key. No channel name holds a NUL.
func keyOf(channel, key string) onceKey { return sha256.Sum256([]byte(channel + "\x00" + key)) }

type onceCall struct {
	done chan struct{} // Closed when at and err are set.
	at   core.Position
	err  error
}

type finishedCall struct {
	key  onceKey
	call *onceCall
	when time.Time
}

func newOnce(ttl time.Duration, most int) *once {
	return &once{ttl: ttl, max: most, calls: make(map[onceKey]*onceCall)}
}

// do calls f, unless a call with the same key succeeded before or is under way: then it returns, or waits for, that one's result.
func (o *once) do(ctx context.Context, key onceKey, f func() (core.Position, error)) (core.Position, error) {
	o.mu.Lock()
	o.forgetLocked()
	call, known := o.calls[key]
	if !known {
		call = &onceCall{done: make(chan struct{}), err: core.ErrInternal} // What others get if f panics.
		o.calls[key] = call
	}
	o.mu.Unlock()
	if known {
		select {
		case <-call.done:
			return call.at, call.err
		case <-ctx.Done():
			return core.Position{}, ctx.Err()
		}
	}
	defer o.finish(key, call)
	call.at, call.err = f()
	return call.at, call.err
}

func (o *once) finish(key onceKey, call *onceCall) {
	close(call.done)
	o.mu.Lock()
	defer o.mu.Unlock()
	if call.err != nil {
		delete(o.calls, key)
		return
	}
	o.finished = append(o.finished, finishedCall{key, call, time.Now()})
	o.forgetLocked()
}

// forgetLocked drops results that are too old, and the oldest of too many.
func (o *once) forgetLocked() {
	now := time.Now()
	for len(o.finished) > 0 && (len(o.finished) > o.max || now.Sub(o.finished[0].when) >= o.ttl) {
		delete(o.calls, o.finished[0].key)
		o.finished[0] = finishedCall{}
		o.finished = o.finished[1:]
	}
}
