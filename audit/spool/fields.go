package spool

import (
	"net/netip"
	"time"

	"github.com/zenconn/server/audit"
	"github.com/zenconn/server/core"
)

// The kinds of records.
const (
	kindMessage  = 1
	kindSession  = 2
	kindDecision = 3
	kindAction   = 4
	kindDelivery = 5
	kindDrop     = 6
	kindLink     = 7
)

// fields goes through the fields of a record in their order, and reads or writes each.
type fields interface {
	more() bool // Whether fields follow: what older programs wrote ends earlier.
	digest(*audit.Digest)
	time(*time.Time) // To the microsecond; the zero time stays zero.
	duration(*time.Duration)
	id(*core.ID)
	ids(*[]core.ID)
	addr(*netip.Addr)
	text(*string)
	bytes(*[]byte) // Empty and nil are the same.
	tags(*map[string]string)
	bool(*bool)
	uint8(*uint8)
	uint16(*uint16)
	uint32(*uint32)
	uint64(*uint64)
}

// The order of the fields is the format: new ones are added at the end.

func messageFields(f fields, m *audit.Message) {
	f.time(&m.At)
	f.id(&m.ID)
	f.text(&m.Node)
	f.text(&m.Namespace)
	f.text(&m.Channel)
	f.text(&m.User)
	f.id(&m.Session)
	f.text(&m.ClientID)
	f.uint64(&m.Offset)
	f.uint32(&m.Size)
	f.uint32(&m.Deliveries)
	f.text((*string)(&m.Verdict))
	f.text(&m.ContentType)
	f.bytes(&m.Payload)
	f.tags(&m.Tags)
	if f.more() {
		f.text(&m.PayloadHash)
		f.ids(&m.Decisions)
	}
}

func sessionFields(f fields, s *audit.Session) {
	f.time(&s.ConnectedAt)
	f.time(&s.DisconnectedAt)
	f.id(&s.Session)
	f.text(&s.Node)
	f.uint64(&s.NodeEpoch)
	f.uint16(&s.Worker)
	f.text(&s.User)
	f.text(&s.Transport)
	f.text(&s.Protocol)
	f.addr(&s.RemoteAddr)
	f.text(&s.UserAgent)
	f.uint64(&s.MessagesIn)
	f.uint64(&s.MessagesOut)
	f.uint64(&s.BytesIn)
	f.uint64(&s.BytesOut)
	f.uint16(&s.CloseCode)
	f.text(&s.CloseReason)
	f.uint8(&s.Version)
}

func decisionFields(f fields, d *audit.Decision) {
	f.time(&d.At)
	f.id(&d.ID)
	f.text(&d.Node)
	f.text(&d.Hook)
	f.text(&d.Plugin)
	f.text(&d.PluginHash)
	f.text((*string)(&d.Verdict))
	f.text(&d.Reason)
	f.text(&d.User)
	f.id(&d.Session)
	f.text(&d.Channel)
	f.id(&d.Message)
	f.addr(&d.RemoteAddr)
	f.duration(&d.Latency)
}

func actionFields(f fields, a *audit.Action) {
	f.time(&a.At)
	f.id(&a.ID)
	f.text(&a.Node)
	f.text(&a.Actor)
	f.text(&a.ActorKind)
	f.text(&a.Action)
	f.text(&a.Target)
	f.bool(&a.OK)
	f.text(&a.Error)
	f.addr(&a.RemoteAddr)
	f.text(&a.Request)
	f.duration(&a.Latency)
}

func deliveryFields(f fields, d *audit.Delivery) {
	f.time(&d.At)
	f.id(&d.Message)
	f.text(&d.Node)
	f.text(&d.Namespace)
	f.text(&d.Channel)
	f.uint32(&d.Deliveries)
	f.uint32(&d.Drops)
}

func dropFields(f fields, d *audit.Drop) {
	f.time(&d.At)
	f.text(&d.Node)
	f.id(&d.Session)
	f.text(&d.User)
	f.text(&d.Reason)
	f.uint32(&d.Messages)
}

func linkFields(f fields, l *audit.Link) {
	f.time(&l.At)
	f.text(&l.Node)
	f.text(&l.Life)
	f.uint64(&l.Number)
	f.time(&l.First)
	f.time(&l.Last)
	f.uint32(&l.Events)
	f.digest(&l.Previous)
	f.digest(&l.Digest)
	f.bytes(&l.Entries)
}
