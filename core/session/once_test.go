package session

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zenconn/server/core"
)

// counted returns a call that counts how often it is made, and returns the count as the offset.
func counted() func() (core.Position, error) {
	n := uint64(0)
	return func() (core.Position, error) {
		n++
		return core.Position{Offset: n}, nil
	}
}

func TestOnceForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOnce(time.Minute, 3)
		publish := counted()
		do := func(key string, want uint64) {
			t.Helper()
			at, err := o.do(t.Context(), keyOf("room", key), publish)
			if err != nil || at.Offset != want {
				t.Errorf("%s: %+v, %v, want offset %d", key, at, err, want)
			}
		}
		do("a", 1)
		time.Sleep(59 * time.Second) //nolint:forbidigo // The clock of a bubble.
		do("a", 1)
		time.Sleep(time.Second) //nolint:forbidigo // The clock of a bubble.
		do("a", 2)

		for i := range 3 { // One more than are remembered.
			do(fmt.Sprint(i), uint64(3+i))
		}
		do("2", 5)
		do("a", 6)
		if len(o.calls) != 3 || len(o.finished) != 3 {
			t.Errorf("%d calls and %d results are remembered", len(o.calls), len(o.finished))
		}
		if keyOf("a", "b") == keyOf("ab", "") || keyOf("a:", "b") == keyOf("a", ":b") {
			t.Error("different channels share keys")
		}
	})
}

func TestOnceWhileUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOnce(time.Minute, 3)
		fault := errors.New("the store is down")
		outcomes := []error{fault, nil}
		slow := func() (core.Position, error) {
			time.Sleep(time.Second) //nolint:forbidigo // The clock of a bubble.
			outcome := outcomes[0]
			outcomes = outcomes[1:]
			return core.Position{Offset: 7}, outcome
		}
		for _, want := range []error{fault, nil} { // What failed may be tried again.
			results := make(chan error, 3)
			for range 3 {
				go func() {
					_, err := o.do(t.Context(), keyOf("a", "k"), slow)
					results <- err
				}()
			}
			synctest.Wait()
			hasty, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			if _, err := o.do(hasty, keyOf("a", "k"), slow); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("one that cannot wait got %v", err)
			}
			cancel()
			for range 3 {
				if err := <-results; !errors.Is(err, want) {
					t.Errorf("got %v, want %v", err, want)
				}
			}
		}
		if len(outcomes) != 0 {
			t.Errorf("%d calls were not made", len(outcomes))
		}
	})
}

func TestOncePanics(t *testing.T) {
	o := newOnce(time.Minute, 3)
	func() {
		defer func() { _ = recover() }()
		_, _ = o.do(t.Context(), keyOf("a", "k"), func() (core.Position, error) { panic("a fault") })
	}()
	if at, err := o.do(t.Context(), keyOf("a", "k"), counted()); err != nil || at.Offset != 1 {
		t.Errorf("after a panic: %+v, %v", at, err)
	}
}
