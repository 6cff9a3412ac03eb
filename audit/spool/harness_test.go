package spool_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zenconn/server/audit"
	"github.com/zenconn/server/audit/audittest"
	"github.com/zenconn/server/audit/spool"
	"github.com/zenconn/server/audit/sqlite"
	"github.com/zenconn/server/core/bus"
	"github.com/zenconn/server/core/config"
)

// patience is how long a test waits for what must come. It is long: the race detector makes SQLite twenty times slower.
const patience = 3 * time.Minute

// within waits until something is so.
func within(t testing.TB, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !so(); <-time.After(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// server is an embedded NATS, with its directory, that others can connect to.
type server struct {
	dir string
	bus *bus.Bus
}

func startServer(t testing.TB, dir string) *server {
	t.Helper()
	c := config.Default().Bus
	c.Listen = "127.0.0.1:0"
	return &server{dir, openBus(t, dir, c)}
}

func openBus(t testing.TB, dir string, c config.Bus) *bus.Bus {
	t.Helper()
	b := bus.New(bus.Options{Config: c, Data: dir, Node: "test", Log: slog.New(slog.DiscardHandler)})
	if err := b.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// join is the bus of another process.
func (s *server) join(t testing.TB) *bus.Bus {
	t.Helper()
	token, err := os.ReadFile(filepath.Join(s.dir, "bus.token"))
	if err != nil {
		t.Fatal(err)
	}
	c := config.Default().Bus
	c.URL, c.Token = "nats://"+s.bus.Addr(), strings.TrimSpace(string(token))
	return openBus(t, t.TempDir(), c)
}

// alone is the bus of a process that is alone on it.
func alone(t testing.TB, dir string) *bus.Bus {
	t.Helper()
	return openBus(t, dir, config.Default().Bus)
}

func openWriter(t testing.TB, b *bus.Bus) *spool.Writer {
	t.Helper()
	w := spool.NewWriter(b, slog.New(slog.DiscardHandler))
	if err := w.Open(); err != nil {
		t.Fatal(err)
	}
	return w
}

// running is a drain that runs.
type running struct {
	*spool.Drain
	stop func() // Ends it in order, and waits.
}

func runDrain(t testing.TB, o spool.Options) *running {
	t.Helper()
	if o.Linger == 0 {
		o.Linger = 20 * time.Millisecond
	}
	o.DrainTimeout = cmp.Or(o.DrainTimeout, patience)
	d := spool.NewDrain(o)
	if err := d.Open(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var life sync.WaitGroup
	life.Go(func() { d.Run(ctx) })
	r := &running{d, func() { cancel(); life.Wait() }}
	t.Cleanup(r.stop)
	return r
}

func openSQLite(t testing.TB, path string) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// faults stands between the drain and a real store, and breaks what it is told to.
type faults struct {
	audit.Writer

	mu     sync.Mutex
	before func(*audit.Batch) error                  // Instead of writing, when it returns an error.
	after  func(context.Context, *audit.Batch) error // When it is written.
}

func (f *faults) Write(ctx context.Context, b *audit.Batch) error {
	f.mu.Lock()
	before, after := f.before, f.after
	f.mu.Unlock()
	if before != nil {
		if err := before(b); err != nil {
			return err
		}
	}
	if err := f.Writer.Write(ctx, b); err != nil {
		return err
	}
	if after != nil {
		return after(ctx, b)
	}
	return nil
}

func (f *faults) set(before func(*audit.Batch) error, after func(context.Context, *audit.Batch) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.before, f.after = before, after
}

var errDown = errors.New("down")

func down(*audit.Batch) error { return errDown }

// life makes the batches of one recorder.
type life struct {
	name  string
	batch int
	next  int
}

// write writes a batch of n messages until it is in the spool.
func (l *life) write(t testing.TB, w *spool.Writer, n int) {
	t.Helper()
	hand(t, w, l.make(n))
}

// hand writes a batch until it is in the spool, as a recorder does: when the machine stands still for a moment, the answer comes too late.
func hand(t testing.TB, w *spool.Writer, b *audit.Batch) {
	t.Helper()
	var err error
	for end := time.Now().Add(patience); ; <-time.After(10 * time.Millisecond) {
		if err = w.Write(t.Context(), b); err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

func (l *life) make(n int) *audit.Batch {
	l.batch++
	b := &audit.Batch{Token: fmt.Sprintf("%s/1/%d", l.name, l.batch), Messages: audittest.Messages(l.next, n)}
	l.next += n
	return b
}

type asker interface {
	Query(ctx context.Context, sql string) (audit.Rows, error)
}

// counts returns how many messages there are, and how many different ones.
func counts(t testing.TB, s asker) string {
	t.Helper()
	return audittest.Ask(t, s, "SELECT count(*), count(DISTINCT id) FROM audit_messages")[0]
}

// arrive waits until exactly the messages 0 to n-1 are there.
func arrive(t testing.TB, s asker, n int) {
	t.Helper()
	want, got := fmt.Sprintf("[%d,%d]", n, n), ""
	defer func() {
		if got != want {
			t.Errorf("stored %s, want %s", got, want)
		}
	}()
	within(t, "all messages are stored", func() bool {
		got = counts(t, s)
		var all int
		_, err := fmt.Sscanf(got, "[%d,", &all)
		return err == nil && all >= n
	})
}
