package session

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/zenconn/server/audit"
	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/hub"
	"github.com/zenconn/server/core/outbound"
	"github.com/zenconn/server/core/protocol"
	"github.com/zenconn/server/hooks"
)

// state is how far a session has come.
type state uint8

const (
	opened    state = iota // Waits for its connect command.
	connected              // Everything is allowed that is allowed.
	refused                // The connect command was answered with an error; nothing else is heard.
)

// Session is one connection. See Node.Open.
type Session struct {
	// Fixed after construction.
	id       core.ID
	node     *Node
	queue    *outbound.Queue
	format   protocol.Format
	peer     Peer
	openedAt time.Time

	// Owned by the reading goroutine.
	state   state
	client  hooks.Client // Fixed after connect but for Info, which a refresh may change, with mu held.
	grants  core.Grants
	replies []byte // Encoded replies of the frame being handled.
	limiter limiter
	strikes int  // Refused commands in a row.
	pending bool // Something in the queue waits for Flush.

	underway *underway // Publications that wait for a history; nil: there were none so far.

	// Written by the reading goroutine, read by anyone.
	lastSeen    atomic.Int64 // Unix nanoseconds.
	handling    atomic.Bool  // A frame is being handled, so that nothing that comes after it is seen.
	messagesIn  atomic.Uint64
	bytesIn     atomic.Uint64
	connectedAt atomic.Int64           // Unix nanoseconds; 0 before connect.
	named       atomic.Pointer[string] // The user; nil before connect.

	place int // In the Registry's list of the user's sessions; guarded by the Registry.

	// Owned by the Wheel.
	timer timer
	pings pings

	// changing is held while channels are joined or left, up to the queueing of what the client is told about it, so that it hears of
	// changes in their order. It is taken before mu, and held while the history is read.
	changing sync.Mutex
	answered bool // The connect command was answered with success, and the end has not come; guarded by changing.

	mu       sync.Mutex // Guards all below.
	subs     subscriptions
	listener *hub.Listener // nil: not made yet.
	expireAt int64         // Unix seconds; 0: never.
}

// ID returns the session's identity, which is also the client ID others see.
func (s *Session) ID() core.ID { return s.id }

// Handle carries out the commands of one frame and queues the answers, which leave with Flush at the latest. The frame may be reused
// afterwards.
func (s *Session) Handle(frame []byte) {
	if _, ended := s.queue.Ended(); ended {
		return
	}
	now := time.Now()
	s.handling.Store(true)
	defer s.handling.Store(false)
	s.lastSeen.Store(now.UnixNano())
	s.bytesIn.Add(uint64(len(frame)))
	w := works.Get().(*work)
	s.replies = w.replies[:0]

	w.commands = s.format.Commands(frame)
	for n := 0; ; n++ {
		done, err := next(&w.commands, &w.command)
		if err != nil || done && n == 0 {
			s.hangUp(core.DisconnectBadRequest.Saying("the frame is not of the protocol"))
			break
		}
		if done || !s.handleCommand(&w.command, now) {
			break
		}
	}
	s.sendReplies()
	if cap(s.replies) <= 64<<10 { // A rare giant reply must not stay for ever.
		w.replies = s.replies
	}
	s.replies = nil
	w.command.Reset()
	w.commands = protocol.Decoder{}
	works.Put(w)
}

// work is what a session needs while it handles a frame, and not while it waits for one.
type work struct {
	commands protocol.Decoder
	command  protocol.Command
	replies  []byte
}

var works = sync.Pool{New: func() any { return &work{replies: make([]byte, 0, 1024)} }}

// sendReplies queues the replies gathered so far as one frame.
func (s *Session) sendReplies() {
	if len(s.replies) > 0 {
		s.queue.Send(s.replies)
		s.replies = s.replies[:0]
		s.pending = true
	}
}

func (s *Session) reply(r *protocol.Reply) { s.replies = s.format.AppendReply(s.replies, r) }

// push queues a push. On the reading goroutine the replies it must not overtake are sent before. The caller flushes.
func (s *Session) push(p *protocol.Push) {
	s.queue.Send(s.format.AppendReply(nil, &protocol.Reply{Push: p}))
}

