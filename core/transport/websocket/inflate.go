package websocket

import (
	"bytes"
	"io"
	"strings"
	"sync"

	"github.com/klauspost/compress/flate"
)

// inflaters are readers that nobody uses for now, of some tens of KiB each.
var inflaters = sync.Pool{New: func() any { return flate.NewReader(nil) }}

// inflate decompresses a message of which each was compressed by itself (RFC 7692 §7.2.2), to at most so many bytes.
func inflate(payload []byte, most int) ([]byte, error) {
	// The sender has cut off the end of the empty block that it flushed; and an empty last block is what ends the stream for the reader.
	const tail = "\x00\x00\xff\xff\x01\x00\x00\xff\xff"
	r := inflaters.Get().(io.ReadCloser)
	defer inflaters.Put(r)
	if err := r.(flate.Resetter).Reset(io.MultiReader(bytes.NewReader(payload), strings.NewReader(tail)), nil); err != nil {
		return nil, errDeflate
	}
	var out bytes.Buffer
	n, err := out.ReadFrom(io.LimitReader(r, int64(most)+1))
	switch {
	case err != nil:
		return nil, errDeflate
	case n > int64(most):
		return nil, errTooLarge
	}
	return out.Bytes(), nil
}

var errDeflate = &violation{Code: 1007, Reason: "invalid compressed data"}
