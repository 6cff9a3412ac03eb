package bench

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// The parts of WebSocket (RFC 6455) that a client needs.
const (
	opContinuation = 0x0
	opText         = 0x1
	opBinary       = 0x2
	opClose        = 0x8
	opPing         = 0x9
	opPong         = 0xA

	finBit   = 0x80
	rsv1Bit  = 0x40 // RFC 7692 §6.
	maskBit  = 0x80
	maxFrame = 16 << 20 // Larger frames are not the bench's business.
)

var errFrameTooLarge = fmt.Errorf("the server sent a frame of more than %d bytes", maxFrame)

// frame is one WebSocket frame.
type frame struct {
	fin     bool
	packed  bool // Compressed.
	op      byte
	payload []byte // Part of the buffer it was read from.
}

// cutFrame takes the first frame off buf and returns how many bytes it took; 0 when it is not complete.
func cutFrame(buf []byte) (f frame, n int, err error) {
	if len(buf) < 2 {
		return f, 0, nil
	}
	f.fin, f.packed, f.op = buf[0]&finBit != 0, buf[0]&rsv1Bit != 0, buf[0]&0x0F
	if buf[1]&maskBit != 0 {
		return f, 0, errors.New("the server sent a masked frame")
	}
	length, head := uint64(buf[1]), 2
	switch length {
	case 126:
		if head = 4; len(buf) < head {
			return f, 0, nil
		}
		length = uint64(binary.BigEndian.Uint16(buf[2:]))
	case 127:
		if head = 10; len(buf) < head {
			return f, 0, nil
		}
		length = binary.BigEndian.Uint64(buf[2:])
	}
	if length > maxFrame {
		return f, 0, errFrameTooLarge
	}
	if uint64(len(buf)-head) < length {
		return f, 0, nil
	}
	n = head + int(length)
	f.payload = buf[head:n]
	return f, n, nil
}

// appendFrame adds a masked frame.
func appendFrame(dst []byte, op byte, mask uint32, payload []byte) []byte {
	dst = append(dst, finBit|op)
	switch n := len(payload); {
	case n < 126:
		dst = append(dst, maskBit|byte(n))
	case n <= 0xFFFF:
		dst = binary.BigEndian.AppendUint16(append(dst, maskBit|126), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, maskBit|127), uint64(n))
	}
	dst = binary.BigEndian.AppendUint32(dst, mask)
	start := len(dst)
	dst = append(dst, payload...)
	masked := dst[start:]
	wide := uint64(mask)<<32 | uint64(mask)
	for len(masked) >= 8 {
		binary.BigEndian.PutUint64(masked, binary.BigEndian.Uint64(masked)^wide)
		masked = masked[8:]
	}
	for i := range masked {
		masked[i] ^= byte(mask >> (24 - 8*(i&3)))
	}
	return dst
}
