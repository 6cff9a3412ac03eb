package historytest

import (
	"slices"
	"testing"
	"time"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/history"
)

// until waits for a condition.
func until(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !condition(); <-time.After(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// expiring checks what is left when everything has become too old: the position.
func expiring(t *testing.T, s history.Store) {
	before := Position(t, s, "a")
	began := time.Now() // Before any of them had its time, which is in whole milliseconds.
	at := Publish(t, s, "a", 3, short)
	until(t, "everything has expired", func() bool { return Read(t, s, "a", history.Query{Limit: -1}) == nil })
	if early := short.TTL - time.Since(began); early > time.Millisecond {
		t.Errorf("it expired %v too early", early)
	}
	for range 2 { // Then, and a good while later.
		if now := Position(t, s, "a"); now != at {
			t.Errorf("the position moved from %v to %v", at, now)
		}
		if _, recovered := Recovers(t, s, "a", core.Position{Offset: 2, Epoch: at.Epoch}); recovered {
			t.Error("recovered over an expired publication")
		}
		if _, recovered := Recovers(t, s, "a", before); recovered {
			t.Error("recovered from before everything")
		}
		if got, recovered := Recovers(t, s, "a", at); !recovered || got != nil {
			t.Errorf("somebody who missed nothing recovered %v, %v", got, recovered)
		}
		<-time.After(2 * short.TTL)
	}
	if next := Publish(t, s, "a", 1, short); next != (core.Position{Offset: 4, Epoch: at.Epoch}) {
		t.Errorf("the next is at %v", next)
	}
	if got, recovered := Recovers(t, s, "a", at); !recovered || !slices.Equal(got, []uint64{4}) {
		t.Errorf("recovered %v, %v", got, recovered)
	}
}

// ownExpiry checks that a publication that has expired by itself is neither shown nor missing.
func ownExpiry(t *testing.T, s history.Store) {
	start := Position(t, s, "a")
	for i := range 5 {
		pub := &core.Publication{Channel: "a", Data: []byte(`{}`)}
		if i%2 == 1 {
			pub.ExpireAt = time.Now().Unix() - 1
		}
		if _, err := s.Append(t.Context(), "a", pub, hour); err != nil {
			t.Fatal(err)
		}
	}
	for name, test := range map[string]struct {
		query history.Query
		want  []uint64
	}{
		"all":            {history.Query{Limit: -1}, []uint64{1, 3, 5}},
		"the oldest two": {history.Query{Limit: 2}, []uint64{1, 3}},
		"the newest two": {history.Query{Limit: 2, Reverse: true}, []uint64{5, 3}},
	} {
		if got := Read(t, s, "a", test.query); !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
	if got, recovered := Recovers(t, s, "a", start); !recovered || !slices.Equal(got, []uint64{1, 3, 5}) {
		t.Errorf("recovered %v, %v", got, recovered)
	}
}
