// Package session is one connection from open to close: it understands the client's commands, asks the rules and the hooks
// whether they may be, carries them out through the hub, and answers.
//
// A Node holds what all sessions of a worker share. Commands of a session are handled one after the other on the goroutine that
// reads its connection, but it does not wait for the history of a publication before it reads the next one: that is finished on the
// goroutine that brings the history's answer, and the end of the session waits for it. Pings and expiry come from the Node's Wheel, whose Run owns the only goroutine here. The package knows
// no transport, no hook runtime and no store: bytes go out through an outbound.Queue, verdicts come from a hooks.Chain, and what
// happened goes to a Recorder.
package session
