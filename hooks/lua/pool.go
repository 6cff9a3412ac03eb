package lua

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

var errClosed = errors.New("the plugin is closed")

// pool keeps the instances of a plugin: at most as many as it has slots, the one used last first, for its memory is warm.
type pool struct {
	create func() (*instance, error)
	slots  chan struct{} // Holds one token per instance in use.

	mu     sync.Mutex
	idle   []*instance
	closed bool
}

func newPool(size int, first *instance, create func() (*instance, error)) *pool {
	return &pool{create: create, slots: make(chan struct{}, size), idle: append(make([]*instance, 0, size), first)}
}

// take waits for an instance until ctx ends.
func (p *pool) take(ctx context.Context) (*instance, error) {
	select {
	case p.slots <- struct{}{}:
	default:
		select {
		case p.slots <- struct{}{}:
		case <-ctx.Done():
			return nil, fmt.Errorf("all %d instances are busy: %w", cap(p.slots), ctx.Err())
		}
	}
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		<-p.slots
		return nil, errClosed
	}
	if n := len(p.idle); n > 0 {
		in := p.idle[n-1]
		p.idle[n-1] = nil
		p.idle = p.idle[:n-1]
		p.mu.Unlock()
		return in, nil
	}
	p.mu.Unlock()
	in, err := p.create()
	if err != nil {
		<-p.slots
	}
	return in, err
}

// put gives an instance back. A broken one is destroyed; the next call that needs it makes another.
func (p *pool) put(in *instance) {
	p.mu.Lock()
	keep := !p.closed && !in.broken()
	if keep {
		p.idle = append(p.idle, in)
	}
	p.mu.Unlock()
	if !keep {
		in.close()
	}
	<-p.slots
}

// close destroys the idle instances; those in use are destroyed when they come back.
func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, in := range p.idle {
		in.close()
	}
	p.idle = nil
}
