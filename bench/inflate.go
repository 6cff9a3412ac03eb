package bench

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/flate"
)

// inflater decompresses what a server sends (RFC 7692 §7.2.2), each message by itself. Subscribers of a channel get the same bytes one after
// the other, so it remembers the last: a generator that decompresses each anew would measure itself.
type inflater struct {
	reader  io.ReadCloser
	in, out []byte // The last message.
}

// What the sender has cut off, and an empty last block, which is the end for the reader.
var deflateTail = []byte{0, 0, 0xff, 0xff, 1, 0, 0, 0xff, 0xff}

// inflate returns the message, which is valid until the next call.
func (i *inflater) inflate(payload []byte) ([]byte, error) {
	if i.reader != nil && bytes.Equal(payload, i.in) {
		return i.out, nil
	}
	from := io.MultiReader(bytes.NewReader(payload), bytes.NewReader(deflateTail))
	if i.reader == nil {
		i.reader = flate.NewReader(from)
	} else if err := i.reader.(flate.Resetter).Reset(from, nil); err != nil {
		return nil, err
	}
	out := bytes.NewBuffer(i.out[:0])
	n, err := out.ReadFrom(io.LimitReader(i.reader, maxFrame+1))
	i.in, i.out = append(i.in[:0], payload...), out.Bytes()
	switch {
	case err != nil:
		i.in = nil
		return nil, fmt.Errorf("the server sent what cannot be decompressed: %w", err)
	case n > maxFrame:
		return nil, errors.New("the server sent a message that is too large when it is decompressed")
	}
	return i.out, nil
}
