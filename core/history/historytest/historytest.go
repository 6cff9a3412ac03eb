// Package historytest is the conformance suite of the histories: what every history.Store must fulfil, however and wherever it keeps
// publications.
package historytest

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/history"
)

// patience is how long the suite waits for what must come.
const patience = 2 * time.Minute

// Run runs the suite. open returns an empty store that keeps as much as the limits say, of channels without a namespace.
func Run(t *testing.T, open func(t *testing.T, limits history.Limits) history.Store) {
	for _, test := range []struct {
		name   string
		limits history.Limits
		run    func(*testing.T, history.Store)
	}{
		{"offsets and epoch", hour, offsetsAndEpoch},
		{"read", hour, reading},
		{"read refuses", hour, readingRefuses},
		{"recover", hour, recovering},
		{"remove", hour, removing},
		{"contents", hour, contents},
		{"names", hour, names},
		{"expiry", short, expiring},
		{"publications with an expiry of their own", hour, ownExpiry},
		{"concurrent", history.Limits{Size: 16, TTL: time.Hour}, concurrent},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t, test.limits)) })
	}
}

var (
	hour  = history.Limits{Size: 5, TTL: time.Hour}
	short = history.Limits{Size: 5, TTL: 2 * time.Second}
)

func offsetsAndEpoch(t *testing.T, s history.Store) {
	first := Position(t, s, "a")
	if first.Offset != 0 || len(first.Epoch) != 8 {
		t.Fatalf("a channel nobody published to is at %v", first)
	}
	if again := Position(t, s, "a"); again != first {
		t.Errorf("then at %v, before at %v", again, first)
	}
	for want := uint64(1); want < 20; want++ {
		if at := Publish(t, s, "a", 1, hour); at != (core.Position{Offset: want, Epoch: first.Epoch}) {
			t.Fatalf("publication %d is at %v", want, at)
		}
	}
	if at := Position(t, s, "b"); at.Offset != 0 || at.Epoch == first.Epoch {
		t.Errorf("another channel is at %v", at)
	}
	if at := Position(t, history.NewMemory(history.Options{}), "a"); at.Epoch == first.Epoch {
		t.Errorf("another store has the same epoch")
	}
}

