package jetstream

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/zenconn/server/core"
)

// head is what we know about one channel.
type head struct {
	token string
	turn  chan struct{} // Holds one value while somebody reads or writes the channel's position on the bus.

	mu sync.Mutex // Guards all below, which are written by who has the turn, and by observe.
	headState
}

// headState is the end of a channel's ring and its position record.
type headState struct {
	known  bool // All below holds, unless another process wrote since.
	at     core.Position
	last   uint64    // Number of the last message in the ring; 0: there is none.
	open   bool      // That message is a publication.
	sure   bool      // No attempt of ours is under way that may still be carried out.
	added  time.Time // When it was added.
	meta   uint64    // Number of the position record; 0: not known or none.
	metaAt time.Time // When it was written; zero: not known.
	used   time.Time // When somebody last asked.
}

// appended takes down that a publication was stored.
func (s *headState) appended(at core.Position, seq uint64) {
	s.at, s.last, s.open, s.sure, s.added = at, seq, true, true, time.Now()
}

func (h *head) state() headState {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.headState
}

// set takes down what was found out or written, unless something later was observed meanwhile.
func (h *head) set(s headState) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.known && h.last > s.last && h.at.Epoch == s.at.Epoch {
		return
	}
	h.headState = s
}

// newer says that something was observed after s was known.
func (h *head) newer(s headState) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.known && h.last > s.last && h.at.Epoch == s.at.Epoch
}

// observe takes down what somebody wrote, perhaps we ourselves.
func (h *head) observe(r *record) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case !h.known || r.seq <= h.last && r.at.Epoch == h.at.Epoch:
	case r.id == "" || r.at.Epoch != h.at.Epoch || r.at.Offset != h.at.Offset+1:
		h.known = false // A marker, or more than one: read it.
	default:
		h.at, h.last, h.open, h.added = r.at, r.seq, true, time.Now()
	}
}

// forget makes the next one read the channel again.
func (h *head) forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.known = false
}

// head returns what we know about a channel, which may be nothing.
func (sp *space) head(token string) *head {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	h := sp.heads[token]
	if h == nil {
		h = &head{token: token, turn: make(chan struct{}, 1)}
		sp.heads[token] = h
	}
	h.mu.Lock()
	h.used = time.Now()
	h.mu.Unlock()
	return h
}

// peek returns what we know about a channel; nil: nothing.
func (sp *space) peek(token string) *head {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	return sp.heads[token]
}

// with does something with a channel while nobody else of this process reads or writes its position, and repeats it, with what it
// knew forgotten, as attempt says.
func (sp *space) with(ctx context.Context, token string, do func(context.Context, *head) error) error {
	h, err := sp.take(ctx, token)
	if err != nil {
		return err
	}
	defer func() { <-h.turn }()
	return sp.inTurn(ctx, h, do)
}

// take takes the turn of a channel; to give it back is to receive from it.
func (sp *space) take(ctx context.Context, token string) (*head, error) {
	h := sp.head(token)
	select {
	case h.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, errUnavailable.because(context.Cause(ctx))
	}
	if err := ctx.Err(); err != nil { // Those before us have used our time up.
		<-h.turn
		return nil, errUnavailable.because(err)
	}
	return h, nil
}

// inTurn does the same for who has the channel's turn.
func (sp *space) inTurn(ctx context.Context, h *head, do func(context.Context, *head) error) error {
	return sp.attempt(ctx, func(ctx context.Context) error {
		err := do(ctx, h)
		if err != nil && !errors.Is(err, errOutrun) {
			h.forget()
		}
		return err
	})
}