// Disconnect ends the session: the client is told code and reason, and the transport's reader soon reads no more. It may be
// called from anywhere, and again.
func (s *Session) Disconnect(d core.Disconnect) {
	if s.queue.Disconnect(d) {
		s.queue.Flush()
	}
}

// hangUp does so because of a command. The answers to those before it in the same frame are sent first: the refusal of a connect command,
// for one, with which clients send what they want next. Only the reading goroutine calls it.
func (s *Session) hangUp(d core.Disconnect) {
	s.sendReplies()
	s.Disconnect(d)
}

// Dismiss disconnects a session that nothing is wrong with: what waits in its channels for others is sent before. The caller holds no
// lock.
func (s *Session) Dismiss(d core.Disconnect) {
	s.mu.Lock()
	members := make([]*hub.Member, 0, len(s.subs))
	for _, sub := range s.subs {
		members = append(members, sub.member)
	}
	s.mu.Unlock()
	for _, m := range members {
		s.node.Hub.Hasten(m)
	}
	s.Disconnect(d)
}

// End finishes the session after its last frame: it leaves all channels and is written down. d says how the reading ended, and
// byClient that the client closed with a code of its own; when the server ended the session before, its reason counts. The
// transport then destroys the queue.
func (s *Session) End(d core.Disconnect, byClient bool) {
	s.await(0)
	s.node.Wheel.remove(s)
	s.node.Registry.remove(s)
	s.changing.Lock() // What the server is just doing to its channels ends first, and nothing begins.
	s.answered = false
	s.mu.Lock()
	subs := s.subs
	s.subs = nil
	s.mu.Unlock()
	s.changing.Unlock()
	for _, sub := range subs {
		s.leave(sub)
		s.node.Notices.unsubscribed(s, sub.member.Channel(), hooks.LeftAtEnd, "the session ended")
	}
	if reason, ended := s.queue.Ended(); ended && reason.Code != core.DisconnectConnectionClosed.Code {
		d, byClient = reason, false
	}
	if byClient {
		s.node.Metrics.SessionsClosed.WithLabelValues("client").Inc()
	} else {
		s.node.Metrics.Closed(uint16(d.Code))
	}
	s.recordClosed(d)
	s.announceClosed(d)
	if s.connectedAt.Load() != 0 {
		s.node.Notices.disconnected(s, d)
	}
}

func (s *Session) recordOpened() { s.node.Recorder.Record(s.record()) }

func (s *Session) recordClosed(d core.Disconnect) {
	e := s.record()
	e.DisconnectedAt, e.CloseCode, e.CloseReason, e.Version = time.Now(), uint16(d.Code), d.Reason, audit.VersionClosed(s.node.Incarnation())
	s.node.Recorder.Record(e)
}

func (s *Session) record() *audit.Session {
	frames, bytes := s.queue.Sent()
	return &audit.Session{
		ConnectedAt: s.openedAt, Session: s.id, Node: s.node.Name, NodeEpoch: s.node.Epoch, Worker: s.node.Worker, User: s.client.User,
		Transport: s.peer.Transport, Protocol: s.format.String(), RemoteAddr: s.peer.RemoteAddr, UserAgent: s.peer.UserAgent,
		MessagesIn: s.messagesIn.Load(), MessagesOut: frames, BytesIn: s.bytesIn.Load(), BytesOut: bytes,
		Version: audit.VersionOpen(s.node.Incarnation()),
	}
}

// clientInfo returns what others see of the session in a channel.
func (s *Session) clientInfo(chanInfo []byte) core.ClientInfo {
	s.mu.Lock()
	info := s.client.Info
	s.mu.Unlock()
	return core.ClientInfo{User: s.client.User, Client: s.client.ID, ConnInfo: info, ChanInfo: chanInfo}
}

// asListener returns what the session's memberships have in common.
func (s *Session) asListener() *hub.Listener {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener == nil {
		s.listener = &hub.Listener{
			Queue: s.queue, Session: s.id, Owner: s, Info: core.ClientInfo{User: s.client.User, Client: s.client.ID, ConnInfo: s.client.Info},
		}
	}
	return s.listener
}

// clientNow returns the connected client as hooks see it. It may be called from anywhere.
func (s *Session) clientNow() hooks.Client {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.client
}

// Destroy cuts the connection without another word. The transport's reader then ends as after any broken connection.
func (s *Session) Destroy() { s.queue.Destroy() }
