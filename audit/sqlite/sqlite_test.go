package sqlite_test

import (
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/zenconn/server/audit"
	"github.com/zenconn/server/audit/audittest"
	"github.com/zenconn/server/audit/sqlite"
	"github.com/zenconn/server/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

func open(t testing.TB, path string) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func write(t testing.TB, s *sqlite.Store, b *audit.Batch) {
	t.Helper()
	if err := s.Write(t.Context(), b); err != nil {
		t.Fatal(err)
	}
}

func TestConformance(t *testing.T) {
	audittest.Test(t, func(t *testing.T) audit.Sink { return open(t, filepath.Join(t.TempDir(), "audit.db")) })
}

func TestTagsAreJSON(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "audit.db"))
	write(t, s, audittest.Story())
	got := audittest.Ask(t, s, `SELECT tags ->> 'lang', tags ->> 'a', typeof(payload) FROM audit_messages ORDER BY at`)
	if want := []string{`["de","\"quoted\"","text"]`, `[null,null,"blob"]`}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestReopenedStoreHasEverything(t *testing.T) {
	path := filepath.Join(t.TempDir(), "not", "yet", "there", "audit ?%#.db")
	s := open(t, path)
	write(t, s, audittest.Story())
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	write(t, open(t, path), &audit.Batch{Messages: audittest.Messages(100, 5)})
	r, err := sqlite.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got := audittest.Ask(t, r, "SELECT count(*) FROM audit_messages"); got[0] != "[7]" {
		t.Errorf("%s messages, want 7", got[0])
	}
}

func TestReaderWhileTheServerWrites(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.db")
	s := open(t, path)
	r, err := sqlite.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	// An answer that is being read must not block the writer, and a later question must see what was written meanwhile.
	write(t, s, &audit.Batch{Messages: audittest.Messages(0, 1000)})
	rows, err := r.Query(t.Context(), "SELECT id FROM audit_messages")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	rows.Next()
	write(t, s, &audit.Batch{Messages: audittest.Messages(1000, 1000)})
	if got := audittest.Ask(t, r, "SELECT count(*) FROM audit_messages"); got[0] != "[2000]" {
		t.Errorf("a question right after Write counts %s messages, want 2000", got[0])
	}
	n := 1
	for rows.Next() {
		n++
	}
	if n != 1000 {
		t.Errorf("the older answer has %d rows, want 1000", n)
	}
}

func TestReaderAfterTheServerStopped(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.db")
	s := open(t, path)
	write(t, s, audittest.Story())
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := sqlite.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got := audittest.Ask(t, r, "SELECT count(*) FROM audit_messages"); got[0] != "[2]" {
		t.Errorf("%s messages, want 2", got[0])
	}
}

func TestFilesThatAreNotOurs(t *testing.T) {
	dir := t.TempDir()
	garbage := filepath.Join(dir, "garbage.db")
	if err := os.WriteFile(garbage, []byte(strings.Repeat("this is no database ", 500)), 0o600); err != nil {
		t.Fatal(err)
	}
	foreign := database(t, dir, "foreign.db", "CREATE TABLE recipes (name TEXT)")
	newer := filepath.Join(dir, "newer.db")
	open(t, newer).Close()
	database(t, dir, "newer.db", "PRAGMA user_version = 99")

	for _, test := range []struct{ name, path, want string }{
		{"garbage", garbage, "is not a SQLite database"},
		{"another program's", foreign, "another program's data"},
		{"a newer zenconn's", newer, "newer zenconn"},
		{"a directory", dir, "directory"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := sqlite.Open(test.path)
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), test.path) {
				t.Errorf("Open: %v, want the path and %q", err, test.want)
			}
		})
	}
	if mode := journalMode(t, foreign); mode != "delete" {
		t.Errorf("Open changed the foreign database's journal mode to %s", mode)
	}
}

func database(t *testing.T, dir, name, statement string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(statement); err != nil {
		t.Fatal(err)
	}
	return path
}

func journalMode(t *testing.T, path string) (mode string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRow("PRAGMA journal_mode").Scan(&mode); err != nil {
		t.Fatal(err)
	}
	return mode
}

func TestNoSuchFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.db")
	if _, err := sqlite.OpenReader(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("OpenReader: %v, want fs.ErrNotExist", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Error("asking created the file")
	}
}

func TestTwoServersStartAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.db")
	stores := make(chan *sqlite.Store, 4)
	for range cap(stores) {
		go func() {
			s, err := sqlite.Open(path)
			if err != nil {
				t.Error(err)
			}
			stores <- s
		}()
	}
	for i := range cap(stores) {
		if s := <-stores; s != nil {
			write(t, s, &audit.Batch{Messages: audittest.Messages(i, 1)})
			s.Close()
		}
	}
}

func TestWriteAfterTheLockIsFreeAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.db")
	s := open(t, path)
	other, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	other.SetMaxOpenConns(1)
	if _, err := other.Exec("BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- s.Write(t.Context(), audittest.Story()) }()
	if _, err := other.Exec("COMMIT"); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Errorf("Write while another process held the lock: %v", err)
	}
}

// BenchmarkWrite writes the batches of a busy server; rows/cpu-s is what counts.
func BenchmarkWrite(b *testing.B) {
	s := open(b, filepath.Join(b.TempDir(), "audit.db"))
	const size = 10_000
	b.ReportAllocs()
	rows, used := 0, time.Duration(0)
	for b.Loop() {
		b.StopTimer()
		batch := &audit.Batch{Messages: audittest.Messages(rows, size)}
		before := testenv.CPU(b)
		b.StartTimer()
		write(b, s, batch)
		b.StopTimer()
		used += testenv.CPU(b) - before
		b.StartTimer()
		rows += size
	}
	b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
	b.ReportMetric(float64(rows)/used.Seconds(), "rows/cpu-s")
}
