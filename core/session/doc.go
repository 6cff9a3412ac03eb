// Package session is one connection from open to close: it understands the client's commands, asks the rules and the hooks
// whether they may be, carries them out through the hub, and answers.
//
// A Node holds what all sessions of a worker share. Commands of a session are handled one after the other on the goroutine that reads
// its connection. It does not wait for the history to store a publication before it reads the next one: whoever brings the history's
// answer goes on with it, and the session's end waits for that. Pings and expiry come from the Node's Wheel, whose Run owns the only
// goroutine here. The package knows no transport, no hook runtime and no store: bytes go out through an outbound.Queue, verdicts
// come from a hooks.Chain, and what happened goes to a Recorder.
package session
