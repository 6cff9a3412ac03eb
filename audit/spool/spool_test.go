package spool_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/zenconn/server/audit"
	"github.com/zenconn/server/audit/audittest"
	"github.com/zenconn/server/audit/spool"
	"github.com/zenconn/server/internal/testenv"
)

// Everything of every kind goes through the spool and is stored as it would have been without.
func TestStoryArrives(t *testing.T) {
	dir := t.TempDir()
	b := alone(t, dir)
	through, direct := openSQLite(t, filepath.Join(dir, "a.db")), openSQLite(t, filepath.Join(dir, "b.db"))
	runDrain(t, spool.Options{Bus: b, Sink: through})
	hand(t, openWriter(t, b), audittest.Story())
	if err := direct.Write(t.Context(), audittest.Story()); err != nil {
		t.Fatal(err)
	}
	within(t, "the last table is stored", func() bool { return audittest.Ask(t, through, "SELECT count(*) FROM audit_drops")[0] == "[1]" })
	for _, table := range []string{"messages", "sessions", "decisions", "actions", "deliveries", "drops"} {
		query := "SELECT * FROM audit_" + table + " ORDER BY 1, 2, 3, 4"
		got, want := audittest.Ask(t, through, query), audittest.Ask(t, direct, query)
		if strings.Join(got, "\n") != strings.Join(want, "\n") || len(want) == 0 {
			t.Errorf("%s\ngot  %q\nwant %q", table, got, want)
		}
	}
}

// What is in the spool when a process ends in order is stored before it ends; what comes in without a drain waits for the next one.
func TestRestarts(t *testing.T) {
	dir := t.TempDir()
	l := &life{name: "node"}
	n := 0
	for range 3 {
		b := alone(t, dir)
		store := openSQLite(t, filepath.Join(dir, "audit.db"))
		d := runDrain(t, spool.Options{Bus: b, Sink: store, Linger: time.Hour})
		w := openWriter(t, b)
		for range 20 {
			l.write(t, w, 7)
			n += 7
		}
		d.stop()
		if got, want := counts(t, store), fmt.Sprintf("[%d,%d]", n, n); got != want {
			t.Errorf("after the end %s are stored, want %s", got, want)
		}
		l.write(t, w, 3)
		n += 3
		b.Close()
		store.Close()
	}
}

// A store that is down does not hold up the end: the events are safe. The next one need not wait to lead.
func TestEndWhileTheStoreIsDown(t *testing.T) {
	dir := t.TempDir()
	srv := startServer(t, dir)
	store := &faults{Writer: openSQLite(t, filepath.Join(dir, "audit.db"))}
	store.set(down, nil)
	d := runDrain(t, spool.Options{Bus: srv.bus, Sink: store, DrainTimeout: time.Hour})
	(&life{name: "node"}).write(t, openWriter(t, srv.bus), 100)
	within(t, "the drain tells of the trouble", func() bool { return strings.Contains(d.Problem(), "wait in the spool") })
	d.stop()
	store.set(nil, nil)
	runDrain(t, spool.Options{Bus: srv.bus, Sink: store})
	arrive(t, store.Writer.(asker), 100)
}

// The leader is killed after a range was stored and before it could say so. The other one stores exactly this range again.
func TestLeaderKilledAfterStoring(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	srv := startServer(t, dir)
	store := openSQLite(t, filepath.Join(dir, "audit.db"))
	mine := srv.join(t)
	stuck := make(chan struct{})
	once := sync.OnceFunc(func() { close(stuck) })
	first := &faults{Writer: store}
	first.set(nil, func(ctx context.Context, _ *audit.Batch) error {
		once()
		<-ctx.Done() // As if the process were gone.
		return ctx.Err()
	})
	runDrain(t, spool.Options{Bus: mine, Sink: first, DrainTimeout: time.Nanosecond})
	w, l := openWriter(t, srv.bus), &life{name: "node"}
	for range 10 {
		l.write(t, w, 100)
	}
	<-stuck
	began := time.Now()
	second := runDrain(t, spool.Options{Bus: srv.join(t), Sink: store})
	l.write(t, w, 100)
	const lease = 3 * time.Second // Whoever was silent for so long may be succeeded.
	if leading := second.Stats().Leading; leading && time.Since(began) < lease {
		t.Error("there are two leaders")
	}
	mine.Close()
	arrive(t, store, 1100)
	l.write(t, w, 100)
	arrive(t, store, 1200)
}

