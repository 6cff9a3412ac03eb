package session

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/zenconn/server/audit"
	"github.com/zenconn/server/core"
)

// Announcer hears of every session that has connected, and of its end. Both methods are called by the session's own goroutine, in this
// order, must not block, and cost every connection what they cost. Implemented by core/registry.
type Announcer interface {
	Opened(o Opening)
	Closed(o Opening, at time.Time, d core.Disconnect)
}

// Opening is what is announced of a session: what does not change as long as it lasts.
type Opening struct {
	ID          core.ID
	User        string
	Transport   string
	Protocol    string
	UserAgent   string
	RemoteAddr  netip.Addr
	ConnectedAt time.Time // As in the audit.
}

func (s *Session) opening() Opening {
	return Opening{
		ID: s.id, User: s.client.User, Transport: s.peer.Transport, Protocol: s.format.String(), UserAgent: s.peer.UserAgent,
		RemoteAddr: s.peer.RemoteAddr, ConnectedAt: s.openedAt,
	}
}

func (s *Session) announceOpened() {
	if s.node.Announcer != nil {
		s.node.Announcer.Opened(s.opening())
	}
}

// announceClosed follows the session's removal from the Registry: who asks the Registry afterwards does not find it, and who asked
// before and found it hears of its end.
func (s *Session) announceClosed(d core.Disconnect) {
	if s.node.Announcer != nil && s.connectedAt.Load() != 0 {
		s.node.Announcer.Closed(s.opening(), time.Now(), d)
	}
}

// Connected returns the connected sessions whose IDs follow after, sorted by ID, at most limit. It contains every session that was
// announced as opened before the call and has not begun to end.
func (r *Registry) Connected(after core.ID, limit int) []Opening {
	var found []*Session
	last := core.ID{} // Of the first limit seen so far; zero: fewer were seen.
	cut := func() {
		slices.SortFunc(found, func(a, b *Session) int { return a.id.Compare(b.id) })
		if len(found) >= limit {
			found = found[:limit]
			last = found[limit-1].id
		}
	}
	r.mu.Lock()
	for id, s := range r.sessions {
		if id.Compare(after) <= 0 || !last.IsZero() && id.Compare(last) > 0 || s.connectedAt.Load() == 0 {
			continue
		}
		if found = append(found, s); len(found) == 2*limit {
			cut()
		}
	}
	cut()
	r.mu.Unlock()
	openings := make([]Opening, len(found))
	for i, s := range found {
		openings[i] = s.opening()
	}
	return openings
}

// Incarnation returns how many times the node came back after others had taken it for lost, at most audit.MaxIncarnation.
func (n *Node) Incarnation() uint8 { return uint8(n.incarnation.Load()) }

// Returned says that the node was taken for lost in an incarnation. It reports true if this is news: then a new incarnation has begun,
// and RecordOpen has to be called.
func (n *Node) Returned(lost uint8) bool {
	if lost >= audit.MaxIncarnation {
		return false
	}
	for {
		now := n.incarnation.Load()
		if now > uint32(lost) {
			return false
		}
		if n.incarnation.CompareAndSwap(now, uint32(lost)+1) {
			return true
		}
	}
}

// The pace of RecordOpen, so that it does not fill the recorder's queue on its own.
const (
	recordChunk = 1000
	recordPause = 10 * time.Millisecond
)

// RecordOpen writes all connected sessions down as open, in the node's new incarnation, until ctx ends. One that ends meanwhile is
// written down as closed in the same incarnation, because it leaves the Registry before, and the closed outweighs the open.
func (n *Node) RecordOpen(ctx context.Context) {
	chunk := 0
	for s := range n.Registry.All() {
		if s.connectedAt.Load() == 0 {
			continue // When it connects, it is written down.
		}
		s.recordOpened()
		if chunk++; chunk < recordChunk {
			continue
		}
		chunk = 0
		select {
		case <-time.After(recordPause):
		case <-ctx.Done():
			return
		}
	}
}
