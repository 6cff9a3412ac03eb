package hooks

import "github.com/zenconn/server/core"

// Hook names a decision point.
type Hook string

// The decision points.
const (
	OnConnect   Hook = "connect"
	OnSubscribe Hook = "subscribe"
	OnPublish   Hook = "publish"
	OnRPC       Hook = "rpc"
)

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

// Subscribe asks whether a client may join a channel. The fields of Options may be replaced, never written in place.
type Subscribe struct {
	Client  Client
	Channel string
	Input   []byte // The data of the subscribe command; may be nil.

	Options core.SubscribeOptions
}

// Publish asks whether a publication may go out and what it says. Data and Tags may be replaced, never written in place.
type Publish struct {
	Client  Client
	Channel string
	Message core.ID // The publication's identity in the audit; must not be written.

	Data []byte
	Tags map[string]string
}

// RPC asks a plugin to answer a client's call. The answer is Reply, JSON for JSON clients.
type RPC struct {
	Client Client
	Method string
	Input  []byte

	Reply []byte
}
