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

// Awake calls do and says whether the machine let this process run all the time meanwhile: it did not stand still for as long as pause. A
// store that has to write a position down within the time to live of the publications cannot do so while it stands still.
func Awake(pause time.Duration, do func()) bool {
	done, longest := make(chan struct{}), make(chan time.Duration)
	go func() {
		var most time.Duration
		for last := time.Now(); ; last = time.Now() {
			select {
			case <-done:
				longest <- max(most, time.Since(last))
				return
			case <-time.After(10 * time.Millisecond):
				most = max(most, time.Since(last))
			}
		}
	}()
	do()
	close(done)
	return <-longest < pause
}

// expiring checks what is left when everything has become too old: the position.
func expiring(t *testing.T, s history.Store) {
	name := "a"
	var before, at core.Position
	for {
		before = Position(t, s, name)
		if Awake(short.TTL/4, func() { at = expire(t, s, name) }) {
			break
		}
		name += "a"
	}
	for range 2 { // Then, and a good while later.
		if now := Position(t, s, name); now != at {
			t.Errorf("the position moved from %v to %v", at, now)
		}
		if _, recovered := Recovers(t, s, name, core.Position{Offset: 2, Epoch: at.Epoch}); recovered {
			t.Error("recovered over an expired publication")
		}
		if _, recovered := Recovers(t, s, name, before); recovered {
			t.Error("recovered from before everything")
		}
		if got, recovered := Recovers(t, s, name, at); !recovered || got != nil {
			t.Errorf("somebody who missed nothing recovered %v, %v", got, recovered)
		}
		<-time.After(2 * short.TTL)
	}
	for want := uint64(4); ; want++ {
		began := time.Now()
		if next := Publish(t, s, name, 1, short); next != (core.Position{Offset: want, Epoch: at.Epoch}) {
			t.Fatalf("the next is at %v", next)
		}
		got, recovered := Recovers(t, s, name, core.Position{Offset: want - 1, Epoch: at.Epoch})
		if time.Since(began) >= short.TTL/2 {
			continue // It may have expired meanwhile.
		}
		if !recovered || !slices.Equal(got, []uint64{want}) {
			t.Errorf("recovered %v, %v", got, recovered)
		}
		return
	}
}

// expire publishes three and returns the position of the last when they have expired.
func expire(t *testing.T, s history.Store, name string) core.Position {
	t.Helper()
	began := time.Now() // Before any of them had its time, which is in whole milliseconds.
	at := Publish(t, s, name, 3, short)
	until(t, "everything has expired", func() bool { return Read(t, s, name, history.Query{Limit: -1}) == nil })
	if early := short.TTL - time.Since(began); early > time.Millisecond {
		t.Errorf("it expired %v too early", early)
	}
	return at
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
