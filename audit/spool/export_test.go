package spool

import (
	"github.com/nats-io/nats.go"

	"github.com/zenconn/server/audit"
)

// For the tests of what other programs might put into the spool.
var (
	Pack   = pack
	Decode = func(message []byte) (batch audit.Batch, unknown int, err error) {
		d, err := decode(message)
		if err != nil {
			return audit.Batch{}, 0, err
		}
		return d.Batch, len(d.unknown), nil
	}
)

// Encode returns a batch as messages of at most so many bytes before compression.
func Encode(b *audit.Batch, most int) [][]byte {
	e := encoder{most: most}
	return e.encode(b)
}

// Records returns the records of a batch that fits into one message.
func Records(b *audit.Batch) []byte {
	e := encoder{most: maxRecord}
	for _, m := range b.Messages {
		encodeRecord(&e, kindMessage, m, messageFields, nil)
	}
	return e.raw.b
}

// Over replaces a writer's connection, and returns the one of before.
func (w *Writer) Over(conn *nats.Conn) *nats.Conn {
	before := w.conn
	w.conn = conn
	return before
}
