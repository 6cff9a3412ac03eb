package jetstream

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/nats-io/nats.go"
)

// groupSize is how many messages are stored with one acknowledgement; the stream's queue in the server holds 10,000.
const groupSize = 512

// group stores messages together: what comes while an acknowledgement is awaited goes out afterwards with a single one. It may be
// used only if nobody else writes to the stream. JetStream numbers what it stores, so the number of the last message of a group
// tells whether all before it were stored: most of the work for an acknowledgement is saved.
//
// It needs no goroutine: the first to come leads, and passes the lead on to one of those who came meanwhile.
type group struct {
	calls *calls

	mu      sync.Mutex // Guards all below.
	leading bool       // Somebody sends or awaits.
	pending []*write

	last uint64 // Number of the last message stored by a group; 0: not known. Owned by who leads.
}

// write is a message that waits to be stored.
type write struct {
	m      *nats.Msg
	single bool // It may be refused, and wants to know.
	leads  bool // Guarded by group.mu. It has been passed the lead.
	result chan written
}

// written is what became of a write, or the lead.
type written struct {
	seq  uint64
	err  error
	lead bool
}

// store writes a message and returns its number in the stream, at most attemptTimeout after the end of ctx. After an error the
// message may have been stored all the same.
func (g *group) store(ctx context.Context, m *nats.Msg, single bool) (uint64, error) {
	w := &write{m: m, single: single, result: make(chan written, 2)}
	g.mu.Lock()
	g.pending = append(g.pending, w)
	lead := !g.leading
	g.leading = true
	g.mu.Unlock()
	if lead {
		g.commit()
	}
	ended := ctx.Done()
	for {
		select {
		case r := <-w.result:
			if !r.lead {
				return r.seq, r.err
			}
			g.commit()
		case <-ended:
			if g.withdraw(w) {
				return 0, errUnavailable.because(context.Cause(ctx))
			}
			ended = nil // It is being sent, or leads.
		}
	}
}

// withdraw takes a write back, if nobody has begun with it.
func (g *group) withdraw(w *write) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	i := slices.Index(g.pending, w)
	if i < 0 || w.leads {
		return false
	}
	g.pending = slices.Delete(g.pending, i, i+1)
	return true
}

// commit stores what is pending, this goroutine's own write among it, and passes the lead on. It takes attemptTimeout at most:
// those who wait have deadlines of their own, so the leader's must not end their attempt.
func (g *group) commit() {
	g.mu.Lock()
	all := g.pending
	g.pending = nil
	if len(all) > groupSize {
		all, g.pending = all[:groupSize:groupSize], all[groupSize:]
	}
	g.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), attemptTimeout)
	defer cancel()
	together := all[:0:0]
	singles := all[:0:0]
	for _, w := range all {
		if w.single || g.last == 0 && len(singles) == 0 { // Without a number to begin with, somebody has to find it out.
			singles = append(singles, w)
		} else {
			together = append(together, w)
		}
	}
	g.sendSingles(ctx, singles)
	g.sendTogether(ctx, together)
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.pending) == 0 {
		g.leading = false
		return
	}
	g.pending[0].leads = true
	g.pending[0].result <- written{lead: true}
}

// sendSingles publishes messages and waits for an acknowledgement of each.
func (g *group) sendSingles(ctx context.Context, all []*write) {
	calls := make([]*call, len(all))
	for i, w := range all {
		var err error
		if calls[i], err = g.calls.begin(w.m, 1); err != nil {
			w.result <- written{err: err}
		}
	}
	failed := false
	for i, w := range all {
		if calls[i] == nil {
			failed = true
			continue
		}
		seq, err := calls[i].ack(ctx)
		g.last = max(g.last, seq)
		failed = failed || err != nil
		w.result <- written{seq: seq, err: err}
	}
	if failed {
		g.last = 0
	}
}

// sendTogether publishes messages, waits for the last one's acknowledgement, and tells every one what became of it. When some were
// not stored nobody knows which; everyone finds out for himself.
func (g *group) sendTogether(ctx context.Context, all []*write) {
	if len(all) == 0 {
		return
	}
	before, n := g.last, len(all)-1
	last, err := uint64(0), error(nil)
	for _, w := range all[:n] {
		if err = g.calls.conn.PublishMsg(w.m); err != nil {
			break
		}
	}
	if err == nil {
		last, err = g.calls.store(ctx, all[n].m)
	}
	if before != 0 && err == nil && last == before+uint64(len(all)) {
		g.last = last
		for i, w := range all {
			w.result <- written{seq: before + uint64(i) + 1}
		}
		return
	}
	g.last = 0
	if n > 0 || err == nil {
		err = errUnavailable.because(fmt.Errorf("of %d messages some were not stored: %v", len(all), err)) //nolint:errorlint // Not for each.
	}
	for _, w := range all {
		w.result <- written{err: err}
	}
}
