// Package sqlite is the audit store for one machine: a SQLite database in a file, without cgo and without any other service.
//
// One Store writes; any number of Readers, also in other processes, ask while it does (write-ahead log). A batch is one
// transaction: it is there as a whole when Write returns nil, and not at all otherwise. A killed process loses nothing that was
// written; a power failure may lose the last batches, but never damages the file.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/zenconn/server/audit"
)

// Store writes the audit of one server. It is an audit.Sink.
type Store struct {
	*Reader
	db         *sql.DB // One connection: SQLite has one writer.
	bulk       *bulk
	statements statements

	// Owned by Write.
	messageBlocks, decisionBlocks blocks
}

// patience is how long, in milliseconds, another process may keep the file locked: one that makes the tables, or that stands still.
const patience = "busy_timeout(30000)"

// Open opens the database file at path, which it makes, with its directory, when it is missing.
func Open(path string) (*Store, error) {
	if err := touch(path); err != nil {
		return nil, fmt.Errorf("audit database: %w", err)
	}
	b := new(bulk)
	db, err := openBulk(dsn(path, "_txlock=immediate&_pragma="+patience+"&_pragma=page_size(8192)&_pragma=synchronous(normal)"+
		"&_pragma=secure_delete(on)&_pragma=journal_size_limit(67108864)&_pragma=cache_size(-16384)"), b)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	s := &Store{db: db, bulk: b}
	if err := s.prepare(path); err != nil {
		return nil, errors.Join(explain(path, err), db.Close())
	}
	return s, nil
}

// touch makes the file, readable for nobody but its owner and group: it will hold what people said.
func touch(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o640) //nolint:gosec // The group may ask.
	if err != nil {
		return err
	}
	return f.Close()
}

func (s *Store) prepare(path string) (err error) {
	ctx := context.Background()
	if err := checkOwner(ctx, s.db); err != nil {
		return err
	}
	if err := useWriteAheadLog(ctx, s.db); err != nil {
		return err
	}
	if err := migrate(ctx, s.db); err != nil {
		return err
	}
	if s.statements, err = prepareStatements(s.db); err != nil {
		return err
	}
	const last = "SELECT (SELECT max(block) FROM audit_messages), (SELECT max(block) FROM audit_decisions)"
	var messages, decisions sql.NullInt64
	if err := s.db.QueryRowContext(ctx, last).Scan(&messages, &decisions); err != nil {
		return err
	}
	s.messageBlocks.current, s.decisionBlocks.current = messages.Int64, decisions.Int64
	s.Reader, err = OpenReader(path)
	return err
}

// useWriteAheadLog sets the journal mode, which stays with the file. SQLite does not apply the busy timeout to that change, and two
// servers may begin the same file at once.
func useWriteAheadLog(ctx context.Context, db *sql.DB) error {
	const pause, tries = 20 * time.Millisecond, 1500 // Half a minute, in which the machine may stand still.
	for try := 1; ; try++ {
		_, err := db.ExecContext(ctx, "PRAGMA journal_mode = wal")
		if e, ok := errors.AsType[*sqlite.Error](err); !ok || e.Code()&0xff != sqlite3.SQLITE_BUSY || try == tries {
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return err
		}
	}
}

// Close closes the file. It waits for a Write that runs.
func (s *Store) Close() error { return errors.Join(s.Reader.Close(), s.db.Close()) }

// Reader asks a database file that a server may be writing at the same time. It can change nothing.
type Reader struct{ db *sql.DB }

// OpenReader opens the database file at path. When there is none, the error is fs.ErrNotExist.
func OpenReader(path string) (*Reader, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("audit database: %w", err)
	}
	if info.IsDir() {
		return nil, fmt.Errorf("audit database %s: %w: it is a directory", path, fs.ErrInvalid)
	}
	db, err := sql.Open("sqlite", dsn(path, "mode=ro&_pragma="+patience+"&_pragma=query_only(1)"))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(4)
	db.SetMaxIdleConns(1)
	if err := checkOwner(context.Background(), db); err != nil {
		return nil, errors.Join(explain(path, err), db.Close())
	}
	return &Reader{db}, nil
}

// Close ends all queries.
func (r *Reader) Close() error { return r.db.Close() }

// Query runs one statement that reads.
func (r *Reader) Query(ctx context.Context, query string) (audit.Rows, error) {
	return newRows(r.db.QueryContext(ctx, query))
}

// dsn names the file in a way that leaves no character of its path with a meaning.
func dsn(path, options string) string {
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	path = filepath.ToSlash(path)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path // C:/… on Windows.
	}
	return (&url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: options}).String()
}

// explain makes a sentence of SQLite's answer to a file that is none of ours.
func explain(path string, err error) error {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		switch e.Code() & 0xff {
		case sqlite3.SQLITE_NOTADB:
			return fmt.Errorf("%s is not a SQLite database, or is damaged: %w; name another file or move this one away", path, err)
		case sqlite3.SQLITE_CORRUPT:
			return fmt.Errorf("%s is damaged: %w; move it away and the server begins a new one", path, err)
		}
	}
	return fmt.Errorf("audit database %s: %w", path, err)
}
