package jetstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/zenconn/server/core"
)

// attemptTimeout is how long one attempt to store waits for its acknowledgement, before the ring is asked whether it succeeded.
const attemptTimeout = 2 * time.Second

// append stores a publication behind the last. unsure says that an attempt before may have stored it. The caller has the channel's turn.
func (sp *space) append(ctx context.Context, h *head, pub *core.Publication, unsure bool) (core.Position, error) {
	s := h.state()
	if !s.known || unsure {
		var err error
		if s, err = sp.load(ctx, h); err != nil {
			return core.Position{}, err
		}
		h.set(s)
		if unsure {
			if done, err := sp.stored(ctx, h, s, pub); done || err != nil {
				return core.Position{Offset: pub.Offset, Epoch: s.at.Epoch}, err
			}
		}
	}
	if !s.open {
		if err := sp.writeMeta(ctx, h, &s, stateOpen); err != nil {
			return core.Position{}, err
		}
	}
	next := core.Position{Offset: s.at.Offset + 1, Epoch: s.at.Epoch}
	pub.Offset = next.Offset
	m := &nats.Msg{}
	if err := sp.publication(m, h.token, next, pub); err != nil {
		return core.Position{}, err
	}
	seq, err := sp.store(ctx, m, sp.slots(h.token), s)
	if errors.Is(err, errConflict) && h.newer(s) {
		err = errOutrun
	}
	if err != nil {
		return core.Position{}, err
	}
	s.appended(next, seq)
	h.set(s)
	return next, nil
}

// publication fills in the message of a publication.
func (sp *space) publication(m *nats.Msg, token string, at core.Position, pub *core.Publication) (err error) {
	m.Subject = sp.slot(token, at.Offset, uint64(sp.limits.Size))
	if sp.bus.Alone() {
		m.Data, err = sealed(at, pub)
		return err
	}
	return describe(m, at, pub)
}

// store adds a message to the ring, if the last one on the subjects that match guard is the one that s knows.
func (sp *space) store(ctx context.Context, m *nats.Msg, guard string, s headState) (uint64, error) {
	if !sp.bus.Alone() {
		return sp.calls.store(ctx, guarded(m, guard, s.last))
	}
	if !s.sure {
		m = guarded(m, guard, s.last)
	}
	return sp.group.store(ctx, m, !s.sure)
}

// stored says whether an attempt before has stored the publication though it was not acknowledged. Another process may have closed the channel
// behind it since.
func (sp *space) stored(ctx context.Context, h *head, s headState, pub *core.Publication) (bool, error) {
	if pub.Offset == 0 {
		return false, nil // The first attempt.
	}
	last, err := sp.last(ctx, sp.ring, sp.slot(h.token, pub.Offset, uint64(sp.limits.Size)))
	if err != nil || last == nil || last.id != pub.ID.String() || last.at.Epoch != s.at.Epoch {
		return false, err
	}
	return true, nil
}

// seal appends a marker behind the last message, so that everything based on what was there before fails, and writes the closed
// record. The caller has the channel's turn.
func (sp *space) seal(ctx context.Context, h *head, s *headState) error {
	subject := sp.metaTo + h.token
	record, err := sp.last(ctx, sp.meta, subject) // Before the marker: see the package's comment.
	if err != nil {
		return err
	}
	s.meta = 0
	if record != nil {
		s.meta = record.seq
	}
	s.sure = false
	seq, err := sp.store(ctx, message(sp.marker(h.token), s.at), sp.slots(h.token), *s)
	if err != nil {
		return err
	}
	s.last, s.open, s.added = seq, false, time.Now()
	return sp.writeMeta(ctx, h, s, stateClosed)
}

// remove purges the publications of a channel.
func (sp *space) remove(ctx context.Context, h *head) error {
	s, err := sp.load(ctx, h)
	if err != nil || s.last == 0 {
		h.set(s)
		return err
	}
	if err := sp.seal(ctx, h, &s); err != nil {
		return err
	}
	request, err := json.Marshal(map[string]any{"filter": sp.slots(h.token), "seq": s.last})
	if err != nil {
		return err
	}
	answer, err := sp.calls.one(ctx, &nats.Msg{Subject: "$JS.API.STREAM.PURGE." + sp.ring, Data: request})
	if err != nil {
		return err
	}
	var result struct {
		Success bool `json:"success"`
		Error   struct {
			Code        int    `json:"err_code"`
			Description string `json:"description"`
		} `json:"error"`
	}
	err = json.Unmarshal(answer.Data, &result)
	switch {
	case err == nil && result.Error.Code != 0:
		return refused(result.Error.Code, result.Error.Description)
	case err != nil || !result.Success:
		return fmt.Errorf("the bus does not purge: %s", answer.Data)
	}
	h.set(s)
	return nil
}