func reading(t *testing.T, s history.Store) {
	epoch := Publish(t, s, "a", 12, hour).Epoch // 8 to 12 are kept.
	since := func(offset uint64) *core.Position { return &core.Position{Offset: offset, Epoch: epoch} }
	for name, test := range map[string]struct {
		query history.Query
		want  []uint64
	}{
		"all":                        {history.Query{Limit: -1}, []uint64{8, 9, 10, 11, 12}},
		"only the position":          {history.Query{}, nil},
		"the first":                  {history.Query{Limit: 2}, []uint64{8, 9}},
		"more than there are":        {history.Query{Limit: 99}, []uint64{8, 9, 10, 11, 12}},
		"the newest first":           {history.Query{Limit: -1, Reverse: true}, []uint64{12, 11, 10, 9, 8}},
		"the newest":                 {history.Query{Limit: 1, Reverse: true}, []uint64{12}},
		"since":                      {history.Query{Since: since(10), Limit: -1}, []uint64{11, 12}},
		"since, limited":             {history.Query{Since: since(8), Limit: 2}, []uint64{9, 10}},
		"since, only the position":   {history.Query{Since: since(8)}, nil},
		"since any epoch":            {history.Query{Since: &core.Position{Offset: 11}, Limit: -1}, []uint64{12}},
		"since the last":             {history.Query{Since: since(12), Limit: -1}, nil},
		"since what is gone":         {history.Query{Since: since(3), Limit: -1}, []uint64{8, 9, 10, 11, 12}},
		"since the last that went":   {history.Query{Since: since(7), Limit: -1}, []uint64{8, 9, 10, 11, 12}},
		"since the beginning":        {history.Query{Since: since(0), Limit: 1}, []uint64{8}},
		"since the future":           {history.Query{Since: since(13), Limit: -1}, nil},
		"since the end of time":      {history.Query{Since: since(math.MaxUint64), Limit: -1}, nil},
		"before":                     {history.Query{Since: since(10), Limit: -1, Reverse: true}, []uint64{9, 8}},
		"before, limited":            {history.Query{Since: since(12), Limit: 2, Reverse: true}, []uint64{11, 10}},
		"before the first kept":      {history.Query{Since: since(8), Limit: -1, Reverse: true}, nil},
		"before what is gone":        {history.Query{Since: since(2), Limit: -1, Reverse: true}, nil},
		"before the next":            {history.Query{Since: since(13), Limit: 1, Reverse: true}, []uint64{12}},
		"before the end of time":     {history.Query{Since: since(math.MaxUint64), Limit: 1, Reverse: true}, []uint64{12}},
		"since the last, backwards":  {history.Query{Since: since(12), Limit: 1, Reverse: true}, []uint64{11}},
		"before, only the position":  {history.Query{Since: since(12), Reverse: true}, nil},
		"a very negative limit: all": {history.Query{Limit: math.MinInt32}, []uint64{8, 9, 10, 11, 12}},
	} {
		t.Run(name, func(t *testing.T) {
			pubs, at, err := s.Read(t.Context(), "a", test.query)
			if err != nil || at != *since(12) {
				t.Fatalf("at %v: %v", at, err)
			}
			if got := Offsets(pubs); !slices.Equal(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func readingRefuses(t *testing.T, s history.Store) {
	at := Publish(t, s, "a", 2, hour)
	for name, test := range map[string]struct {
		query history.Query
		want  error
	}{
		"another epoch":             {history.Query{Since: &core.Position{Offset: 1, Epoch: "other"}, Limit: -1}, core.ErrUnrecoverablePosition},
		"another epoch, backwards":  {history.Query{Since: &core.Position{Epoch: "other"}, Reverse: true}, core.ErrUnrecoverablePosition},
		"another epoch, no entries": {history.Query{Since: &core.Position{Epoch: "other"}}, core.ErrUnrecoverablePosition},
		"before the beginning":      {history.Query{Since: &core.Position{Epoch: at.Epoch}, Limit: 1, Reverse: true}, core.ErrBadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			pubs, now, err := s.Read(t.Context(), "a", test.query)
			if !errors.Is(err, test.want) || pubs != nil || now != at {
				t.Errorf("got %v at %v: %v", pubs, now, err)
			}
		})
	}
}

func recovering(t *testing.T, s history.Store) {
	epoch := Publish(t, s, "a", 12, hour).Epoch // 8 to 12 are kept.
	for name, test := range map[string]struct {
		since     core.Position
		want      []uint64
		recovered bool
	}{
		"nothing missed":          {core.Position{Offset: 12, Epoch: epoch}, nil, true},
		"some missed":             {core.Position{Offset: 9, Epoch: epoch}, []uint64{10, 11, 12}, true},
		"all that is kept missed": {core.Position{Offset: 7, Epoch: epoch}, []uint64{8, 9, 10, 11, 12}, true},
		"one more missed":         {core.Position{Offset: 6, Epoch: epoch}, nil, false},
		"from the beginning":      {core.Position{Offset: 0, Epoch: epoch}, nil, false},
		"from the future":         {core.Position{Offset: 13, Epoch: epoch}, nil, false},
		"from the end of time":    {core.Position{Offset: math.MaxUint64, Epoch: epoch}, nil, false},
		"another epoch":           {core.Position{Offset: 12, Epoch: "other"}, nil, false},
		"no epoch":                {core.Position{Offset: 12}, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			got, recovered := Recovers(t, s, "a", test.since)
			if !slices.Equal(got, test.want) || recovered != test.recovered {
				t.Errorf("got %v, %v", got, recovered)
			}
		})
	}
	t.Run("a channel nobody published to", func(t *testing.T) {
		if got, recovered := Recovers(t, s, "b", Position(t, s, "b")); got != nil || !recovered {
			t.Errorf("got %v, %v", got, recovered)
		}
	})
	t.Run("from before the first publication", func(t *testing.T) {
		before := Position(t, s, "c")
		Publish(t, s, "c", 2, hour)
		if got, recovered := Recovers(t, s, "c", before); !slices.Equal(got, []uint64{1, 2}) || !recovered {
			t.Errorf("got %v, %v", got, recovered)
		}
	})
}

func removing(t *testing.T, s history.Store) {
	at := Publish(t, s, "a", 3, hour)
	if err := errors.Join(s.Remove(t.Context(), "a"), s.Remove(t.Context(), "never seen")); err != nil {
		t.Fatal(err)
	}
	if now := Position(t, s, "a"); now != at {
		t.Errorf("moved from %v to %v", at, now)
	}
	if got := Read(t, s, "a", history.Query{Limit: -1}); got != nil {
		t.Errorf("kept %v", got)
	}
	if _, recovered := Recovers(t, s, "a", core.Position{Offset: 2, Epoch: at.Epoch}); recovered {
		t.Error("recovered what was removed")
	}
	if _, recovered := Recovers(t, s, "a", at); !recovered {
		t.Error("not recovered though nothing was missed")
	}
	if next := Publish(t, s, "a", 1, hour); next != (core.Position{Offset: 4, Epoch: at.Epoch}) {
		t.Errorf("the next is at %v", next)
	}
}

// concurrent lets one publisher per channel, and readers, meet. It is for the race detector, and checks that a recovery is never
// wrong. What is overwritten while it is being read may be missed.
func concurrent(t *testing.T, s history.Store) {
	var wg sync.WaitGroup
	for c := range 4 {
		name := fmt.Sprint("c", c)
		wg.Go(func() {
			for range 500 {
				Publish(t, s, name, 1, history.Limits{Size: 16, TTL: time.Hour})
			}
		})
		wg.Go(func() {
			last := Position(t, s, name)
			for last.Offset < 500 {
				missed, at, recovered, err := s.Recover(t.Context(), name, last)
				if err != nil || recovered && uint64(len(missed)) != at.Offset-last.Offset {
					t.Errorf("recovered %v: %d publications from %v to %v: %v", recovered, len(missed), last, at, err)
					return
				}
				for i, pub := range missed {
					if pub.Offset != last.Offset+uint64(i)+1 {
						t.Errorf("a gap after %d: %v", last.Offset, Offsets(missed))
						return
					}
				}
				if last == at {
					<-time.After(time.Millisecond) // Readers who never rest leave a small machine no time for the publishers.
				}
				last = at
			}
		})
	}
	wg.Wait()
}
