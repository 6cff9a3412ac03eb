package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"

	"modernc.org/sqlite"
	"modernc.org/sqlite/vtab"
)

// bulk shows SQLite rows of Go's as a table, so that one statement inserts them all:
//
//	INSERT INTO audit_drops (at, node, …) SELECT c0, c1, … FROM temp.batch
//
// Binding the values of each row to a statement of its own took as long as storing them, and SQLite sought the end of each table and
// index anew for each row. The rows are those of one kind of event at a time; one goroutine fills and inserts.
type bulk struct {
	rows int
	fill func(row []driver.Value, n int) []driver.Value // Appends the values of row n.
}

// bulkColumns is as many as the widest table has.
const bulkColumns = 20

// openBulk opens a database whose connections have the table temp.batch, which shows b.
func openBulk(dsn string, b *bulk) (*sql.DB, error) {
	c := connector{driver: new(sqlite.Driver), dsn: dsn}
	if err := c.driver.RegisterModule("zenconn_batch", b); err != nil {
		return nil, err
	}
	return sql.OpenDB(c), nil
}

// insert returns the statement that inserts what bulk shows into some columns of a table.
func insert(table string, columns ...string) string {
	from := make([]string, len(columns))
	for i := range from {
		from[i] = fmt.Sprintf("c%d", i)
	}
	return fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM temp.batch WHERE true", table, strings.Join(columns, ", "), strings.Join(from, ", "))
}

// connector opens connections with a driver of their own, since a driver's modules are those of all its connections.
type connector struct {
	driver *sqlite.Driver
	dsn    string
}

func (c connector) Driver() driver.Driver { return c.driver }

func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.driver.Open(c.dsn)
	if err != nil {
		return nil, err
	}
	if _, err := conn.(driver.ExecerContext).ExecContext(ctx, "CREATE VIRTUAL TABLE temp.batch USING zenconn_batch", nil); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// Create and Connect are the module, which has one table.

func (b *bulk) Create(c vtab.Context, args []string) (vtab.Table, error) { return b.Connect(c, args) }

func (b *bulk) Connect(c vtab.Context, _ []string) (vtab.Table, error) {
	columns := make([]string, bulkColumns)
	for i := range columns {
		columns[i] = fmt.Sprintf("c%d", i)
	}
	return b, c.Declare("CREATE TABLE batch (" + strings.Join(columns, ", ") + ")")
}

// The table can only be read from its beginning to its end.

func (b *bulk) BestIndex(*vtab.IndexInfo) error { return nil }

func (b *bulk) Open() (vtab.Cursor, error) { return &bulkCursor{bulk: b}, nil }

func (b *bulk) Disconnect() error { return nil }

func (b *bulk) Destroy() error { return nil }

// bulkCursor reads it.
type bulkCursor struct {
	*bulk
	n   int
	row []driver.Value
}

func (c *bulkCursor) Filter(int, string, []vtab.Value) error {
	c.n = -1
	return c.Next()
}

func (c *bulkCursor) Next() error {
	if c.n++; !c.Eof() {
		c.row = c.fill(c.row[:0], c.n)
	}
	return nil
}

func (c *bulkCursor) Eof() bool { return c.n >= c.rows } //nolint:staticcheck // The interface calls it so.

func (c *bulkCursor) Column(i int) (vtab.Value, error) {
	if i >= len(c.row) {
		return nil, nil
	}
	return c.row[i], nil
}

func (c *bulkCursor) Rowid() (int64, error) { return int64(c.n), nil }

func (c *bulkCursor) Close() error { return nil }
