package jetstream

import (
	"context"
	"encoding/json"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	sweepLongest = 10 * time.Second // Between two looks at the channels.
	sweepTimeout = 5 * time.Second  // For one channel.
	sealTime     = 2 * time.Second  // For all channels, at the end.
	keepHead     = 10 * time.Minute // How long what we know about a closed channel is kept though nobody asks.
	scanBatch    = 1000
)

// run closes idle channels until ctx ends, and then all.
func (sp *space) run(ctx context.Context) {
	scanned := false
	ticker := time.NewTicker(min(sp.limits.TTL/8, sweepLongest))
	defer ticker.Stop()
	again := sp.calls.conn.StatusChanged(nats.CONNECTED)
	defer sp.calls.conn.RemoveStatusListener(again)
	for {
		if !scanned {
			scanned = sp.scan(ctx) == nil
		}
		sp.sweep(ctx, sp.limits.TTL/2)
		select {
		case <-ticker.C:
			continue
		case <-again:
			sp.forgetAll()
			continue
		case <-ctx.Done():
		}
		break
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), sealTime)
	defer cancel()
	sp.sweep(end, 0)
}

// sweep closes channels that nobody has published to for a while, and forgets what we know about others.
func (sp *space) sweep(ctx context.Context, idle time.Duration) {
	sp.mu.Lock()
	all := slices.Collect(maps.Values(sp.heads))
	sp.mu.Unlock()
	for _, h := range all {
		if ctx.Err() != nil || !sp.ready.Load() {
			return
		}
		switch s := h.state(); {
		case s.known && s.open && time.Since(s.added) >= idle:
			sp.close(ctx, h, idle)
		case !s.open && time.Since(s.used) >= keepHead:
			sp.drop(h)
		}
	}
	sp.mu.Lock()
	defer sp.mu.Unlock()
	if len(all) > 2*len(sp.heads) { // Maps do not shrink by themselves.
		sp.heads = maps.Clone(sp.heads)
	}
}

// forgetAll makes everything be read again: the server may have lost a stream in memory, and count from 1.
func (sp *space) forgetAll() {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	for _, h := range sp.heads {
		h.forget()
	}
}

// drop forgets a channel that nobody is using.
func (sp *space) drop(h *head) {
	select {
	case h.turn <- struct{}{}:
	default:
		return
	}
	defer func() { <-h.turn }()
	sp.mu.Lock()
	defer sp.mu.Unlock()
	if time.Since(h.state().used) >= keepHead && sp.heads[h.token] == h {
		delete(sp.heads, h.token)
	}
}

// close writes the position of an idle channel down. If it fails the next sweep tries again.
func (sp *space) close(ctx context.Context, h *head, idle time.Duration) {
	select {
	case h.turn <- struct{}{}:
	default:
		return // Not idle.
	}
	defer func() { <-h.turn }()
	s := h.state()
	if !s.known || !s.open || time.Since(s.added) < idle {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, sweepTimeout)
	defer cancel()
	if err := sp.seal(ctx, h, &s); err != nil {
		h.forget()
		sp.log.Debug("a position was not written down", "channel", h.token, "error", err)
		return
	}
	h.set(s)
}

// scan looks for channels that were left open by a process that is gone, so that they get closed.
func (sp *space) scan(ctx context.Context) error {
	if err := sp.ensure(ctx); err != nil {
		return err
	}
	for seq := uint64(1); ; {
		next, err := sp.scanBatch(ctx, seq)
		if err != nil || next == 0 {
			return err
		}
		seq = next
	}
}

// scanBatch looks at a number of position records, from one on, and returns where to go on, 0 at the end.
func (sp *space) scanBatch(ctx context.Context, seq uint64) (next uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, sweepTimeout)
	defer cancel()
	request, err := json.Marshal(map[string]any{"seq": seq, "next_by_subj": sp.metaTo + "*", "batch": scanBatch})
	if err != nil {
		return 0, err
	}
	k, err := sp.calls.begin(&nats.Msg{Subject: "$JS.API.DIRECT.GET." + sp.meta, Data: request}, scanBatch+1)
	if err != nil {
		return 0, err
	}
	defer k.end()
	var tokens []string
	for done := false; !done; {
		select {
		case answer := <-k.answers:
			if answer.Header.Get("Status") != "" {
				if _, err := statusOf(answer); err != nil {
					return 0, err
				}
				done = true
				continue
			}
			r, err := directRecord(answer)
			if err != nil {
				return 0, err
			}
			next = r.seq + 1
			if r.state == stateOpen {
				tokens = append(tokens, strings.TrimPrefix(answer.Header.Get("Nats-Subject"), sp.metaTo))
			}
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
	for _, token := range tokens {
		if _, err := sp.position(ctx, token); err != nil {
			return 0, err
		}
	}
	return next, nil
}

// statusOf says what a message without contents means: nothing is there, that was all, or an error.
func statusOf(m *nats.Msg) (none bool, err error) {
	switch status := m.Header.Get("Status"); status {
	case "":
		return false, nil
	case "404":
		return true, nil
	case "204": // The end of several answers.
		if pending := m.Header.Get("Nats-Num-Pending"); pending != "" && pending != "0" && m.Header.Get("Nats-UpTo-Sequence") != "" {
			return true, errTooMuch
		}
		return true, nil
	case "503":
		return true, errUnavailable.because(nats.ErrNoResponders)
	default:
		return true, refusal(status + " " + m.Header.Get("Description"))
	}
}

func chunksOf(subjects []string) iter.Seq[[]string] { return slices.Chunk(subjects, chunk) }
