package spool_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"github.com/zenconn/server/audit"
	"github.com/zenconn/server/audit/audittest"
	"github.com/zenconn/server/audit/spool"
)

// barred is a store that takes nothing until it is opened.
type barred struct {
	audit.Writer
	open chan struct{}
}

func (b *barred) Write(ctx context.Context, batch *audit.Batch) error {
	select {
	case <-b.open:
		return b.Writer.Write(ctx, batch)
	default:
		return errors.New("barred")
	}
}

// Await returns when what was in the spool is stored, whoever does that, and not before.
func TestAwait(t *testing.T) {
	t.Parallel()
	s := startServer(t, t.TempDir())
	store := openSQLite(t, filepath.Join(t.TempDir(), "audit.db"))
	sink := &barred{store, make(chan struct{})}
	leader := runDrain(t, spool.Options{Bus: s.bus, Sink: sink})
	within(t, "there is a leader", func() bool { return leader.Stats().Leading })
	other := runDrain(t, spool.Options{Bus: s.join(t), Sink: sink})
	for _, d := range []*running{leader, other} {
		if err := d.Await(t.Context()); err != nil {
			t.Errorf("an empty spool: %v", err)
		}
	}

	w := openWriter(t, s.bus)
	for n := range 3 {
		batch := &audit.Batch{Token: fmt.Sprintf("node/1-a/%d", n+1), Messages: audittest.Messages(n*10, 10)}
		hand(t, w, batch)
	}
	given, giveUp := context.WithCancel(t.Context())
	giveUp()
	if err := other.Await(given); !errors.Is(err, context.Canceled) {
		t.Errorf("without any time, and a store that takes nothing: %v", err)
	}
	var waiting sync.WaitGroup
	for name, d := range map[string]*running{"the leader": leader, "another": other} {
		waiting.Go(func() {
			if err := d.Await(t.Context()); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if got := audittest.Ask(t, store, "SELECT count(*) FROM audit_messages"); got[0] != "[30]" {
				t.Errorf("%s waited until %s of 30 messages were stored", name, got[0])
			}
		})
	}
	within(t, "the store is tried", func() bool { return leader.Problem()+other.Problem() != "" }) // Whoever leads now.
	close(sink.open)
	waiting.Wait()
}
