package relay

import (
	"context"
	"sync"

	"github.com/nats-io/nats.go"
)

// Settle implements hub.Relay.
func (r *Relay) Settle(ctx context.Context) error { return r.settler.settle(ctx) }

// flush returns when the bus has carried out what we asked of it before.
func (r *Relay) flush(ctx context.Context) error {
	if !r.conn.IsConnected() {
		return nats.ErrDisconnected
	}
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	return r.conn.FlushWithContext(ctx)
}

// settler lets all who wait for the bus at the same time wait for one answer.
type settler struct {
	wake chan struct{}

	mu   sync.Mutex // Guards next.
	next *settling  // What the next question answers; nil: nobody has asked.
}

// settling is one question to the bus.
type settling struct {
	done chan struct{}
	err  error // Written before done is closed.
}

func newSettler() *settler { return &settler{wake: make(chan struct{}, 1)} }

// settle returns when a question has been answered that was asked after the call.
func (s *settler) settle(ctx context.Context) error {
	s.mu.Lock()
	if s.next == nil {
		s.next = &settling{done: make(chan struct{})}
	}
	mine := s.next
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
	select {
	case <-mine.done:
		return mine.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// run asks until ctx ends.
func (s *settler) run(ctx context.Context, ask func(context.Context) error) {
	for {
		select {
		case <-s.wake:
		case <-ctx.Done():
			return
		}
		s.mu.Lock()
		current := s.next
		s.next = nil
		s.mu.Unlock()
		if current != nil {
			current.err = ask(ctx)
			close(current.done)
		}
	}
}
