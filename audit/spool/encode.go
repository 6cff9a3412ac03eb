package spool

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/klauspost/compress/s2"

	"github.com/zenconn/server/audit"
	"github.com/zenconn/server/audit/chain"
	"github.com/zenconn/server/core"
)

// A message on the stream is a byte with the format's version, a byte with the compression, and then, compressed, records. A record is
// a byte with its kind, four with the length of the rest (little endian), and the fields. A later program may add kinds, and fields
// at the end of a record, without another version.
const (
	formatVersion = 1
	compressionS2 = 1
	recordHead    = 5
)

// partSize is how many bytes of records a message has before another one is begun. Compression gains little from more.
const partSize = 512 << 10

// maxRecord bounds a record, whatever the bus allows, in bytes.
const maxRecord = 8 << 20

// leftOut is the tag of a message event whose payload no message on the bus could hold.
const leftOut = "payload_left_out"

// encoder cuts a batch into messages. Its memory is used again, but for the messages'.
//
// With a chain, every message ends with the link that vouches for its events.
type encoder struct {
	most  int          // Bytes of a record; S2 and a link can make it a little larger.
	chain *chain.Chain // nil: none.
	raw   fieldWriter
	parts [][]byte
}

func (e *encoder) encode(b *audit.Batch) [][]byte {
	e.raw.b, e.parts = e.raw.b[:0], nil
	for _, m := range b.Messages {
		if !encodeRecord(e, kindMessage, m, messageFields, (*chain.Chain).Message) {
			small := *m
			small.Payload, small.Tags = nil, map[string]string{leftOut: "too large"}
			encodeRecord(e, kindMessage, &small, messageFields, (*chain.Chain).Message)
		}
	}
	for _, s := range b.Sessions {
		encodeRecord(e, kindSession, s, sessionFields, (*chain.Chain).Session)
	}
	for _, d := range b.Decisions {
		encodeRecord(e, kindDecision, d, decisionFields, (*chain.Chain).Decision)
	}
	for _, a := range b.Actions {
		if !encodeRecord(e, kindAction, a, actionFields, (*chain.Chain).Action) {
			small := *a
			small.Request = leftOut
			encodeRecord(e, kindAction, &small, actionFields, (*chain.Chain).Action)
		}
	}
	for _, d := range b.Deliveries {
		encodeRecord(e, kindDelivery, d, deliveryFields, nil)
	}
	for _, d := range b.Drops {
		encodeRecord(e, kindDrop, d, dropFields, (*chain.Chain).Drop)
	}
	e.flush()
	return e.parts
}

// encodeRecord appends an event. It reports false, and appends nothing, when the record is too large.
func encodeRecord[E any](e *encoder, kind byte, event *E, fieldsOf func(fields, *E), vouch func(*chain.Chain, *E)) bool {
	w := &e.raw
	start := len(w.b)
	appendRecord(w, kind, event, fieldsOf)
	if len(w.b)-start > e.most {
		w.b = w.b[:start]
		return false
	}
	if start > 0 && e.size() > e.most { // The message would be too large with it.
		last := append([]byte(nil), w.b[start:]...)
		w.b = w.b[:start]
		e.flush()
		w.b = append(w.b, last...)
	}
	if e.chain != nil && vouch != nil {
		vouch(e.chain, event)
	}
	if e.size() >= min(partSize, e.most) {
		e.flush()
	}
	return true
}

// size is that of the message as it would be now, before it is compressed.
func (e *encoder) size() int {
	if e.chain == nil {
		return len(e.raw.b)
	}
	return len(e.raw.b) + e.chain.Room()
}

func (e *encoder) flush() {
	if len(e.raw.b) == 0 {
		return
	}
	if e.chain != nil {
		if l := e.chain.Link(time.Now()); l != nil {
			appendRecord(&e.raw, kindLink, l, linkFields)
		}
	}
	e.parts = append(e.parts, pack(e.raw.b))
	e.raw.b = e.raw.b[:0]
}

func appendRecord[E any](w *fieldWriter, kind byte, event *E, fieldsOf func(fields, *E)) {
	start := len(w.b)
	w.b = append(w.b, kind, 0, 0, 0, 0)
	fieldsOf(w, event)
	binary.LittleEndian.PutUint32(w.b[start+1:], uint32(len(w.b)-start-recordHead))
}

// pack makes a message of records.
func pack(records []byte) []byte {
	message := make([]byte, 2+s2.MaxEncodedLen(len(records)))
	message[0], message[1] = formatVersion, compressionS2
	return message[:2+len(s2.Encode(message[2:], records))]
}

// fieldWriter implements fields by appending them.
type fieldWriter struct{ b []byte }

func (w *fieldWriter) time(t *time.Time)         { w.b = binary.AppendVarint(w.b, t.UnixMicro()) }
func (w *fieldWriter) duration(d *time.Duration) { w.b = binary.AppendVarint(w.b, int64(*d)) }
func (w *fieldWriter) id(id *core.ID)            { w.b = append(w.b, id[:]...) }
func (w *fieldWriter) digest(d *audit.Digest)    { w.b = append(w.b, d[:]...) }
func (w *fieldWriter) more() bool                { return true }
func (w *fieldWriter) uint8(n *uint8)            { w.b = append(w.b, *n) }
func (w *fieldWriter) uint16(n *uint16)          { w.b = binary.AppendUvarint(w.b, uint64(*n)) }
func (w *fieldWriter) uint32(n *uint32)          { w.b = binary.AppendUvarint(w.b, uint64(*n)) }
func (w *fieldWriter) uint64(n *uint64)          { w.b = binary.AppendUvarint(w.b, *n) }

func (w *fieldWriter) text(s *string) {
	w.b = binary.AppendUvarint(w.b, uint64(len(*s)))
	w.b = append(w.b, *s...)
}

func (w *fieldWriter) bytes(b *[]byte) {
	w.b = binary.AppendUvarint(w.b, uint64(len(*b)))
	w.b = append(w.b, *b...)
}

func (w *fieldWriter) bool(v *bool) {
	n := byte(0)
	if *v {
		n = 1
	}
	w.b = append(w.b, n)
}

func (w *fieldWriter) addr(a *netip.Addr) {
	size := len(w.b)
	w.b = append(w.b, 0)
	w.b, _ = a.WithZone("").AppendBinary(w.b) // It never fails.
	w.b[size] = byte(len(w.b) - size - 1)
}

func (w *fieldWriter) tags(tags *map[string]string) {
	w.b = binary.AppendUvarint(w.b, uint64(len(*tags)))
	for name, value := range *tags {
		w.text(&name)
		w.text(&value)
	}
}

func (w *fieldWriter) ids(ids *[]core.ID) {
	w.b = binary.AppendUvarint(w.b, uint64(len(*ids)))
	for i := range *ids {
		w.id(&(*ids)[i])
	}
}
