package jetstream

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/bus"
	"github.com/zenconn/server/core/history"
)

// Namespace says how much of its channels' histories is kept.
type Namespace struct {
	Limits history.Limits // Of every channel; what an append asks for does not count.
	Memory bool           // The bus keeps it in memory, and forgets it when its last server ends.
	Disk   int64          // Most bytes on disk; 0: an equal share of what the bus has. It does not count in memory.
}

// Options are what a Store is made of. Zero durations take the value in brackets.
type Options struct {
	Bus        *bus.Bus
	Namespaces map[string]Namespace // Those whose history is kept here.
	Of         func(channel string) (namespace string)
	MetaTTL    time.Duration // How long a position is remembered when nobody published, read or asked for it [24 h].
	Log        *slog.Logger
}

// Store is a history.Store on the bus. It does nothing with the bus before Open.
type Store struct {
	of     func(channel string) string
	spaces map[string]*space
}

// New makes a store.
func New(o Options) *Store {
	if o.MetaTTL <= 0 {
		o.MetaTTL = 24 * time.Hour
	}
	s := &Store{of: o.Of, spaces: make(map[string]*space, len(o.Namespaces))}
	inMemory := 0
	for _, n := range o.Namespaces {
		if n.Memory {
			inMemory++
		}
	}
	for name, n := range o.Namespaces {
		alike := len(o.Namespaces) - inMemory
		if n.Memory {
			alike = inMemory
		}
		s.spaces[name] = newSpace(name, n, alike, o)
	}
	return s
}

// Open connects to the bus, which must be open. The streams are made when they are first needed.
func (s *Store) Open() error {
	for _, sp := range s.spaces {
		if err := sp.open(); err != nil {
			return err
		}
	}
	return nil
}

// Run closes idle channels, until ctx ends, and then all the others, as far as that takes no longer than two seconds.
func (s *Store) Run(ctx context.Context) {
	var wg sync.WaitGroup
	for _, sp := range s.spaces {
		wg.Go(func() { sp.run(ctx) })
	}
	wg.Wait()
}

// Problem says in a sentence which namespaces cannot be written or read at present, or "".
func (s *Store) Problem() string {
	var bad []string
	for _, name := range slices.Sorted(maps.Keys(s.spaces)) {
		if f := s.spaces[name].failure.Load(); f != nil && time.Since(f.at) < failureShown {
			bad = append(bad, name+" ("+f.err.Error()+")")
		}
	}
	if len(bad) == 0 {
		return ""
	}
	return "the history cannot be kept at present; publications are refused in the namespaces " + strings.Join(bad, ", ")
}

// space returns the namespace of a channel and its name as a token.
func (s *Store) space(channel string) (*space, string, error) {
	sp := s.spaces[s.of(channel)]
	if sp == nil {
		return nil, "", fmt.Errorf("no durable history is kept of %q", channel)
	}
	token, err := bus.Token(channel)
	return sp, token, err
}

// Append implements history.Store. Without an answer from the bus until the end of ctx it fails, though the publication may have
// been stored.
func (s *Store) Append(ctx context.Context, channel string, pub *core.Publication, _ history.Limits) (at core.Position, err error) {
	sp, token, err := s.space(channel)
	if err != nil {
		return core.Position{}, err
	}
	sp.prepare(pub)
	h, err := sp.take(ctx, token)
	if err == nil {
		at, err = sp.keep(ctx, h, pub, false)
		<-h.turn
	}
	sp.note(err)
	return at, err
}

// Position implements history.Store.
func (s *Store) Position(ctx context.Context, channel string) (core.Position, error) {
	sp, token, err := s.space(channel)
	if err != nil {
		return core.Position{}, err
	}
	end, err := sp.position(ctx, token)
	return end.at, err
}

// Read implements history.Store.
func (s *Store) Read(ctx context.Context, channel string, q history.Query) ([]*core.Publication, core.Position, error) {
	sp, token, err := s.space(channel)
	if err != nil {
		return nil, core.Position{}, err
	}
	end, err := sp.position(ctx, token)
	if err != nil {
		return nil, core.Position{}, err
	}
	at := end.at
	low, high := at.Offset-min(at.Offset, uint64(sp.limits.Size)), at.Offset // After low, up to high.
	if since := q.Since; since != nil {
		if since.Epoch != "" && since.Epoch != at.Epoch {
			return nil, at, core.ErrUnrecoverablePosition
		}
		if q.Reverse && since.Offset == 0 {
			return nil, at, core.ErrBadRequest.Saying("nothing lies before offset 0")
		}
		if q.Reverse {
			high = min(high, since.Offset-1)
		} else {
			low = max(low, since.Offset)
		}
	}
	if q.Limit == 0 || low >= high || end.last == 0 {
		return nil, at, nil
	}
	from := low
	if q.Reverse && q.Limit > 0 {
		from = high - min(high-low, uint64(q.Limit))
	}
	pubs, err := sp.read(ctx, channel, token, end, from, high)
	if err == nil && from > low && len(unexpired(slices.Clone(pubs))) < q.Limit {
		pubs, err = sp.read(ctx, channel, token, end, low, high) // Some have expired by themselves: others take their places.
	}
	if err != nil {
		return nil, at, err
	}
	pubs = unexpired(pubs)
	if q.Reverse {
		slices.Reverse(pubs)
	}
	if q.Limit > 0 {
		pubs = slices.Clip(pubs[:min(len(pubs), q.Limit)])
	}
	return pubs, at, nil
}

// Recover implements history.Store.
func (s *Store) Recover(ctx context.Context, channel string, since core.Position) ([]*core.Publication, core.Position, bool, error) {
	sp, token, err := s.space(channel)
	if err != nil {
		return nil, core.Position{}, false, err
	}
	end, err := sp.position(ctx, token)
	if err != nil {
		return nil, core.Position{}, false, err
	}
	at := end.at
	switch {
	case since.Epoch != at.Epoch || since.Offset > at.Offset:
		return nil, at, false, nil
	case since.Offset == at.Offset:
		return nil, at, true, nil
	case end.last == 0 || at.Offset-since.Offset > uint64(sp.limits.Size):
		return nil, at, false, nil
	}
	missed, err := sp.read(ctx, channel, token, end, since.Offset, at.Offset)
	if err != nil {
		return nil, at, false, err
	}
	if uint64(len(missed)) < at.Offset-since.Offset {
		return nil, at, false, nil
	}
	return unexpired(missed), at, true, nil
}

// unexpired leaves out what has expired by itself.
func unexpired(pubs []*core.Publication) []*core.Publication {
	now := time.Now().Unix()
	return slices.Clip(slices.DeleteFunc(pubs, func(pub *core.Publication) bool { return pub.Expired(now) }))
}

// Remove implements history.Store.
func (s *Store) Remove(ctx context.Context, channel string) error {
	sp, token, err := s.space(channel)
	if err != nil {
		return err
	}
	return sp.with(ctx, token, func(ctx context.Context, h *head) error { return sp.remove(ctx, h) })
}
