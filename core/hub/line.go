package hub

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/channel"
	"github.com/zenconn/server/core/history"
)

// Then hears what became of a publication; see Hub.Publish for what an error means. Published may do what takes some microseconds;
// others wait for its return. What it queues for members leaves together with the publication.
type Then interface {
	Published(out Published, err error)
}

// Start does what Publish does without waiting for the history, if that can do so, and tells then how it ended: once, on any goroutine,
// perhaps before it returns. Publications of a channel get their places in the order in which they were started. The history is given
// up on at the deadline; the zero one is none.
func (h *Hub) Start(deadline time.Time, ns *channel.Namespace, pub *core.Publication, except core.ID, then Then) {
	pub.Except = except
	if ns.HistorySize <= 0 {
		then.Published(h.publishFleeting(pub), nil)
		return
	}
	t := h.lines.lock(pub.Channel, ns)
	t.holders++
	if t.order == nil {
		t.order = new(ordering)
	}
	h.lines.unlock(t)
	e := errands.Get().(*errand)
	*e = errand{hub: h, topic: t, pub: pub, limits: limits(ns), deadline: deadline, then: then}
	if t.order.line.join(e) {
		h.serve(e)
	}
}

// Publish gives the publication its place in the history, if the namespace keeps one, and queues it for every member but those
// of the session except (zero: all). It owns pub from then on. After an error nobody gets the publication, but for one: a history on
// the bus may have stored it although it did not say so in time, and then the members get it as they get any other. Of ctx it keeps the
// deadline.
func (h *Hub) Publish(ctx context.Context, ns *channel.Namespace, pub *core.Publication, except core.ID) (Published, error) {
	deadline, _ := ctx.Deadline()
	w := make(waiter, 1)
	h.Start(deadline, ns, pub, except, w)
	end := <-w
	return end.out, end.err
}

// waiter is a Then for somebody who waits.
type waiter chan struct {
	out Published
	err error
}

func (w waiter) Published(out Published, err error) {
	w <- struct {
		out Published
		err error
	}{out, err}
}

// errand is a publication on its way into a history and to the members.
type errand struct {
	hub      *Hub
	topic    *topic
	pub      *core.Publication
	limits   history.Limits
	deadline time.Time
	then     Then
	next     *errand // In the line, which guards it.
	waited   bool    // Others were before it; guarded by the line until it is the first.

	stage atomic.Int32
	at    core.Position // What the history answered, like err; written before stage says so.
	err   error
}

// errands are those that are finished.
var errands = sync.Pool{New: func() any { return new(errand) }}

// The stages of an errand.
const (
	starting int32 = iota // The call of the history has not returned.
	answered              // Before it had, the history answered; whoever made it goes on.
	away                  // Whoever brings the answer goes on.
)

// ordering is what publishing into a history needs.
type ordering struct {
	line     line
	sequence order // Owned by the first of the line; of a hub without a relay.
}

// line is the publications of a channel that are on their way into its history: the first is being appended or fanned out, the others
// wait for that. So members see offsets in order. It is bounded by what the publishers may have under way.
type line struct {
	mu          sync.Mutex
	first, last *errand
}

// join adds an errand and says whether it is the first.
func (l *line) join(e *errand) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.first == nil {
		l.first, l.last = e, e
		return true
	}
	l.last.next, l.last = e, e
	e.waited = true
	return false
}

// leave removes the first errand and returns the next; nil: there is none.
func (l *line) leave() *errand {
	l.mu.Lock()
	defer l.mu.Unlock()
	next := l.first.next
	l.first = next
	if next == nil {
		l.last = nil
	}
	return next
}

// served is how many errands of others somebody carries out who came to carry out his own.
const served = 16

// serve carries out the first errand of a line, and those that follow, as far as the history need not be waited for: whoever brings its
// answer goes on.
func (h *Hub) serve(e *errand) {
	for n := 0; e != nil; n++ {
		if n == served {
			go h.serve(e)
			return
		}
		if !e.start() {
			return
		}
		e = e.finish()
	}
}

// start gives the errand to the history and says whether that has answered; otherwise Appended will be called.
func (e *errand) start() bool {
	if e.waited && !e.deadline.IsZero() && !time.Now().Before(e.deadline) { // Those before have used its time up.
		e.err = context.DeadlineExceeded
		return true
	}
	history.Start(e.hub.history, e.deadline, e.pub.Channel, e.pub, e.limits, e)
	return !e.stage.CompareAndSwap(starting, away)
}

// Appended implements history.Then.
func (e *errand) Appended(at core.Position, err error) {
	e.at, e.err = at, err
	if !e.stage.CompareAndSwap(starting, answered) {
		h := e.hub // Before the errand is another one's.
		h.serve(e.finish())
	}
}

// finish hands out what was appended, says how the errand ended, and returns the next of the line. Nobody has the errand afterwards.
func (e *errand) finish() (next *errand) {
	h, t := e.hub, e.topic
	g := h.flushers.Gather()
	var out Published
	switch {
	case e.err != nil && h.relay == nil:
		t.order.sequence.failed(e.pub)
	case e.err != nil:
	case h.relay == nil:
		out = h.deliver(t, e.pub, e.at, e.deadline, g)
	default: // The history brings it to every node, this one too; the members here need not wait for that.
		out.Position = e.at
		if t := h.shards.find(e.pub.Channel); t != nil {
			out.Deliveries = h.place(t, placed{e.pub, e.at.Epoch}, true, g)
		}
	}
	next = t.order.line.leave()
	e.then.Published(out, e.err)
	g.Flush()
	t.mu.Lock()
	t.holders--
	h.lines.unlock(t)
	*e = errand{}
	errands.Put(e)
	return next
}
