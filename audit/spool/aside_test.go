package spool_test

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/s2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/zenconn/server/audit"
	"github.com/zenconn/server/audit/audittest"
	"github.com/zenconn/server/audit/spool"
	"github.com/zenconn/server/core/bus"
)

// What the store refuses is found among thousands, set aside, and stored when it is tried again and no longer refused.
func TestRefusedEventsAreSetAside(t *testing.T) {
	dir := t.TempDir()
	b := alone(t, dir)
	store := &faults{Writer: openSQLite(t, filepath.Join(dir, "audit.db"))}
	ask := store.Writer.(asker)
	bad := map[int]bool{0: true, 4711: true, 4712: true, 9_999: true}
	store.set(func(batch *audit.Batch) error {
		for _, m := range batch.Messages {
			if bad[int(m.Offset)] {
				return audit.ErrRefused
			}
		}
		return nil
	}, nil)
	d := runDrain(t, spool.Options{Bus: b, Sink: store})
	w, l := openWriter(t, b), &life{name: "node"}
	for range 10 {
		l.write(t, w, 1000)
	}
	arrive(t, ask, 10_000-len(bad))
	within(t, "the alarm is given", func() bool { return strings.Contains(d.Problem(), "set aside") && d.Stats().Aside > 0 })
	// At least: a claim that is taken up again, because the machine stood still, is refused again.
	within(t, "all are refused", func() bool { return d.Stats().Refused >= uint64(len(bad)) })

	before := d.Stats().Refused
	within(t, "they are refused again", func() bool {
		retry(t, d) // In vain. What was not aside yet is there the next time.
		return d.Stats().Refused >= before+uint64(len(bad))
	})
	store.set(nil, nil)
	within(t, "what was refused is stored", func() bool {
		retry(t, d)
		return counts(t, ask) == "[10000,10000]"
	})
	within(t, "nothing is set aside", func() bool { return d.Problem() == "" })
	if n := retry(t, d); n != 0 {
		t.Errorf("%d that are stored were tried again", n)
	}
}

// retry tries again what was set aside, all of it, and returns how much that was.
func retry(t *testing.T, d *running) (n int) {
	t.Helper()
	within(t, "what was set aside is tried again", func() bool {
		some, err := d.Retry(t.Context())
		n += some
		return err == nil
	})
	return n
}

// A store that is too slow for a batch gets more time, instead of the same too little for ever.
func TestSlowStoreGetsTime(t *testing.T) {
	dir := t.TempDir()
	b := alone(t, dir)
	store := openSQLite(t, filepath.Join(dir, "audit.db"))
	runDrain(t, spool.Options{Bus: b, Sink: slow{store}, WriteTimeout: 100 * time.Millisecond})
	(&life{name: "node"}).write(t, openWriter(t, b), 10)
	arrive(t, store, 10)
}

// slow needs a while before it begins.
type slow struct{ audit.Writer }

func (s slow) Write(ctx context.Context, b *audit.Batch) error {
	select {
	case <-time.After(300 * time.Millisecond):
		return s.Writer.Write(ctx, b)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// What nobody can read does not stop what can be read, and is kept as it is.
func TestUnreadableBatchesAreSetAside(t *testing.T) {
	dir := t.TempDir()
	b := alone(t, dir)
	store := openSQLite(t, filepath.Join(dir, "audit.db"))
	unreadable := [][]byte{
		nil, {1}, []byte("hello"), {2, 1, 0}, {1, 1, 0xff, 0xff, 0xff, 0xff, 0xff}, append([]byte{1, 1}, s2.Encode(nil, []byte{1, 200, 0, 0, 0, 7})...),
		append([]byte{1, 1}, s2.Encode(nil, []byte{1, 3, 0, 0, 0, 7, 7, 7})...), append([]byte{1, 1}, s2.Encode(nil, bytes.Repeat([]byte{0xff}, 1000))...),
	}
	d := runDrain(t, spool.Options{Bus: b, Sink: store})
	w, l := openWriter(t, b), &life{name: "node"}
	for _, data := range unreadable {
		l.write(t, w, 10)
		push(t, b, data)
	}
	l.write(t, w, 10)
	arrive(t, store, 10*(len(unreadable)+1))
	within(t, "they are set aside", func() bool { return d.Stats().Aside == uint64(len(unreadable)) })
	if n := retry(t, d); n != len(unreadable) {
		t.Fatal(n)
	}
	within(t, "they are set aside again", func() bool { return d.Stats().SetAside >= uint64(2*len(unreadable)) })
}

// Events of a kind that only a later program knows are set aside; those beside them are stored.
func TestEventsOfTheFuture(t *testing.T) {
	dir := t.TempDir()
	b := alone(t, dir)
	store := openSQLite(t, filepath.Join(dir, "audit.db"))
	d := runDrain(t, spool.Options{Bus: b, Sink: store})
	records := spool.Records(&audit.Batch{Messages: audittest.Messages(0, 2)})
	future := []byte{99, 3, 0, 0, 0, 1, 2, 3}
	push(t, b, spool.Pack(append(append(append([]byte(nil), records...), future...), spool.Records(&audit.Batch{Messages: audittest.Messages(2, 1)})...)))
	arrive(t, store, 3)
	within(t, "the unknown one is set aside", func() bool { return d.Stats().Aside == 1 })
}

// push puts a message into the spool that no writer would.
func push(t *testing.T, b *bus.Bus, data []byte) {
	t.Helper()
	within(t, "the spool takes a message", func() bool {
		answer, err := b.Conn().Request(b.Prefix()+".audit.spool", data, patience)
		if errors.Is(err, nats.ErrNoResponders) { // The drain has not made it yet.
			return false
		}
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(answer.Data), "error") {
			t.Fatal(string(answer.Data))
		}
		return true
	})
}

// The bus forgets a consumer that nobody asks while the store is away for long. When the store is back, so is the drain.
func TestConsumerGoneWhileTheStoreWasAway(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := alone(t, dir)
	away, back := make(chan struct{}), make(chan struct{})
	var once sync.Once
	store := &faults{Writer: openSQLite(t, filepath.Join(dir, "audit.db"))}
	ask := store.Writer.(asker)
	store.set(func(*audit.Batch) error {
		once.Do(func() { close(away); <-back })
		return nil
	}, nil)
	runDrain(t, spool.Options{Bus: b, Sink: store})
	w, l := openWriter(t, b), &life{name: "node"}
	l.write(t, w, 10)
	<-away
	js, err := jetstream.New(b.Conn())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience) // Without one the library gives up after five seconds.
	defer cancel()
	stream, err := js.Stream(ctx, b.Prefix()+"_audit")
	if err != nil {
		t.Fatal(err)
	}
	within(t, "the bus has forgotten the drain's consumer", func() bool {
		gone, all := true, stream.ListConsumers(ctx)
		for c := range all.Info() {
			if gone = c.NumWaiting == 0; gone { // The drain waits for no answer of it any more, and gets none.
				if err := stream.DeleteConsumer(ctx, c.Name); err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
					t.Fatal(err)
				}
			}
		}
		if err := all.Err(); err != nil {
			t.Fatal(err)
		}
		return gone
	})
	close(back)
	l.write(t, w, 10)
	arrive(t, ask, 20)
}
