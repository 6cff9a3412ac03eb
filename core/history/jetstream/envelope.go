package jetstream

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/nats-io/nats.go"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/protocol"
)

// A publication that is stored without headers has in front of its body what the headers would say: JetStream looks through headers for
// each of the two dozen that mean something to it, and writing them as text takes as long as all the rest.
//
//	version, 1 byte; flags, 1 byte; ID, 16 bytes; offset, uvarint; epoch, with its length in a byte before it;
//	if flagged: Unix seconds of its expiry, uvarint; the session that does not get it live, 16 bytes
const (
	envelopeVersion = 1

	flagExpires = 1 << 0
	flagExcept  = 1 << 1

	idLen       = len(core.ID{})
	maxEnvelope = 2 + idLen + binary.MaxVarintLen64 + 1 + maxEpoch + binary.MaxVarintLen64 + idLen
	maxEpoch    = 255
)

var errEnvelope = errors.New("a stored message has no position: is something else writing to our subjects?")

// sealed makes the body of a publication, with its envelope.
func sealed(at core.Position, pub *core.Publication) ([]byte, error) { return seal(nil, at, pub) }

// seal does so in the memory of b if that has room, and whatever is in it.
func seal(b []byte, at core.Position, pub *core.Publication) ([]byte, error) {
	m := protocol.FromPublication(pub)
	size := m.SizeVT()
	b = slices.Grow(b[:0], maxEnvelope-maxEpoch+len(at.Epoch)+size)
	b = append(append(b, envelopeVersion, 0), pub.ID[:]...)
	b = binary.AppendUvarint(b, at.Offset)
	b = append(append(b, byte(len(at.Epoch))), at.Epoch...) //nolint:gosec // We make epochs of 8 bytes.
	if pub.ExpireAt != 0 {
		b[1] |= flagExpires
		b = binary.AppendUvarint(b, uint64(pub.ExpireAt)) //nolint:gosec // As it is read.
	}
	if !pub.Except.IsZero() {
		b[1] |= flagExcept
		b = append(b, pub.Except[:]...)
	}
	start := len(b)
	b = b[:start+size]
	if _, err := m.MarshalToSizedBufferVT(b[start:]); err != nil {
		return nil, fmt.Errorf("encode a publication: %w", err)
	}
	return b, nil
}

// unseal reads an envelope, and leaves in the record the body behind it.
func unseal(b []byte) (r record, err error) {
	if len(b) < 2+idLen || b[0] != envelopeVersion {
		return record{}, errEnvelope
	}
	flags := b[1]
	r.id = core.ID(b[2 : 2+idLen]).String()
	b = b[2+idLen:]
	number := func() uint64 {
		v, n := binary.Uvarint(b)
		if n <= 0 {
			err = errEnvelope
			return 0
		}
		b = b[n:]
		return v
	}
	part := func(n int) []byte {
		if n > len(b) {
			err = errEnvelope
			return nil
		}
		p := b[:n]
		b = b[n:]
		return p
	}
	r.at.Offset = number()
	if length := part(1); err == nil {
		r.at.Epoch = string(part(int(length[0])))
	}
	if flags&flagExpires != 0 && err == nil {
		r.expires = int64(number()) //nolint:gosec // As it was written.
	}
	if flags&flagExcept != 0 && err == nil {
		if id := part(idLen); err == nil {
			r.except = core.ID(id).String()
		}
	}
	if err != nil || r.at.Epoch == "" {
		return record{}, errEnvelope
	}
	r.body = b
	return r, nil
}

// contents reads what we wrote of a stored message: headers, or an envelope.
func contents(h nats.Header, data []byte) (r record, err error) {
	if len(h[headerEpoch]) == 0 {
		return unseal(data)
	}
	r, err = headersOf(h)
	r.body = data
	return r, err
}
