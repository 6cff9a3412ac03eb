package sqlite

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/zenconn/server/audit"
)

// rows reads an answer and gives those columns their type that SQLite keeps as numbers (BOOLEAN) and text (JSON).
type rows struct {
	*sql.Rows
	columns []string
	types   []string // As declared; empty for expressions.
}

func newRows(answer *sql.Rows, err error) (audit.Rows, error) {
	if err != nil {
		return nil, err
	}
	types, err := answer.ColumnTypes()
	if err != nil {
		return nil, errors.Join(err, answer.Close())
	}
	r := &rows{Rows: answer}
	for _, t := range types {
		r.columns = append(r.columns, t.Name())
		r.types = append(r.types, t.DatabaseTypeName())
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
	for i, declared := range r.types {
		values[i] = typed(values[i], declared)
	}
	return values, nil
}

func typed(value any, declared string) any {
	switch v := value.(type) {
	case int64:
		if declared == "BOOLEAN" {
			return v != 0
		}
	case string:
		var content any
		if declared == "JSON TEXT" && json.Unmarshal([]byte(v), &content) == nil {
			return content
		}
	}
	return value
}
