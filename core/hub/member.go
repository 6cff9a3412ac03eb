package hub

import (
	"sync"
	"sync/atomic"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/outbound"
	"github.com/zenconn/server/core/protocol"
)

// Listener is what the memberships of one connection have in common. It is not changed after it was used.
type Listener struct {
	Queue   *outbound.Queue
	Session core.ID
	Info    core.ClientInfo // What others see of it; a membership may have a ChanInfo besides.
	Owner   Owner           // Is told; needed by members that are Positioned.
}

// Member is one connection listening to one channel. There are very many of them: what only some need is not here.
type Member struct {
	// Fixed after Join.
	queue    *outbound.Queue // The listener's, at hand for the fan-out.
	listener *Listener
	topic    *topic
	rare     *rare // nil: it has nothing of that.

	// held keeps publications back until the member has got the reply to its subscribe command; nil afterwards.
	held atomic.Pointer[held]

	index      int32 // In topic.members; guarded by topic.mu.
	encoding   protocol.Encoding
	presence   bool
	joinLeave  bool
	positioned bool
}

// rare is what few members need: in channels with a history, or with a ChanInfo.
type rare struct {
	chanInfo []byte

	// known is what the member had learnt from the history when it was released: a publication may be in the history and not yet
	// fanned out. Written before held becomes nil, and not changed afterwards.
	known core.Position
}

// known returns rare.known.
func (m *Member) known() core.Position {
	if m.rare == nil {
		return core.Position{}
	}
	return m.rare.known
}

// MemberOptions describe a member to be.
type MemberOptions struct {
	ChanInfo  []byte
	Presence  bool // Show it in the channel's presence.
	JoinLeave bool // Tell it who comes and goes.
	Numbered  bool // Name the channel by its Number to it.

	// Positioned says that it must get every publication or be told that it does not. Only a hub with a relay may have to tell that
	// after Release.
	Positioned bool
}

// Info returns what others see of the member.
func (m *Member) Info() core.ClientInfo {
	info := m.listener.Info
	if m.rare != nil {
		info.ChanInfo = m.rare.chanInfo
	}
	return info
}

// Channel returns the channel the member listens to.
func (m *Member) Channel() string { return m.topic.name }

// Number returns what stands for the channel in the pushes to the member; 0: the channel's name does. A channel keeps its number as long
// as it has members on this node, and no other channel of the node ever has the same.
func (m *Member) Number() int64 {
	if m.encoding&protocol.Numbered == 0 {
		return 0
	}
	return m.topic.number.Load()
}

// maxHeld is how many publications are kept back for a member that is just joining. Joining takes one reading of the history;
// a channel that publishes more in that time makes the subscription start again.
const maxHeld = 1024

type held struct {
	mu       sync.Mutex
	pubs     []placed
	overflow bool
	released bool
}

// placed is a publication with the epoch of its offset; "" in a channel without history.
type placed struct {
	*core.Publication
	epoch string
}

// covers reports whether the position tells of the publication already.
func covers(known core.Position, pub placed) bool {
	return pub.Offset != 0 && pub.Offset <= known.Offset && pub.epoch == known.Epoch
}

// hold keeps the publication back if the member is still joining. It reports whether it did.
func (m *Member) hold(pub placed) bool {
	h := m.held.Load()
	if h == nil {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.released {
		return false
	}
	switch {
	case h.overflow: // What follows what is missing must not come either.
	case len(h.pubs) == maxHeld:
		h.overflow = true
	default:
		h.pubs = append(h.pubs, pub)
	}
	return true
}

// lose tells the member that it misses publications: by Release if it is just joining, otherwise its owner.
func (m *Member) lose() {
	if h := m.held.Load(); h != nil {
		h.mu.Lock()
		joining := !h.released
		h.overflow = h.overflow || joining
		h.mu.Unlock()
		if joining {
			return
		}
	}
	m.listener.Owner.Lost(m)
}

// Release ends the joining: publications kept back are queued now, but for those up to the position the member already knows, and
// from then on publications come as they are made. The caller has queued the reply to the subscribe command before, and flushes
// afterwards. It reports false when too much had to be kept back, or something is missing; the member then misses publications, gets
// none any more that follow them, and must leave.
func (m *Member) Release(known core.Position) bool {
	h := m.held.Load()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.released = true
	if m.rare != nil {
		m.rare.known = known
	}
	for _, pub := range h.pubs {
		if !covers(known, pub) {
			var frames protocol.Frames
			m.queue.Enqueue(m.topic.frame(&frames, m, pub.Publication), &m.topic.lane)
		}
	}
	h.pubs = nil
	m.held.Store(nil)
	return !h.overflow
}
