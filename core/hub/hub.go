package hub

import (
	"hash/maphash"
	"iter"
	"sync/atomic"
	"time"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/channel"
	"github.com/zenconn/server/core/history"
	"github.com/zenconn/server/core/metrics"
	"github.com/zenconn/server/core/outbound"
	"github.com/zenconn/server/core/protocol"
)

// Options are what a hub is made of.
type Options struct {
	// History is where it appends. With a Relay it must be one that brings what it stores to the Relay of every node.
	History  history.Store
	Flushers *outbound.Flushers

	// Relay brings what happens to the other nodes; nil: there are none.
	Relay Relay
	// Delivered is told of fan-outs that happen without a publisher on this node who is told of them, and of members that a publication
	// could not be queued for, whoever published it; nil: nobody is. It must not wait for anything.
	Delivered func(pub *core.Publication, deliveries, drops int)
	Metrics   *metrics.Metrics // Needed with a Relay, and for channels that batch.
}

// Hub knows the members of every channel on this node. All methods are safe for concurrent use.
type Hub struct {
	history   history.Store
	flushers  *outbound.Flushers
	relay     Relay // nil: there are no other nodes, and publications are in order by themselves.
	delivered func(pub *core.Publication, deliveries, drops int)
	count     metrics.Live
	shards    shards
	lines     *shards      // Where the publications of a channel line up; with a relay, shards has no channels without members.
	numbers   atomic.Int64 // The last that a channel was given.
	batched   metrics.Batches
	delays    delays
}

// New makes a hub.
func New(o Options) *Hub {
	h := &Hub{
		history: o.History, flushers: o.Flushers, relay: o.Relay, delivered: o.Delivered,
		shards: shards{seed: maphash.MakeSeed(), flows: o.Relay != nil}, delays: delays{wake: make(chan struct{}, 1)},
	}
	if o.Metrics != nil {
		h.count, h.batched = o.Metrics.Live, o.Metrics.Batches
	}
	h.shards.make()
	if h.lines = &h.shards; h.relay != nil {
		h.lines = &shards{seed: maphash.MakeSeed()}
		h.lines.make()
	}
	return h
}

// Join makes a member of the channel. Publications are kept back for it until its Release.
func (h *Hub) Join(ns *channel.Namespace, name string, listener *Listener, opts MemberOptions) *Member {
	m := &Member{
		queue: listener.Queue, listener: listener, encoding: listener.Queue.Encoding(), presence: opts.Presence, joinLeave: opts.JoinLeave,
		positioned: opts.Positioned,
	}
	if ns.HistorySize > 0 || opts.ChanInfo != nil {
		m.rare = &rare{chanInfo: opts.ChanInfo}
	}
	m.held.Store(new(held))
	t := h.shards.lock(name, ns)
	h.shards.addLocked(t, m)
	if opts.Numbered {
		m.encoding |= protocol.Numbered
		if t.number.Load() == 0 {
			t.number.Store(h.numbers.Add(1))
		}
	}
	h.shards.unlock(t)
	if h.relay == nil {
		return m
	}
	if ns.HistorySize > 0 {
		t.flow.mu.Lock()
		t.flow.ordered = true
		t.flow.mu.Unlock()
	}
	h.relay.Subscribe(name)
	return m
}

func policy(ns *channel.Namespace) outbound.Policy {
	switch ns.SlowConsumer {
	case channel.DropOldest:
		return outbound.DropOldest
	case channel.Conflate:
		return outbound.Conflate
	default:
		return outbound.Disconnect
	}
}

// Leave ends a membership. What waits in the channel is queued for the member before. It reports false when it had ended before.
func (h *Hub) Leave(m *Member) bool {
	t := m.topic
	if t.batch != nil {
		if !h.leave(m) {
			return false
		}
	} else {
		t.mu.Lock()
		if !h.shards.removeLocked(t, m) {
			t.mu.Unlock()
			return false
		}
		h.shards.unlock(t)
	}
	if h.relay != nil {
		h.relay.Unsubscribe(t.name)
	}
	return true
}

// Published says what became of a publication.
type Published struct {
	Position   core.Position // Zero in a channel without history.
	Deliveries int           // Members on this node it was queued for; of others, and of later ones, Options.Delivered is told.
}

// publishFleeting hands out a publication that has no place in a history: to the members here at once, and to the others by the bus.
func (h *Hub) publishFleeting(pub *core.Publication) (out Published) {
	if h.relay != nil {
		defer h.relay.Publish(pub)
	}
	t := h.shards.find(pub.Channel)
	if t == nil {
		return out
	}
	g := h.flushers.Gather()
	defer g.Flush()
	out.Deliveries = h.fanOut(t, placed{Publication: pub}, g)
	return out
}

func limits(ns *channel.Namespace) history.Limits {
	return history.Limits{Size: ns.HistorySize, TTL: ns.HistoryTTL}
}

