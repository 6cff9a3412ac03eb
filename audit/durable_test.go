package audit_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zenconn/server/audit"
	"github.com/zenconn/server/core"
)

func wait(r *audit.Recorder) <-chan error {
	answer := make(chan error, 1)
	go func() { answer <- r.RecordDurable(context.Background(), &audit.Message{}) }()
	return answer
}

func TestDurableWaitsForTheStore(t *testing.T) {
	s := &sink{delay: 10 * time.Millisecond}
	record(t, s, audit.Options{Durable: true, FlushInterval: time.Hour}, func(t *testing.T, r *audit.Recorder, _ func()) {
		first := wait(r)
		synctest.Wait()
		var others []<-chan error
		for range 100 {
			others = append(others, wait(r))
		}
		began := time.Now()
		for _, answer := range append(others, first) {
			if err := <-answer; err != nil {
				t.Error(err)
			}
		}
		if took := time.Since(began); took != 20*time.Millisecond {
			t.Errorf("101 publishers waited %v", took)
		}
		if sizes := s.sizes(); len(sizes) != 2 || sizes[1] != 100 {
			t.Errorf("they were stored in batches of %v", sizes)
		}
	})
}

func TestFastDoesNotWait(t *testing.T) {
	s := &sink{delay: time.Hour}
	record(t, s, audit.Options{}, func(t *testing.T, r *audit.Recorder, _ func()) {
		began := time.Now()
		if err := r.RecordDurable(t.Context(), &audit.Message{}); err != nil || time.Since(began) != 0 {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.delay = 0
	})
}

func TestDurableWithoutSink(t *testing.T) {
	r := audit.New(nil, audit.Options{Durable: true, Block: true})
	if err := errors.Join(r.Admit(t.Context()), r.RecordDurable(t.Context(), &audit.Message{})); err != nil {
		t.Error(err)
	}
	r.Delivered(core.NewID(), "", "c", 1, 0)
	r.Dropped(core.NewID(), "", "slow", 1)
}

// With a store that fails, durable publishers are refused before they publish, or let through and counted, as the operator chose.
func TestDurableWhileTheStoreFails(t *testing.T) {
	for name, block := range map[string]bool{"block": true, "drop": false} {
		t.Run(name, func(t *testing.T) {
			s := &sink{err: audit.ErrFull}
			record(t, s, audit.Options{Durable: true, Block: block, BlockTimeout: 3 * time.Second}, func(t *testing.T, r *audit.Recorder, _ func()) {
				began := time.Now()
				err := <-wait(r)
				if took := time.Since(began); took != 3*time.Second {
					t.Errorf("the first one waited %v", took)
				}
				admitted := r.Admit(t.Context())
				if block && (err == nil || !errors.Is(admitted, audit.ErrFull)) || !block && (err != nil || admitted != nil) {
					t.Errorf("recorded: %v; admitted: %v", err, admitted)
				}
				if stats := r.Stats(); stats.Unconfirmed != 1 || stats.Blocked != map[bool]uint64{true: 1}[block] {
					t.Errorf("%+v", stats)
				}
				s.fail(nil)
				began = time.Now()
				if err := r.Admit(t.Context()); err != nil || time.Since(began) > 3*time.Second {
					t.Errorf("when the store works again: %v after %v", err, time.Since(began))
				}
				if err := <-wait(r); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// A publisher who has gone does not wait any longer.
func TestDurableEndsWithItsContext(t *testing.T) {
	record(t, &sink{err: errors.New("down")}, audit.Options{Durable: true, Block: true, DrainTimeout: time.Millisecond}, func(t *testing.T, r *audit.Recorder, _ func()) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := r.RecordDurable(ctx, &audit.Message{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if err := r.Admit(ctx); !errors.Is(err, audit.ErrFull) {
			t.Error(err)
		}
	})
}

func TestDurableRefusedOrLate(t *testing.T) {
	record(t, &sink{err: audit.ErrRefused}, audit.Options{Durable: true, Block: true}, func(t *testing.T, r *audit.Recorder, stop func()) {
		if err := <-wait(r); !errors.Is(err, audit.ErrRefused) {
			t.Error(err)
		}
		stop()
		if err := <-wait(r); err == nil {
			t.Error("recorded after the end")
		}
	})
	record(t, &sink{delay: time.Hour}, audit.Options{Durable: true, Block: true, BlockTimeout: time.Hour, DrainTimeout: time.Second}, func(t *testing.T, r *audit.Recorder, stop func()) {
		answer := wait(r)
		synctest.Wait()
		stop()
		if err := <-answer; err == nil {
			t.Error("the end came before it was stored")
		}
	})
}

// With block, publishers in fast mode wait for room; the last part of it is for events that cannot wait.
func TestBlockWaitsForRoom(t *testing.T) {
	s := &sink{err: errors.New("down")}
	record(t, s, audit.Options{Block: true, Queue: 100, BlockTimeout: time.Second}, func(t *testing.T, r *audit.Recorder, _ func()) {
		n := 0
		for r.Admit(t.Context()) == nil {
			r.Record(&audit.Message{})
			n++
		}
		if n != 90 {
			t.Errorf("%d were admitted", n)
		}
		for range 10 {
			r.Record(&audit.Session{})
		}
		if d := r.Stats().Dropped[audit.DropQueueFull]; d != 0 {
			t.Errorf("%d were dropped", d)
		}
		r.Record(&audit.Session{})
		s.fail(audit.ErrFull)
		pass(10 * time.Second)
		r.Record(&audit.Session{})
		if d := r.Stats().Dropped; d[audit.DropQueueFull] != 1 || d[audit.DropSpoolFull] != 1 {
			t.Errorf("dropped %v", d)
		}
		s.fail(nil)
		pass(10 * time.Second)
		if err := r.Admit(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestDeliveriesAndDropsAddUp(t *testing.T) {
	s := &sink{}
	record(t, s, audit.Options{Node: "n", FlushInterval: 10 * time.Millisecond}, func(t *testing.T, r *audit.Recorder, stop func()) {
		one, two, session := core.NewID(), core.NewID(), core.NewID()
		pass(time.Second) // Now all is recorded that was added up before.
		for range 10 {
			r.Delivered(one, "chat", "chat:a", 3, 1)
			r.Delivered(two, "chat", "chat:b", 1, 0)
			r.Delivered(two, "chat", "chat:b", 0, 0)
			r.Dropped(session, "alice", "slow", 2)
			r.Dropped(session, "alice", "oldest", 1)
			pass(50 * time.Millisecond)
		}
		pass(2 * time.Second)
		r.Dropped(session, "alice", "slow", 5)
		stop()
		deliveries, drops := map[core.ID]uint32{}, map[string]uint32{}
		events := 0
		for _, b := range s.batches {
			for _, d := range b.Deliveries {
				deliveries[d.Message] += d.Deliveries + 100*d.Drops
				if events++; d.Node != "n" || d.Namespace != "chat" || d.At.IsZero() {
					t.Errorf("%+v", d)
				}
			}
			for _, d := range b.Drops {
				drops[d.Reason] += d.Messages
				if events++; d.Node != "n" || d.User != "alice" || d.Session != session || d.At.IsZero() {
					t.Errorf("%+v", d)
				}
			}
		}
		if deliveries[one] != 1030 || deliveries[two] != 10 || drops["slow"] != 25 || drops["oldest"] != 10 {
			t.Errorf("deliveries %v, drops %v", deliveries, drops)
		}
		if events > 9 {
			t.Errorf("%d events for two messages and two reasons", events)
		}
	})
}
