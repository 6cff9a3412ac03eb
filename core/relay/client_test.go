package relay_test

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/channel"
	"github.com/zenconn/server/core/hub"
	"github.com/zenconn/server/core/outbound"
	"github.com/zenconn/server/core/protocol"
)

// client is a connection with one channel. It does what the session and the public clients do: it follows the offsets, and begins
// anew from its position when it is told that it misses something.
type client struct {
	ns      *channel.Namespace
	name    string
	session core.ID

	mu     sync.Mutex // Guards all below.
	node   *node
	member *hub.Member
	queue  *outbound.Queue
	buffer []byte
	at     core.Position
	known  bool     // at holds.
	got    []string // The data of publications, and who came and left, in order.
	first  uint64   // Offset of the first publication.
	losses int      // How often it was told that it misses something.
	away   bool
	broken error
}

// join makes a client of a channel.
func (n *node) join(t testing.TB, ns *channel.Namespace, name string) *client {
	t.Helper()
	c := &client{ns: ns, name: name, session: core.NewID()}
	c.enter(t, n)
	t.Cleanup(c.leave)
	return c
}

// stream gives what is written to the queue of one membership to the client.
type stream struct {
	net.Conn
	c *client
}

func (s *stream) Close() error                     { return nil }
func (s *stream) SetDeadline(time.Time) error      { return nil }
func (s *stream) SetReadDeadline(time.Time) error  { return nil }
func (s *stream) SetWriteDeadline(time.Time) error { return nil }
func (s *stream) Write(p []byte) (int, error)      { s.c.read(s, p); return len(p), nil }

// enter joins at a node, and recovers if the client was there before.
func (c *client) enter(t testing.TB, n *node) {
	t.Helper()
	limits := outbound.Limits{Messages: 1 << 20, Bytes: 1 << 30, WriteTimeout: time.Minute}
	for {
		conn := &stream{c: c}
		queue := outbound.New(conn, protocol.WebSocketJSON, limits, noDrops{}, n.flushers, func(core.Disconnect) []byte { return nil })
		m := n.hub.Join(c.ns, c.name, &hub.Listener{Queue: queue, Session: c.session, Owner: c, Info: core.ClientInfo{Client: c.session.String()}}, hub.MemberOptions{Positioned: c.ns.HistorySize > 0, JoinLeave: true, Presence: true})
		c.mu.Lock()
		c.node, c.member, c.queue, c.away, c.buffer = n, m, queue, false, nil
		since, known := c.at, c.known
		c.mu.Unlock()
		at, err := c.position(m, n, since, known)
		if err != nil {
			n.hub.Leave(m)
			t.Errorf("join %q: %v", c.name, err)
			return
		}
		ok := m.Release(at)
		queue.Flush()
		if ok {
			return
		}
		n.hub.Leave(m)
	}
}

func (c *client) position(m *hub.Member, n *node, since core.Position, known bool) (at core.Position, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if c.ns.HistorySize <= 0 {
		n.hub.Await(ctx, m)
		return at, nil
	}
	if !known {
		if at, err = n.hub.Position(ctx, m); err != nil {
			return at, err
		}
	} else {
		var missed []*core.Publication
		var recovered bool
		missed, at, recovered, err = n.hub.Recover(ctx, m, since)
		if err == nil && !recovered {
			return at, fmt.Errorf("what was missed since %v is gone at %v", since, at)
		}
		c.mu.Lock()
		for _, pub := range missed {
			c.receivedLocked(pub.Offset, string(pub.Data))
		}
		c.mu.Unlock()
	}
	c.mu.Lock()
	c.at, c.known = at, true
	c.mu.Unlock()
	return at, err
}

// Lost implements hub.Owner.
func (c *client) Lost(m *hub.Member) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.member == m {
		c.losses++
		c.away = true
		c.node.hub.Leave(m)
	}
}

func (c *client) leave() {
	c.mu.Lock()
	m, n := c.member, c.node
	c.away = true
	c.mu.Unlock()
	n.hub.Leave(m)
}

// read takes the bytes of WebSocket frames.
func (c *client) read(s *stream, p []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.queue != nil && c.queue.Conn != s {
		return // Of a membership that has ended.
	}
	c.buffer = append(c.buffer, p...)
	for {
		payload, rest, ok := frame(c.buffer)
		if !ok {
			return
		}
		c.buffer = rest
		for line := range strings.Lines(string(payload)) {
			var reply struct {
				Push struct {
					Pub *struct {
						Data   json.RawMessage `json:"data"`
						Offset uint64          `json:"offset"`
					} `json:"pub"`
					Join  json.RawMessage `json:"join"`
					Leave json.RawMessage `json:"leave"`
				} `json:"push"`
			}
			if err := json.Unmarshal([]byte(line), &reply); err != nil {
				c.broken = errors.Join(c.broken, fmt.Errorf("%w in %s", err, line))
			}
			switch {
			case reply.Push.Pub != nil:
				c.receivedLocked(reply.Push.Pub.Offset, string(reply.Push.Pub.Data))
			case reply.Push.Join != nil:
				c.got = append(c.got, "join")
			case reply.Push.Leave != nil:
				c.got = append(c.got, "leave")
			}
		}
	}
}

func (c *client) receivedLocked(offset uint64, data string) {
	if offset != 0 && c.known && offset != c.at.Offset+1 && c.broken == nil {
		c.broken = fmt.Errorf("after %d comes %d", c.at.Offset, offset)
	}
	if offset != 0 {
		c.at.Offset = offset
		if c.first == 0 {
			c.first = offset
		}
	}
	c.got = append(c.got, data)
}

// frame cuts the first frame, of a server, off.
func frame(b []byte) (payload, rest []byte, ok bool) {
	if len(b) < 2 {
		return nil, b, false
	}
	header, length := 2, uint64(b[1])
	switch b[1] {
	case 126:
		header = 4
	case 127:
		header = 10
	}
	if len(b) < header {
		return nil, b, false
	}
	switch header {
	case 4:
		length = uint64(binary.BigEndian.Uint16(b[2:]))
	case 10:
		length = binary.BigEndian.Uint64(b[2:])
	}
	if uint64(len(b)-header) < length {
		return nil, b, false
	}
	return b[header : header+int(length)], b[header+int(length):], true
}

// all returns what the client got so far.
func (c *client) all(t testing.TB) []string {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broken != nil {
		t.Fatalf("%q: %v", c.name, c.broken)
	}
	return append([]string(nil), c.got...)
}

func (c *client) where() core.Position {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

// gets waits until the client has got n things.
func (c *client) gets(t testing.TB, n int) []string {
	t.Helper()
	var got []string
	eventually(t, func() string {
		if got = c.all(t); len(got) < n {
			return fmt.Sprintf("%q got %d of %d (%d losses)", c.name, len(got), n, c.losses)
		}
		return ""
	})
	if len(got) > n {
		t.Fatalf("%q got %d instead of %d: %.300q", c.name, len(got), n, got)
	}
	return got
}
