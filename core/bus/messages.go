package bus

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// What may wait for a function of Listen, Handle or HandleQueue. What comes when so much waits is dropped, and counted by Dropped.
const (
	pendingMessages = 16 << 10
	pendingBytes    = 32 << 20
)

// A connection that is dead is found to be so long before a server had that long to answer: it was only slow, or this process stood still.
const (
	settleTimeout = 30 * time.Second
	settlePause   = 20 * time.Millisecond
)

// Publish sends a message, on a subject which follows the prefix, to all who listen, this process included. It does not wait; while the
// bus is not there it fails at once.
func (b *Bus) Publish(subject string, body []byte) error {
	if !b.Connected() {
		return fmt.Errorf("%s: %w", subject, ErrDown)
	}
	if err := b.main.Publish(b.subject(subject), body); err != nil {
		return fmt.Errorf("%s: %w", subject, err)
	}
	return nil
}

// Listen hands messages on a subject, which follows the prefix and may hold wildcards, to each: one after the other, in the order
// their sender sent them. each gets the subject without the prefix, and a body that is its own. It must not take long, because what
// piles up behind it is dropped, and must not call stop. It is not called any more when stop has returned.
func (b *Bus) Listen(subject string, each func(subject string, body []byte)) (stop func(), err error) {
	return b.subscribe(subject, "", func(m *nats.Msg) { each(m.Subject[len(b.Prefix())+1:], m.Data) })
}

// Dropped returns how many messages and requests were thrown away since the start because those they were meant for were too slow.
func (b *Bus) Dropped() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := b.dropped
	for sub := range b.subs {
		n += lost(sub)
	}
	return n
}

func lost(sub *nats.Subscription) uint64 {
	n, err := sub.Dropped()
	if err != nil { // It has ended.
		return 0
	}
	return uint64(n)
}

// subscribe calls each for every message until stop is called, and not any more when stop has returned.
func (b *Bus) subscribe(subject, queue string, each func(*nats.Msg)) (stop func(), err error) {
	var mu sync.Mutex // Held while each works. Guards stopped.
	stopped := false
	sub, err := b.main.QueueSubscribe(b.subject(subject), queue, func(m *nats.Msg) {
		mu.Lock()
		defer mu.Unlock()
		if !stopped {
			each(m)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("bus: %w", err)
	}
	_ = sub.SetPendingLimits(pendingMessages, pendingBytes) // It fails when the connection has been closed.
	b.mu.Lock()
	b.subs[sub] = struct{}{}
	b.mu.Unlock()
	stop = sync.OnceFunc(func() {
		b.mu.Lock()
		b.dropped += lost(sub)
		delete(b.subs, sub)
		b.mu.Unlock()
		_ = sub.Unsubscribe() // It fails when the connection has been closed, which also ends it.
		mu.Lock()
		stopped = true
		mu.Unlock()
	})
	if err := b.settle(); err != nil {
		stop()
		return nil, fmt.Errorf("bus: %w", err)
	}
	return stop, nil
}

// settle returns when the server knows of all subscriptions so far: when something has gone there and back. One that cannot be reached is
// told when it can be.
func (b *Bus) settle() error {
	ctx, cancel := context.WithTimeout(b.life, settleTimeout)
	defer cancel()
	for b.Connected() {
		err := b.main.FlushWithContext(ctx)
		if err == nil || ctx.Err() != nil && b.Connected() {
			return err
		}
		select { // The connection broke, which is not known everywhere yet, or it was made again meanwhile.
		case <-time.After(settlePause):
		case <-ctx.Done():
		}
	}
	return nil
}

// OnReconnect calls f whenever the bus is there again after it was not, also when it comes up only after this process: what was said
// meanwhile has not arrived, and others may think that this process is gone. f must not wait for anything, nor call stop; it is
// not called any more when stop has returned.
func (b *Bus) OnReconnect(f func()) (stop func()) {
	var mu sync.Mutex // Held while f works. Guards stopped.
	stopped := false
	call := func() {
		mu.Lock()
		defer mu.Unlock()
		if !stopped {
			f()
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	key := new(byte)
	b.returns[key] = call
	return func() {
		b.mu.Lock()
		delete(b.returns, key)
		b.mu.Unlock()
		mu.Lock()
		stopped = true
		mu.Unlock()
	}
}

// returned tells those who asked that the main connection is there again.
func (b *Bus) returned() {
	b.mu.Lock()
	calls := maps.Clone(b.returns)
	b.mu.Unlock()
	for _, call := range calls {
		call()
	}
}
