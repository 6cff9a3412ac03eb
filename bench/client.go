package bench

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// socket is where a client's bytes go.
type socket interface {
	// write writes as much as the connection takes at once. When that is not all, the reader of the connection calls the
	// client's writable as soon as it takes more.
	write(p []byte) (n int, err error)
	// shutdown breaks the connection, so that its reader finds it ended.
	shutdown()
	// close frees the connection. Only its reader calls it, once, or who made it while it has none.
	close()
}

// maxOutbound is what may wait for a server that does not read, in bytes; a publisher at a fixed rate then waits.
const maxOutbound = 4 << 20

// client is one connection. Its reader calls received; everybody may call send and flush.
type client struct {
	number  int
	codec   codec
	mask    uint32
	traffic *traffic // nil while the connection is being made, and when there is nothing to verify.
	onReply func(reply) error

	// Owned by the reader.
	rest      []byte // An incomplete frame.
	fragments []byte // Of a message in several frames, without the last one.
	pieces    bool   // fragments is being collected.
	packed    bool   // They are compressed.
	hint      int
	verifier  Verifier
	first     int       // Number of the first stream that the client is subscribed to.
	heard     time.Time // When something was last read, before it was looked at, while the connection is being made.

	mu      sync.Mutex // Guards what follows.
	socket  socket
	out     []byte
	message []byte // Scratch for the command that is being written.
	nextID  uint32
	pending *pending // Of a publisher whose acknowledgements are timed.
	blocked bool     // The socket was full.
	leaving bool     // Its end is no surprise.
	closed  bool
}

// ending says why a connection ended.
type ending struct {
	code uint16 // Of the close frame; 0 when there was none.
	text string
}

func (e ending) Error() string {
	if e.code == 0 {
		return e.text
	}
	return fmt.Sprintf("closed by the server with %d %s", e.code, e.text)
}

// send queues a message as one frame.
func (c *client) send(message []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sendLocked(c.op(), message)
}

func (c *client) op() byte {
	if c.codec.binary() {
		return opBinary
	}
	return opText
}

func (c *client) sendLocked(op byte, payload []byte) {
	if !c.closed {
		c.out = appendFrame(c.out, op, c.mask, payload)
	}
}

// flush writes what is queued.
func (c *client) flush() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.flushLocked()
}

// writable is called when a full socket takes more.
func (c *client) writable() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.blocked = false
	return c.flushLocked()
}

func (c *client) flushLocked() error {
	if c.closed || c.blocked || len(c.out) == 0 {
		return nil
	}
	n, err := c.socket.write(c.out)
	if err != nil {
		return err
	}
	if n < len(c.out) {
		c.blocked = true
		c.out = c.out[:copy(c.out, c.out[n:])]
		return nil
	}
	c.out = c.out[:0]
	if c.traffic == nil || cap(c.out) > maxOutbound {
		c.out = nil // An idle connection keeps no buffer.
	}
	return nil
}

// abort breaks the connection; its reader then finds out and closes it.
func (c *client) abort() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.socket.shutdown()
	}
}

// close frees the connection, once.
func (c *client) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	c.closed = true
	c.out = nil
	c.socket.close()
}

// goodbye tells the server that the client leaves, as far as the socket takes it at once.
func (c *client) goodbye() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leaving = true
	c.sendLocked(opClose, []byte{1000 >> 8, 1000 & 0xFF})
	c.flushLocked() //nolint:errcheck // It is leaving anyway.
}

// received takes what was read: an incomplete frame from the last time, already in front of what is new. now is when it was
// read. An error means that the connection has ended.
func (c *client) received(buf []byte, now int64, sh *shard) error {
	all := buf
	for {
		f, n, err := cutFrame(buf)
		if err != nil {
			return err
		}
		if n == 0 {
			break
		}
		buf = buf[n:]
		if err := c.frame(f, now, sh); err != nil {
			return err
		}
	}
	switch {
	case len(buf) > 0:
		c.rest = append(c.rest[:0], buf...)
	case len(all) > 0:
		c.rest = c.rest[:0]
	}
	if cap(c.rest) > 64<<10 && len(c.rest) < 4<<10 {
		c.rest = append([]byte(nil), c.rest...)
	}
	return nil
}

func (c *client) frame(f frame, now int64, sh *shard) error {
	switch f.op {
	case opText, opBinary:
		if f.fin {
			return c.whole(f.payload, f.packed, now, sh)
		}
		c.fragments, c.pieces, c.packed = append(c.fragments[:0], f.payload...), true, f.packed
		return nil
	case opContinuation:
		if !c.pieces || len(c.fragments)+len(f.payload) > maxFrame {
			return errors.New("the server sent a fragment of nothing")
		}
		c.fragments = append(c.fragments, f.payload...)
		if !f.fin {
			return nil
		}
		whole := c.fragments
		c.fragments, c.pieces = nil, false
		return c.whole(whole, c.packed, now, sh)
	case opPing:
		c.mu.Lock()
		c.sendLocked(opPong, f.payload)
		c.mu.Unlock()
		sh.flushLater(c)
		return nil
	case opPong:
		return nil
	case opClose:
		if len(f.payload) < 2 {
			return ending{text: "closed by the server without a code"}
		}
		return ending{binary.BigEndian.Uint16(f.payload), string(f.payload[2:])}
	default:
		return fmt.Errorf("the server sent a frame of unknown kind %d", f.op)
	}
}

// whole takes a message that is complete.
func (c *client) whole(payload []byte, packed bool, now int64, sh *shard) error {
	if packed {
		inflated, err := sh.inflater.inflate(payload)
		if err != nil {
			return err
		}
		payload = inflated
	}
	return c.replies(payload, now, sh)
}

// replies takes the payload of a frame apart.
func (c *client) replies(payload []byte, now int64, sh *shard) error {
	for len(payload) > 0 {
		message, rest, err := c.codec.cut(payload)
		if err != nil {
			return err
		}
		payload = rest
		r, err := c.codec.decode(message, &c.hint)
		if err != nil {
			return err
		}
		switch {
		case r.kind == kindPing:
			c.send(c.codec.pong())
			sh.flushLater(c)
		case r.kind == kindDisconnect:
			return ending{uint16(r.code), r.text}
		case c.onReply != nil:
			if err := c.onReply(r); err != nil {
				return err
			}
		case c.traffic != nil:
			c.traffic.reply(c, r, now, sh)
		case r.kind == kindUnsubscribe:
			sh.fault(fmt.Errorf("the server ended a subscription with %d %s", r.code, r.text))
		}
	}
	return nil
}

// why turns the error that ended a connection into a sentence.
func why(err error) error {
	if errors.Is(err, io.EOF) {
		return ending{text: "closed by the server without a word"}
	}
	return err
}

func (c *client) isLeaving() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.leaving
}

func (c *client) isClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}
