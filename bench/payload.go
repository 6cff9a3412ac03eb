package bench

import (
	"bytes"
	"math/rand/v2"
	"strconv"
	"strings"
)

// mark is what a publication says about itself.
type mark struct {
	stream uint32
	seq    uint64 // From 0 in each stream; 48 bits.
	sent   int64  // When it was due, in nanoseconds since the run began.
}

// A payload is a JSON object whose first value is the mark in hexadecimal digits of fixed width, found by its tag wherever the
// protocol put it.
const (
	payloadHead = `{"b":"`
	payloadPad  = `","p":"`
	payloadTail = `"}`
	markTag     = "zcb:"
	streamLen   = 8
	seqLen      = 12
	sentLen     = 16
	markLen     = len(markTag) + streamLen + seqLen + sentLen

	// MinSize is the smallest payload, in bytes: the mark and the JSON around it.
	MinSize = len(payloadHead) + markLen + len(payloadPad) + len(payloadTail)
)

// newPayload returns a payload of size bytes with room for its mark.
func newPayload(size int) []byte {
	p := make([]byte, 0, size)
	p = append(p, payloadHead...)
	p = append(p, markTag...)
	p = append(p, bytes.Repeat([]byte{'0'}, streamLen+seqLen+sentLen)...)
	p = append(p, payloadPad...)
	return append(appendWords(p, size-MinSize), payloadTail...)
}

// words are what payloads are filled with: about as compressible as what applications say.
const words = "update price order status active user message room score level item count total name value player position event " +
	"session ticket balance device sensor reading celsius alert region market volume change percent channel typing delivered pending " +
	"shipped cancelled online offline reply thread quote image upload battery signal latitude longitude speed heading altitude"

// appendWords appends n bytes of words with numbers between them, the same in every run.
func appendWords(p []byte, n int) []byte {
	all := strings.Fields(words)
	source := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // Nothing to guess.
	end := len(p) + n
	for len(p) < end {
		p = append(append(p, all[source.IntN(len(all))]...), ' ')
		p = append(strconv.AppendInt(p, source.Int64N(100_000), 10), ' ')
	}
	return p[:end]
}

// setMark writes m into a payload made by newPayload.
func setMark(payload []byte, m mark) {
	b := payload[len(payloadHead)+len(markTag):]
	putHex(b[:streamLen], uint64(m.stream))
	putHex(b[streamLen:streamLen+seqLen], m.seq)
	putHex(b[streamLen+seqLen:streamLen+seqLen+sentLen], uint64(m.sent))
}

// readMark reads the mark that begins b, with its tag.
func readMark(b []byte) (m mark, ok bool) {
	if len(b) < markLen {
		return m, false
	}
	b = b[len(markTag):]
	stream, ok1 := readHex(b[:streamLen])
	seq, ok2 := readHex(b[streamLen : streamLen+seqLen])
	sent, ok3 := readHex(b[streamLen+seqLen : streamLen+seqLen+sentLen])
	return mark{uint32(stream), seq, int64(sent)}, ok1 && ok2 && ok3
}

func putHex(dst []byte, v uint64) {
	const digits = "0123456789abcdef"
	for i := len(dst) - 1; i >= 0; i-- {
		dst[i] = digits[v&15]
		v >>= 4
	}
}

func readHex(b []byte) (v uint64, ok bool) {
	for _, c := range b {
		switch {
		case c >= '0' && c <= '9':
			v = v<<4 | uint64(c-'0')
		case c >= 'a' && c <= 'f':
			v = v<<4 | uint64(c-'a'+10)
		default:
			return 0, false
		}
	}
	return v, true
}
