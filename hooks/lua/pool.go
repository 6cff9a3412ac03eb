package lua

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
)

var errClosed = errors.New("the plugin is closed")

// pool keeps the instances of a plugin, at most size of them. The one used last is given out first, for its memory is warm.
// A mutex and no channel guards it: every message of a server passes here twice.
type pool struct {
	create func() (*instance, error)
	size   int

	mu      sync.Mutex
	idle    []*instance
	made    int // Instances that exist or are being made.
	waiting []chan *instance
	closed  bool
}

func newPool(size int, first *instance, create func() (*instance, error)) *pool {
	return &pool{create: create, size: size, made: 1, idle: append(make([]*instance, 0, size), first)}
}

// take waits for an instance until ctx ends.
func (p *pool) take(ctx context.Context) (*instance, error) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, errClosed
	}
	if n := len(p.idle); n > 0 {
		in := p.idle[n-1]
		p.idle = p.idle[:n-1]
		p.mu.Unlock()
		return in, nil
	}
	if p.made < p.size {
		p.made++
		p.mu.Unlock()
		return p.make()
	}
	turn := make(chan *instance, 1)
	p.waiting = append(p.waiting, turn)
	p.mu.Unlock()
	select {
	case in := <-turn:
		if in == nil {
			return p.make()
		}
		return in, nil
	case <-ctx.Done():
		p.giveUp(turn)
		return nil, fmt.Errorf("all %d instances are busy: %w", p.size, ctx.Err())
	}
}

// make creates an instance for which made already counts.
func (p *pool) make() (*instance, error) {
	in, err := p.create()
	if err != nil {
		p.give(nil)
	}
	return in, err
}

// giveUp leaves the queue, and passes on what was handed over in the meantime.
func (p *pool) giveUp(turn chan *instance) {
	p.mu.Lock()
	if i := slices.Index(p.waiting, turn); i >= 0 {
		p.waiting = slices.Delete(p.waiting, i, i+1)
		p.mu.Unlock()
		return
	}
	p.mu.Unlock()
	p.give(<-turn)
}

// put gives an instance back. A broken one is destroyed; whoever needs it next makes another.
func (p *pool) put(in *instance) {
	if in.broken() {
		in.close()
		in = nil
	}
	p.give(in)
}

// give hands an instance, or with nil the right to make one, to whoever has waited longest.
func (p *pool) give(in *instance) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case len(p.waiting) > 0:
		p.waiting[0] <- in // Never blocks: the channel holds one and is given one.
		p.waiting = slices.Delete(p.waiting, 0, 1)
	case in == nil:
		p.made--
	case p.closed:
		in.close()
	default:
		p.idle = append(p.idle, in)
	}
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
