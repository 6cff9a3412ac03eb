package websocket

import (
	"errors"
	"io"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/outbound"
	"github.com/zenconn/server/core/session"
)

// conn is one connection. It is small while nothing comes: it has neither a buffer nor, as a rule, a stack that is larger than the smallest.
type conn struct {
	// Fixed after construction.
	*outbound.Queue
	handler *Handler
	limits  limits
	session atomic.Pointer[session.Session] // Set before the reader starts; those who drop may come before.

	// Owned by the reader.
	inbox    inbox
	parts    *parts // Of a message that is not complete; nil: none is under way.
	pace     pace
	step     func(fd uintptr) bool // The method value of receiveNow, made once.
	received error                 // Of the last call of step.
}

// parts are what came of a message in several frames.
type parts struct {
	payload  []byte
	deflated bool
}

// Dropped implements outbound.Drops.
func (c *conn) Dropped(reason outbound.DropReason, frames int) {
	c.handler.drops.Dropped(reason, frames)
	if s := c.session.Load(); s != nil {
		s.Dropped(reason, frames)
	}
}

// farewell is how long a connection may take to end after its last frame was read.
const farewell = 3 * time.Second

// read is the connection's goroutine, or one of those that follow one another as such: a goroutine keeps the stack that it has once needed,
// and one that waits needs little.
func (c *conn) read() {
	err := c.readFrames()
	if err == errCalm { //nolint:errorlint // It is never wrapped.
		go c.read()
		return
	}
	defer c.handler.leave()
	c.end(err)
	_ = c.Queue.Close()
	// A socket that is closed with unread bytes in it resets the connection, and the peer never sees the goodbye.
	_ = c.SetReadDeadline(time.Now().Add(farewell))
	_, _ = io.Copy(io.Discard, c.Conn)
	c.Destroy()
}

// errCalm says that little comes over the connection: whoever waits for more shall do so with a stack of its own.
var errCalm = errors.New("nothing to read")

// readFrames handles what comes until the connection ends, or nothing more comes for now.
func (c *conn) readFrames() error {
	for {
		for c.inbox.to > 0 {
			f, size, err := c.limits.cut(c.inbox.unread())
			if err == errPartial { //nolint:errorlint // It is never wrapped.
				c.inbox.needed = size
				break
			}
			if err == nil {
				err = c.handle(f)
			}
			if err != nil {
				return err
			}
			c.inbox.skip(size, c.handler.buffers)
		}
		c.session.Load().Flush() // What came is handled: the answers leave.
		if err := c.receive(); err != nil {
			return err
		}
		c.pace.came(time.Now().UnixNano())
	}
}

// receivePlain reads where there is no better way: it holds a buffer while it waits.
func (c *conn) receivePlain() error {
	n, err := c.Conn.Read(c.inbox.room(c.handler.buffers))
	c.inbox.to += n
	if n > 0 {
		return nil // The error comes again.
	}
	return err
}

// handle does what a frame asks for.
func (c *conn) handle(f frame) error {
	switch f.op {
	case opPing:
		_, err := c.Write(controlFrame(opPong, f.payload))
		return err
	case opPong:
		return nil
	case opClose:
		return c.closed(f.payload)
	case opContinuation:
		if c.parts == nil {
			return errProtocol
		}
		if len(c.parts.payload)+len(f.payload) > c.limits.size {
			return errTooLarge
		}
		c.parts.payload = append(c.parts.payload, f.payload...)
		if !f.fin {
			return nil
		}
		whole := *c.parts
		c.parts = nil
		return c.message(whole.payload, whole.deflated)
	}
	switch {
	case c.parts != nil:
		return errProtocol
	case !f.fin:
		c.parts = &parts{payload: append([]byte(nil), f.payload...), deflated: f.deflated}
		return nil
	}
	return c.message(f.payload, f.deflated)
}

// message hands a message to the session. A fault of ours in it ends this session with 3004, and no other.
func (c *conn) message(payload []byte, deflated bool) error {
	s := c.session.Load()
	if deflated {
		inflated, err := inflate(payload, c.limits.size)
		if err != nil {
			return err
		}
		payload = inflated
	}
	defer func() {
		if fault := recover(); fault != nil {
			c.handler.node.Log.Error("a command panicked", "session", s.ID(), "panic", fault, "stack", string(debug.Stack()))
			s.Disconnect(core.DisconnectServerError)
		}
	}()
	s.Handle(payload)
	return nil
}

// goneError is the end of a connection that the client closed with a code.
type goneError uint32

func (goneError) Error() string { return "closed by client" }

// closed answers the client's closing frame.
func (c *conn) closed(payload []byte) error {
	code, answer, err := farewellOf(payload)
	if err != nil {
		return err
	}
	_, _ = c.Write(controlFrame(opClose, answer)) // If ours has gone out before, this is refused, and right so.
	return goneError(code)
}

// end finishes the session: the client said goodbye, broke the protocol, or is gone.
func (c *conn) end(err error) {
	s := c.session.Load()
	if code, ok := errors.AsType[goneError](err); ok {
		_ = c.Queue.Close()
		s.End(core.Disconnect{Code: uint32(code), Reason: err.Error()}, true)
		return
	}
	if breach, ok := errors.AsType[*violation](err); ok {
		s.Disconnect(core.Disconnect(*breach))
		s.End(core.Disconnect(*breach), false)
		return
	}
	s.End(core.DisconnectConnectionClosed, false)
}
