package jetstream

import (
	"context"
	"fmt"
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
	result chan written
}

// written is what became of a write, or the lead.
type written struct {
	seq  uint64
	err  error
	lead bool
}

// store writes a message and returns its number in the stream. After an error the message may have been stored all the same.
func (g *group) store(ctx context.Context, m *nats.Msg, single bool) (uint64, error) {
	w := &write{m, single, make(chan written, 2)}
	g.mu.Lock()
	g.pending = append(g.pending, w)
	lead := !g.leading
	g.leading = true
	g.mu.Unlock()
	if lead {
		g.commit(ctx)
	}
	for { // Who leads answers within attemptTimeout for each single write and for the rest.
		r := <-w.result
		if !r.lead {
			return r.seq, r.err
		}
		g.commit(ctx)
	}
}

// commit stores what is pending, this goroutine's own write among it, and passes the lead on.
func (g *group) commit(ctx context.Context) {
	g.mu.Lock()
	all := g.pending
	g.pending = nil
	if len(all) > groupSize {
		all, g.pending = all[:groupSize:groupSize], all[groupSize:]
	}
	g.mu.Unlock()
	together := all[:0:0]
	for _, w := range all {
		if w.single {
			w.result <- g.sendOne(ctx, w.m)
		} else {
			together = append(together, w)
		}
	}
	g.send(ctx, together)
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.pending) == 0 {
		g.leading = false
		return
	}
	g.pending[0].result <- written{lead: true}
}

// sendOne publishes a message and waits for its acknowledgement.
func (g *group) sendOne(ctx context.Context, m *nats.Msg) written {
	// Those who wait with us have deadlines of their own: ours must not end their attempt.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), attemptTimeout)
	defer cancel()
	seq, err := g.calls.store(ctx, m)
	g.last = seq
	return written{seq: seq, err: err}
}

// send publishes messages, waits for the last one's acknowledgement, and tells every one what became of it. When some were not
// stored nobody knows which; everyone finds out for himself.
func (g *group) send(ctx context.Context, all []*write) {
	for g.last == 0 && len(all) > 0 { // The number of the last message before ours has to be found out.
		all[0].result <- g.sendOne(ctx, all[0].m)
		all = all[1:]
	}
	if len(all) == 0 {
		return
	}
	before, n := g.last, len(all)-1
	var err error
	for _, w := range all[:n] {
		if err = g.calls.conn.PublishMsg(w.m); err != nil {
			break
		}
	}
	last := written{err: err}
	if err == nil {
		last = g.sendOne(ctx, all[n].m)
	}
	if last.err == nil && last.seq == before+uint64(len(all)) {
		for i, w := range all {
			w.result <- written{seq: before + uint64(i) + 1}
		}
		return
	}
	g.last = 0
	if n > 0 {
		last = written{err: errUnavailable.because(fmt.Errorf("of %d messages some were not stored: %v", len(all), last.err))}
	}
	for _, w := range all {
		w.result <- last
	}
}