// replicaLag is how long a replica gets to know what its leader has acknowledged, before what it does not know counts as gone. That is
// longer than most who ask wait, because a client can try again, but not get back what it was told is gone.
const replicaLag = 10 * time.Second

var errLagging = errors.New("a replica does not know the newest publication yet")

// chunk is how many slots one request names. JetStream answers at most 1024.
const chunk = 256

// read returns the publications after low up to high, without those that have expired: the newest that follow one another without
// a gap. s is the end of the channel.
func (sp *space) read(ctx context.Context, channel, token string, s headState, low, high uint64) (pubs []*core.Publication, err error) {
	select {
	case sp.reading <- struct{}{}:
		defer func() { <-sp.reading }()
	case <-ctx.Done():
		return nil, errUnavailable.because(context.Cause(ctx))
	}
	patience := time.Now().Add(replicaLag)
	err = sp.attempt(ctx, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
		defer cancel()
		found := make(map[uint64]*record, high-low)
		for end := high; end > low; end -= min(end-low, chunk) {
			if err := sp.fetch(ctx, token, s.at.Epoch, max(low, end-min(end, chunk)), end, found); err != nil {
				return err
			}
		}
		if found[high] == nil && s.open && sp.bus.Replicas() > 1 && time.Since(s.added) < sp.limits.TTL && time.Now().Before(patience) {
			return errUnavailable.because(errLagging)
		}
		pubs, err = sp.newest(channel, found, low, high)
		return err
	})
	return pubs, err
}

// newest makes publications of the records up to high, down to the first that is missing or expired.
func (sp *space) newest(channel string, found map[uint64]*record, low, high uint64) ([]*core.Publication, error) {
	first, now := high+1, time.Now()
	for first > low+1 {
		r := found[first-1]
		if r == nil || now.Sub(r.time) >= sp.limits.TTL {
			break
		}
		first--
	}
	pubs := make([]*core.Publication, 0, high+1-first)
	for o := first; o <= high; o++ {
		pub, err := found[o].publication(channel)
		if err != nil {
			return nil, err
		}
		pubs = append(pubs, pub)
	}
	return pubs, nil
}

// fetch reads the slots of the offsets after low up to high, and of what past sizes put there.
func (sp *space) fetch(ctx context.Context, token, epoch string, low, high uint64, found map[uint64]*record) error {
	past := *sp.sizes.Load()
	subjects, seen := make([]string, 0, high-low), map[string]bool{}
	for o := low + 1; o <= high; o++ {
		subjects = append(subjects, sp.slot(token, o, uint64(sp.limits.Size)))
		for _, p := range past {
			if s := sp.slot(token, o, p.size); !seen[s] {
				seen[s] = true
				subjects = append(subjects, s)
			}
		}
	}
	for part := range chunksOf(subjects) {
		if err := sp.fetchSlots(ctx, part, func(r *record) {
			if r.at.Epoch == epoch && r.id != "" && r.at.Offset > low && r.at.Offset <= high {
				found[r.at.Offset] = r
			}
		}); err != nil {
			return err
		}
	}
	return nil
}

// fetchSlots asks for the messages of exact subjects.
func (sp *space) fetchSlots(ctx context.Context, subjects []string, each func(*record)) error {
	request, err := json.Marshal(map[string]any{"multi_last": subjects})
	if err != nil {
		return err
	}
	k, err := sp.calls.begin(&nats.Msg{Subject: "$JS.API.DIRECT.GET." + sp.ring, Data: request}, len(subjects)+1)
	if err != nil {
		return err
	}
	defer k.end()
	for {
		select {
		case answer := <-k.answers:
			if answer.Header.Get("Status") != "" {
				_, err := statusOf(answer)
				return err
			}
			r, err := directRecord(answer)
			if err != nil {
				return err
			}
			each(&r)
		case <-ctx.Done():
			return errUnavailable.because(context.Cause(ctx))
		}
	}
}
