package hub

import (
	"time"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/history"
	"github.com/zenconn/server/core/outbound"
)

// order is what a hub without a relay must know to leave nothing out: an append that failed may have stored its publication all the same,
// when the answer got lost or came too late. Owned by the first of the line.
type order struct {
	at    core.Position // Up to here everything was fanned out.
	known bool          // That holds: something was appended, or tried, since there is the topic.
	doubt bool          // An append behind it has failed.
}

// failed notes that an append has failed.
func (o *order) failed(pub *core.Publication) {
	if !o.known && pub.Offset > 0 { // It was tried behind this one.
		o.at, o.known = core.Position{Offset: pub.Offset - 1}, true
	}
	o.doubt = true
}

// certain says that the next append follows what the members have.
func (o *order) certain() bool { return o.known && !o.doubt }

// known returns the earliest position at which one of those who must not miss anything has joined; false: there is nobody.
func (t *topic) known() (at core.Position, ok bool) {
	for _, m := range t.relying() {
		if m.held.Load() == nil && (!ok || m.known().Offset < at.Offset) {
			at, ok = m.known(), true
		}
	}
	return at, ok
}

// catchUp delivers what lies between the last publication that was fanned out and the one that was just appended. It reports false when
// some of that cannot be read.
func (h *Hub) catchUp(deadline time.Time, t *topic, next core.Position, g *outbound.Gather) bool {
	last, ok := t.order.sequence.at, t.order.sequence.known
	if !ok {
		last, ok = t.known()
	}
	if !ok {
		return true // Nobody would notice.
	}
	if last.Epoch != "" && last.Epoch != next.Epoch {
		return false
	}
	if next.Offset <= last.Offset+1 {
		return true
	}
	missing := next.Offset - last.Offset - 1
	since := core.Position{Offset: last.Offset, Epoch: next.Epoch}
	ctx, cancel := history.Until(deadline)
	defer cancel()
	pubs, _, err := h.history.Read(ctx, t.name, history.Query{Since: &since, Limit: int(min(missing, maxHeld))}) //nolint:gosec // At most maxHeld.
	if n := uint64(len(pubs)); err != nil || n < missing || pubs[0].Offset != last.Offset+1 || pubs[n-1].Offset != next.Offset-1 {
		return false
	}
	for _, pub := range pubs {
		one := placed{pub, next.Epoch}
		h.told(one, h.fanOut(t, one, g))
	}
	return true
}
