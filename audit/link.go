package audit

import (
	"time"

	"github.com/zenconn/server/core"
)

// Link is a link of the chain that makes the record tamper-evident (table audit_chain): it holds the digests of some events that one
// process recorded, and the digest of the link before it. Package audit/chain makes and explains them.
type Link struct {
	At       time.Time
	Node     string
	Life     string    // Of the recorder: a process begins a chain of its own.
	Number   uint64    // 1 and on within the life.
	First    time.Time // Times of its earliest and its latest event, sessions aside; zero: it has none but those.
	Last     time.Time
	Events   uint32
	Previous Digest // Zero for the first.
	Digest   Digest // Of all of this.
	Entries  []byte // The digests of the events.
}

// Digest is a SHA-256.
type Digest [32]byte

// Erasure says of one event that it was removed on purpose (table audit_erasures). Those of one erasure are signed off by an Action.
type Erasure struct {
	At      time.Time
	ID      core.ID // Of the erasure; many events have the same.
	Kind    string  // The table, such as "audit_messages".
	Event   core.ID // The event's identifier, for a drop the session's.
	Content string  // The event's digest as in the chain, in hexadecimal.
}
