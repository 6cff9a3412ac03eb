package store_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/zenconn/server/audit/audittest"
	"github.com/zenconn/server/audit/clickhouse"
	"github.com/zenconn/server/audit/sqlite"
	"github.com/zenconn/server/audit/store"
	"github.com/zenconn/server/core/config"
	"github.com/zenconn/server/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

const dsn = "clickhouse://audit:sEcret@db.example:9000/zenconn"

func TestWhichStore(t *testing.T) {
	for name, test := range map[string]struct {
		config   config.Audit
		describe string
	}{
		"nothing said":       {config.Audit{}, "SQLite in DIR/audit.db"},
		"a path":             {config.Audit{SQLite: config.SQLite{Path: "DIR/other.db"}}, "SQLite in DIR/other.db"},
		"a DSN":              {config.Audit{ClickHouse: config.ClickHouse{DSN: dsn}}, "ClickHouse at db.example:9000/zenconn"},
		"SQLite despite DSN": {config.Audit{Store: "sqlite", ClickHouse: config.ClickHouse{DSN: dsn}}, "SQLite in DIR/audit.db"},
		"ClickHouse":         {config.Audit{Store: "clickhouse", ClickHouse: config.ClickHouse{DSN: dsn}}, "ClickHouse at db.example:9000/zenconn"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			c := test.config
			c.SQLite.Path = strings.Replace(c.SQLite.Path, "DIR", dir, 1)
			s, err := store.Open(c, dir)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			var kind string
			switch s.(type) {
			case *sqlite.Store:
				kind = "SQLite"
			case *clickhouse.Store:
				kind = "ClickHouse"
			}
			got := store.Describe(c, dir)
			if want := strings.Replace(test.describe, "DIR", dir, 1); got != want || !strings.HasPrefix(got, kind) {
				t.Errorf("described as %q, opened %T, want %q", got, s, want)
			}
		})
	}
}

func TestNone(t *testing.T) {
	c := config.Audit{Store: "none"}
	if s, err := store.Open(c, t.TempDir()); s != nil || err != nil {
		t.Errorf("Open: %v, %v; want neither", s, err)
	}
	if _, err := store.OpenReader(c, t.TempDir()); err == nil || !strings.Contains(err.Error(), "audit.store is none") {
		t.Errorf("OpenReader: %v", err)
	}
}

func TestFailuresReturnNoSink(t *testing.T) {
	dir := t.TempDir()
	for name, c := range map[string]config.Audit{
		"SQLite":     {SQLite: config.SQLite{Path: dir}},
		"ClickHouse": {ClickHouse: config.ClickHouse{DSN: "nonsense"}},
	} {
		t.Run(name, func(t *testing.T) {
			if s, err := store.Open(c, dir); err == nil || s != nil {
				t.Errorf("Open: %#v, %v", s, err)
			}
			if r, err := store.OpenReader(c, dir); err == nil || r != nil {
				t.Errorf("OpenReader: %#v, %v", r, err)
			}
		})
	}
}

func TestReaderSeesTheServersRows(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	if _, err := store.OpenReader(config.Audit{}, dir); err == nil || !strings.Contains(err.Error(), filepath.Join(dir, "audit.db")) {
		t.Errorf("before the server: %v, want the path", err)
	}
	s, err := store.Open(config.Audit{}, dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Write(t.Context(), audittest.Story()); err != nil {
		t.Fatal(err)
	}
	r, err := store.OpenReader(config.Audit{}, dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got := audittest.Ask(t, r, "SELECT count(*) FROM audit_sessions"); got[0] != "[2]" {
		t.Errorf("%s sessions, want 2", got)
	}
}
