package registry

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/session"
)

// format is the version of batches and pages. Fields may be added to the end of a change: older programs skip what they do not know.
const format = 1

// What a batch or a page holds at most. The bytes are far below the 1 MiB that NATS servers take by default.
const (
	batchChanges = 512
	pageSessions = 4000
	messageBytes = 256 << 10
	maxText      = 512 // Bytes of a user agent or a reason; the rest is cut off.
)

// change is a session that has opened or closed.
type change struct {
	session.Opening
	closed bool
	at     time.Time // Of the close.
	reason core.Disconnect
}

// message is a batch of changes, or a page of open sessions.
type message struct {
	origin
	first   uint64 // Number of the first change; in a page, of the first that happened after it was read.
	more    bool   // Of a page: there are more.
	changes []change
}

// origin says who speaks.
type origin struct {
	uid         string // Of the member.
	name        string // Of the node.
	epoch       uint64 // Unix seconds of the node's start.
	worker      uint16
	incarnation uint8
}

const (
	flagMore    = 1
	kindOpened  = 1
	kindClosed  = 2
	headRoom    = 9 * binary.MaxVarintLen64
	changeRoom  = 256 // What most changes need.
	shortestOne = 3   // Bytes of a change that says nothing.
)

// appendMessage encodes m up to messageBytes and returns how many changes there was room for, at least one if there is one.
func appendMessage(b []byte, m *message) (_ []byte, n int) {
	b = append(b, format, flags(m.more), m.incarnation)
	b = binary.AppendUvarint(b, uint64(m.worker))
	b = binary.AppendUvarint(b, m.epoch)
	b = appendText(b, m.uid)
	b = appendText(b, m.name)
	b = binary.AppendUvarint(b, m.first)
	var body []byte
	for n < len(m.changes) && (n == 0 || len(b) < messageBytes) {
		c := &m.changes[n]
		kind := byte(kindOpened)
		if c.closed {
			kind = kindClosed
		}
		body = appendChange(body[:0], c)
		b = append(b, kind)
		b = binary.AppendUvarint(b, uint64(len(body)))
		b = append(b, body...)
		n++
	}
	return b, n
}

func flags(more bool) byte {
	if more {
		return flagMore
	}
	return 0
}

// setMore marks an encoded page as one that more follow.
func setMore(b []byte) { b[1] |= flagMore }

func appendChange(b []byte, c *change) []byte {
	b = append(b, c.ID[:]...)
	if c.closed {
		b = binary.AppendVarint(b, c.at.UnixMilli())
		b = binary.AppendUvarint(b, uint64(c.reason.Code))
		return appendText(b, cut(c.reason.Reason))
	}
	b = binary.AppendVarint(b, c.ConnectedAt.UnixMilli())
	b = appendText(b, c.User)
	b = appendText(b, c.Transport)
	b = appendText(b, c.Protocol)
	b = appendText(b, cut(c.UserAgent))
	if !c.RemoteAddr.IsValid() {
		return append(b, 0)
	}
	return appendText(b, string(c.RemoteAddr.WithZone("").AsSlice()))
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func cut(s string) string { return s[:min(len(s), maxText)] }

var errWire = errors.New("not an announcement of sessions")

// parseMessage reads what appendMessage wrote. Nothing of it refers to b.
func parseMessage(b []byte) (*message, error) {
	if len(b) < 3 {
		return nil, errWire
	}
	if b[0] != format {
		return nil, fmt.Errorf("%w of format %d, but of %d: are the programs of different versions?", errWire, format, b[0])
	}
	m := &message{more: b[1]&flagMore != 0}
	m.incarnation = b[2]
	r := reader{b: b[3:]}
	m.worker, m.epoch, m.uid, m.name = uint16(r.number()), r.number(), r.text(), r.text()
	m.first = r.number()
	if r.bad {
		return nil, errWire
	}
	m.changes = make([]change, 0, min(len(r.b)/shortestOne, pageSessions))
	for len(r.b) > 0 {
		kind := r.next(1)[0]
		body := reader{b: r.next(r.number())}
		c := change{closed: true} // Of no session: what newer programs tell has a number too.
		if kind == kindOpened || kind == kindClosed {
			c = body.change(kind == kindClosed)
		}
		if r.bad || body.bad {
			return nil, errWire
		}
		m.changes = append(m.changes, c)
	}
	return m, nil
}

// reader takes a message apart. After something that does not fit, bad is set and everything read is zero.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) next(n uint64) []byte {
	if r.bad || n > uint64(len(r.b)) {
		r.bad = true
		return nil
	}
	part := r.b[:n]
	r.b = r.b[n:]
	return part
}

func (r *reader) number() uint64 {
	v, n := binary.Uvarint(r.b)
	if r.bad || n <= 0 {
		r.bad = true
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) time() time.Time {
	v, n := binary.Varint(r.b)
	if r.bad || n <= 0 {
		r.bad = true
		return time.Time{}
	}
	r.b = r.b[n:]
	return time.UnixMilli(v)
}

func (r *reader) text() string { return string(r.next(r.number())) }

func (r *reader) change(closed bool) (c change) {
	copy(c.ID[:], r.next(uint64(len(c.ID))))
	if c.closed = closed; closed {
		c.at, c.reason = r.time(), core.Disconnect{Code: uint32(r.number()), Reason: r.text()}
		return c
	}
	c.ConnectedAt = r.time()
	c.User, c.Transport, c.Protocol, c.UserAgent = r.text(), r.text(), r.text(), r.text()
	c.RemoteAddr, _ = netip.AddrFromSlice(r.next(r.number())) // Invalid if there is none.
	return c
}