// position returns the end of a channel.
func (sp *space) position(ctx context.Context, token string) (s headState, err error) {
	if sp.bus.Alone() { // What we know is right, and the common case costs no more than this.
		if s := sp.head(token).state(); s.known && !sp.refreshDue(s) {
			return s, nil
		}
	}
	err = sp.with(ctx, token, func(ctx context.Context, h *head) error {
		s = h.state()
		if !s.known || !sp.bus.Alone() {
			if s, err = sp.load(ctx, h); err != nil {
				return err
			}
		}
		if sp.refreshDue(s) {
			if err := sp.writeMeta(ctx, h, &s, stateClosed); err != nil {
				return err
			}
		}
		h.set(s)
		if !s.open && !sp.bus.Alone() {
			sp.release(h)
		}
		return nil
	})
	return s, err
}

// release forgets a channel that has nothing to close, and that has to be read again anyway, because others may write to it: somebody
// may listen to very many of them. Who still has the head is to its next user as another process is.
func (sp *space) release(h *head) {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	if sp.heads[h.token] == h {
		delete(sp.heads, h.token)
	}
}

// refreshDue says that a closed record is so old that it would be forgotten although somebody asks for it.
func (sp *space) refreshDue(s headState) bool {
	return !s.open && !s.metaAt.IsZero() && time.Since(s.metaAt) > sp.metaTTL/2
}

// load reads the position of a channel from the bus and makes one if there is none. See the package's comment.
func (sp *space) load(ctx context.Context, h *head) (s headState, err error) {
	s = headState{known: true, used: time.Now()}
	last, err := sp.last(ctx, sp.ring, sp.slots(h.token))
	if err != nil {
		return s, err
	}
	if last != nil {
		s.at, s.last, s.open, s.added = last.at, last.seq, last.id != "", last.time
		if s.open {
			return s, nil // The record matters only when the ring is empty.
		}
	}
	record, err := sp.last(ctx, sp.meta, sp.metaTo+h.token)
	if err != nil {
		return s, err
	}
	if record != nil {
		s.meta, s.metaAt = record.seq, record.time
	}
	switch {
	case last != nil:
		if record == nil || record.state != stateClosed {
			s.metaAt = time.Time{} // Not ours to refresh.
		}
		return s, nil
	case record != nil && (record.state == stateClosed || time.Since(record.time) < sp.limits.TTL/2-sp.skew()):
		s.at = record.at
		if record.state != stateClosed {
			s.metaAt = time.Time{}
		}
		return s, nil
	}
	s.at = core.Position{Epoch: strings.Clone(rand.Text()[:8])} // Not with the rest of the text behind it, for so many channels.
	return s, sp.writeMeta(ctx, h, &s, stateClosed)
}

// skew is how much the clocks of different machines may differ.
func (sp *space) skew() time.Duration {
	if sp.bus.External() {
		return time.Minute
	}
	return 0
}

// last returns the last message of a stream on the subjects that match; nil when there is none. Of replicated streams the leader is
// asked: the others may not know it yet.
func (sp *space) last(ctx context.Context, stream, subject string) (*record, error) {
	request, err := lastRequest(subject)
	if err != nil {
		return nil, err
	}
	if sp.bus.Replicas() > 1 {
		answer, err := sp.calls.one(ctx, &nats.Msg{Subject: "$JS.API.STREAM.MSG.GET." + stream, Data: request})
		if err != nil {
			return nil, err
		}
		return leaderRecord(answer.Data)
	}
	answer, err := sp.calls.one(ctx, &nats.Msg{Subject: "$JS.API.DIRECT.GET." + stream, Data: request})
	if err != nil {
		return nil, err
	}
	if none, err := statusOf(answer); none || err != nil {
		return nil, err
	}
	r, err := directRecord(answer)
	return &r, err
}

// writeMeta writes the position record over the one that s knows.
func (sp *space) writeMeta(ctx context.Context, h *head, s *headState, state string) error {
	subject := sp.metaTo + h.token
	m := message(subject, s.at)
	m.Header[headerState] = []string{state}
	seq, err := sp.calls.store(ctx, guarded(m, subject, s.meta))
	if err != nil {
		return err
	}
	s.meta, s.metaAt = seq, time.Now()
	return nil
}
