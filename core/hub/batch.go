package hub

import (
	"sync"
	"time"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/channel"
	"github.com/zenconn/server/core/outbound"
	"github.com/zenconn/server/core/protocol"
)

// batch is the publications of a channel that wait for others, to be delivered in one frame. What they wait for is not their place: they
// have that, and their publishers are answered.
//
// Its lock is taken after a flow's and before the topic's, and held during a fan-out: members see publications in their order.
type batch struct {
	options channel.Batch // Fixed after construction.

	mu      sync.Mutex // Guards all below.
	waiting []waiting
	bytes   int               // Of their data.
	singles []protocol.Frames // Of each of them, for members that do not get all; nil until there is one.
	due     time.Time         // When the first of them has waited enough.
	listed  bool              // Hub.Run knows of it.
}

// waiting is a publication with what has become of it so far.
type waiting struct {
	placed
	deliveries, drops int
}

// maxBatch is how much data waits for no more, in bytes: a batch must leave most of a queue of the usual size to others.
const maxBatch = 64 << 10

// await has a publication wait for others, unless there are enough of them now.
func (h *Hub) await(t *topic, pub placed, g *outbound.Gather) {
	b := t.batch
	b.mu.Lock()
	defer b.mu.Unlock()
	if t.deserted() {
		return
	}
	if b.options.Latest && len(b.waiting) > 0 {
		h.batched.Outdated.WithLabelValues(channel.NamespaceOf(t.name)).Add(float64(len(b.waiting)))
		b.forgetLocked()
	}
	if len(b.waiting) == 0 {
		b.due = time.Now().Add(b.options.Delay)
	}
	b.waiting = append(b.waiting, waiting{placed: pub})
	b.bytes += len(pub.Data)
	switch {
	case len(b.waiting) >= b.options.Size || b.bytes >= maxBatch:
		h.flushLocked(t, "size", g)
	case b.listed:
	case h.delays.add(t, b.due):
		b.listed = true
	default: // The end is near: nothing waits any more.
		h.flushLocked(t, "early", g)
	}
}

// deserted says that there is nobody to deliver to.
func (t *topic) deserted() bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return len(t.members) == 0
}

// forgetLocked drops what waits.
func (b *batch) forgetLocked() {
	clear(b.waiting)
	b.waiting, b.singles, b.bytes = b.waiting[:0], nil, 0
}

// hasten delivers what waits in a channel.
func (h *Hub) hasten(t *topic) {
	if t.batch == nil {
		return
	}
	g := h.flushers.Gather()
	defer g.Flush()
	t.batch.mu.Lock()
	defer t.batch.mu.Unlock()
	h.flushLocked(t, "early", g)
}

// Hasten delivers what waits in the member's channel, before something that must not come first.
func (h *Hub) Hasten(m *Member) { h.hasten(m.topic) }

// flushLocked delivers what waits, and tells what has become of it.
func (h *Hub) flushLocked(t *topic, cause string, g *outbound.Gather) {
	b := t.batch
	if len(b.waiting) == 0 {
		return
	}
	h.batched.Flushed.WithLabelValues(cause).Inc()
	h.batched.Publications.Add(float64(len(b.waiting)))
	if len(b.waiting) == 1 {
		one := &b.waiting[0]
		deliveries, drops := t.fanOut(one.placed, g)
		one.deliveries += deliveries
		one.drops += drops
	} else {
		t.fanOutAll(g)
	}
	h.tellLocked(b)
	b.forgetLocked()
}

// tellLocked reports what has become of what waited: no publisher is told of it.
func (h *Hub) tellLocked(b *batch) {
	if h.delivered == nil {
		return
	}
	for _, w := range b.waiting {
		if w.deliveries > 0 || w.drops > 0 {
			h.delivered(w.Publication, w.deliveries, w.drops)
		}
	}
}