// A leader that was cut off only seems dead. What he does when he wakes up does no harm.
func TestSleepyLeader(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	srv := startServer(t, dir)
	store := openSQLite(t, filepath.Join(dir, "audit.db"))
	mine := srv.join(t)
	asleep, wake := make(chan struct{}), make(chan struct{})
	first := &faults{Writer: store}
	first.set(func(*audit.Batch) error {
		close(asleep)
		<-wake
		first.set(nil, nil)
		return nil
	}, nil)
	runDrain(t, spool.Options{Bus: mine, Sink: first, DrainTimeout: time.Nanosecond})
	w, l := openWriter(t, srv.bus), &life{name: "node"}
	l.write(t, w, 100)
	<-asleep
	mine.Conn().Close()
	mine.Close()
	runDrain(t, spool.Options{Bus: srv.join(t), Sink: store})
	arrive(t, store, 100)
	close(wake)
	l.write(t, w, 100)
	arrive(t, store, 200)
}

// A batch whose acknowledgement was lost is appended again, perhaps after JetStream has forgotten it and the drain has stored it.
func TestRepeatedBatches(t *testing.T) {
	dir := t.TempDir()
	b := alone(t, dir)
	store := openSQLite(t, filepath.Join(dir, "audit.db"))
	d := runDrain(t, spool.Options{Bus: b, Sink: store})
	l := &life{name: "node"}
	one, two := l.make(10_000), l.make(10)
	for _, again := range []*audit.Batch{one, one, two, one, two} {
		hand(t, openWriter(t, b), again) // Each writer is a new one: it remembers nothing.
	}
	arrive(t, store, 10_010)
	d.stop()
	// The bus forgets what it has seen: nothing is in the stream any more.
	b.Close()
	b = alone(t, dir)
	d = runDrain(t, spool.Options{Bus: b, Sink: store})
	for _, again := range []*audit.Batch{one, two, l.make(5)} {
		hand(t, openWriter(t, b), again)
	}
	arrive(t, store, 10_015)
	if d.Stats().Repeated == 0 {
		t.Error("JetStream knew the batches: the test tests nothing")
	}
}

// While the store is down the spool absorbs; when it is full the writer says so, and nothing that it took is lost.
func TestStoreDownUntilTheSpoolIsFull(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := alone(t, dir)
	store := &faults{Writer: openSQLite(t, filepath.Join(dir, "audit.db"))}
	store.set(down, nil)
	d := runDrain(t, spool.Options{Bus: b, Sink: store, Size: 1 << 20})
	w, l := openWriter(t, b), &life{name: "node"}
	taken := 0
	var refused *audit.Batch
	for refused == nil {
		batch := l.make(200)
		for _, m := range batch.Messages {
			m.Payload = noise(500) // It fills the spool soon.
		}
		within(t, "the spool takes a batch, or is full", func() bool {
			err := w.Write(t.Context(), batch)
			switch {
			case err == nil:
				taken += 200
			case errors.Is(err, audit.ErrFull):
				refused = batch
			default:
				t.Log(err) // An answer that came too late.
				return false
			}
			return true
		})
	}
	if taken == 0 || w.Problem() == "" {
		t.Errorf("taken %d, problem %q", taken, w.Problem())
	}
	within(t, "the drain says how full the spool is", func() bool { return strings.Contains(d.Problem(), "the spool is 9") })
	store.set(nil, nil)
	within(t, "the refused batch is taken", func() bool { return w.Write(t.Context(), refused) == nil })
	arrive(t, store.Writer.(asker), taken+200)
	within(t, "all is well", func() bool { return d.Problem() == "" && w.Problem() == "" })
}

// The bus may be there for all others before it is for the connection of the audit. No event may be lost to that.
func TestConnectionThatComesLate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := alone(t, dir)
	store := openSQLite(t, filepath.Join(dir, "audit.db"))
	runDrain(t, spool.Options{Bus: b, Sink: store})
	never, err := nats.Connect("nats://"+testenv.FreeAddr(t), nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1))
	if err != nil {
		t.Fatal(err)
	}
	defer never.Close()
	w, l := openWriter(t, b), &life{name: "node"}
	there := w.Over(never)
	batch := l.make(10)
	if err := w.Write(t.Context(), batch); err == nil || !strings.Contains(err.Error(), "has not accepted the connection") {
		t.Fatalf("without a connection: %v", err)
	}
	w.Over(there)
	hand(t, w, batch)
	arrive(t, store, 10)
}
