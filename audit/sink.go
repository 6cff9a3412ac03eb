package audit

import (
	"context"
	"errors"
	"io"
)

// Batch is what a sink stores at once, by table.
type Batch struct {
	// Token names the batch for ever: a batch that is written again has the same token and the same events in the same order, and
	// no other batch ever has it. A sink uses it to store a batch once that arrived twice because the answer got lost.
	Token      string
	Messages   []*Message
	Sessions   []*Session
	Decisions  []*Decision
	Actions    []*Action
	Deliveries []*Delivery
	Drops      []*Drop
	Links      []*Link    // Of the chain; made on the way to the store, not recorded.
	Erasures   []*Erasure // Made by audit/erase only.
}

// Len returns the number of events.
func (b *Batch) Len() int {
	return len(b.Messages) + len(b.Sessions) + len(b.Decisions) + len(b.Actions) + len(b.Deliveries) + len(b.Drops) +
		len(b.Links) + len(b.Erasures)
}

// Writer takes batches: a store, or the spool on the way to one. One goroutine calls Write.
//
// Write must not return nil before the whole batch is stored; after an error the batch may be written again, unless the error
// is ErrRefused. A batch whose token is among the last thousands that were written is not stored a second time. It honours the
// deadline of ctx and keeps no reference to the batch.
type Writer interface {
	Write(ctx context.Context, batch *Batch) error
}

// Sink is a store of events. Query may run at the same time as Write.
type Sink interface {
	Writer
	Query(ctx context.Context, sql string) (Rows, error)
	// Delete removes the rows of a table for which where, in SQL, is true. When it returns nil they are gone. Write goes on meanwhile.
	Delete(ctx context.Context, table, where string) error
	io.Closer
}

// ErrRefused is what Write's error wraps when the store works but will never take this batch: writing it again is useless.
var ErrRefused = errors.New("the audit store refuses the batch")

// ErrFull is what Write's error wraps when there is no room for the batch now. Writing it again may succeed.
var ErrFull = errors.New("no room for audit events")

// Obstacle is what keeps a store from taking events until an operator removes it: a sentence that follows "since", with nothing secret in
// it. Write's error wraps one if the store knows.
type Obstacle string

// Error implements error.
func (o Obstacle) Error() string { return string(o) }

// Rows is the answer to a query, read one row at a time; see database/sql.Rows for the use.
//
// A value is nil, bool, a number, a string, []byte, or a slice or map of those. Times are strings of the form
// 2006-01-02 15:04:05.000 in UTC; identifiers and addresses are strings too.
type Rows interface {
	Columns() []string
	Next() bool
	Values() ([]any, error)
	Err() error
	io.Closer
}