// fanOutAll queues all that waits for the members: in one frame, encoded once per encoding, for those who get everything. The caller
// holds the batch.
func (t *topic) fanOutAll(g *outbound.Gather) {
	b := t.batch
	lowest, excepted := b.conditionsLocked()
	var frames protocol.Frames
	deliveries, drops := 0, 0
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, m := range t.members {
		if m.held.Load() != nil || lowest != 0 && lowest <= m.known().Offset || excepted != nil && in(excepted, m.listener.Session) {
			t.fanOutSingly(m, g)
			continue
		}
		frame := frames[m.encoding]
		if frame == nil {
			frame = frames.Fill(m.encoding, m.queue.Deflate(), t.appendAll)
		}
		if taken(m, m.queue.EnqueueMany(frame, &t.lane, len(b.waiting)), g) {
			deliveries++
		} else {
			drops++
		}
	}
	for i := range b.waiting {
		b.waiting[i].deliveries += deliveries
		b.waiting[i].drops += drops
	}
}

// conditionsLocked says who may not get everything that waits: who knows an offset from the lowest on already (0: nobody), and some
// sessions.
func (b *batch) conditionsLocked() (lowest uint64, excepted map[core.ID]struct{}) {
	for _, w := range b.waiting {
		if w.Offset != 0 && (lowest == 0 || w.Offset < lowest) {
			lowest = w.Offset
		}
		if !w.Except.IsZero() {
			if excepted == nil {
				excepted = make(map[core.ID]struct{})
			}
			excepted[w.Except] = struct{}{}
		}
	}
	return lowest, excepted
}

func in(set map[core.ID]struct{}, id core.ID) bool {
	_, ok := set[id]
	return ok
}

// appendAll makes the frame of everything that waits. The caller holds the batch.
func (t *topic) appendAll(e protocol.Encoding) []byte {
	number := t.number.Load()
	payload := make([]byte, 0, t.batch.bytes+64*len(t.batch.waiting))
	for _, w := range t.batch.waiting {
		payload = e.AppendPublication(payload, t.name, number, w.Publication)
	}
	return e.AppendFrame(make([]byte, 0, len(payload)+10), payload)
}

// fanOutSingly queues for one member what of the waiting is for it. The caller holds the batch, and the topic for reading.
func (t *topic) fanOutSingly(m *Member, g *outbound.Gather) {
	b := t.batch
	for len(b.singles) < len(b.waiting) {
		b.singles = append(b.singles, protocol.Frames{})
	}
	for i := range b.waiting {
		w := &b.waiting[i]
		switch {
		case !w.Except.IsZero() && w.Except == m.listener.Session:
		case m.hold(w.placed):
			w.deliveries++
		case covers(m.known(), w.placed):
		default:
			frame := b.singles[i][m.encoding]
			if frame == nil {
				frame = t.frame(&b.singles[i], m, w.Publication)
			}
			if taken(m, m.queue.Enqueue(frame, &t.lane), g) {
				w.deliveries++
			} else {
				w.drops++
			}
		}
	}
}

// taken sees to it that a member's queue is flushed, and says whether it took a frame.
func taken(m *Member, r outbound.Result, g *outbound.Gather) bool {
	if r == outbound.Dirty || r == outbound.Overrun {
		g.Add(m.queue)
	}
	return r == outbound.Dirty || r == outbound.Waiting
}

// leave removes a member, which gets what waits before.
func (h *Hub) leave(m *Member) (was bool) {
	t, b := m.topic, m.topic.batch
	g := h.flushers.Gather()
	defer g.Flush()
	b.mu.Lock()
	defer b.mu.Unlock()
	t.mu.Lock()
	if was = h.shards.removeLocked(t, m); !was {
		t.mu.Unlock()
		return false
	}
	alone := len(t.members) == 0
	h.shards.unlock(t)
	if m.held.Load() == nil {
		t.fanOutSingly(m, g)
	}
	if alone {
		h.tellLocked(b)
		b.forgetLocked()
	}
	return true
}
