package worker_test

import (
	"context"
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

// In durable mode a publisher is answered when his message is recorded, and refused, with nothing published, while it could not be.
func TestDurablePublish(t *testing.T) {
	t.Parallel() // It mostly waits.
	store := &stubborn{}
	recorder := audit.New(store, audit.Options{Durable: true, Block: true, BlockTimeout: 3 * time.Second, DrainTimeout: time.Millisecond})
	ctx, cancel := context.WithCancel(t.Context())
	var recording sync.WaitGroup
	recording.Go(func() { recorder.Run(ctx) })
	defer recording.Wait()
	defer cancel()
	r := startDurable(t, open(), recorder)
	listener, publisher := r.connect("alice"), r.connect("bob")
	listener.ask(2, `"subscribe":{"channel":"news"}`)

	hold := make(chan struct{})
	store.set(nil, hold)
	publisher.send(`{"id":2,"publish":{"channel":"news","data":"one"}}`)
	listener.expect(`"one"`)
	select {
	case m := <-publisher.messages:
		t.Errorf("answered before it was recorded: %s", m)
	case <-time.After(50 * time.Millisecond):
	}
	close(hold)
	publisher.expect(`"id":2`)

	store.set(audit.ErrFull, nil)
	if got := publisher.ask(3, `"publish":{"channel":"news","data":"two"}`); errorCode(got) != 100 || !strings.Contains(got.Error.Message, "cannot be recorded") {
		t.Errorf("the first one while it fails: %+v", got.Error)
	}
	listener.expect(`"two"`) // It was under way when the trouble began.
	if got := publisher.ask(4, `"publish":{"channel":"news","data":"three"}`); errorCode(got) != 100 {
		t.Errorf("the next one: %+v", got.Error)
	}
	store.set(nil, nil)
	if got := publisher.ask(5, `"publish":{"channel":"news","data":"four"}`); got.Error != nil && errorCode(publisher.ask(6, `"publish":{"channel":"news","data":"four"}`)) != 0 {
		t.Errorf("when it works again: %+v", got.Error)
	}
	if m := listener.expect(`"pub"`); !strings.Contains(string(m), `"four"`) {
		t.Errorf("what was refused was published: %s", m)
	}
}
