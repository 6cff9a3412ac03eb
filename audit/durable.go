package audit

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// errSlow is why an event is not known to be stored yet.
var errSlow = errors.New("it was not stored in time")

// commit is what a batch's producers wait for.
type commit struct {
	done chan struct{} // Closed when err is set.
	err  error         // nil: all is stored.
}

func (c *commit) settle(err error) {
	if c != nil {
		c.err = err
		close(c.done)
	}
}

// Admit is asked before something happens that must be recorded. With the option Block it waits, for a bounded time, while there is no room
// for events or, with the option Durable, the sink fails; its error is then ErrFull and the thing should not happen. Otherwise, and
// without Block, it returns nil at once.
func (r *Recorder) Admit(ctx context.Context) error {
	if r.sink == nil || !r.options.Block {
		return nil
	}
	relief := r.queue.crowded(r.options.Durable)
	if relief == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, r.options.BlockTimeout)
	defer cancel()
	for relief != nil {
		select {
		case <-relief:
			relief = r.queue.crowded(r.options.Durable)
		case <-ctx.Done():
			r.count(&r.blocked)
			return fmt.Errorf("%w for %v", ErrFull, r.options.BlockTimeout)
		}
	}
	return nil
}

// Waits says whether RecordDurable waits for anything.
func (r *Recorder) Waits() bool { return r.sink != nil && r.options.Durable }

// RecordDurable records an event and, with the option Durable, waits for a bounded time until it is stored. Those who wait at the same time are
// stored together. An error says that it was not stored, or is not yet; without the option Block it is counted instead of returned.
func (r *Recorder) RecordDurable(ctx context.Context, e Event) error {
	if r.sink == nil {
		return nil
	}
	if !r.options.Durable {
		r.queue.add(e)
		return nil
	}
	c := r.queue.addWaiting(e)
	err := ErrFull
	if c != nil {
		timeout := time.NewTimer(r.options.BlockTimeout)
		defer timeout.Stop()
		select {
		case <-c.done:
			err = c.err
		case <-timeout.C:
			err = errSlow
		case <-ctx.Done():
			err = fmt.Errorf("%w: %w", errSlow, context.Cause(ctx))
		}
	}
	if err == nil {
		return nil
	}
	r.count(&r.unconfirmed)
	if !r.options.Block {
		return nil
	}
	return err
}

func (r *Recorder) count(n *uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	*n++
}
