package session_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zenconn/server/core"
	histories "github.com/zenconn/server/core/history"
	"github.com/zenconn/server/core/session"
)

// clerk is a history that stores what it is told to, when it is told to.
type clerk struct {
	*histories.Memory

	mu      sync.Mutex
	waiting map[string]func(error) // By the publication's data: has it stored, or fail.
}

func newClerk() *clerk {
	return &clerk{Memory: histories.NewMemory(histories.Options{}), waiting: map[string]func(error){}}
}

func (c *clerk) Start(_ time.Time, name string, pub *core.Publication, limits histories.Limits, then histories.Then) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting[string(pub.Data)] = func(err error) {
		if err != nil {
			then.Appended(core.Position{}, err)
			return
		}
		then.Appended(c.Append(context.Background(), name, pub, limits))
	}
}

// has says whether the append of data waits for its end.
func (c *clerk) has(data string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.waiting[data] != nil
}

// store ends the append of data, which must wait.
func (c *clerk) store(t *testing.T, data string, err error) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !c.has(data); <-time.After(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s was not given to the history", data)
		}
	}
	c.mu.Lock()
	end := c.waiting[data]
	delete(c.waiting, data)
	c.mu.Unlock()
	end(err)
}

func publish(id int, channel, data string) string {
	return fmt.Sprintf(`{"id":%d,"publish":{"channel":"%s","data":%s}}`, id, channel, data)
}

// inOrder checks that the texts come in text one after the other, once.
func inOrder(t *testing.T, text string, wants ...string) {
	t.Helper()
	last := -1
	for _, want := range wants {
		if i := strings.Index(text, want); i <= last || strings.Count(text, want) != 1 {
			t.Errorf("%s comes at %d in %q", want, i, text)
		} else {
			last = i
		}
	}
}

// Publications of one frame and of the next are stored at the same time, but for those of one channel, and answered in their order,
// whatever order they are stored in; one that fails changes nothing for those after it.
func TestPublicationsUnderWay(t *testing.T) {
	t.Parallel()
	store := newClerk()
	s, _, client := open(t, store)()
	s.Handle([]byte(publish(3, "kept:a", "1") + "\n" + publish(4, "kept:b", "2") + "\n" + publish(5, "kept:b", "3")))
	s.Handle([]byte(publish(6, "kept:c", "4") + "\n" + publish(7, "room", "5")))
	s.Flush()
	if store.has("3") {
		t.Error("the second publication of a channel is stored along with the first")
	}
	store.store(t, "4", nil)
	store.store(t, "2", errors.New("the disk is full"))
	store.store(t, "3", nil)
	store.store(t, "1", nil)
	got := await(t, client, `"id":7`)
	inOrder(t, got, `{"id":3,"publish"`, `{"id":4,"error":{"code":100`, `{"id":5,"publish"`, `{"id":6,"publish"`, `{"id":7,"publish"`)
	at, err := store.Position(t.Context(), "kept:b")
	if err != nil || at.Offset != 1 {
		t.Error(at, err)
	}
}

// Whatever else a client asks for is done when its publications are, and the end of the session waits for them too.
func TestOthersWaitForPublications(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ command, want string }{
		"another command":   {`{"id":4,"history":{"channel":"kept:a","limit":1}}`, `"data":1`},
		"a refused command": {`{"id":4,"publish":{"channel":"unknown:a","data":1}}`, `"error":{"code":102`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := newClerk()
			s, _, client := open(t, store)()
			done := make(chan struct{})
			go func() {
				defer close(done)
				s.Handle([]byte(publish(3, "kept:a", "1") + "\n" + test.command))
				s.Flush()
			}()
			store.store(t, "1", nil)
			<-done
			inOrder(t, await(t, client, `"id":4`), `{"id":3,"publish"`, `{"id":4,`)
		})
	}
	t.Run("the end", func(t *testing.T) {
		t.Parallel()
		store := newClerk()
		s, _, _ := open(t, store)()
		s.Handle([]byte(publish(3, "kept:a", "1")))
		s.Disconnect(core.DisconnectShutdown)
		done := make(chan struct{})
		go func() {
			defer close(done)
			s.End(core.DisconnectConnectionClosed, false)
		}()
		store.store(t, "1", nil)
		<-done
		if at, err := store.Position(t.Context(), "kept:a"); err != nil || at.Offset != 1 {
			t.Error(at, err)
		}
	})
}

// A client cannot have more publications under way than there is room for.
func TestUnderWayIsBounded(t *testing.T) {
	t.Parallel()
	store := newClerk()
	s, _, client := open(t, store)()
	for i := range session.MaxUnderWay {
		s.Handle([]byte(publish(3+i, fmt.Sprintf("kept:%d", i), fmt.Sprint(i))))
	}
	last := session.MaxUnderWay
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Handle([]byte(publish(3+last, "kept:last", fmt.Sprint(last))))
	}()
	store.store(t, "0", nil)
	<-done
	if len(store.waiting) != session.MaxUnderWay {
		t.Errorf("%d are under way", len(store.waiting))
	}
	for i := range last {
		store.store(t, fmt.Sprint(i+1), nil)
	}
	await(t, client, fmt.Sprintf(`{"id":%d,"publish"`, 3+last))
}
