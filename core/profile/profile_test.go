package profile_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/zenconn/server/core/profile"
	"github.com/zenconn/server/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

func TestTake(t *testing.T) {
	var taker profile.Taker
	for _, kind := range []string{"profile", "heap", "allocs", "goroutine", "threadcreate", "block", "mutex"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			var length time.Duration
			if kind == "profile" || kind == "block" {
				length = time.Millisecond // Rounded up to a second.
			}
			text, err := taker.Take(t.Context(), kind, length)
			if err != nil {
				t.Fatal(err)
			}
			r, err := gzip.NewReader(bytes.NewReader(text))
			if err != nil {
				t.Fatal(err)
			}
			if plain, err := io.ReadAll(r); err != nil || len(plain) == 0 {
				t.Errorf("%d bytes, %v", len(plain), err)
			}
		})
	}
}

func TestWhatCannotBeTaken(t *testing.T) {
	var taker profile.Taker
	if _, err := taker.Take(t.Context(), "cmdline", 0); !errors.Is(err, profile.ErrUnknown) {
		t.Errorf("an unknown kind: %v", err)
	}
	for _, length := range []time.Duration{-1, profile.MaxLength + 1} {
		if _, err := taker.Take(t.Context(), "heap", length); err == nil {
			t.Errorf("%s is no length", length)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(10*time.Millisecond, cancel)
	if _, err := taker.Take(ctx, "mutex", profile.MaxLength); !errors.Is(err, context.Canceled) {
		t.Errorf("one that nobody waits for: %v", err)
	}
}

// TestWaitingIsLookedAtOnlyMeanwhile has two ask at a time, of whom one ends first.
func TestWaitingIsLookedAtOnlyMeanwhile(t *testing.T) {
	rate := func() int { return runtime.SetMutexProfileFraction(-1) } // It reads.
	if rate() != 0 {
		t.Fatal("somebody looks at waiting already")
	}
	var taker profile.Taker
	first, endFirst := context.WithCancel(t.Context())
	second, endSecond := context.WithCancel(t.Context())
	defer endSecond()
	var asking sync.WaitGroup
	ended := make(chan struct{})
	asking.Go(func() {
		taker.Take(first, "mutex", profile.MaxLength) //nolint:errcheck // It is ended.
		close(ended)
	})
	asking.Go(func() { taker.Take(second, "block", profile.MaxLength) }) //nolint:errcheck // The same.
	for rate() == 0 {
		runtime.Gosched()
	}
	endFirst()
	<-ended
	endSecond()
	asking.Wait()
	if rate() != 0 {
		t.Error("waiting is still looked at, and nobody asks")
	}
}
