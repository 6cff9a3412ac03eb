package protocol

import (
	"encoding/binary"

	"github.com/zenconn/server/core"
)

// Encoding is the format of a connection together with the framing of its transport. Whatever is fanned out is encoded once
// for each Encoding in use, so they are small dense numbers: arrays of length Encodings are indexed by them.
type Encoding uint8

// The encodings.
const (
	WebSocketJSON Encoding = iota
	WebSocketProtobuf
	Encodings // How many there are.
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
	if e == WebSocketProtobuf {
		return Protobuf
	}
	return JSON
}

// AppendFrame appends one frame with the payload to dst: unmasked and final, text for JSON and binary for Protobuf (RFC 6455 §5.2).
func (e Encoding) AppendFrame(dst, payload []byte) []byte {
	return append(e.appendHeader(dst, len(payload)), payload...)
}

// AppendPublicationFrame appends one frame that holds nothing but the push of p in the channel. It allocates nothing when dst
// has room for the frame and 8 bytes more.
func (e Encoding) AppendPublicationFrame(dst []byte, channel string, p *core.Publication) []byte {
	// The length in the header is known only after the payload was written: reserve the header most publications need, and
	// move the payload when it is a tiny or a huge one.
	const reserved = 4
	start := len(dst)
	dst = append(dst, make([]byte, reserved)...)
	dst = e.Format().appendPublication(dst, channel, p)
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

// maxHeader is the longest header of an unmasked frame, in bytes.
const maxHeader = 10

// appendHeader appends the header of a final, unmasked frame with a payload of size bytes, in the shortest form.
func (e Encoding) appendHeader(dst []byte, size int) []byte {
	const fin, text, binaryData = 0x80, 0x1, 0x2
	first := byte(fin | text)
	if e.Format() == Protobuf {
		first = fin | binaryData
	}
	switch {
	case size <= 125:
		return append(dst, first, byte(size))
	case size <= 0xffff:
		return binary.BigEndian.AppendUint16(append(dst, first, 126), uint16(size))
	default:
		return binary.BigEndian.AppendUint64(append(dst, first, 127), uint64(size))
	}
}
