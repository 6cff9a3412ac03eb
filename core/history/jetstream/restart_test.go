package jetstream_test

import (
	"slices"
	"testing"
	"time"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/history"
	"github.com/zenconn/server/core/history/historytest"
	"github.com/zenconn/server/core/history/jetstream"
)

var hour = history.Limits{Size: 5, TTL: time.Hour}

// lives opens a store on one directory again and again.
type lives struct {
	dir   string
	close func()
}

// next ends the life before, if there is one, as abruptly as a process can end its own server, and begins a new one.
func (l *lives) next(t *testing.T, namespaces map[string]jetstream.Namespace) *jetstream.Store {
	t.Helper()
	if l.dir == "" {
		l.dir = t.TempDir()
	} else {
		l.close()
	}
	b := openBus(t, l.dir, embedded())
	l.close = func() { b.Close() }
	return openStore(t, b, namespaces)
}

func TestRestart(t *testing.T) {
	var l lives
	s := l.next(t, one(hour))
	silent := historytest.Position(t, s, "silent")
	at := historytest.Publish(t, s, "a", 12, hour)
	removed := historytest.Publish(t, s, "removed", 3, hour)
	if err := s.Remove(t.Context(), "removed"); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		s = l.next(t, one(hour))
		if now := historytest.Position(t, s, "silent"); now != silent {
			t.Errorf("the channel nobody published to moved from %v to %v", silent, now)
		}
		if now := historytest.Position(t, s, "removed"); now != removed {
			t.Errorf("the channel whose publications were removed moved from %v to %v", removed, now)
		}
		got, recovered := historytest.Recovers(t, s, "a", core.Position{Offset: at.Offset - 4, Epoch: at.Epoch})
		if want := []uint64{at.Offset - 3, at.Offset - 2, at.Offset - 1, at.Offset}; !recovered || !slices.Equal(got, want) {
			t.Errorf("recovered %v (%v), want %v", got, recovered, want)
		}
		next := historytest.Publish(t, s, "a", 1, hour)
		if next != (core.Position{Offset: at.Offset + 1, Epoch: at.Epoch}) {
			t.Errorf("after %v comes %v", at, next)
		}
		at = next
	}
}

// A position survives its publications, if somebody was there to write it down.
func TestRestartAfterExpiry(t *testing.T) {
	t.Parallel() // It mostly waits.
	limits := history.Limits{Size: 5, TTL: 2 * time.Second}
	var l lives
	var at core.Position
	for inTime := false; !inTime; {
		l = lives{}
		s := l.next(t, one(limits))
		stop := run(t, s)
		at = historytest.Publish(t, s, "a", 3, limits)
		began := time.Now()
		stop()
		inTime = time.Since(began) < 2*time.Second // Else it may have given the writing up.
		l.close()
	}
	<-time.After(2 * limits.TTL)
	s := l.next(t, one(limits))
	if now := historytest.Position(t, s, "a"); now != at {
		t.Errorf("the position moved from %v to %v", at, now)
	}
	if _, recovered := historytest.Recovers(t, s, "a", at); !recovered {
		t.Error("who missed nothing is not recovered")
	}
}

// Nobody can know the position when all has expired and whoever knew it was killed.
func TestKilledAndExpired(t *testing.T) {
	t.Parallel() // It mostly waits.
	limits := history.Limits{Size: 5, TTL: 4 * time.Second}
	var l lives
	var at core.Position
	for inTime := false; !inTime; {
		l = lives{}
		s := l.next(t, one(limits))
		stop := run(t, s)
		began := time.Now()
		at = historytest.Publish(t, s, "a", 3, limits)
		l.close()
		inTime = time.Since(began) < limits.TTL/2 // Else it may have been written down because nothing happened for long.
		stop()
	}
	<-time.After(limits.TTL)
	s := l.next(t, one(limits))
	var now core.Position
	for end := time.Now().Add(time.Minute); ; <-time.After(10 * time.Millisecond) {
		if now = historytest.Position(t, s, "a"); now != at || time.Now().After(end) {
			break
		}
	}
	if now.Epoch == at.Epoch || now.Offset != 0 {
		t.Errorf("nobody can know that the position is still %v, but it is %v", at, now)
	}
	if _, recovered := historytest.Recovers(t, s, "a", at); recovered {
		t.Error("recovered")
	}
}

// What a process that was killed has left open is closed by the next one, though nobody asks for the channel.
func TestOrphansAreClosed(t *testing.T) {
	t.Parallel() // It mostly waits.
	limits := history.Limits{Size: 5, TTL: 3 * time.Second}
	var at core.Position
	var s *jetstream.Store
	for inTime := false; !inTime; { // Else they may have expired before anybody found them.
		var l lives
		before := l.next(t, one(limits))
		began := time.Now()
		at = historytest.Publish(t, before, "a", 3, limits)
		s = l.next(t, one(limits))
		run(t, s)
		if time.Since(began) < limits.TTL/2 {
			inTime = historytest.Awake(limits.TTL/4, func() { <-time.After(limits.TTL) })
		}
	}
	<-time.After(limits.TTL)
	if now := historytest.Position(t, s, "a"); now != at {
		t.Errorf("the position moved from %v to %v", at, now)
	}
}

func TestOtherSizes(t *testing.T) {
	size := func(n int) map[string]jetstream.Namespace { return one(history.Limits{Size: n, TTL: time.Hour}) }
	var l lives
	s := l.next(t, size(10))
	epoch := historytest.Publish(t, s, "a", 25, hour).Epoch
	for _, step := range []struct {
		size  int
		first uint64 // The oldest that is kept after a restart with that size,
		after uint64 // and after three more publications.
	}{{20, 16, 19}, {20, 19, 20}, {10, 22, 25}, {5, 30, 33}, {30, 33, 33}} {
		s = l.next(t, size(step.size))
		for i, first := range []uint64{step.first, step.after} {
			historytest.Publish(t, s, "a", 3*i, hour)
			at := historytest.Position(t, s, "a")
			got := historytest.Read(t, s, "a", history.Query{Limit: -1})
			if at.Epoch != epoch || len(got) == 0 || got[0] != first || got[len(got)-1] != at.Offset || uint64(len(got)) != at.Offset-first+1 {
				t.Errorf("size %d: %v of epoch %s, want %d to %d of %s", step.size, got, at.Epoch, first, at.Offset, epoch)
			}
		}
	}
}
