package bus_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience bounds what the tests wait for.
const patience = 3 * time.Minute

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); <-time.After(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %s: %s", patience, what)
		}
	}
}

func TestPublishAndListen(t *testing.T) {
	b := open(t, t.TempDir(), defaults())
	type message struct{ subject, body string }
	got := make(chan message, 200)
	stop, err := b.Listen("news.*.>", func(subject string, body []byte) { got <- message{subject, string(body)} })
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	for i := range 100 {
		if err := b.Publish(fmt.Sprintf("news.a.%d", i), []byte(fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 100 {
		select {
		case m := <-got:
			if want := (message{fmt.Sprintf("news.a.%d", i), fmt.Sprint(i)}); m != want {
				t.Fatalf("got %v, want %v", m, want)
			}
		case <-time.After(patience):
			t.Fatal("a message is missing")
		}
	}
	stop()
	if err := b.Publish("news.a.b", nil); err != nil {
		t.Error(err)
	}
	if err := b.Conn().FlushTimeout(patience); err != nil {
		t.Error(err)
	}
	if len(got) != 0 {
		t.Error("who stopped listening still hears")
	}
	if n := b.Dropped(); n != 0 {
		t.Errorf("%d messages were dropped", n)
	}
}

// Stop waits for the call that is under way, and there is none after it.
func TestStopWaits(t *testing.T) {
	b := open(t, t.TempDir(), defaults())
	var mu sync.Mutex
	calls, stopped := 0, false
	entered, leave := make(chan struct{}), make(chan struct{})
	stop, err := b.Listen("a", func(string, []byte) {
		mu.Lock()
		defer mu.Unlock()
		if calls++; stopped {
			t.Error("called after stop")
		}
		if calls == 1 {
			close(entered)
			<-leave
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if err := b.Publish("a", nil); err != nil {
			t.Fatal(err)
		}
	}
	<-entered
	done := make(chan struct{})
	go func() {
		defer close(done)
		stop()
		mu.Lock()
		stopped = true
		mu.Unlock()
	}()
	select {
	case <-done:
		t.Error("stop does not wait")
	default:
	}
	close(leave)
	<-done
	stop() // It may be called again.
}

// Who is too slow loses messages, and they are counted, also after he has gone.
func TestDropped(t *testing.T) {
	b := open(t, t.TempDir(), defaults())
	leave := make(chan struct{})
	entered := make(chan struct{}, 1)
	stop, err := b.Listen("a", func(string, []byte) {
		select {
		case entered <- struct{}{}:
		default:
		}
		<-leave
	})
	if err != nil {
		t.Fatal(err)
	}
	const messages = 40
	body := make([]byte, 1<<20)
	if err := b.Publish("a", body); err != nil {
		t.Fatal(err)
	}
	<-entered
	for range messages {
		if err := b.Publish("a", body); err != nil {
			t.Fatal(err)
		}
		if err := b.Conn().FlushTimeout(patience); err != nil {
			t.Fatal(err)
		}
	}
	dropped := b.Dropped()
	if dropped == 0 || dropped >= messages {
		t.Errorf("of %d messages of a mebibyte %d were dropped", messages, dropped)
	}
	close(leave)
	stop()
	if again := b.Dropped(); again != dropped {
		t.Errorf("first %d were dropped, and then %d", dropped, again)
	}
}

// Of those with the same queue each request reaches one.
func TestHandleQueue(t *testing.T) {
	b := open(t, t.TempDir(), defaults())
	var mu sync.Mutex
	calls := map[int]int{}
	for who := range 2 {
		stop, err := b.HandleQueue("job", "workers", func(context.Context, []byte) ([]byte, error) {
			mu.Lock()
			defer mu.Unlock()
			calls[who]++
			return nil, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(stop)
	}
	const jobs = 100
	ctx := asking(t)
	for range jobs {
		if _, err := b.Request(ctx, "job", nil); err != nil {
			t.Fatal(err)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if calls[0]+calls[1] != jobs || calls[0] == 0 || calls[1] == 0 {
		t.Errorf("%d jobs were done: %v", jobs, calls)
	}
}

// A closed bus says so instead of panicking or waiting.
func TestAfterClose(t *testing.T) {
	b := open(t, t.TempDir(), defaults())
	stop, err := b.Listen("a", func(string, []byte) {})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	stop()
	if err := b.Publish("a", nil); err == nil || !strings.Contains(err.Error(), "a: ") {
		t.Errorf("published: %v", err)
	}
	if _, err := b.Listen("a", func(string, []byte) {}); err == nil {
		t.Error("listens")
	}
	if _, err := b.Request(t.Context(), "a", nil); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("asked: %v", err)
	}
}
