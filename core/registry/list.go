package registry

import (
	"net/netip"
	"time"
	"unique"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/session"
)

// list is what is known of the sessions of one process.
//
// It is brought up to date by asking for all pages, while the changes that come are applied at once. That gives the truth, in
// whatever way pages and changes overtake each other, because a session opens and closes once, in this order, and never comes back:
//
//   - What closed while the pages are read is remembered, and not taken from a page that was read before.
//   - What is in no page and has not opened meanwhile is dropped at the end: it closed before.
//   - All that happened after the first page was read must have come as changes, without a gap; otherwise it all begins again.
type list struct {
	origin
	sessions map[core.ID]*entry

	// Of the changes.
	next uint64 // Number of the one expected next; 0: any will do, because none has come since the reading began.

	// Of the reading of pages.
	reading bool
	round   uint32               // Raised when a reading begins; what it has confirmed bears it.
	from    uint64               // Number of the first change that came since it began; 0: none has.
	closed  map[core.ID]struct{} // Since it began.
	read    uint64               // Number of the first change after the first page was read; 0: it is not there yet.
}

// entry is one session. It takes 112 bytes, some 40 in the map of its list, and its user's name once per user; other texts are shared
// among all sessions.
type entry struct {
	id          core.ID
	connectedAt int64 // Unix milliseconds.
	remoteAddr  netip.Addr
	user        unique.Handle[string]
	transport   unique.Handle[string]
	protocol    unique.Handle[string]
	userAgent   unique.Handle[string]
	owner       *member
	round       uint32

	// The neighbours among the sessions of the same user; nil: none.
	before, after *entry
}

func (e *entry) opening() session.Opening {
	return session.Opening{
		ID: e.id, User: e.user.Value(), Transport: e.transport.Value(), Protocol: e.protocol.Value(), UserAgent: e.userAgent.Value(),
		RemoteAddr: e.remoteAddr, ConnectedAt: time.UnixMilli(e.connectedAt),
	}
}

// users finds the sessions of a user: the first of a chain through the entries. Anonymous ones are in none.
type users map[unique.Handle[string]]*entry

func (u users) add(e *entry) {
	if e.user.Value() == "" {
		return
	}
	first := u[e.user]
	if e.after = first; first != nil {
		first.before = e
	}
	u[e.user] = e
}

func (u users) remove(e *entry) {
	if e.user.Value() == "" {
		return
	}
	if e.after != nil {
		e.after.before = e.before
	}
	switch {
	case e.before != nil:
		e.before.after = e.after
	case e.after != nil:
		u[e.user] = e.after
	default:
		delete(u, e.user)
	}
	e.before, e.after = nil, nil
}

// begin starts a reading, from the first page on.
func (l *list) begin() {
	l.reading, l.from, l.read, l.next = true, 0, 0, 0
	l.round++
	l.closed = make(map[core.ID]struct{})
}

// apply takes a batch of changes. It reports false when some before it were lost: then the list has to be read. What a page told of
// already is skipped: if only a part of it still came, a session might open here of which the close does not come any more.
func (m *member) apply(b *message, all users) (contiguous bool) {
	l := &m.list
	l.origin = b.origin
	known := l.next
	if l.reading && l.from == 0 {
		l.from = b.first
	}
	l.next = max(b.first+uint64(len(b.changes)), l.next)
	for i := range b.changes {
		c := &b.changes[i]
		if b.first+uint64(i) < known {
			continue
		}
		if !c.closed {
			m.open(&c.Opening, all)
			continue
		}
		if l.reading {
			l.closed[c.ID] = struct{}{}
		}
		m.close(c.ID, all)
	}
	return known == 0 || b.first <= known
}

// turn takes a page. It reports false when the reading must begin again, because changes were lost.
func (m *member) turn(p *message, all users) bool {
	l := &m.list
	l.origin = p.origin
	if l.read == 0 {
		l.read = p.first
	}
	for i := range p.changes {
		if o := &p.changes[i].Opening; !has(l.closed, o.ID) {
			m.open(o, all)
		}
	}
	if p.more {
		return true
	}
	if l.from > l.read {
		return false
	}
	l.reading, l.closed = false, nil
	if l.from == 0 {
		l.next = l.read
	}
	for id, e := range l.sessions {
		if e.round != l.round {
			m.close(id, all)
		}
	}
	return true
}

func has(set map[core.ID]struct{}, id core.ID) bool {
	_, ok := set[id]
	return ok
}

func (m *member) open(o *session.Opening, all users) {
	e := m.list.sessions[o.ID]
	if e == nil {
		e = &entry{
			id: o.ID, connectedAt: o.ConnectedAt.UnixMilli(), remoteAddr: o.RemoteAddr, user: unique.Make(o.User),
			transport: unique.Make(o.Transport), protocol: unique.Make(o.Protocol), userAgent: unique.Make(o.UserAgent), owner: m,
		}
		m.list.sessions[o.ID] = e
		all.add(e)
	}
	e.round = m.list.round
}

func (m *member) close(id core.ID, all users) {
	if e := m.list.sessions[id]; e != nil {
		delete(m.list.sessions, id)
		all.remove(e)
	}
}
