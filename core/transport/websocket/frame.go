package websocket

import (
	"encoding/binary"
	"errors"

	"github.com/zenconn/server/core"
)

// The operation codes of frames (RFC 6455 §5.2).
const (
	opContinuation = 0x0
	opText         = 0x1
	opBinary       = 0x2
	opClose        = 0x8
	opPing         = 0x9
	opPong         = 0xa
)

// The bits of a header, and the most that a control frame may carry.
const (
	bitFin      = 0x80
	bitDeflated = 0x40 // RSV1; RFC 7692 §6.
	bitsUnknown = 0x30 // RSV2 and RSV3.
	bitMasked   = 0x80
	bitsLength  = 0x7f
	maxControl  = 125
)

// frame is what one frame of a client holds, unmasked.
type frame struct {
	op       byte
	fin      bool
	deflated bool
	payload  []byte
}

// limits are what frames of a connection may be.
type limits struct {
	size     int  // Bytes of a frame, and of a message.
	deflated bool // Compression was negotiated.
}

// violation is a breach of RFC 6455 by the client. The connection ends with its code.
type violation core.Disconnect

func (v *violation) Error() string { return v.Reason }

var (
	errProtocol = &violation{Code: 1002, Reason: "protocol error"}
	errUTF8     = &violation{Code: 1007, Reason: "invalid payload data"}
	errTooLarge = &violation{Code: 1009, Reason: "message too large"}
)

// errPartial says that a frame is not complete. It is not an error of the client.
var errPartial = errors.New("incomplete frame")

// cut takes the first frame off what was read, unmasks it in place, and returns how long it was with its header. With errPartial it
// returns how much has to have been read to go on.
func (l limits) cut(read []byte) (f frame, size int, err error) {
	if len(read) < 2 {
		return f, 2, errPartial
	}
	f.op, f.fin, f.deflated = read[0]&0xf, read[0]&bitFin != 0, read[0]&bitDeflated != 0
	length := uint64(read[1] & bitsLength)
	control := f.op >= opClose
	switch {
	case read[0]&bitsUnknown != 0, read[1]&bitMasked == 0, f.op > opPong, f.op > opBinary && !control,
		control && (!f.fin || length > maxControl), f.deflated && (!l.deflated || control || f.op == opContinuation):
		return f, 0, errProtocol
	}
	header := 2
	switch length {
	case 126:
		header = 4
	case 127:
		header = 10
	}
	if len(read) < header+4 {
		return f, header + 4, errPartial
	}
	switch header {
	case 4:
		length = uint64(binary.BigEndian.Uint16(read[2:]))
	case 10:
		length = binary.BigEndian.Uint64(read[2:])
	}
	switch {
	case length > 1<<63-1: // Forbidden as such.
		return f, 0, errProtocol
	case length > uint64(l.size): //nolint:gosec // A size is not negative.
		return f, 0, errTooLarge
	}
	mask := binary.LittleEndian.Uint32(read[header:])
	header += 4
	size = header + int(length) //nolint:gosec // At most the size that is allowed.
	if len(read) < size {
		return f, size, errPartial
	}
	f.payload = read[header:size:size]
	unmask(f.payload, mask)
	return f, size, nil
}

// unmask applies a mask, whose first byte is the lowest (RFC 6455 §5.3).
func unmask(p []byte, mask uint32) {
	wide := uint64(mask)<<32 | uint64(mask)
	for len(p) >= 8 {
		binary.LittleEndian.PutUint64(p, binary.LittleEndian.Uint64(p)^wide)
		p = p[8:]
	}
	for i := range p {
		p[i] ^= byte(wide >> (8 * i))
	}
}
