package historytest

import (
	"testing"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/history"
)

// Publish appends n publications and returns the position of the last.
func Publish(t *testing.T, s history.Store, channel string, n int, limits history.Limits) (at core.Position) {
	t.Helper()
	for range n {
		pub := &core.Publication{Channel: channel, Data: []byte(`{}`)}
		var err error
		if at, err = s.Append(t.Context(), channel, pub, limits); err != nil {
			t.Fatal(err)
		}
		if pub.Offset != at.Offset {
			t.Fatalf("the publication has offset %d, the position says %d", pub.Offset, at.Offset)
		}
	}
	return at
}

// Position returns the position of a channel.
func Position(t *testing.T, s history.Store, channel string) core.Position {
	t.Helper()
	at, err := s.Position(t.Context(), channel)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// Read returns the offsets of the publications that answer a query.
func Read(t *testing.T, s history.Store, channel string, q history.Query) []uint64 {
	t.Helper()
	pubs, _, err := s.Read(t.Context(), channel, q)
	if err != nil {
		t.Fatal(err)
	}
	return Offsets(pubs)
}

// Recovers returns the offsets of the publications after a position, and whether that is all that was missed.
func Recovers(t *testing.T, s history.Store, channel string, since core.Position) ([]uint64, bool) {
	t.Helper()
	missed, at, recovered, err := s.Recover(t.Context(), channel, since)
	if err != nil {
		t.Fatal(err)
	}
	if now := Position(t, s, channel); at != now {
		t.Errorf("Recover says the position is %v, it is %v", at, now)
	}
	if !recovered && len(missed) > 0 {
		t.Errorf("not recovered, and yet %d publications", len(missed))
	}
	return Offsets(missed), recovered
}

// Offsets returns the offsets of publications.
func Offsets(pubs []*core.Publication) (offsets []uint64) {
	for _, pub := range pubs {
		offsets = append(offsets, pub.Offset)
	}
	return offsets
}
