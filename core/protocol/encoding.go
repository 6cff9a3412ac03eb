package protocol

import (
	"encoding/binary"
	"math/bits"
	"slices"

	"github.com/zenconn/server/core"
)

// Encoding is the format of a connection together with the framing of its transport, and how channels are named on it. Whatever is
// fanned out is encoded once for each Encoding in use, so they are small dense numbers: Frames are indexed by them.
type Encoding uint8

// The encodings: a format, and what is added to it.
const (
	WebSocketJSON Encoding = iota
	WebSocketProtobuf

	// Deflated is added for connections that negotiated permessage-deflate (RFC 7692): frames may come compressed.
	Deflated Encoding = 1 << 1
	// Narrow is added to Deflated for connections whose window is of NarrowWindow bytes only.
	Narrow Encoding = 1 << 2
	// Numbered is added for a member that has channels named by their numbers: channel compaction.
	Numbered Encoding = 1 << 3

	Encodings = 1 << 4 // How many there are.
)

// WebSocketEncoding returns the encoding of a WebSocket connection that speaks the format.
func WebSocketEncoding(f Format) Encoding {
	if f == Protobuf {
		return WebSocketProtobuf
	}
	return WebSocketJSON
}

// Format returns the format without the framing.
func (e Encoding) Format() Format {
	if e&WebSocketProtobuf != 0 {
		return Protobuf
	}
	return JSON
}

// plain returns the encoding of those who get the same uncompressed.
func (e Encoding) plain() Encoding { return e &^ (Deflated | Narrow) }

// AppendFrame appends one frame with the payload to dst: unmasked, final and not compressed, text for JSON and binary for Protobuf
// (RFC 6455 §5.2).
func (e Encoding) AppendFrame(dst, payload []byte) []byte {
	return append(e.appendHeader(dst, len(payload)), payload...)
}

// AppendPublicationFrame appends one frame, not compressed, that holds nothing but the push of p in the channel, which has the number if
// the encoding is Numbered. It allocates once at most, and not at all when dst has room for the frame and 200 bytes more, unless
// something in it has to be escaped.
func (e Encoding) AppendPublicationFrame(dst []byte, channel string, number int64, p *core.Publication) []byte {
	// The length in the header is known only after the payload was written: reserve the header most publications need, and
	// move the payload when it is a tiny or a huge one.
	const reserved = 4
	start := len(dst)
	dst = slices.Grow(dst, maxHeader+e.Format().size(channel, number, p))
	dst = append(dst, make([]byte, reserved)...)
	dst = e.appendPublication(dst, channel, number, p)
	size := len(dst) - start - reserved

	var header [maxHeader]byte
	needed := len(e.appendHeader(header[:0], size))
	if needed > reserved {
		dst = append(dst, header[reserved:needed]...)
	}
	if needed != reserved {
		copy(dst[start+needed:], dst[start+reserved:start+reserved+size])
	}
	copy(dst[start:], header[:needed])
	return dst[:start+needed+size]
}

// around is how many bytes stand around the values of a publication's push at most: names, or tags and lengths of up to 2^35.
var around = [...]struct{ push, info, moreInfo, tags, tag int }{
	JSON: {
		len(`{"push":{"channel":"","pub":{"data":,"offset":,"time":}}}`), len(`,"info":{"user":"","client":""}`), len(`,"conn_info":`),
		len(`,"tags":{}`), len(`"":"",`),
	},
	Protobuf: {5 + 4*6 + 3, 3 * 6, 6, 0, 3 * 6},
}

// size returns what the push of a publication is not longer than, while nothing has to be escaped, and not much shorter.
func (f Format) size(channel string, number int64, p *core.Publication) int {
	more := &around[f]
	size := more.push + len(channel) + len(p.Data) + digits(number) + digits(int64(p.Offset)) + digits(p.Time) //nolint:gosec // As long.
	if p.Info != nil {
		size += more.info + len(p.Info.User) + len(p.Info.Client)
		for _, b := range [][]byte{p.Info.ConnInfo, p.Info.ChanInfo} {
			if len(b) > 0 {
				size += more.moreInfo + len(b)
			}
		}
	}
	if len(p.Tags) > 0 {
		size += more.tags
	}
	for key, value := range p.Tags {
		size += more.tag + len(key) + len(value)
	}
	return size
}

// digits returns what n is not longer than in decimal, and as a varint: a bit is 0.3 digits.
func digits(n int64) int { return bits.Len64(uint64(n))*5/16 + 1 } //nolint:gosec // No number here is negative.

// AppendPublication appends the push of p in the channel, which has the number if the encoding is Numbered, to dst in the way of
// Format.AppendReply: without a header.
func (e Encoding) AppendPublication(dst []byte, channel string, number int64, p *core.Publication) []byte {
	if e.Format() == JSON && len(dst) > 0 {
		dst = append(dst, '\n')
	}
	return e.appendPublication(dst, channel, number, p)
}

func (e Encoding) appendPublication(dst []byte, channel string, number int64, p *core.Publication) []byte {
	if e&Numbered != 0 {
		return e.Format().appendPublication(dst, "", number, p)
	}
	return e.Format().appendPublication(dst, channel, 0, p)
}

// AppendPushFrame appends one frame, not compressed, with a push of the channel that push names; if the encoding is Numbered, it has the
// number instead.
func (e Encoding) AppendPushFrame(dst []byte, number int64, push *Push) []byte {
	if e&Numbered != 0 {
		numbered := &Push{Id: number, Pub: push.Pub, Join: push.Join, Leave: push.Leave}
		push = numbered
	}
	return e.AppendFrame(dst, e.Format().AppendReply(nil, &Reply{Push: push}))
}

// maxHeader is the longest header of an unmasked frame, in bytes.
const maxHeader = 10

// The first byte of a frame, and the values of the second that say how long the length is (RFC 6455 §5.2).
const (
	bitFin        = 0x80
	bitCompressed = 0x40 // RSV1, RFC 7692 §6.
	opText        = 0x1
	opBinary      = 0x2

	lengthShort  = 125 // The longest that stands there itself.
	lengthMedium = 126
	lengthLong   = 127
)

// appendHeader appends the header of a final, unmasked frame with a payload of size bytes, in the shortest form.
func (e Encoding) appendHeader(dst []byte, size int) []byte {
	first := byte(bitFin | opText)
	if e.Format() == Protobuf {
		first = bitFin | opBinary
	}
	return appendHeader(dst, first, size)
}

func appendHeader(dst []byte, first byte, size int) []byte {
	switch {
	case size <= lengthShort:
		return append(dst, first, byte(size))
	case size <= 0xffff:
		return binary.BigEndian.AppendUint16(append(dst, first, lengthMedium), uint16(size))
	default:
		return binary.BigEndian.AppendUint64(append(dst, first, lengthLong), uint64(size))
	}
}

// headerSize returns how long the header of a frame is that appendHeader began.
func headerSize(frame []byte) int {
	switch frame[1] {
	case lengthMedium:
		return 4
	case lengthLong:
		return maxHeader
	}
	return 2
}
