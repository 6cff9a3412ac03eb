package hub

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/outbound"
)

// flow puts the publications of a channel in order, which come from this node's publishers, from the bus, and from the history, in any
// order and any number of times. There is one for every channel with members when the hub has a relay.
//
// Its lock is taken before the topic's, and held during a fan-out, but not while the history is read.
type flow struct {
	mu sync.Mutex // Guards all below.

	ordered bool          // The channel has a history.
	settled bool          // The bus knows that there are members here.
	placed  bool          // at holds; until then publications wait.
	opening chan struct{} // Closed when whoever finds the place, or ends the members, is done; nil: nobody does.

	at      core.Position // Up to here everything was delivered.
	checked int64         // When at was last seen to be the end, or a publication came; Unix nanoseconds.

	gap *gap // nil: nothing waits, and nothing is known to be missing. See missing.
}

// gap is what there is to a channel of which a publication is missing.
type gap struct {
	waiting []placed // Beyond flow.at, or of another epoch; sorted.
	more    bool     // There were too many.
	doubt   int64    // Since when something is known to be missing, Unix nanoseconds; 0: it is not.
}

// missing returns the gap, which it makes if there is none.
func (f *flow) missing() *gap {
	if f.gap == nil {
		f.gap = new(gap)
	}
	return f.gap
}

// waits says whether publications wait.
func (f *flow) waits() bool { return f.gap != nil && len(f.gap.waiting) > 0 }

// wait keeps a publication until what precedes it has come.
func (g *gap) wait(pub placed) {
	i, found := slices.BinarySearchFunc(g.waiting, pub, func(a, b placed) int {
		return cmp.Or(cmp.Compare(a.epoch, b.epoch), cmp.Compare(a.Offset, b.Offset))
	})
	switch {
	case found:
	case len(g.waiting) == maxWaiting:
		g.more = true
	default:
		g.waiting = slices.Insert(g.waiting, i, pub)
	}
}

// follows says how a publication lies to what was delivered: before or at the end of it (<= 0), the next one (1), or beyond (2).
func (f *flow) follows(pub placed) int {
	switch {
	case !f.placed || pub.epoch != f.at.Epoch || pub.Offset > f.at.Offset+1:
		return 2
	case pub.Offset == f.at.Offset+1:
		return 1
	}
	return 0
}

// forgetOthers drops what waits and is of another epoch than the channel.
func (f *flow) forgetOthers() {
	if f.gap != nil {
		f.gap.waiting = slices.DeleteFunc(f.gap.waiting, func(p placed) bool { return p.epoch != f.at.Epoch })
	}
}

// place delivers a publication if it is the next one, and then those that waited for it. It returns to how many members; 0 also when
// it has to wait. own says that it was published by this node, which may know of it before it hears of those that precede it.
func (h *Hub) place(t *topic, pub placed, own bool, g *outbound.Gather) (deliveries int) {
	f := t.flow
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.ordered {
		return h.fanOut(t, pub, g)
	}
	switch f.follows(pub) {
	case 0:
		h.count.Duplicates.Inc()
		return 0
	case 1:
		f.at.Offset = pub.Offset
		deliveries = h.fanOut(t, pub, g)
		h.drainLocked(t, g)
		f.checked = time.Now().UnixNano()
		return deliveries
	}
	f.missing().wait(pub)
	if f.placed {
		if f.gap.doubt == 0 {
			f.gap.doubt = time.Now().UnixNano()
		}
		if own {
			h.relay.Check(t.name, Later)
		} else {
			h.count.Gaps.WithLabelValues("found").Inc()
			h.relay.Check(t.name, Now)
		}
	}
	return 0
}

// drainLocked delivers what waits, as far as nothing is missing.
func (h *Hub) drainLocked(t *topic, g *outbound.Gather) {
	f := t.flow
	if f.gap == nil {
		return
	}
	f.gap.waiting = slices.DeleteFunc(f.gap.waiting, func(pub placed) bool {
		switch f.follows(pub) {
		case 0:
			return true
		case 1:
			f.at.Offset = pub.Offset
			h.told(pub, h.fanOut(t, pub, g))
			return true
		}
		return false
	})
	if len(f.gap.waiting) == 0 {
		f.gap.waiting = nil
		if !f.gap.more {
			f.gap = nil
		}
	}
}

// told reports deliveries that no publisher of this node is told of.
func (h *Hub) told(pub placed, deliveries int) {
	if deliveries > 0 && h.delivered != nil {
		h.delivered(pub.Publication, deliveries, 0)
	}
}

// Deliver takes what comes from the bus, in the order in which it comes.
func (h *Hub) Deliver(batch []Live) {
	g := h.flushers.Gather()
	defer g.Flush()
	for _, live := range batch {
		t := h.shards.find(live.Pub.Channel)
		if t == nil {
			continue // The last member has just left.
		}
		pub := placed{live.Pub, live.Epoch}
		if pub.Offset == 0 {
			h.told(pub, h.fanOut(t, pub, g))
		} else {
			h.told(pub, h.place(t, pub, false, g))
		}
	}
}
