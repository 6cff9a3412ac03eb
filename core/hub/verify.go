package hub

import (
	"context"
	"iter"
	"time"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/outbound"
)

// Await returns when publications of other nodes reach the member, or cannot for now.
func (h *Hub) Await(ctx context.Context, m *Member) {
	if h.relay != nil {
		_, _ = h.open(ctx, m.topic) // Without the bus there are still the publications of this node.
	}
}

// Position returns where in the channel's history the member begins: publications after it are delivered.
func (h *Hub) Position(ctx context.Context, m *Member) (core.Position, error) {
	if h.relay == nil {
		return h.history.Position(ctx, m.topic.name)
	}
	return h.open(ctx, m.topic)
}

// Recover returns what the member missed since a position, as history.Store.Recover does. Publications after the position that it
// returns are delivered.
func (h *Hub) Recover(ctx context.Context, m *Member, since core.Position) (
	missed []*core.Publication, at core.Position, recovered bool, err error,
) {
	name := m.topic.name
	if h.relay == nil {
		return h.history.Recover(ctx, name, since)
	}
	delivered, err := h.open(ctx, m.topic)
	if err != nil {
		return nil, core.Position{}, false, err
	}
	if since == delivered {
		return nil, delivered, true, nil
	}
	for {
		missed, at, recovered, err = h.history.Recover(ctx, name, since)
		switch {
		case err != nil:
			return nil, core.Position{}, false, err
		case at.Epoch != delivered.Epoch:
			h.relay.Check(name, Now) // The members here are of another epoch; they, and this one, have to begin anew.
			return missed, at, recovered, nil
		case at.Offset >= delivered.Offset:
			return missed, at, recovered, nil
		}
		select { // A replica that does not know what was delivered here already.
		case <-time.After(lagPause):
		case <-ctx.Done():
			return nil, core.Position{}, false, context.Cause(ctx)
		}
	}
}

// open finds out from where on a channel's publications are delivered here, and returns up to where they are: the zero position in a
// channel without history. One does the work for all that ask at the same time.
func (h *Hub) open(ctx context.Context, t *topic) (core.Position, error) {
	f := t.flow
	for {
		f.mu.Lock()
		at, ordered, busy := f.at, f.ordered, f.opening
		if f.placed || !ordered && f.settled {
			f.mu.Unlock()
			return at, nil
		}
		if busy == nil {
			done := make(chan struct{})
			f.opening = done
			f.mu.Unlock()
			if err := h.find(ctx, t, ordered, done); err != nil {
				return core.Position{}, err
			}
			continue
		}
		f.mu.Unlock()
		select {
		case <-busy:
		case <-ctx.Done():
			return core.Position{}, context.Cause(ctx)
		}
	}
}

// find does the work of open. The order matters: what is published after the bus knows of us comes live, and what was before is told
// by the position.
func (h *Hub) find(ctx context.Context, t *topic, ordered bool, done chan struct{}) error {
	var at core.Position
	err := h.relay.Settle(ctx)
	if err == nil && ordered {
		at, err = h.history.Position(ctx, t.name)
	}
	f := t.flow
	g := h.flushers.Gather()
	f.mu.Lock()
	f.opening = nil
	f.settled = f.settled || err == nil
	if err == nil && ordered {
		f.at, f.placed, f.checked = at, true, time.Now().UnixNano()
		f.forgetOthers()
		h.drainLocked(t, g)
		// Another node's part of the bus may hear of us a moment later, and what is published there until then does not come here.
		h.relay.Check(t.name, Soon)
	}
	f.mu.Unlock()
	close(done)
	g.Flush()
	return err
}

