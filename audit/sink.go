package audit

import (
	"context"
	"io"
)

// Batch is what a sink stores at once, by table.
type Batch struct {
	Messages  []*Message
	Sessions  []*Session
	Decisions []*Decision
	Actions   []*Action
}

// Sink stores events. One goroutine calls Write; Query may run at the same time.
//
// Write must not return nil before the whole batch is stored; after an error the batch may be written again. It honours the
// deadline of ctx and keeps no reference to the batch.
type Sink interface {
	Write(ctx context.Context, batch *Batch) error
	Query(ctx context.Context, sql string) (Rows, error)
	io.Closer
}

// Rows is the answer to a query, read one row at a time; see database/sql.Rows for the use.
type Rows interface {
	Columns() []string
	Next() bool
	Values() ([]any, error)
	Err() error
	io.Closer
}
