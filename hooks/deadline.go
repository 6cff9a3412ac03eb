package hooks

import (
	"context"
	"sync"
	"time"
)

// callContext is the context of a call of one plugin. It exists because context.WithDeadline costs allocations and a timer
// for every message, and a plugin that answers at once needs neither: the timer is only made when somebody asks for Done.
type callContext struct {
	parent   context.Context
	deadline time.Time

	mu    sync.Mutex // A plugin may hand the context to goroutines of its own.
	timed context.Context
	stop  context.CancelFunc
}

// begin makes it the context of a call.
func (c *callContext) begin(parent context.Context, deadline time.Time) {
	if earlier, ok := parent.Deadline(); ok && earlier.Before(deadline) {
		deadline = earlier
	}
	c.parent, c.deadline = parent, deadline
}

// end ends the call, and returns the context for the next one. One that was waited for is not used again: somebody may still hold it.
func (c *callContext) end() *callContext {
	c.mu.Lock()
	stop := c.stop
	c.mu.Unlock()
	if stop != nil {
		stop()
		return &callContext{}
	}
	c.parent = context.Background()
	return c
}

func (c *callContext) Deadline() (time.Time, bool) { return c.deadline, true }

func (c *callContext) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timed == nil {
		c.timed, c.stop = context.WithDeadline(c.parent, c.deadline)
	}
	return c.timed.Done()
}

func (c *callContext) Err() error {
	if err := c.parent.Err(); err != nil {
		return err
	}
	c.mu.Lock()
	timed := c.timed
	c.mu.Unlock()
	if timed != nil {
		return timed.Err()
	}
	if time.Until(c.deadline) <= 0 {
		return context.DeadlineExceeded
	}
	return nil
}

func (c *callContext) Value(key any) any { return c.parent.Value(key) }
