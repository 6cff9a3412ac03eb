package chain

import (
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"math"
	"net/netip"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/zenconn/server/audit"
	"github.com/zenconn/server/core"
)

// The kinds of events, as the digests say them.
const (
	kindMessage  = 1
	kindSession  = 2
	kindDecision = 3
	kindAction   = 4
	kindDrop     = 5
)

// Content is the digest of an event: the first half of a SHA-256.
type Content [16]byte

// format is the version of the canonical form. Whoever adds a field to an event raises it and keeps the old form for the old links.
const format = 1

// canon writes events in their canonical form: field after field, texts with their length before them.
type canon struct{ b []byte }

func newCanon() *canon { return &canon{} }

func (c *canon) begin(kind byte) { c.b = append(c.b[:0], kind, format) }

func (c *canon) end() (content Content) {
	sum := sha256.Sum256(c.b)
	copy(content[:], sum[:])
	return content
}

func (c *canon) time(t time.Time) {
	if t.IsZero() {
		t = time.Unix(0, 0)
	}
	c.b = binary.AppendVarint(c.b, t.UnixMilli())
}

func (c *canon) id(id core.ID)   { c.b = append(c.b, id[:]...) }
func (c *canon) number(n uint64) { c.b = binary.AppendUvarint(c.b, min(n, math.MaxInt64)) }

func (c *canon) text(s string) {
	c.b = binary.AppendUvarint(c.b, uint64(len(s)))
	c.b = append(c.b, s...)
}

func (c *canon) bytes(b []byte) {
	c.b = binary.AppendUvarint(c.b, uint64(len(b)))
	c.b = append(c.b, b...)
}

func (c *canon) bool(v bool) {
	n := uint64(0)
	if v {
		n = 1
	}
	c.number(n)
}

func (c *canon) addr(a netip.Addr) {
	if !a.IsValid() {
		a = netip.IPv6Unspecified()
	}
	b := a.WithZone("").As16()
	c.b = append(c.b, b[:]...)
}

func (c *canon) latency(d time.Duration) {
	c.number(uint64(min(max(d.Microseconds(), 0), math.MaxUint32)))
}

// tags are sorted, and are texts: a store that keeps them as JSON cannot keep other bytes.
func (c *canon) tags(tags map[string]string) {
	c.number(uint64(len(tags)))
	if len(tags) == 0 {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(tags)) {
		c.text(valid(name))
		c.text(valid(tags[name]))
	}
}

// valid replaces every byte that is no text, as encoding/json does.
func valid(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return string([]rune(s))
}

func (c *canon) message(m *audit.Message) Content {
	c.begin(kindMessage)
	c.time(m.At)
	c.id(m.ID)
	c.text(m.Node)
	c.text(m.Namespace)
	c.text(m.Channel)
	c.text(m.User)
	c.id(m.Session)
	c.text(m.ClientID)
	c.number(m.Offset)
	c.number(uint64(m.Size))
	c.number(uint64(m.Deliveries))
	c.text(string(m.Verdict))
	c.text(m.ContentType)
	c.bytes(m.Payload)
	c.text(m.PayloadHash)
	c.tags(m.Tags)
	c.number(uint64(len(m.Decisions)))
	for _, d := range m.Decisions {
		c.id(d)
	}
	return c.end()
}

func (c *canon) session(s *audit.Session) Content {
	c.begin(kindSession)
	c.time(s.ConnectedAt)
	c.time(s.DisconnectedAt)
	c.id(s.Session)
	c.text(s.Node)
	c.number(s.NodeEpoch)
	c.number(uint64(s.Worker))
	c.text(s.User)
	c.text(s.Transport)
	c.text(s.Protocol)
	c.addr(s.RemoteAddr)
	c.text(s.UserAgent)
	c.number(s.MessagesIn)
	c.number(s.MessagesOut)
	c.number(s.BytesIn)
	c.number(s.BytesOut)
	c.number(uint64(s.CloseCode))
	c.text(s.CloseReason)
	c.number(uint64(s.Version))
	return c.end()
}

func (c *canon) decision(d *audit.Decision) Content {
	c.begin(kindDecision)
	c.time(d.At)
	c.id(d.ID)
	c.text(d.Node)
	c.text(d.Hook)
	c.text(d.Plugin)
	c.text(d.PluginHash)
	c.text(string(d.Verdict))
	c.text(d.Reason)
	c.text(d.User)
	c.id(d.Session)
	c.text(d.Channel)
	c.id(d.Message)
	c.addr(d.RemoteAddr)
	c.latency(d.Latency)
	return c.end()
}

func (c *canon) action(a *audit.Action) Content {
	c.begin(kindAction)
	c.time(a.At)
	c.id(a.ID)
	c.text(a.Node)
	c.text(a.Actor)
	c.text(a.ActorKind)
	c.text(a.Action)
	c.text(a.Target)
	c.bool(a.OK)
	c.text(a.Error)
	c.addr(a.RemoteAddr)
	c.text(a.Request)
	c.latency(a.Latency)
	return c.end()
}

func (c *canon) drop(d *audit.Drop) Content {
	c.begin(kindDrop)
	c.time(d.At)
	c.text(d.Node)
	c.id(d.Session)
	c.text(d.User)
	c.text(d.Reason)
	c.number(uint64(d.Messages))
	return c.end()
}
