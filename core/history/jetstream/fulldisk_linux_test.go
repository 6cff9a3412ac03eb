package jetstream_test

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/history"
	"github.com/zenconn/server/core/history/historytest"
)

// A disk that is full refuses, promptly, and nothing that was acknowledged is lost when there is room again.
func TestFullDisk(t *testing.T) {
	t.Parallel() // It mostly waits.
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=32m"); err != nil {
		t.Skipf("cannot mount a small disk (that takes root): %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	b := openBus(t, dir, embedded())
	ctx, cancel := context.WithCancel(t.Context())
	var watching sync.WaitGroup
	watching.Go(func() { b.Run(ctx) })
	defer func() { cancel(); watching.Wait() }()
	limits := history.Limits{Size: 10_000, TTL: time.Hour}
	s := openStore(t, b, one(limits))
	publish := func(patience time.Duration) (core.Position, error) {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		return s.Append(ctx, "a", &core.Publication{Channel: "a", Data: make([]byte, 10_000)}, limits)
	}
	last, err := publish(time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 28<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	for {
		began := time.Now()
		at, err := publish(5 * time.Second)
		if err != nil {
			if took := time.Since(began); took > time.Minute {
				t.Errorf("the refusal took %v", took)
			}
			break
		}
		last = at
	}
	if s.Problem() == "" {
		t.Error("the store has no problem")
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	var next core.Position
	for end := time.Now().Add(3 * time.Minute); ; <-time.After(50 * time.Millisecond) {
		if next, err = publish(5 * time.Second); err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("there is room again: %v", err)
		}
	}
	if next.Epoch != last.Epoch || next.Offset <= last.Offset {
		t.Errorf("after %v comes %v", last, next)
	}
	if got := historytest.Read(t, s, "a", history.Query{Limit: -1}); uint64(len(got)) != next.Offset {
		t.Errorf("of %d publications there are %d", next.Offset, len(got))
	}
	if p := s.Problem(); p != "" {
		t.Errorf("the problem that is over is %q", p)
	}
}