// Verify compares what was delivered to the members of a channel with its history, delivers what is missing, and ends the
// subscriptions of those who cannot get it. It says whether it has to be called again. It is called by the Relay.
func (h *Hub) Verify(ctx context.Context, channel string) (again bool) {
	t := h.shards.find(channel)
	if t == nil || t.flow == nil {
		return false
	}
	f := t.flow
	f.mu.Lock()
	since, ordered, found := f.at, f.ordered, f.placed
	if f.gap != nil {
		f.gap.more = false // What is dropped from now on is not in what is read now.
	}
	f.mu.Unlock()
	if !ordered {
		return false
	}
	if !found {
		_, err := h.open(ctx, t)
		return err != nil && h.shards.find(channel) == t
	}
	missed, at, recovered, err := h.history.Recover(ctx, channel, since)
	g := h.flushers.Gather()
	defer g.Flush()
	f.mu.Lock()
	if !f.placed || f.at.Epoch != since.Epoch {
		f.mu.Unlock()
		return true // Somebody else was faster.
	}
	patience := lagTime // The history knows less than was delivered, or has not all of what it knows.
	switch {
	case recovered && !h.fillLocked(t, missed, at, g):
		f.mu.Unlock()
		return false
	case err != nil:
		patience = fillTime
		h.count.Checks.WithLabelValues("failed").Inc()
	case at.Epoch != since.Epoch:
		patience = 0
	}
	now := time.Now().UnixNano()
	if err == nil && f.missing().doubt == 0 {
		f.gap.doubt = now
	}
	if f.gap == nil || f.gap.doubt == 0 || now-f.gap.doubt < int64(patience) {
		f.mu.Unlock()
		return true
	}
	h.endLocked(t)
	return true
}

// fillLocked delivers what was read from the history, and what waited for it. It says whether something is still missing.
func (h *Hub) fillLocked(t *topic, missed []*core.Publication, at core.Position, g *outbound.Gather) (again bool) {
	f := t.flow
	result, gap := "current", f.waits()
	for _, pub := range missed {
		if pub.Offset > f.at.Offset {
			result = "behind"
			f.at.Offset = pub.Offset
			h.told(placed{pub, at.Epoch}, h.fanOut(t, placed{pub, at.Epoch}, g))
		}
	}
	f.at.Offset = max(f.at.Offset, at.Offset) // Those that have expired by themselves are not missed.
	f.checked = time.Now().UnixNano()
	f.forgetOthers()
	h.drainLocked(t, g)
	if result == "behind" && f.gap != nil {
		f.gap.doubt = f.checked // What is missing now is something else.
	}
	again = f.waits() || f.gap != nil && f.gap.more
	h.count.Checks.WithLabelValues(result).Inc()
	if gap && !again {
		h.count.Gaps.WithLabelValues("filled").Inc()
	}
	return again
}

// endLocked ends the subscriptions of all who rely on getting everything. Nothing is delivered in the channel from now on until they
// are gone: a client that got a later publication would take what is missing for received. It releases the lock.
func (h *Hub) endLocked(t *topic) {
	f := t.flow
	if f.waits() {
		h.count.Gaps.WithLabelValues("lost").Inc()
	}
	done := make(chan struct{})
	f.opening, f.placed, f.gap = done, false, nil
	f.mu.Unlock()
	h.count.Checks.WithLabelValues("lost").Inc()
	for _, m := range t.relying() {
		m.lose()
	}
	f.mu.Lock()
	f.opening = nil
	f.mu.Unlock()
	close(done)
}

// relying returns the members that must not miss anything.
func (t *topic) relying() (members []*Member) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, m := range t.members {
		if m.positioned {
			members = append(members, m)
		}
	}
	return members
}

// Quiet goes over the channels with a history and members here whose end nobody has looked at, or heard of, since a time.
func (h *Hub) Quiet(since time.Time) iter.Seq[string] {
	before := since.UnixNano()
	return func(yield func(string) bool) {
		for i := range h.shards.all {
			for _, t := range h.shards.all[i].list() {
				if f := t.flow; f == nil || !f.quiet(before) {
					continue
				}
				if !yield(t.name) {
					return
				}
			}
		}
	}
}

func (f *flow) quiet(before int64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ordered && f.checked < before
}
