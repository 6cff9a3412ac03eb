package cluster

import (
	"context"
	"testing"
	"time"
)

// A process that was stopped for an hour, and goes on, has not waited an hour for the others: what they said is only just arriving.
func TestTimeAsleepDoesNotCount(t *testing.T) {
	m := New(Options{Self: func() Member { return Member{UID: "me", Name: "me"} }})
	m.echo = time.Now()
	m.peers["other"] = &peer{Member: Member{UID: "other"}, pingAt: silentAfter}
	m.judge(context.Background(), time.Hour)
	if other, ok := m.Find("other"); !ok || other.Silence > 2*tick {
		t.Errorf("silent for %v, known %v", other.Silence, ok)
	}
}
