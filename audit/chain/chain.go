package chain

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/zenconn/server/audit"
	"github.com/zenconn/server/core"
)

// Chain is made by one process. One goroutine uses it.
type Chain struct {
	node, life string
	number     uint64
	previous   audit.Digest
	canon      *canon
	next       audit.Link
}

// New begins the chain of a life; no two chains have the same.
func New(node, life string) *Chain { return &Chain{node: node, life: life, canon: newCanon()} }

// Life is what New was told.
func (c *Chain) Life() string { return c.life }

// Room is how much the next link's digests take so far, in bytes.
func (c *Chain) Room() int { return len(c.next.Entries) }

// Message puts an event into the next link; so do the others.
func (c *Chain) Message(m *audit.Message) { c.add(kindMessage, c.canon.message(m), m.At) }

// Decision puts an event into the next link.
func (c *Chain) Decision(d *audit.Decision) { c.add(kindDecision, c.canon.decision(d), d.At) }

// Action puts an event into the next link.
func (c *Chain) Action(a *audit.Action) { c.add(kindAction, c.canon.action(a), a.At) }

// Drop puts an event into the next link.
func (c *Chain) Drop(d *audit.Drop) { c.add(kindDrop, c.canon.drop(d), d.At) }

// Session puts an event into the next link. A later version of a session replaces an earlier one, so the link says which this is.
func (c *Chain) Session(s *audit.Session) {
	content := c.canon.session(s)
	l := &c.next
	l.Events++
	l.Entries = append(append(l.Entries, kindSession), content[:]...)
	l.Entries = append(append(l.Entries, s.Session[:]...), s.Version)
}

func (c *Chain) add(kind byte, content Content, at time.Time) {
	l := &c.next
	l.Events++
	l.Entries = append(append(l.Entries, kind), content[:]...)
	if l.First.IsZero() || at.Before(l.First) {
		l.First = at
	}
	if at.After(l.Last) {
		l.Last = at
	}
}

// Link ends the link that was being made, and begins the next one. It returns nil when no event was put into it.
func (c *Chain) Link(now time.Time) *audit.Link {
	if c.next.Events == 0 {
		return nil
	}
	l := c.next
	c.number++
	l.At, l.Node, l.Life, l.Number, l.Previous = now, c.node, c.life, c.number, c.previous
	l.Digest = digest(&l)
	c.previous = l.Digest
	c.next = audit.Link{Entries: make([]byte, 0, len(l.Entries))}
	return &l
}

// Head is the end of the chain: the last link that was made.
func (c *Chain) Head() Head { return Head{c.life, c.number, c.previous} }

// digest computes the digest of a link from all its other fields.
func digest(l *audit.Link) audit.Digest {
	entries := sha256.Sum256(l.Entries)
	c := canon{b: make([]byte, 0, 256)}
	c.text("ZenConn audit link 1")
	c.time(l.At)
	c.text(l.Node)
	c.text(l.Life)
	c.number(l.Number)
	c.time(l.First)
	c.time(l.Last)
	c.number(uint64(l.Events))
	c.bytes(l.Previous[:])
	c.bytes(entries[:])
	return sha256.Sum256(c.b)
}

// Head names a link by its place and its digest. Who keeps one, in a log that is kept elsewhere for example, can later be sure of
// everything that is in the chain up to it.
type Head struct {
	Life   string
	Number uint64
	Digest audit.Digest
}

// String is the form in which heads are published.
func (h Head) String() string {
	return fmt.Sprintf("%s#%d:%s", h.Life, h.Number, hex.EncodeToString(h.Digest[:]))
}

// ParseHead reads what String wrote.
func ParseHead(s string) (h Head, err error) {
	life, rest, ok := cutLast(s, '#')
	number, sum, ok2 := strings.Cut(rest, ":")
	n, err1 := strconv.ParseUint(number, 10, 64)
	b, err2 := hex.DecodeString(sum)
	if !ok || !ok2 || err1 != nil || err2 != nil || len(b) != len(h.Digest) || life == "" {
		return Head{}, fmt.Errorf("%.150q is not the head of a chain, as the server logs it", s)
	}
	return Head{life, n, audit.Digest(b)}, nil
}

func cutLast(s string, c byte) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, c)
	if i < 0 {
		return "", "", false
	}
	return s[:i], s[i+1:], true
}

// entry is what a link says of one event.
type entry struct {
	kind    byte
	content Content
	session core.ID // Of a session only, as the version.
	version uint8
}

var errEntries = errors.New("its digests cannot be read")

// entries reads what a link says of its events.
func entries(l *audit.Link) (all []entry, err error) {
	all = make([]entry, 0, min(int(l.Events), len(l.Entries)/(1+len(Content{}))))
	for b := l.Entries; len(b) > 0; {
		e := entry{kind: b[0]}
		b = b[1:]
		if len(b) < len(e.content) {
			return nil, errEntries
		}
		b = b[copy(e.content[:], b):]
		if e.kind == kindSession {
			if len(b) < len(e.session)+1 {
				return nil, errEntries
			}
			b = b[copy(e.session[:], b):]
			e.version, b = b[0], b[1:]
		}
		all = append(all, e)
	}
	if len(all) != int(l.Events) {
		return nil, errEntries
	}
	return all, nil
}

// Of returns the digest of an event as links have it; zero for a Delivery.
func Of(e audit.Event) (content Content) {
	c := newCanon()
	switch e := e.(type) {
	case *audit.Message:
		return c.message(e)
	case *audit.Session:
		return c.session(e)
	case *audit.Decision:
		return c.decision(e)
	case *audit.Action:
		return c.action(e)
	case *audit.Drop:
		return c.drop(e)
	}
	return content
}

// String is the content in hexadecimal.
func (c Content) String() string { return hex.EncodeToString(c[:]) }

// madeAt is the time in an identifier of version 7.
func madeAt(id core.ID) time.Time {
	var b [8]byte
	copy(b[2:], id[:6])
	return time.UnixMilli(int64(binary.BigEndian.Uint64(b[:])))
}
