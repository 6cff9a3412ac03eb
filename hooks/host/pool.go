package host

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// ErrClosed is what calls of a closed plugin get.
var ErrClosed = errors.New("the plugin is closed")

// Instance is a sandbox with a plugin's code. It answers one call at a time.
type Instance interface {
	Broken() bool // It must not be used again.
	Close()       // Frees what it holds.
}

// Pool keeps the instances of a plugin, at most size of them. The one used last is given out first, for its memory is warm.
// A mutex and no channel guards it: every message of a server passes here twice.
//
// Instances are made in goroutines of the pool: a caller's deadline is no reason to stop making one, nor is slow making a reason to
// miss the deadline. Close waits for them.
type Pool[I Instance] struct {
	create func() (I, error)
	size   int

	mu      sync.Mutex
	idle    []I
	made    int // Instances that exist or are being made.
	waiting []chan turn[I]
	closed  bool
	empty   chan struct{} // Closed when the pool is, and made is 0.
}

// turn is what a waiting caller gets.
type turn[I Instance] struct {
	instance I
	err      error
}

// NewPool makes a pool that holds first. create must end by itself, soon.
func NewPool[I Instance](size int, first I, create func() (I, error)) *Pool[I] {
	return &Pool[I]{create: create, size: size, made: 1, idle: append(make([]I, 0, size), first), empty: make(chan struct{})}
}

// Take waits for an instance until ctx ends. Whoever takes one gives it back with Put.
func (p *Pool[I]) Take(ctx context.Context) (I, error) {
	p.mu.Lock()
	if n := len(p.idle); n > 0 {
		in := p.idle[n-1]
		p.idle = p.idle[:n-1]
		p.mu.Unlock()
		return in, nil
	}
	var none I
	if p.closed {
		p.mu.Unlock()
		return none, ErrClosed
	}
	mine := make(chan turn[I], 1)
	p.waiting = append(p.waiting, mine)
	p.makeLocked()
	p.mu.Unlock()
	select {
	case t := <-mine:
		return t.instance, t.err
	case <-ctx.Done():
		p.giveUp(mine)
		return none, fmt.Errorf("all %d instances are busy: %w", p.size, ctx.Err())
	}
}

// Put gives an instance back. A broken one is closed.
func (p *Pool[I]) Put(in I) {
	broken := in.Broken()
	if broken {
		in.Close()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !broken {
		p.giveLocked(in)
		return
	}
	p.lostLocked(nil)
}

// Made is how many instances exist or are being made.
func (p *Pool[I]) Made() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.made
}

// Close closes the idle instances, and the others when they come back, and waits for that. Calls that wait for one get ErrClosed.
func (p *Pool[I]) Close() {
	p.mu.Lock()
	if !p.closed {
		p.closed = true
		for _, in := range p.idle {
			in.Close()
		}
		p.made -= len(p.idle)
		p.idle = nil
		p.settleLocked()
	}
	p.mu.Unlock()
	<-p.empty
}

// makeLocked starts making an instance, if there may be one more.
func (p *Pool[I]) makeLocked() {
	if p.made >= p.size || p.closed {
		return
	}
	p.made++
	go func() {
		in, err := p.make()
		p.mu.Lock()
		defer p.mu.Unlock()
		if err != nil {
			p.lostLocked(err)
			return
		}
		p.giveLocked(in)
	}()
}

func (p *Pool[I]) make() (in I, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic while an instance was made: %v", v)
		}
	}()
	return p.create()
}

// giveLocked hands an instance to whoever has waited longest.
func (p *Pool[I]) giveLocked(in I) {
	switch {
	case p.closed:
		in.Close()
		p.made--
		p.settleLocked()
	case len(p.waiting) > 0:
		p.nextLocked(turn[I]{instance: in})
	default:
		p.idle = append(p.idle, in)
	}
}

// lostLocked forgets an instance that broke or, with an error, could not be made. The error goes to whoever has waited longest; for
// the others another is made.
func (p *Pool[I]) lostLocked(err error) {
	p.made--
	if err != nil && len(p.waiting) > 0 {
		p.nextLocked(turn[I]{err: err})
	}
	if len(p.waiting) > 0 {
		p.makeLocked()
	}
	p.settleLocked()
}

// nextLocked ends the wait of the first caller. It does not block: the channel holds one and is given one.
func (p *Pool[I]) nextLocked(t turn[I]) {
	p.waiting[0] <- t
	p.waiting = slices.Delete(p.waiting, 0, 1)
}

func (p *Pool[I]) settleLocked() {
	if !p.closed {
		return
	}
	for len(p.waiting) > 0 {
		p.nextLocked(turn[I]{err: ErrClosed})
	}
	if p.made == 0 {
		close(p.empty)
	}
}

// giveUp leaves the queue, and gives back what was handed over in the meantime.
func (p *Pool[I]) giveUp(mine chan turn[I]) {
	p.mu.Lock()
	if i := slices.Index(p.waiting, mine); i >= 0 {
		p.waiting = slices.Delete(p.waiting, i, i+1)
		p.mu.Unlock()
		return
	}
	p.mu.Unlock()
	if t := <-mine; t.err == nil {
		p.Put(t.instance)
	}
}
