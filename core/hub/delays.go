package hub

import (
	"container/heap"
	"context"
	"sync"
	"time"

	"github.com/zenconn/server/core/outbound"
)

// delays knows the channels in which publications wait, and until when. There is one timer for all of them, and none while nothing waits.
type delays struct {
	wake chan struct{} // Has room for one.

	mu    sync.Mutex // Guards all below; taken after a batch's.
	list  dueList
	ended bool
}

// dueList is a heap of channels: the first is due first.
type dueList []due

type due struct {
	topic *topic
	at    time.Time
}

func (l dueList) Len() int           { return len(l) }
func (l dueList) Less(i, j int) bool { return l[i].at.Before(l[j].at) }
func (l dueList) Swap(i, j int)      { l[i], l[j] = l[j], l[i] }
func (l *dueList) Push(x any)        { *l = append(*l, x.(due)) }
func (l *dueList) Pop() any {
	last := len(*l) - 1
	x := (*l)[last]
	(*l)[last] = due{}
	*l = (*l)[:last]
	return x
}

// add has what waits in a channel delivered at a time. It reports false when nothing waits any more, because Run has ended or is about to.
func (d *delays) add(t *topic, at time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ended {
		return false
	}
	heap.Push(&d.list, due{t, at})
	if d.list[0].topic == t {
		select {
		case d.wake <- struct{}{}:
		default:
		}
	}
	return true
}

// together is how much earlier than it is due something is delivered with what is due now: a connection that listens to both channels gets
// it in one write.
const together = time.Millisecond / 2

// next returns a channel that is due, or how long to wait for one; below 0: until there is one.
func (d *delays) next(now time.Time) (t *topic, wait time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.list) == 0 {
		if cap(d.list) > 1024 {
			d.list = nil
		}
		return nil, -1
	}
	if wait = d.list[0].at.Sub(now); wait > together {
		return nil, wait
	}
	return heap.Pop(&d.list).(due).topic, 0
}

// end says that nothing waits any more, and returns what did.
func (d *delays) end() (all dueList) {
	d.mu.Lock()
	defer d.mu.Unlock()
	all, d.list, d.ended = d.list, nil, true
	return all
}

// Run delivers what has waited in channels that batch, until ctx ends. Then it delivers the rest, and nothing waits any more.
func (h *Hub) Run(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		wait := h.flushDue()
		if wait < 0 {
			wait = time.Hour
		}
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-h.delays.wake:
		case <-ctx.Done():
			g := h.flushers.Gather()
			for _, one := range h.delays.end() {
				h.flushIfDue(one.topic, one.at, g)
			}
			g.Flush()
			return
		}
	}
}

// flushDue delivers what is due, and returns how long to wait for the next; below 0: until there is one.
func (h *Hub) flushDue() time.Duration {
	g := h.flushers.Gather()
	for bytes := 0; ; {
		now := time.Now()
		t, wait := h.delays.next(now)
		if t == nil {
			g.Flush()
			return wait
		}
		bytes += h.flushIfDue(t, now, g)
		if bytes >= maxBatch { // What is queued at once must leave most of a queue to others.
			g.Flush()
			g, bytes = h.flushers.Gather(), 0
		}
	}
}

// flushIfDue delivers what waits in a channel, unless what was due is gone, and what waits is not due and may wait. It returns how many
// bytes that were.
func (h *Hub) flushIfDue(t *topic, now time.Time, g *outbound.Gather) (bytes int) {
	b := t.batch
	b.mu.Lock()
	defer b.mu.Unlock()
	b.listed = false
	if len(b.waiting) > 0 && b.due.Sub(now) > together {
		if b.listed = h.delays.add(t, b.due); b.listed {
			return 0
		}
	}
	bytes = b.bytes
	h.flushLocked(t, "delay", g)
	return bytes
}
