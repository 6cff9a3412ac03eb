package audit_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zenconn/server/audit"
)

// censor keeps sessions and some messages out and shouts in the others. It counts its calls.
type censor struct{ calls int }

func (c *censor) Redact(_ context.Context, e audit.Event) audit.Event {
	c.calls++
	switch e := e.(type) {
	case *audit.Message:
		if string(e.Payload) == "out" {
			return nil
		}
		loud := *e
		loud.Payload = []byte(strings.ToUpper(string(e.Payload)) + "!")
		return &loud
	case *audit.Session:
		return nil
	}
	return e
}

func TestRedactor(t *testing.T) {
	s, by := &sink{}, &censor{}
	record(t, s, audit.Options{Redactor: by, BatchEvents: 4}, func(t *testing.T, r *audit.Recorder, _ func()) {
		s.fail(errors.New("down")) // The batch is written again, and not redacted again.
		original := &audit.Message{Payload: []byte("in")}
		r.Record(original)
		r.Record(&audit.Message{Payload: []byte("out")})
		r.Record(&audit.Session{})
		r.Record(&audit.Action{Request: "{}"})
		pass(time.Second)
		s.fail(nil)
		pass(10 * time.Second)
		synctest.Wait()
		if len(s.attempts()) < 2 || by.calls != 4 {
			t.Errorf("%d attempts, %d calls", len(s.attempts()), by.calls)
		}
		if len(s.batches) != 1 || len(s.batches[0].Messages) != 1 || string(s.batches[0].Messages[0].Payload) != "IN!" {
			t.Fatalf("stored %+v", s.batches)
		}
		if string(original.Payload) != "in" {
			t.Error("the original was written to")
		}
		if st := r.Stats(); st.Stored != 2 || st.Redacted != 2 || st.QueuedBytes != 0 {
			t.Errorf("stats %+v", st)
		}
		r.Record(&audit.Session{}) // A batch of which nothing is left is not written.
		pass(time.Second)
		synctest.Wait()
		if st := r.Stats(); len(s.batches) != 1 || st.Redacted != 3 {
			t.Errorf("%d batches, stats %+v", len(s.batches), st)
		}
	})
}

// stuck takes until the end to redact.
type stuck struct{}

func (stuck) Redact(ctx context.Context, e audit.Event) audit.Event {
	<-ctx.Done()
	return e
}

// What could not be redacted in time is lost, counted, and not stored as it is.
func TestRedactorOutOfTime(t *testing.T) {
	s := &sink{}
	record(t, s, audit.Options{Redactor: stuck{}, DrainTimeout: time.Second}, func(t *testing.T, r *audit.Recorder, stop func()) {
		add(r, 5)
		pass(time.Second)
		stop()
		if st := r.Stats(); st.Dropped[audit.DropShutdown] != 5 || st.Stored != 0 || len(s.attempts()) != 0 {
			t.Errorf("stats %+v after %d attempts", st, len(s.attempts()))
		}
	})
}
