package worker_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zenconn/server/audit"
)

// stubborn is an audit store that fails on demand, or keeps those waiting who write.
type stubborn struct {
	audit.Sink

	mu     sync.Mutex
	err    error
	hold   chan struct{} // nil: nobody waits.
	stored []string      // Channels of the messages.
}

func (s *stubborn) Write(ctx context.Context, b *audit.Batch) error {
	s.mu.Lock()
	err, hold := s.err, s.hold
	s.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range b.Messages {
		if err == nil {
			s.stored = append(s.stored, m.Channel)
		}
	}
	return err
}

func (s *stubborn) set(err error, hold chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err, s.hold = err, hold
}

// startRecorded starts a worker in durable mode whose publishers wait so long at most.
func startRecorded(t *testing.T, store *stubborn, longest time.Duration) (*running, *audit.Recorder) {
	t.Helper()
	recorder := audit.New(store, audit.Options{Durable: true, Block: true, BlockTimeout: longest, DrainTimeout: time.Millisecond})
	ctx, cancel := context.WithCancel(context.Background())
	var recording sync.WaitGroup
	recording.Go(func() { recorder.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		recording.Wait()
	})
	return startDurable(t, open(), recorder), recorder
}

// In durable mode a publisher is answered when his message is recorded.
func TestDurablePublish(t *testing.T) {
	t.Parallel() // It mostly waits.
	hold := make(chan struct{})
	store := &stubborn{hold: hold}
	r, _ := startRecorded(t, store, patience)
	listener, publisher := r.connect("alice"), r.connect("bob")
	listener.ask(2, `"subscribe":{"channel":"news"}`)
	publisher.send(`{"id":2,"publish":{"channel":"news","data":"one"}}`)
	listener.expect(`"one"`)
	select {
	case m := <-publisher.messages:
		t.Errorf("answered before it was recorded: %s", m)
	case <-time.After(50 * time.Millisecond):
	}
	close(hold)
	if m := publisher.expect(`"id":2`); strings.Contains(string(m), `"error"`) {
		t.Errorf("when it was recorded: %s", m)
	}
}

// While messages cannot be recorded, publishers are refused, and what they publish reaches nobody.
func TestDurablePublishWithoutStore(t *testing.T) {
	t.Parallel() // It mostly waits.
	store := &stubborn{}
	r, recorder := startRecorded(t, store, 100*time.Millisecond)
	listener, publisher := r.connect("alice"), r.connect("bob")
	listener.ask(2, `"subscribe":{"channel":"news"}`)
	id := 1
	publish := func(data string) reply {
		t.Helper()
		id++
		return publisher.ask(id, fmt.Sprintf(`"publish":{"channel":"news","data":%q}`, data))
	}
	admits := func() bool { return recorder.Admit(t.Context()) == nil }
	taken := func(data string) func() bool {
		return func() bool { return publish(data).Error == nil } // A slow machine may not store it in time.
	}
	r.eventually("a message is recorded", taken("one")) // And so is all that was before it: nothing is left to be written.

	store.set(audit.ErrFull, nil)
	if got := publish("two"); errorCode(got) != 100 || !strings.Contains(got.Error.Message, "cannot be recorded") {
		t.Errorf("the first one while it fails: %+v", got.Error)
	}
	listener.expect(`"two"`) // It was under way when the trouble began.
	r.eventually("the trouble is known", func() bool { return !admits() })
	if got := publish("three"); errorCode(got) != 100 {
		t.Errorf("the next one: %+v", got.Error)
	}
	store.set(nil, nil)
	r.eventually("the trouble is over", admits)
	r.eventually("a message is recorded again", taken("four"))
	if m := listener.expect(`"pub"`); !strings.Contains(string(m), `"four"`) {
		t.Errorf("what was refused was published: %s", m)
	}
}
