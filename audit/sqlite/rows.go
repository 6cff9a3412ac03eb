package sqlite

import (
	"database/sql"
	"errors"
	"fmt"

	"github.com/zenconn/server/audit"
)

// rows reads an answer and gives the columns declared BOOLEAN, which SQLite keeps as numbers, their type.
type rows struct {
	*sql.Rows
	columns []string
	boolean []bool
}

func newRows(answer *sql.Rows, err error) (audit.Rows, error) {
	if err != nil {
		return nil, err
	}
	types, err := answer.ColumnTypes()
	if err != nil {
		return nil, errors.Join(err, answer.Close())
	}
	r := &rows{Rows: answer, boolean: make([]bool, len(types))}
	for i, t := range types {
		r.columns = append(r.columns, t.Name())
		r.boolean[i] = t.DatabaseTypeName() == "BOOLEAN"
	}
	return r, nil
}

func (r *rows) Columns() []string { return r.columns }

func (r *rows) Values() ([]any, error) {
	values := make([]any, len(r.columns))
	into := make([]any, len(values))
	for i := range values {
		into[i] = &values[i]
	}
	if err := r.Scan(into...); err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	for i, isBool := range r.boolean {
		if n, ok := values[i].(int64); ok && isBool {
			values[i] = n != 0
		}
	}
	return values, nil
}
