package clickhouse

import (
	"context"
	"database/sql"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/zenconn/server/audit"
	"github.com/zenconn/server/core"
)

// Ask runs one statement that reads, in which @name stands for the parameter of that name: a string, an integer, a time or a core.ID.
// The values travel beside the statement and are never part of it.
func (r *Reader) Ask(ctx context.Context, query string, params ...sql.NamedArg) (audit.Rows, error) {
	ctx, query, err := bind(ctx, query, params)
	if err != nil {
		return nil, err
	}
	return r.store.query(ctx, query)
}

var placeholder = regexp.MustCompile(`@[a-z]+`)

// bind writes the placeholders as ClickHouse wants them, {name:Type}, and puts the values into the context.
func bind(ctx context.Context, query string, params []sql.NamedArg) (context.Context, string, error) {
	types, values := make(map[string]string, len(params)), make(clickhouse.Parameters, len(params))
	for _, p := range params {
		switch v := p.Value.(type) {
		case string:
			types[p.Name], values[p.Name] = "String", escaper.Replace(v)
		case int:
			types[p.Name], values[p.Name] = "Int64", fmt.Sprint(v)
		case time.Time:
			types[p.Name], values[p.Name] = "DateTime64(3, 'UTC')", v.UTC().Format("2006-01-02 15:04:05.000")
		case core.ID:
			types[p.Name], values[p.Name] = "UUID", v.String()
		default:
			return nil, "", fmt.Errorf("audit: the parameter %s has the type %T", p.Name, p.Value)
		}
	}
	query = placeholder.ReplaceAllStringFunc(query, func(at string) string { return "{" + at[1:] + ":" + types[at[1:]] + "}" })
	return clickhouse.Context(ctx, clickhouse.WithParameters(values)), query, nil
}

// escaper writes text as the server reads parameters: in the form of a field in tab-separated values.
var escaper = strings.NewReplacer(`\`, `\\`, "\t", `\t`, "\n", `\n`, "\r", `\r`, "\x00", `\0`)
