package hub

import (
	"context"
	"hash/maphash"
	"iter"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/channel"
	"github.com/zenconn/server/core/history"
	"github.com/zenconn/server/core/outbound"
	"github.com/zenconn/server/core/protocol"
)

// Hub knows the members of every channel on this node. All methods are safe for concurrent use.
type Hub struct {
	history  history.Store
	flushers *outbound.Flushers
	shards   shards
}

// New makes a hub that appends to store and flushes through flushers.
func New(store history.Store, flushers *outbound.Flushers) *Hub {
	h := &Hub{history: store, flushers: flushers, shards: shards{seed: maphash.MakeSeed()}}
	for i := range h.shards.all {
		h.shards.all[i].topics = make(map[string]*topic)
	}
	return h
}

// Join makes a member of the channel. Publications are kept back for it until its Release.
func (h *Hub) Join(ns *channel.Namespace, name string, opts MemberOptions) *Member {
	m := &Member{
		queue: opts.Queue, session: opts.Session, info: opts.Info, presence: opts.Presence, joinLeave: opts.JoinLeave,
	}
	m.held.Store(new(held))
	t := h.shards.lock(name, policy(ns))
	t.addLocked(m)
	h.shards.unlock(t)
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

// Leave ends a membership. It reports false when it had ended before.
func (h *Hub) Leave(m *Member) bool {
	t := m.topic
	t.mu.Lock()
	was := t.removeLocked(m)
	if was {
		h.shards.unlock(t)
	} else {
		t.mu.Unlock()
	}
	return was
}

// Published says what became of a publication.
type Published struct {
	Position   core.Position // Zero in a channel without history.
	Deliveries int           // Members it was queued for.
}

// Publish gives the publication its place in the history, if the namespace keeps one, and queues it for every member but those
// of the session except (zero: all). It owns pub from then on. When it returns an error nobody got the publication.
func (h *Hub) Publish(ctx context.Context, ns *channel.Namespace, pub *core.Publication, except core.ID) (Published, error) {
	if ns.HistorySize <= 0 {
		t := h.shards.find(pub.Channel)
		if t == nil {
			return Published{}, nil
		}
		g := h.flushers.Gather()
		n := t.fanOut(placed{Publication: pub}, except, g)
		g.Flush()
		return Published{Deliveries: n}, nil
	}

	t := h.shards.lock(pub.Channel, policy(ns))
	t.holders++
	h.shards.unlock(t)
	g := h.flushers.Gather()
	out, err := h.publishInOrder(ctx, t, ns, pub, except, g)
	g.Flush()
	t.mu.Lock()
	t.holders--
	h.shards.unlock(t)
	return out, err
}

func (h *Hub) publishInOrder(ctx context.Context, t *topic, ns *channel.Namespace, pub *core.Publication, except core.ID,
	g *outbound.Gather,
) (Published, error) {
	t.order.Lock()
	defer t.order.Unlock()
	at, err := h.history.Append(ctx, pub.Channel, pub, history.Limits{Size: ns.HistorySize, TTL: ns.HistoryTTL})
	if err != nil {
		return Published{}, err
	}
	return Published{Position: at, Deliveries: t.fanOut(placed{pub, at.Epoch}, except, g)}, nil
}

// fanOut queues the publication, encoded once per encoding, for the members. It is the innermost loop of the server: nothing in
// it allocates or waits per member.
func (t *topic) fanOut(pub placed, except core.ID, g *outbound.Gather) (deliveries int) {
	var frames [protocol.Encodings][]byte
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, m := range t.members {
		if m.session == except && !except.IsZero() {
			continue
		}
		if m.hold(pub) {
			deliveries++
			continue
		}
		if covers(m.known, pub) {
			continue
		}
		e := m.queue.Encoding()
		if frames[e] == nil {
			frames[e] = e.AppendPublicationFrame(nil, t.name, pub.Publication)
		}
		switch m.queue.Enqueue(frames[e], &t.lane) {
		case outbound.Waiting:
			deliveries++
		case outbound.Dirty:
			deliveries++
			g.Add(m.queue)
		case outbound.Overrun:
			g.Add(m.queue)
		case outbound.Refused:
		}
	}
	return deliveries
}

// AnnounceJoin tells the members that asked for it that somebody came.
func (h *Hub) AnnounceJoin(name string, who core.ClientInfo) {
	h.announce(name, &protocol.Push{Channel: name, Join: &protocol.Join{Info: protocol.FromClientInfo(&who)}})
}

// AnnounceLeave tells the members that asked for it that somebody left.
func (h *Hub) AnnounceLeave(name string, who core.ClientInfo) {
	h.announce(name, &protocol.Push{Channel: name, Leave: &protocol.Leave{Info: protocol.FromClientInfo(&who)}})
}

func (h *Hub) announce(name string, push *protocol.Push) {
	t := h.shards.find(name)
	if t == nil {
		return
	}
	var frames [protocol.Encodings][]byte
	g := h.flushers.Gather()
	defer g.Flush()
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, m := range t.members {
		if !m.joinLeave || m.held.Load() != nil {
			continue // One that is just joining asks for the presence when it has joined.
		}
		e := m.queue.Encoding()
		if frames[e] == nil {
			frames[e] = e.AppendFrame(nil, e.Format().AppendReply(nil, &protocol.Reply{Push: push}))
		}
		if r := m.queue.Enqueue(frames[e], nil); r == outbound.Dirty || r == outbound.Overrun {
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
			infos = append(infos, m.info)
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
func (h *Hub) Counts() (channels, members int) {
	for _, n := range h.Channels() {
		channels++
		members += n
	}
	return channels, members
}
