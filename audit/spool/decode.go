package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/klauspost/compress/s2"

	"github.com/zenconn/server/audit"
	"github.com/zenconn/server/core"
)

// maxRaw bounds what a message may become when it is decompressed, in bytes.
const maxRaw = 2*maxRecord + partSize

var errUnreadable = errors.New("not a batch of audit events that this program can read")

// decoded is what a message holds.
type decoded struct {
	audit.Batch
	unknown [][]byte // Records of kinds that this program does not know, whole.
	raw     int      // Bytes, decompressed.
}

// decode reads a message. The events share memory of their own.
func decode(message []byte) (*decoded, error) {
	if len(message) < 2 || message[0] != formatVersion || message[1] != compressionS2 {
		return nil, fmt.Errorf("%w: it does not begin like one of version %d", errUnreadable, formatVersion)
	}
	if n, err := s2.DecodedLen(message[2:]); err != nil || n > maxRaw {
		return nil, fmt.Errorf("%w: its length is wrong", errUnreadable)
	}
	raw, err := s2.Decode(nil, message[2:])
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUnreadable, err)
	}
	d := &decoded{raw: len(raw)}
	r := fieldReader{all: string(raw)}
	for pos := 0; pos < len(raw); {
		if len(raw)-pos < recordHead {
			return nil, fmt.Errorf("%w: it ends within a record", errUnreadable)
		}
		size := uint64(binary.LittleEndian.Uint32(raw[pos+1:]))
		if size > uint64(len(raw)-pos-recordHead) {
			return nil, fmt.Errorf("%w: it ends within a record", errUnreadable)
		}
		end := pos + recordHead + int(size)
		r.b, r.pos = raw[:end], pos+recordHead
		if !d.record(raw[pos], &r) {
			d.unknown = append(d.unknown, raw[pos:end])
		}
		if r.bad {
			return nil, fmt.Errorf("%w: a record of kind %d is too short", errUnreadable, raw[pos])
		}
		pos = end
	}
	return d, nil
}

// record reads the fields of a record. It reports false for an unknown kind.
func (d *decoded) record(kind byte, r *fieldReader) bool {
	switch kind {
	case kindMessage:
		d.Messages = append(d.Messages, read(r, messageFields))
	case kindSession:
		d.Sessions = append(d.Sessions, read(r, sessionFields))
	case kindDecision:
		d.Decisions = append(d.Decisions, read(r, decisionFields))
	case kindAction:
		d.Actions = append(d.Actions, read(r, actionFields))
	case kindDelivery:
		d.Deliveries = append(d.Deliveries, read(r, deliveryFields))
	case kindDrop:
		d.Drops = append(d.Drops, read(r, dropFields))
	case kindLink:
		d.Links = append(d.Links, read(r, linkFields))
	default:
		return false
	}
	return true
}

func read[E any](r *fieldReader, fieldsOf func(fields, *E)) *E {
	e := new(E)
	fieldsOf(r, e)
	return e
}

// fieldReader implements fields by reading them. Strings are parts of all, so that they need no memory each.
type fieldReader struct {
	b   []byte // Up to the end of the record.
	all string // The whole message.
	pos int
	bad bool // The record ended too early; what was read since is zero.
}

// take returns where the next n bytes begin.
func (r *fieldReader) take(n uint64) (from, to int) {
	if r.bad || n > uint64(len(r.b)-r.pos) {
		r.bad = true
		return 0, 0
	}
	from = r.pos
	r.pos += int(n)
	return from, r.pos
}

func (r *fieldReader) uvarint() uint64 {
	n, size := binary.Uvarint(r.b[r.pos:])
	if r.bad || size <= 0 {
		r.bad = true
		return 0
	}
	r.pos += size
	return n
}

func (r *fieldReader) varint() int64 {
	n, size := binary.Varint(r.b[r.pos:])
	if r.bad || size <= 0 {
		r.bad = true
		return 0
	}
	r.pos += size
	return n
}

func (r *fieldReader) time(t *time.Time)         { *t = time.UnixMicro(r.varint()).UTC() }
func (r *fieldReader) duration(d *time.Duration) { *d = time.Duration(r.varint()) }
func (r *fieldReader) uint16(n *uint16)          { *n = uint16(r.uvarint()) }
func (r *fieldReader) uint32(n *uint32)          { *n = uint32(r.uvarint()) }
func (r *fieldReader) uint64(n *uint64)          { *n = r.uvarint() }

func (r *fieldReader) uint8(n *uint8) {
	if from, to := r.take(1); to > from {
		*n = r.b[from]
	}
}

func (r *fieldReader) bool(v *bool) {
	n := uint8(0)
	r.uint8(&n)
	*v = n != 0
}

func (r *fieldReader) id(id *core.ID) {
	from, to := r.take(uint64(len(id)))
	copy(id[:], r.b[from:to])
}

func (r *fieldReader) digest(d *audit.Digest) {
	from, to := r.take(uint64(len(d)))
	copy(d[:], r.b[from:to])
}

func (r *fieldReader) more() bool { return r.pos < len(r.b) }

func (r *fieldReader) ids(ids *[]core.ID) {
	n := r.uvarint()
	if n > uint64(len(r.b)-r.pos)/uint64(len(core.ID{})) {
		r.bad = true
		return
	}
	for range n {
		var id core.ID
		r.id(&id)
		*ids = append(*ids, id)
	}
}

func (r *fieldReader) text(s *string) {
	from, to := r.take(r.uvarint())
	*s = r.all[from:to]
}

func (r *fieldReader) bytes(b *[]byte) {
	if from, to := r.take(r.uvarint()); to > from {
		*b = r.b[from:to:to]
	}
}

func (r *fieldReader) addr(a *netip.Addr) {
	n := uint8(0)
	r.uint8(&n)
	from, to := r.take(uint64(n))
	if a.UnmarshalBinary(r.b[from:to]) != nil {
		r.bad = true
	}
}

func (r *fieldReader) tags(tags *map[string]string) {
	n := r.uvarint()
	if n == 0 || n > uint64(len(r.b)-r.pos) {
		r.bad = r.bad || n > 0
		return
	}
	*tags = make(map[string]string, n)
	for range n {
		var name, value string
		r.text(&name)
		r.text(&value)
		(*tags)[name] = value
	}
}