// deliver fans out what was appended to a history that nobody else appends to.
func (h *Hub) deliver(t *topic, pub *core.Publication, at core.Position, deadline time.Time, g *outbound.Gather) Published {
	if !t.order.sequence.certain() && !h.catchUp(deadline, t, at, g) {
		for _, m := range t.relying() { // Before they get what follows.
			m.lose()
		}
	}
	t.order.sequence = order{at: at, known: true}
	return Published{Position: at, Deliveries: h.fanOut(t, placed{pub, at.Epoch}, g)}
}

// fanOut queues the publication, encoded once per encoding, for the members. It is the innermost loop of the server: nothing in
// it allocates or waits per member.
func (t *topic) fanOut(pub placed, g *outbound.Gather) (deliveries, drops int) {
	except := pub.Except
	var frames protocol.Frames
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, m := range t.members {
		if !except.IsZero() && m.listener.Session == except {
			continue
		}
		if m.hold(pub) {
			deliveries++
			continue
		}
		if m.rare != nil && covers(m.rare.known, pub) {
			continue
		}
		frame := frames[m.encoding]
		if frame == nil {
			frame = t.frame(&frames, m, pub.Publication)
		}
		switch m.queue.Enqueue(frame, &t.lane) {
		case outbound.Waiting:
			deliveries++
		case outbound.Dirty:
			deliveries++
			g.Add(m.queue)
		case outbound.Overrun:
			drops++
			g.Add(m.queue)
		case outbound.Refused:
			drops++
		}
	}
	return deliveries, drops
}

// frame makes the frame of a publication for one of the members, and those like it.
func (t *topic) frame(frames *protocol.Frames, m *Member, pub *core.Publication) []byte {
	return frames.Fill(m.encoding, m.queue.Deflate(), func(e protocol.Encoding) []byte {
		return e.AppendPublicationFrame(nil, t.name, t.number.Load(), pub)
	})
}

// fanOut hands a publication to the members of a channel, and tells of those it could not be queued for. In a channel that batches it
// may wait for others before.
func (h *Hub) fanOut(t *topic, pub placed, g *outbound.Gather) (deliveries int) {
	if t.batch != nil {
		h.await(t, pub, g)
		return 0 // It is told of when it is delivered.
	}
	deliveries, drops := t.fanOut(pub, g)
	if drops > 0 && h.delivered != nil {
		h.delivered(pub.Publication, 0, drops)
	}
	return deliveries
}

// AnnounceJoin tells the members that asked for it, on all nodes, that somebody came.
func (h *Hub) AnnounceJoin(name string, who core.ClientInfo) { h.announce(name, Joined, who) }

// AnnounceLeave tells the members that asked for it, on all nodes, that somebody left.
func (h *Hub) AnnounceLeave(name string, who core.ClientInfo) { h.announce(name, Left, who) }

func (h *Hub) announce(name string, change Change, who core.ClientInfo) {
	h.Announced(name, change, who)
	if h.relay != nil {
		h.relay.Announce(name, change, who)
	}
}

// Announced tells the members on this node that asked for it what another node announces.
func (h *Hub) Announced(name string, change Change, who core.ClientInfo) {
	t := h.shards.find(name)
	if t == nil {
		return
	}
	h.hasten(t) // Who leaves has said before what waits.
	push := &protocol.Push{Channel: name}
	if info := protocol.FromClientInfo(&who); change == Joined {
		push.Join = &protocol.Join{Info: info}
	} else {
		push.Leave = &protocol.Leave{Info: info}
	}
	var frames protocol.Frames
	g := h.flushers.Gather()
	defer g.Flush()
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, m := range t.members {
		if !m.joinLeave || m.held.Load() != nil {
			continue // One that is just joining asks for the presence when it has joined.
		}
		frame := frames[m.encoding]
		if frame == nil {
			frame = frames.Fill(m.encoding, m.queue.Deflate(), func(e protocol.Encoding) []byte {
				return e.AppendPushFrame(nil, t.number.Load(), push)
			})
		}
		if r := m.queue.Enqueue(frame, nil); r == outbound.Dirty || r == outbound.Overrun {
			g.Add(m.queue)
		}
	}
}

// Members returns who is shown in the presence of the channel on this node, in no order.
func (h *Hub) Members(name string) []core.ClientInfo {
	t := h.shards.find(name)
	if t == nil {
		return nil
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	infos := make([]core.ClientInfo, 0, len(t.members))
	for _, m := range t.members {
		if m.presence {
			infos = append(infos, m.Info())
		}
	}
	return infos
}

// Channels goes over the channels that have members on this node, in no order, with the number of their members.
func (h *Hub) Channels() iter.Seq2[string, int] {
	return func(yield func(string, int) bool) {
		for i := range h.shards.all {
			for _, t := range h.shards.all[i].list() {
				t.mu.RLock()
				n := len(t.members)
				t.mu.RUnlock()
				if n > 0 && !yield(t.name, n) {
					return
				}
			}
		}
	}
}

// Counts returns how many channels have members on this node, and how many members they have together.
func (h *Hub) Counts() (channels, members int) { return h.shards.counts() }
