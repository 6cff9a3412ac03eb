package session

import (
	"context"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/zenconn/server/audit"
	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/config"
	"github.com/zenconn/server/core/history"
	"github.com/zenconn/server/core/hub"
	"github.com/zenconn/server/core/metrics"
	"github.com/zenconn/server/core/outbound"
	"github.com/zenconn/server/core/presence"
	"github.com/zenconn/server/core/protocol"
	"github.com/zenconn/server/hooks"
)

// Tokens verifies what clients bring to prove their rights. Implemented by core/auth. Methods may be called concurrently.
// core.ErrTokenExpired is returned for a token that is good but for its age; any other error means a bad token.
type Tokens interface {
	Connect(token string) (core.Credentials, error)
	Subscribe(token, user, client, channel string) (core.SubscribeOptions, error)
}

// Recorder takes audit events. Record never blocks; the event must not be written afterwards.
type Recorder interface {
	Record(event audit.Event)
}

// Elsewhere knows the sessions on the other nodes. Implemented by core/cluster. SessionsOf may be called concurrently, and returns at the
// latest when ctx ends: sessions of nodes that do not answer are not counted.
type Elsewhere interface {
	SessionsOf(ctx context.Context, user string) int
}

// Node is what all sessions of one worker share. All fields are set before the first session opens and not changed.
type Node struct {
	Name   string // The node's name, in the audit.
	Epoch  uint64 // Unix seconds of the node's start.
	Worker uint16 // The number of a worker among those of its agent; 0: it is none.

	Client     config.Client
	Auth       config.Auth
	Tokens     Tokens // nil unless Auth.Type is jwt.
	Namespaces Namespaces
	Hub        *hub.Hub
	History    history.Store
	Presence   *presence.Presence
	Hooks      *hooks.Chain
	Notices    *Notices
	Recorder   Recorder
	Unrecorded bool       // The Recorder forgets everything: what is made for it with each message need not be.
	Durability Durability // nil: publications do not wait for their record.
	Drops      Drops      // nil: nobody wants to know.
	Announcer  Announcer  // nil: nobody wants to know.
	Metrics    *metrics.Metrics
	Registry   *Registry
	Wheel      *Wheel
	Elsewhere  Elsewhere // nil: there are no other nodes.
	Log        *slog.Logger

	StoreTimeout time.Duration // Bounds every wait for the history or the presence; 0: 5 s.

	failed      failures // Of commands, for the log.
	incarnation atomic.Uint32
}

// Peer is what the transport knows about the other end.
type Peer struct {
	RemoteAddr netip.Addr
	Transport  string // "websocket".
	UserAgent  string
	Header     func(name string) string // Headers of the handshake; used until the connect command is answered.
}

// Open begins the session of a new connection. The transport calls Handle for every frame it reads, on one goroutine, and End
// on the same goroutine when it reads no more.
func (n *Node) Open(queue *outbound.Queue, peer Peer) *Session {
	now := time.Now()
	s := &Session{
		id: core.NewID(), node: n, queue: queue, format: queue.Encoding().Format(), peer: peer, openedAt: now,
		limiter: limiter{rate: n.Client.Limits.CommandsPerSecond, burst: float64(n.Client.Limits.CommandBurst)},
	}
	s.client = hooks.Client{
		ID: s.id.String(), RemoteAddr: peer.RemoteAddr.String(), Transport: peer.Transport, Protocol: s.format.String(),
		UserAgent: peer.UserAgent, Header: peer.Header,
	}
	s.lastSeen.Store(now.UnixNano())
	n.Registry.add(s)
	n.Wheel.add(s, now.Add(n.Client.ConnectTimeout))
	return s
}

// decided records a decision of the server's own rules.
func (n *Node) decided(s *Session, hook hooks.Hook, channel string, reason string) {
	n.Metrics.Decision("server", string(hook), "deny")
	n.Recorder.Record(&audit.Decision{
		At: time.Now(), ID: core.NewID(), Node: n.Name, Hook: string(hook), Plugin: "server", Verdict: audit.DecisionReject,
		Reason: reason, User: s.client.User, Session: s.id, Channel: channel, RemoteAddr: s.peer.RemoteAddr,
	})
}

// pingFrames are the server pings: an empty reply in each encoding.
var pingFrames = func() (frames protocol.Frames) {
	for e := range protocol.Encoding(protocol.Encodings) {
		frames[e] = e.AppendFrame(nil, e.Format().AppendReply(nil, &protocol.Reply{}))
	}
	return frames
}()
