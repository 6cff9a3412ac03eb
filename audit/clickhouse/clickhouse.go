// Package clickhouse is the audit store for production: batches go to a ClickHouse server over its native protocol, column by
// column, each with a token by which the server recognises a batch that it has already.
//
// The server may be down when a Store opens: the first contact in Write or Query checks its version and brings the schema up to
// date, and is tried again until it succeeds.
package clickhouse

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/zenconn/server/audit"
)

const (
	defaultTimeout = 30 * time.Second
	queryTimeout   = 10 * time.Minute // For a question without a deadline of its own.
	prepareTimeout = 5 * time.Minute  // For the first contact, likewise: it may be dozens of statements.
)

// Options are what a store is made of.
type Options struct {
	DSN     string
	Timeout time.Duration // Bounds each insert for which the caller sets no deadline [30 s].
	Cluster string        // On which the tables are made and replicated [None: on one server].
	Keep    Keep
	TLS     TLS
}

// Store writes the audit and answers questions. It is an audit.Sink.
type Store struct {
	conn    driver.Conn
	address string
	timeout time.Duration
	cluster string
	keep    Keep

	ready     atomic.Bool   // The server's version and schema are known to be right.
	preparing chan struct{} // Holds a token while one goroutine makes it so.

	scratch scratch // Owned by Write.
}

// Open checks the options and opens a store without any contact to the server.
func Open(o Options) (*Store, error) {
	s, err := open(o.DSN, o.TLS)
	if err != nil {
		return nil, err
	}
	s.timeout, s.cluster, s.keep = cmp.Or(o.Timeout, defaultTimeout), o.Cluster, o.Keep
	s.preparing = make(chan struct{}, 1)
	return s, nil
}

func open(dsn string, encryption TLS) (*Store, error) {
	options, err := parse(dsn)
	if err != nil {
		return nil, err
	}
	if err := encryption.apply(options); err != nil {
		return nil, err
	}
	conn, err := clickhouse.Open(options)
	if err != nil {
		return nil, fmt.Errorf("audit.clickhouse.dsn: %w", err)
	}
	return &Store{conn: conn, address: strings.Join(options.Addr, ",")}, nil
}

// parse reads the DSN. Its error never contains the password.
func parse(dsn string) (*clickhouse.Options, error) {
	const want = "want clickhouse://user:password@host:9000/database, special characters of the password percent-encoded"
	if scheme, _, ok := strings.Cut(dsn, "://"); ok && (scheme == "http" || scheme == "https") {
		return nil, fmt.Errorf("audit.clickhouse.dsn: the audit speaks ClickHouse's native protocol, not HTTP: %s", want)
	} else if !ok || scheme != "clickhouse" {
		return nil, fmt.Errorf("audit.clickhouse.dsn: %s", want)
	}
	options, err := clickhouse.ParseDSN(dsn)
	if err != nil { // The reason may quote a piece of the password, cut at a character that should have been encoded.
		return nil, fmt.Errorf("audit.clickhouse.dsn cannot be read: %s", want)
	}
	options.DialTimeout = cmp.Or(options.DialTimeout, 5*time.Second)
	options.MaxOpenConns = cmp.Or(options.MaxOpenConns, 5) // One for the inserts, the others for questions.
	if options.Compression == nil {
		options.Compression = &clickhouse.Compression{Method: clickhouse.CompressionLZ4}
	}
	return options, nil
}

// Describe returns the servers and the database that a DSN names, and nothing secret.
func Describe(dsn string) string {
	options, err := parse(dsn)
	if err != nil {
		return "an unreadable DSN"
	}
	return strings.Join(options.Addr, ",") + "/" + options.Auth.Database
}

// Close closes all connections.
func (s *Store) Close() error { return s.conn.Close() }

// Write stores the batch, one insert per table. When it fails halfway, the same batch written again completes it: the server skips
// what it has.
func (s *Store) Write(ctx context.Context, b *audit.Batch) error {
	if err := s.prepare(ctx); err != nil {
		return s.explain(err)
	}
	return s.explain(s.suspect(ctx, s.insertAll(ctx, b)))
}

// suspect asks, when the server refuses a batch, whether somebody has altered the tables: then it is not the batch's fault, and the batch
// must wait.
func (s *Store) suspect(ctx context.Context, err error) error {
	exception, ok := errors.AsType[*clickhouse.Exception](err)
	if !errors.Is(err, audit.ErrRefused) && !(ok && (forGood(exception.Code) || ofSchema(exception.Code))) {
		return err
	}
	if altered := checkSchema(ctx, s.conn); altered != nil {
		s.ready.Store(false)
		return altered
	}
	return err
}

// Delete removes rows of a table for good, and returns when they are gone. where is SQL.
func (s *Store) Delete(ctx context.Context, table, where string) error {
	if err := s.prepare(ctx); err != nil {
		return s.explain(err)
	}
	ctx = clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{"mutations_sync": 2, "allow_nondeterministic_mutations": 1}))
	return s.explain(s.conn.Exec(ctx, fmt.Sprintf("ALTER TABLE %s%s DELETE WHERE %s", table, on(s.cluster), where)))
}

