// Package websocket turns WebSocket connections (RFC 6455) into sessions: it judges the handshake, reads frames and
// hands them to the session, and takes care that a connection ends in order, whoever ends it.
//
// Each connection has one goroutine, its reader; Wait returns after the last of them. The package knows frames, not commands.
package websocket
