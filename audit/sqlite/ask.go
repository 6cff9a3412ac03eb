package sqlite

import (
	"context"
	"database/sql"
	"time"

	"github.com/zenconn/server/audit"
	"github.com/zenconn/server/core"
)

// Ask runs one statement that reads, in which @name stands for the parameter of that name: a string, an integer, a time or a core.ID.
func (r *Reader) Ask(ctx context.Context, query string, params ...sql.NamedArg) (audit.Rows, error) {
	return newRows(r.db.QueryContext(ctx, query, bound(params)...))
}

// bound gives parameters the form in which their columns are kept.
func bound(params []sql.NamedArg) []any {
	args := make([]any, len(params))
	for i, p := range params {
		switch v := p.Value.(type) {
		case time.Time:
			p.Value = stamp(v)
		case core.ID:
			p.Value = v.String()
		}
		args[i] = p
	}
	return args
}
