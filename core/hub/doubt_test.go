package hub_test

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/channel"
	"github.com/zenconn/server/core/history"
	"github.com/zenconn/server/core/hub"
	"github.com/zenconn/server/core/outbound"
)

var errNoAnswer = errors.New("no answer")

// doubtful is a store whose answers can get lost, after it has stored and before.
type doubtful struct {
	*history.Memory
	lose, forget bool
}

func (d *doubtful) Append(ctx context.Context, name string, pub *core.Publication, limits history.Limits) (core.Position, error) {
	at, err := d.Memory.Append(ctx, name, pub, limits)
	if d.forget {
		d.forget = false
		if err := d.Memory.Remove(ctx, name); err != nil {
			return at, err
		}
	}
	if d.lose {
		d.lose = false
		return core.Position{}, errNoAnswer
	}
	return at, err
}

// What was stored although the append failed comes before what follows it, or the members are told that they miss it.
func TestAppendsOfUnknownFate(t *testing.T) {
	type step struct{ lose, forget bool }
	for name, test := range map[string]struct {
		before int // Publications before the member joins.
		steps  []step
		want   []int
		lost   int
	}{
		"an answer is lost":                       {0, []step{{}, {lose: true}, {}}, []int{1, 2, 3}, 0},
		"of the first publication":                {0, []step{{lose: true}, {}}, []int{1, 2}, 0},
		"of the first one since there is a topic": {2, []step{{lose: true}, {}}, []int{3, 4}, 0},
		"of several":                              {1, []step{{lose: true}, {lose: true}, {lose: true}, {}}, []int{2, 3, 4, 5}, 0},
		"and it cannot be read":                   {0, []step{{}, {lose: true, forget: true}, {}}, []int{1}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			store := &doubtful{Memory: history.NewMemory(history.Options{})}
			f := outbound.NewFlushers(1)
			h := hub.New(hub.Options{History: store, Flushers: f})
			ns := &channel.Namespace{Name: "default", HistorySize: 100, HistoryTTL: time.Minute}
			n := 0
			publish := func() {
				n++
				if _, err := h.Publish(t.Context(), ns, publication("c", n), core.ID{}); err != nil && !errors.Is(err, errNoAnswer) {
					t.Fatal(err)
				}
			}
			for range test.before {
				publish()
			}
			tape, who := &tape{}, &owner{hub: h}
			q := newQueue(t, f, tape)
			m := h.Join(ns, "c", &hub.Listener{Queue: q, Session: core.NewID(), Owner: who}, hub.MemberOptions{Positioned: true})
			at, err := store.Position(t.Context(), "c")
			if err != nil || !m.Release(at) {
				t.Fatal(at, err)
			}
			for _, s := range test.steps {
				store.lose, store.forget = s.lose, s.forget
				publish()
			}
			q.Flush()
			for deadline := time.Now().Add(time.Minute); len(tape.numbers()) < len(test.want) && time.Now().Before(deadline); {
				<-time.After(time.Millisecond) // It is written by another goroutine.
			}
			if got := tape.numbers(); !reflect.DeepEqual(got, test.want) || who.lost != test.lost {
				t.Errorf("got %v, want %v; told %d times that something is missing, want %d", got, test.want, who.lost, test.lost)
			}
		})
	}
}
