package outbound

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
)

// Flushers is the small set of goroutines that write what fan-outs have queued. Fewer than there are processors is right: while
// a flusher writes, the others let messages gather, and what gathers leaves in one system call.
type Flushers struct {
	all  []*flusher
	next atomic.Uint32

	gathers sync.Pool // Of *Gather: a fan-out to thousands must not allocate a list of them each time.
}

// NewFlushers makes n flushers; 0 means half the processors, at least one.
func NewFlushers(n int) *Flushers {
	if n <= 0 {
		n = max(1, runtime.GOMAXPROCS(0)/2)
	}
	f := &Flushers{all: make([]*flusher, n)}
	for i := range f.all {
		f.all[i] = &flusher{index: i, wake: make(chan struct{}, 1)}
	}
	return f
}

// Run flushes until ctx ends. Queues that are dirty then stay so.
func (f *Flushers) Run(ctx context.Context) {
	var wg sync.WaitGroup
	for _, one := range f.all {
		wg.Go(func() { one.run(ctx) })
	}
	wg.Wait()
}

// pick spreads the queues over the flushers.
func (f *Flushers) pick() *flusher {
	return f.all[int(f.next.Add(1))%len(f.all)]
}

// flusher owns a list of dirty queues. The list is bounded by the number of connections: a queue is on it at most once.
type flusher struct {
	index int
	wake  chan struct{}

	mu   sync.Mutex
	list []*Queue
}

// FlushSoon has the flusher do a Flush, for whom Enqueue answered Dirty or Overrun and who expects to queue more until then.
func (q *Queue) FlushSoon() { q.flusher.add(q) }

func (f *flusher) add(queues ...*Queue) {
	f.mu.Lock()
	f.list = append(f.list, queues...)
	f.mu.Unlock()
	select {
	case f.wake <- struct{}{}:
	default: // It is awake already, or will be.
	}
}

func (f *flusher) run(ctx context.Context) {
	var spare []*Queue
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.wake:
		}
		for {
			f.mu.Lock()
			list := f.list
			f.list = spare[:0]
			f.mu.Unlock()
			for _, q := range list {
				q.Flush()
			}
			clear(list)
			spare = list
			if len(list) == 0 {
				break
			}
		}
	}
}

// inlineMax is the largest fan-out that is flushed by the goroutine that caused it: handing a few writes to a flusher costs
// more than the writes.
const inlineMax = 4

// Gather collects the queues a fan-out made dirty, to flush them together. It is not safe for concurrent use.
type Gather struct {
	flushers *Flushers
	few      [inlineMax]*Queue
	n        int
	many     [][]*Queue // By flusher; what exceeds few.
}

// Gather returns an empty Gather, to be ended with its Flush.
func (f *Flushers) Gather() *Gather {
	if g, ok := f.gathers.Get().(*Gather); ok {
		return g
	}
	return &Gather{flushers: f, many: make([][]*Queue, len(f.all))}
}

// Add notes one queue for which Enqueue answered Dirty or Overrun.
func (g *Gather) Add(q *Queue) {
	if g.n < inlineMax {
		g.few[g.n] = q
	} else {
		g.many[q.flusher.index] = append(g.many[q.flusher.index], q)
	}
	g.n++
}

// Flush flushes a few queues inline and hands many to their flushers. The Gather must not be used afterwards.
func (g *Gather) Flush() {
	if g.n <= inlineMax {
		for _, q := range g.few[:g.n] {
			q.Flush()
		}
	} else {
		for _, q := range g.few {
			g.many[q.flusher.index] = append(g.many[q.flusher.index], q)
		}
		for i, queues := range g.many {
			if len(queues) > 0 {
				g.flushers.all[i].add(queues...)
				clear(queues)
				g.many[i] = queues[:0]
			}
		}
	}
	g.n = 0
	clear(g.few[:])
	g.flushers.gathers.Put(g)
}