// prepare makes sure that the server is one that can store an audit, and that it has the tables.
func (s *Store) prepare(ctx context.Context) error {
	if s.ready.Load() {
		return nil
	}
	select {
	case s.preparing <- struct{}{}:
		defer func() { <-s.preparing }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if s.ready.Load() {
		return nil
	}
	ctx, cancel := bounded(ctx, prepareTimeout)
	defer cancel()
	if err := checkVersion(ctx, s.conn); err != nil {
		return err
	}
	if err := migrate(ctx, s.conn, s.cluster); err != nil {
		return err
	}
	if err := checkSchema(ctx, s.conn); err != nil {
		return err
	}
	if err := s.retain(ctx); err != nil {
		return err
	}
	s.ready.Store(true)
	return nil
}

// bounded gives a context a deadline. The caller's own is obeyed, be it later than the usual one: whoever has seen that this server is slow
// gives it more time.
func bounded(ctx context.Context, usual time.Duration) (context.Context, context.CancelFunc) {
	if _, there := ctx.Deadline(); there {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, usual)
}

// Query runs one statement that reads. Sessions are answered in their latest version (FINAL).
func (s *Store) Query(ctx context.Context, query string) (audit.Rows, error) {
	if err := s.prepare(ctx); err != nil {
		return nil, s.explain(err)
	}
	return s.query(ctx, query)
}

func (s *Store) query(ctx context.Context, query string) (audit.Rows, error) {
	ctx, cancel := bounded(ctx, queryTimeout)
	ctx = clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{
		"readonly": 2, // Nothing but reading; settings of the statement itself are allowed.
		"final":    1,
	}))
	answer, err := s.conn.Query(ctx, query)
	if err != nil {
		cancel()
		return nil, s.explain(err)
	}
	return &rows{Rows: answer, store: s, cancel: cancel}, nil
}

// explain says which server an error is about, and which errors are for good.
func (s *Store) explain(err error) error {
	if err == nil {
		return nil
	}
	if exception, ok := errors.AsType[*clickhouse.Exception](err); ok {
		switch why := obstacle(exception.Code); {
		case forGood(exception.Code):
			err = fmt.Errorf("%w: %w", audit.ErrRefused, err)
		case why != "":
			err = fmt.Errorf("%w: %w", why, err)
		}
	}
	return fmt.Errorf("ClickHouse at %s: %w", s.address, err)
}

// forGood reports whether the server will answer the same rows in the same way whenever they come. Everything else may pass: a
// full disk, a missing table, too many parts.
func forGood(code int32) bool {
	switch code {
	case 6, // CANNOT_PARSE_TEXT
		53,  // TYPE_MISMATCH
		69,  // ARGUMENT_OUT_OF_BOUND
		70,  // CANNOT_CONVERT_TYPE
		117, // INCORRECT_DATA
		321, // VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE
		691: // UNKNOWN_ELEMENT_OF_ENUM
		return true
	}
	return false
}

// obstacle returns what an operator has to mend, as far as the server's answer tells, or "".
func obstacle(code int32) audit.Obstacle {
	switch code {
	case 192, // UNKNOWN_USER
		193, // WRONG_PASSWORD
		194, // REQUIRED_PASSWORD
		516: // AUTHENTICATION_FAILED
		return "ClickHouse refuses the user or the password of audit.clickhouse.dsn"
	case 497: // ACCESS_DENIED
		return "ClickHouse does not grant the user of audit.clickhouse.dsn what the audit needs"
	case 81: // UNKNOWN_DATABASE
		return "ClickHouse has no database of the name in audit.clickhouse.dsn"
	case 243: // NOT_ENOUGH_SPACE
		return "the disk of ClickHouse is full"
	}
	return ""
}

// ofSchema reports whether an answer says that a table or a column is not what it should be.
func ofSchema(code int32) bool {
	switch code {
	case 8, // THERE_IS_NO_COLUMN
		10, // NOT_FOUND_COLUMN_IN_BLOCK
		16, // NO_SUCH_COLUMN_IN_TABLE
		47, // UNKNOWN_IDENTIFIER
		60: // UNKNOWN_TABLE
		return true
	}
	return false
}

// Reader asks a ClickHouse server and changes nothing on it, not even the schema.
type Reader struct{ store *Store }

// OpenReader checks the options and opens a reader without any contact to the server.
func OpenReader(o Options) (*Reader, error) {
	s, err := open(o.DSN, o.TLS)
	if err != nil {
		return nil, err
	}
	return &Reader{s}, nil
}

// Query runs one statement that reads. Sessions are answered in their latest version (FINAL).
func (r *Reader) Query(ctx context.Context, query string) (audit.Rows, error) {
	return r.store.query(ctx, query)
}

// Close closes all connections.
func (r *Reader) Close() error { return r.store.Close() }
