package hooks

import (
	"time"

	"github.com/zenconn/server/core"
)

// Hook names a decision point.
type Hook string

// The decision points.
const (
	OnConnect     Hook = "connect"
	OnRefresh     Hook = "refresh"
	OnSubscribe   Hook = "subscribe"
	OnChannel     Hook = "channel"
	OnPublish     Hook = "publish"
	OnRPC         Hook = "rpc"
	OnSend        Hook = "send"
	OnUnsubscribe Hook = "unsubscribe"
	OnDisconnect  Hook = "disconnect"
	OnAudit       Hook = "audit"
)

// All lists the hooks, in the order of a client's life. It must not be written.
var All = [...]Hook{
	OnConnect, OnRefresh, OnSubscribe, OnChannel, OnPublish, OnRPC, OnSend, OnUnsubscribe, OnDisconnect, OnAudit,
}

// Client describes the connection an event comes from. It is the same for every event of a session and must not be written.
type Client struct {
	ID         string // The session.
	User       string // Empty before and during connect, and for anonymous clients.
	Info       []byte // JSON; the ConnInfo others see.
	Name       string // What the client calls itself in its connect command.
	Version    string
	RemoteAddr string // The peer's IP address, without the port.
	Transport  string // "websocket".
	Protocol   string // "json" or "protobuf".
	UserAgent  string
	Header     func(name string) string // A header of the handshake request; "" when absent.
}

// Connect asks whether a client may connect and who it is. User to Data are what the authenticator found and what the next
// plugin and the session will see: a plugin may write them. Byte slices are replaced, never written in place.
type Connect struct {
	Client Client
	Token  string
	Input  []byte // The data of the connect command; may be nil.

	User     string
	Info     []byte // JSON.
	ExpireAt int64  // Unix seconds; 0: never.
	Grants   core.Grants
	Subs     map[string]core.SubscribeOptions
	Data     []byte // JSON handed to the client in the connect reply.
}

// Refresh asks whether a session, or one of its subscriptions, may live longer. A server that takes tokens has verified it before, and
// ExpireAt is what it says; otherwise ExpireAt is as it was. Byte slices are replaced, never written in place.
type Refresh struct {
	Client  Client
	Channel string // The subscription that is refreshed; empty: the session.
	Token   string

	ExpireAt int64  // Unix seconds; 0: never.
	Info     []byte // JSON; nil leaves it. What others see from now on: of the connection, or in the channel.
}

// Subscribe asks whether a client may join a channel. The fields of Options may be replaced, never written in place.
type Subscribe struct {
	Client  Client
	Channel string
	Input   []byte // The data of the subscribe command; may be nil.

	Options core.SubscribeOptions
}

// Channel asks for the options of a channel when its name is first used. The answer is kept and holds for every client, so there is no
// client to ask about. Options are those of the namespace; a plugin may write them.
type Channel struct {
	Channel   string
	Namespace string

	Options ChannelOptions
}

// ChannelOptions are what a plugin may decide about one channel; see the configuration of a namespace for what they mean.
type ChannelOptions struct {
	Subscribe     string // "nobody", "granted", "user" or "anyone".
	Publish       string // The same.
	Presence      bool
	JoinLeave     bool
	HistorySize   int // Publications; 0: none.
	HistoryTTL    time.Duration
	Recovery      bool
	ExcludeSender bool
	SlowConsumer  string // "disconnect", "drop_oldest" or "conflate".
}

// Publish asks whether a publication may go out and what it says. Data and Tags may be replaced, never written in place.
type Publish struct {
	Client  Client
	Channel string
	Message core.ID // The publication's identity in the audit; must not be written.

	Data          []byte
	Tags          map[string]string
	Redirect      string // The channel it goes to instead, which no hook is asked about again; empty: Channel.
	ExpireAt      int64  // Unix seconds from which on the history no longer shows it; 0: as long as the history keeps it.
	SkipHistory   bool   // Deliver, but do not keep.
	ExcludeSender *bool  // Whether the publisher gets no copy; nil: the channel's option.

	Decisions []core.ID // What the chain decided about it, in order; plugins do not see it.
}

// RPC asks a plugin to answer a client's call. The answer is Reply, JSON for JSON clients.
type RPC struct {
	Client Client
	Method string
	Input  []byte

	Reply []byte
}

// Send hands a plugin a client's one-way message. Nothing is answered.
type Send struct {
	Client Client
	Input  []byte
}

// Unsubscribe tells that a client has left a channel.
type Unsubscribe struct {
	Client  Client
	Channel string
	Code    uint32 // LeftByClient, LeftAtEnd, or the unsubscribe code (from 2000) the client was told.
	Reason  string
}

// The codes of Unsubscribe that are not the client protocol's.
const (
	LeftByClient uint32 = 0 // The client asked for it.
	LeftAtEnd    uint32 = 1 // The session ended.
)

// Disconnect tells that a session has ended that had connected.
type Disconnect struct {
	Client Client
	Code   uint32 // The disconnect code, or the client's own close code.
	Reason string
}

// Audit shows an audit event before it is stored. What may be written is replaced, never written in place.
type Audit struct {
	Kind    string // "message", "session", "decision" or "action".
	Channel string // Of messages and decisions.
	Hook    string // Of decisions.
	Action  string // Of actions.

	User       string // Of actions: who acted.
	Payload    []byte // Of messages: the data, if it is kept. Of actions: the request.
	Tags       map[string]string
	RemoteAddr string // An IP address, or empty.
	Reason     string // Of decisions, sessions (why it closed) and actions (the error).
}
