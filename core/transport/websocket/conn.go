package websocket

import (
	"cmp"
	"encoding/binary"
	"errors"
	"io"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/lxzan/gws"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/outbound"
	"github.com/zenconn/server/core/session"
)

// conn is one connection as gws sees it: it reads from the socket and writes, once upgraded, into the queue.
type conn struct {
	*outbound.Queue
	handler  *Handler
	session  *session.Session
	dropping atomic.Pointer[session.Session] // The session, once there is one, for those who drop.
	upgraded bool                            // The answer to the handshake goes out before the queue begins.
	fault    *core.Disconnect                // Why the reader ended the connection, where gws says it differently.
}

// Dropped implements outbound.Drops.
func (c *conn) Dropped(reason outbound.DropReason, frames int) {
	c.handler.drops.Dropped(reason, frames)
	if s := c.dropping.Load(); s != nil {
		s.Dropped(reason, frames)
	}
}

func (c *conn) Write(p []byte) (int, error) {
	if !c.upgraded {
		return c.Conn.Write(p)
	}
	if c.fault = undeflatable(p); c.fault != nil {
		_, err := c.Queue.Write(goodbye(*c.fault))
		return len(p), err
	}
	return c.Queue.Write(p)
}

// Close ends the queue, not the socket: what waits in it is still written, and read destroys the connection in the end.
func (c *conn) Close() error {
	if !c.upgraded {
		c.Destroy()
		return nil
	}
	return c.Queue.Close()
}

// farewell is how long a connection may take to end after its last frame was read.
const farewell = 3 * time.Second

// read is the connection's goroutine.
func (c *conn) read(socket *gws.Conn) {
	defer c.handler.leave()
	c.readFrames(socket)
	_ = c.Queue.Close()
	// A socket that is closed with unread bytes in it resets the connection, and the peer never sees the goodbye.
	_ = c.SetReadDeadline(time.Now().Add(farewell))
	_, _ = io.Copy(io.Discard, c.Conn)
	c.Destroy()
}

// readFrames reads until the connection ends. gws 1.8.9 panics on a frame whose length has the highest bit set, which RFC 6455
// §5.2 forbids: one client must not bring the process down.
func (c *conn) readFrames(socket *gws.Conn) {
	defer func() {
		if recover() != nil {
			c.session.Disconnect(core.Disconnect{Code: 1002, Reason: "protocol error"})
			c.session.End(core.DisconnectConnectionClosed, false)
		}
	}()
	socket.ReadLoop()
}

// events is what gws calls on the reader's goroutine. It has no state: the connection is found through the socket.
type events struct{}

func of(socket *gws.Conn) *conn { return socket.NetConn().(*conn) }

func (events) OnOpen(*gws.Conn) {}

// OnMessage hands a message to the session. A fault of ours in it ends this session with 3004, and no other.
func (events) OnMessage(socket *gws.Conn, message *gws.Message) {
	defer message.Close() //nolint:errcheck // Returns a buffer to its pool.
	c := of(socket)
	defer func() {
		if fault := recover(); fault != nil {
			c.handler.node.Log.Error("a command panicked", "session", c.session.ID(), "panic", fault, "stack", string(debug.Stack()))
			c.session.Disconnect(core.DisconnectServerError)
		}
	}()
	c.session.Handle(message.Bytes())
}

func (events) OnPing(socket *gws.Conn, payload []byte) { _ = socket.WritePong(payload) }

func (events) OnPong(*gws.Conn, []byte) {}

// OnClose is called once, when gws reads no more: the client said goodbye, broke the protocol, or is gone.
func (events) OnClose(socket *gws.Conn, err error) {
	c := of(socket)
	if c.fault != nil {
		c.session.End(*c.fault, false)
		return
	}
	if closing, ok := errors.AsType[*gws.CloseError](err); ok {
		code := cmp.Or(uint32(closing.Code), 1005) // No code in the frame (RFC 6455 §7.1.5).
		c.session.End(core.Disconnect{Code: code, Reason: "closed by client"}, true)
		return
	}
	if status, ok := err.(interface{ Uint16() uint16 }); ok { // A violation of RFC 6455, with the code gws answered.
		c.session.End(core.Disconnect{Code: uint32(status.Uint16()), Reason: err.Error()}, false)
		return
	}
	c.session.End(core.DisconnectConnectionClosed, false)
}

const opClose = 0x8 // RFC 6455 §5.5.1.

// goodbye makes the closing frame of a disconnect. A connection that the peer ended gets none.
func goodbye(d core.Disconnect) []byte {
	if d.Code == core.DisconnectConnectionClosed.Code {
		return nil
	}
	const fin, maxReason = 0x80, 123 // RFC 6455 §5.5.
	reason := d.Reason
	for len(reason) > maxReason || !utf8.ValidString(reason) {
		_, size := utf8.DecodeLastRuneInString(reason)
		reason = strings.ToValidUTF8(reason[:len(reason)-size], "")
	}
	frame := append(make([]byte, 0, 4+len(reason)), fin|opClose, byte(2+len(reason)))
	return append(binary.BigEndian.AppendUint16(frame, uint16(d.Code)), reason...)
}
