package core

import "fmt"

// Disconnect ends a session with a code and a sentence. Clients reconnect by themselves after codes below 3500 (and after
// 4000 to 4499), and stay away after the others. It is also an error, so that a hook or a command handler can return it.
type Disconnect struct {
	Code   uint32
	Reason string // At most 123 bytes reach a WebSocket client (RFC 6455 §5.5).
}

// The disconnects of the client protocol (Centrifuge protocol v2, disconnect codes). Codes 4000 to 4999 are free for plugins.
var (
	DisconnectConnectionClosed      = Disconnect{3000, "connection closed"}
	DisconnectShutdown              = Disconnect{3001, "shutdown"}
	DisconnectServerError           = Disconnect{3004, "internal server error"}
	DisconnectExpired               = Disconnect{3005, "connection expired"}
	DisconnectSubExpired            = Disconnect{3006, "subscription expired"}
	DisconnectSlow                  = Disconnect{3008, "slow"}
	DisconnectWriteError            = Disconnect{3009, "write error"}
	DisconnectInsufficientState     = Disconnect{3010, "insufficient state"}
	DisconnectForceReconnect        = Disconnect{3011, "force reconnect"}
	DisconnectNoPong                = Disconnect{3012, "no pong"}
	DisconnectTooManyRequests       = Disconnect{3013, "too many requests"}
	DisconnectStateInvalidated      = Disconnect{3014, "state invalidated"}
	DisconnectInvalidToken          = Disconnect{3500, "invalid token"}
	DisconnectBadRequest            = Disconnect{3501, "bad request"}
	DisconnectStale                 = Disconnect{3502, "stale"}
	DisconnectForceNoReconnect      = Disconnect{3503, "force disconnect"}
	DisconnectConnectionLimit       = Disconnect{3504, "connection limit"}
	DisconnectChannelLimit          = Disconnect{3505, "channel limit"}
	DisconnectInappropriateProtocol = Disconnect{3506, "inappropriate protocol"}
	DisconnectPermissionDenied      = Disconnect{3507, "permission denied"}
	DisconnectNotAvailable          = Disconnect{3508, "not available"}
	DisconnectTooManyErrors         = Disconnect{3509, "too many errors"}
)

func (d Disconnect) Error() string { return fmt.Sprintf("disconnect %d %s", d.Code, d.Reason) }

// Reconnect reports whether the client protocol lets a client reconnect after this code.
func (d Disconnect) Reconnect() bool {
	return d.Code < 3500 || d.Code >= 4000 && d.Code < 4500
}

// Saying returns d with a reason of "<reason>: <why>". It must not reveal anything about the server's inside.
func (d Disconnect) Saying(why string) Disconnect {
	d.Reason += ": " + why
	return d
}

// Unsubscribe ends one subscription with a code and a sentence. Clients resubscribe by themselves after codes from 2500.
type Unsubscribe struct {
	Code   uint32
	Reason string
}

// The unsubscribe codes of the client protocol.
var (
	UnsubscribeServer           = Unsubscribe{2000, "server unsubscribe"}
	UnsubscribeInsufficient     = Unsubscribe{2500, "insufficient state"}
	UnsubscribeExpired          = Unsubscribe{2501, "subscription expired"}
	UnsubscribeStateInvalidated = Unsubscribe{2502, "state invalidated"}
)
