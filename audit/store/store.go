// Package store opens the audit store that the configuration names. It is the only package that knows all of them.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	"github.com/zenconn/server/audit"
	"github.com/zenconn/server/audit/clickhouse"
	"github.com/zenconn/server/audit/sqlite"
	"github.com/zenconn/server/core/config"
)

// Open opens the store for a server, which writes to it. For the store "none" it returns neither a sink nor an error: recording is
// off, which is what audit.New makes of a nil sink. A ClickHouse server need not be there yet.
func Open(c config.Audit, dataDir string) (audit.Sink, error) {
	switch kind(c) {
	case "none":
		return nil, nil
	case "clickhouse":
		s, err := clickhouse.Open(clickHouse(c))
		if err != nil {
			return nil, err // And no nil *Store in an interface.
		}
		return s, nil
	default:
		s, err := sqlite.Open(path(c, dataDir))
		if err != nil {
			return nil, err
		}
		return s, nil
	}
}

// Reader answers questions and changes nothing.
type Reader interface {
	Query(ctx context.Context, sql string) (audit.Rows, error)
	// Ask runs a statement in which @name stands for the parameter of that name.
	Ask(ctx context.Context, statement string, params ...sql.NamedArg) (audit.Rows, error)
	io.Closer
}

// OpenReader opens the store for somebody who asks, whether or not a server is writing to it.
func OpenReader(c config.Audit, dataDir string) (Reader, error) {
	switch kind(c) {
	case "none":
		return nil, errors.New("nothing is recorded: audit.store is none")
	case "clickhouse":
		r, err := clickhouse.OpenReader(clickHouse(c))
		if err != nil {
			return nil, err
		}
		return r, nil
	}
	file := path(c, dataDir)
	r, err := sqlite.OpenReader(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("no audit database at %s: the server creates it when it starts", file)
	}
	if err != nil {
		return nil, err
	}
	return r, nil
}

// Describe says in a few words, without any secret, where the audit is kept.
func Describe(c config.Audit, dataDir string) string {
	switch kind(c) {
	case "none":
		return "nowhere (audit.store is none)"
	case "clickhouse":
		return "ClickHouse at " + clickhouse.Describe(c.ClickHouse.DSN)
	}
	return "SQLite in " + path(c, dataDir)
}

func clickHouse(c config.Audit) clickhouse.Options {
	tls, keep := c.ClickHouse.TLS, c.Keep
	return clickhouse.Options{
		DSN: c.ClickHouse.DSN, Timeout: c.ClickHouse.Timeout, Cluster: c.ClickHouse.Cluster,
		Keep: clickhouse.Keep{Messages: keep.Messages, Decisions: keep.Decisions, Sessions: keep.Sessions, Actions: keep.Actions, Counts: keep.Counts},
		TLS:  clickhouse.TLS{CA: tls.CA, Cert: tls.Cert, Key: tls.Key, ServerName: tls.ServerName},
	}
}

// Embedded reports whether the store is a file of this machine's, which nobody but the server looks after.
func Embedded(c config.Audit) bool { return kind(c) == "sqlite" }

func kind(c config.Audit) string {
	switch {
	case c.Store != "":
		return c.Store
	case c.ClickHouse.DSN != "":
		return "clickhouse"
	}
	return "sqlite"
}

func path(c config.Audit, dataDir string) string {
	if c.SQLite.Path != "" {
		return c.SQLite.Path
	}
	return filepath.Join(dataDir, "audit.db")
}
