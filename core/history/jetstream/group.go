package jetstream

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	groupSize = 512 // Messages with one acknowledgement; the stream's queue in the server holds 10,000.
	tellSize  = 16  // Writers that one goroutine tells what became of their messages.
)

// group stores messages together: what comes while an acknowledgement is awaited goes out afterwards with a single one. It may be
// used only if nobody else writes to the stream. JetStream numbers what it stores, so the number of the last message of a group
// tells whether all before it were stored: most of the work for an acknowledgement is saved.
//
// Its goroutine lives as long as something is to be stored.
type group struct {
	calls *calls

	mu      sync.Mutex // Guards all below.
	running bool
	pending []*write

	// Owned by run.
	last  uint64      // Number of the last message stored by a group; 0: not known.
	call  *call       // Of the last message of a group; nil: there was none.
	timer *time.Timer // Ends the waiting for its answer; made with call.
}

// write is a message that waits to be stored.
type write struct {
	m        *nats.Msg
	single   bool      // It may be refused, and wants to know.
	deadline time.Time // Nobody begins with it afterwards; zero: none.
	writer   writer
	end      written // What became of it.
}

// writer is told once what became of its message: its number in the stream, or an error after which it may have been stored all the
// same, unless that is errNotBegun.
type writer interface {
	written(seq uint64, err error)
}

var (
	errNotBegun = errUnavailable.because(context.DeadlineExceeded) // Nothing was sent.
	errNoAnswer = errUnavailable.because(fmt.Errorf("no answer: %w", context.DeadlineExceeded))
)

// add has a message stored. It does not wait.
func (g *group) add(w *write) {
	g.mu.Lock()
	g.pending = append(g.pending, w)
	start := !g.running
	g.running = true
	g.mu.Unlock()
	if start {
		go g.run()
	}
}

// result is a writer for somebody who waits.
type result chan written

type written struct {
	seq uint64
	err error
}

func (r result) written(seq uint64, err error) { r <- written{seq, err} }

// store writes a message and returns its number in the stream, at most attemptTimeout after the end of ctx. After an error the
// message may have been stored all the same.
func (g *group) store(ctx context.Context, m *nats.Msg, single bool) (uint64, error) {
	r := make(result, 1)
	w := &write{m: m, single: single, writer: r}
	g.add(w)
	select {
	case end := <-r:
		return end.seq, end.err
	case <-ctx.Done():
	}
	if g.withdraw(w) {
		return 0, errUnavailable.because(context.Cause(ctx))
	}
	end := <-r // It is being sent.
	return end.seq, end.err
}

// withdraw takes a write back, if nobody has begun with it.
func (g *group) withdraw(w *write) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	i := slices.Index(g.pending, w)
	if i < 0 {
		return false
	}
	g.pending = slices.Delete(g.pending, i, i+1)
	return true
}

// run stores what is pending until nothing is.
func (g *group) run() {
	for {
		g.mu.Lock()
		all := g.pending
		if len(all) == 0 {
			g.running = false
			g.mu.Unlock()
			return
		}
		g.pending = make([]*write, 0, len(all))
		if len(all) > groupSize {
			all, g.pending = all[:groupSize:groupSize], all[groupSize:]
		}
		g.mu.Unlock()
		g.commit(all)
	}
}

// commit stores messages. It takes attemptTimeout at most: those who wait have deadlines of their own, so one of them must not end the
// attempt of all.
func (g *group) commit(all []*write) {
	now := time.Now()
	until := now.Add(attemptTimeout)
	together := all[:0]
	var singles, late []*write
	for _, w := range all {
		switch {
		case !w.deadline.IsZero() && now.After(w.deadline):
			w.end.err = errNotBegun
			late = append(late, w)
		case w.single || g.last == 0 && len(singles) == 0: // Without a number to begin with, somebody has to find it out.
			singles = append(singles, w)
		default:
			together = append(together, w)
		}
	}
	tell(late)
	g.sendSingles(until, singles)
	g.sendTogether(until, together)
}

// tell tells writers what became of their messages. A part of it, or all, is done before it returns: what comes in that time makes the next
// group larger.
func tell(all []*write) {
	for ; len(all) > tellSize; all = all[tellSize:] {
		go tellSome(all[:tellSize])
	}
	tellSome(all)
}

// tellSome does so on this goroutine. Who was told may use the memory of his write for another one.
func tellSome(some []*write) {
	for _, w := range some {
		w.writer.written(w.end.seq, w.end.err)
	}
}

// sendSingles publishes messages and waits for an acknowledgement of each.
func (g *group) sendSingles(until time.Time, all []*write) {
	if len(all) == 0 {
		return
	}
	ctx, cancel := context.WithDeadline(context.Background(), until)
	defer cancel()
	calls := make([]*call, len(all))
	for i, w := range all {
		calls[i], w.end.err = g.calls.begin(w.m, 1)
	}
	failed := false
	for i, w := range all {
		if calls[i] != nil {
			w.end.seq, w.end.err = calls[i].ack(ctx)
		}
		g.last = max(g.last, w.end.seq)
		failed = failed || w.end.err != nil
	}
	if failed {
		g.last = 0
	}
	tell(all)
}

// sendTogether publishes messages, waits for the last one's acknowledgement, and tells every one what became of it. When some were
// not stored nobody knows which; everyone finds out for himself.
func (g *group) sendTogether(until time.Time, all []*write) {
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
		last, err = g.storeLast(until, all[n].m)
	}
	if before != 0 && err == nil && last == before+uint64(len(all)) {
		g.last = last
		for i, w := range all {
			w.end.seq = before + uint64(i) + 1 //nolint:gosec // An index.
		}
		tell(all)
		return
	}
	g.last = 0
	if n > 0 || err == nil {
		err = errUnavailable.because(fmt.Errorf("of %d messages some were not stored: %v", len(all), err)) //nolint:errorlint // Not for each.
	}
	for _, w := range all {
		w.end.err = err
	}
	tell(all)
}

// storeLast writes the last message of a group and returns its number in the stream. Groups follow one another so closely that each is
// waited for with the same call and timer.
func (g *group) storeLast(until time.Time, m *nats.Msg) (uint64, error) {
	wait := time.Until(until)
	if g.call == nil {
		g.call, g.timer = g.calls.prepare(1), time.NewTimer(wait)
	} else {
		g.timer.Reset(wait)
	}
	defer g.timer.Stop()
	if err := g.call.send(m); err != nil {
		return 0, err
	}
	defer g.call.end()
	select {
	case answer := <-g.call.answers:
		if err := heard(answer); err != nil {
			return 0, err
		}
		return stored(answer.Data)
	case <-g.timer.C:
		return 0, errNoAnswer
	}
}
