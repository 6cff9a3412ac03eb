package session_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zenconn/server/core"
	histories "github.com/zenconn/server/core/history"
)

// moody is a history that stores in every way there is: before Start returns or after it, and not at all what says so.
type moody struct {
	*histories.Memory
	later sync.WaitGroup
}

func (m *moody) Start(_ time.Time, name string, pub *core.Publication, limits histories.Limits, then histories.Then) {
	store := func() {
		if strings.Contains(string(pub.Data), "fail") {
			then.Appended(core.Position{}, errors.New("the disk is full"))
			return
		}
		then.Appended(m.Append(context.Background(), name, pub, limits))
	}
	if strings.Contains(string(pub.Data), "now") {
		store()
		return
	}
	m.later.Go(store)
}

// What is kept of a publication on its way is used for the next one, of any session: none may get the answer of another, or lose its place.
func TestPublicationsDoNotMix(t *testing.T) {
	t.Parallel()
	const sessions, each, channels = 8, 300, 5
	store := &moody{Memory: histories.NewMemory(histories.Options{})}
	connect := open(t, store)
	kinds := []string{`"now"`, `"later"`, `"now fail"`, `"later"`, `"later fail"`}
	clients := make([]net.Conn, sessions)
	var publishing sync.WaitGroup
	for n := range sessions {
		s, _, client := connect()
		clients[n] = client
		publishing.Go(func() {
			for i := range each {
				s.Handle([]byte(publish(3+i, fmt.Sprintf("kept:%d", (n+i)%channels), kinds[i%len(kinds)])))
			}
			s.Flush()
		})
	}
	publishing.Wait()
	for n, client := range clients {
		got := await(t, client, fmt.Sprintf(`"id":%d,`, 3+each-1))
		for i := range each {
			want := fmt.Sprintf(`{"id":%d,"publish":{}}`, 3+i)
			if strings.Contains(kinds[i%len(kinds)], "fail") {
				want = fmt.Sprintf(`{"id":%d,"error":{"code":100,`, 3+i)
			}
			_, rest, found := strings.Cut(got, want)
			if !found {
				t.Fatalf("session %d: %s does not come where it should in %.200q", n, want, got)
			}
			got = rest
		}
	}
	store.later.Wait()
	stored := uint64(0)
	for i := range channels {
		at, err := store.Position(t.Context(), fmt.Sprintf("kept:%d", i))
		if err != nil {
			t.Error(err)
		}
		stored += at.Offset
	}
	if want := uint64(sessions * each * 3 / len(kinds)); stored != want {
		t.Errorf("%d publications are stored, want %d", stored, want)
	}
}
