package session

import (
	"context"

	"github.com/zenconn/server/audit"
	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/outbound"
)

// Durability makes publications wait for their record, as the audit is configured; see audit.Recorder. It may be called concurrently.
type Durability interface {
	// Admit returns an error when what is published now could not be recorded.
	Admit(ctx context.Context) error
	// RecordDurable returns when the event is recorded. An error says that it may be lost.
	RecordDurable(ctx context.Context, event audit.Event) error
	// Waits says whether RecordDurable waits for anything. It is always the same.
	Waits() bool
}

// Drops hears of messages that sessions did not get; see audit.Recorder. It may be called concurrently and does not wait.
type Drops interface {
	Dropped(session core.ID, user, reason string, messages int)
}

// Dropped notes that messages did not reach the client. It takes no lock of the session's, since whoever drops holds one of the queue's.
func (s *Session) Dropped(reason outbound.DropReason, messages int) {
	if s.node.Drops == nil {
		return
	}
	user := ""
	if named := s.named.Load(); named != nil {
		user = *named
	}
	s.node.Drops.Dropped(s.id, user, reason.String(), messages)
}

// errUnrecorded is the answer to a publication that could not be recorded. It is a temporary one.
var errUnrecorded = core.ErrInternal.Saying("messages cannot be recorded at the moment, try again later")

// admit says whether a publication may be handed out as far as its record is concerned.
func (n *Node) admit(ctx context.Context) error {
	if n.Durability == nil {
		return nil
	}
	if err := n.Durability.Admit(ctx); err != nil {
		return errUnrecorded.Because(err)
	}
	return nil
}

// recordMessage records a publication that was handed out. After an error it may have reached its subscribers all the same, and its
// publisher must not be told that it was taken.
func (n *Node) recordMessage(ctx context.Context, m *audit.Message) error {
	if n.Durability == nil {
		n.Recorder.Record(m)
		return nil
	}
	if err := n.Durability.RecordDurable(ctx, m); err != nil {
		return errUnrecorded.Because(err)
	}
	return nil
}

// waits says whether recordMessage waits for anything.
func (n *Node) waits() bool { return n.Durability != nil && n.Durability.Waits() }
