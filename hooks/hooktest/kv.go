package hooktest

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zenconn/server/hooks/host"
)

// RunKV finds out whether a store of plugins does what host.KV says. open returns an empty one.
func RunKV(t *testing.T, open func(t *testing.T) host.KV) {
	t.Run("values", func(t *testing.T) { testValues(t, open(t)) })
	t.Run("swap", func(t *testing.T) { testSwap(t, open(t)) })
	t.Run("plugins and keys are apart", func(t *testing.T) { testApart(t, open(t)) })
	t.Run("expiry", func(t *testing.T) { testExpiry(t, open(t)) })
	t.Run("concurrent swaps", func(t *testing.T) { testConcurrentSwaps(t, open(t)) })
}

// expect reads a key. want "" is none.
func expect(t *testing.T, kv host.KV, plugin, key, want string) (revision uint64) {
	t.Helper()
	value, revision, err := kv.Get(t.Context(), plugin, key)
	if err != nil || string(value) != want || (revision == 0) != (want == "") {
		t.Fatalf("%s of %s is %q, revision %d, %v; want %q", key, plugin, value, revision, err, want)
	}
	return revision
}

func put(t *testing.T, kv host.KV, plugin, key, value string, ttl time.Duration) (revision uint64) {
	t.Helper()
	revision, err := kv.Set(t.Context(), plugin, key, []byte(value), ttl)
	if err != nil || revision == 0 {
		t.Fatalf("set: revision %d, %v", revision, err)
	}
	return revision
}

func remove(t *testing.T, kv host.KV, plugin, key string) {
	t.Helper()
	if err := kv.Delete(t.Context(), plugin, key); err != nil {
		t.Fatal(err)
	}
}

func testValues(t *testing.T, kv host.KV) {
	expect(t, kv, "p", "k", "")
	first := put(t, kv, "p", "k", "one", 0)
	if got := expect(t, kv, "p", "k", "one"); got != first {
		t.Errorf("revision %d, written was %d", got, first)
	}
	if second := put(t, kv, "p", "k", "two", 0); second <= first {
		t.Errorf("revision %d after %d", second, first)
	}
	expect(t, kv, "p", "k", "two")
	remove(t, kv, "p", "k")
	expect(t, kv, "p", "k", "")
	remove(t, kv, "p", "k")
	remove(t, kv, "p", "never there")

	long := strings.Repeat("\x00\xff\r\n", host.MaxValue/4)
	key := strings.Repeat("ß.*>% ", host.MaxKey/7)
	put(t, kv, "p", key, long, 0)
	expect(t, kv, "p", key, long)
	buffer := []byte("before")
	if _, err := kv.Set(t.Context(), "p", "kept", buffer, 0); err != nil {
		t.Fatal(err)
	}
	copy(buffer, "after!")
	expect(t, kv, "p", "kept", "before")
}

func testSwap(t *testing.T, kv host.KV) {
	swap := func(value string, revision uint64, won bool) (next uint64) {
		t.Helper()
		next, err := kv.Swap(t.Context(), "p", "k", []byte(value), 0, revision)
		if err != nil || (next != 0) != won || won && next <= revision {
			t.Fatalf("swap at %d: %d, %v; won must be %v", revision, next, err, won)
		}
		return next
	}
	swap("x", 7, false)
	expect(t, kv, "p", "k", "")
	first := swap("one", 0, true)
	swap("x", 0, false)
	second := swap("two", first, true)
	swap("x", first, false)
	swap("x", second+1, false)
	expect(t, kv, "p", "k", "two")
	third := put(t, kv, "p", "k", "three", 0)
	swap("x", second, false)
	remove(t, kv, "p", "k")
	swap("x", third, false)
	fourth := swap("four", 0, true) // What was deleted is no value.
	expect(t, kv, "p", "k", "four")
	swap("five", fourth, true)
}

func testApart(t *testing.T, kv host.KV) {
	names := []string{"a", "a.b", "b", "a%2Eb", "*", ">", "a b", "A"}
	for _, plugin := range names {
		for _, key := range names {
			put(t, kv, plugin, key, plugin+"/"+key, 0)
		}
	}
	for _, plugin := range names {
		for _, key := range names {
			expect(t, kv, plugin, key, plugin+"/"+key)
		}
	}
	remove(t, kv, "a", "a.b")
	expect(t, kv, "a.b", "a", "a.b/a")
	expect(t, kv, "a", "a.b", "")
}

func testExpiry(t *testing.T, kv host.KV) {
	const soon = 200 * time.Millisecond
	expires := time.Now().Add(soon)
	put(t, kv, "p", "k", "short", soon)
	put(t, kv, "p", "long", "long", time.Hour)
	put(t, kv, "p", "freed", "short", soon)
	put(t, kv, "p", "freed", "for ever", 0)
	for {
		value, _, err := kv.Get(t.Context(), "p", "k")
		late := time.Now()
		if err != nil || late.Before(expires) && string(value) != "short" {
			t.Fatalf("%q, %v", value, err)
		}
		if value == nil {
			break
		}
		if late.After(expires.Add(enough)) {
			t.Fatal("the value stays")
		}
		<-time.After(10 * time.Millisecond)
	}
	if next, err := kv.Swap(t.Context(), "p", "k", []byte("again"), time.Hour, 0); err != nil || next == 0 {
		t.Errorf("swap of what has expired: %d, %v", next, err)
	}
	expect(t, kv, "p", "k", "again")
	expect(t, kv, "p", "long", "long")
	expect(t, kv, "p", "freed", "for ever")
}

// Of those who count at the same time, nobody gets lost.
func testConcurrentSwaps(t *testing.T, kv host.KV) {
	const writers, each = 4, 25
	var wg sync.WaitGroup
	var failures atomic.Value
	for range writers {
		wg.Go(func() {
			for done := 0; done < each; {
				value, revision, err := kv.Get(t.Context(), "p", "n")
				n := 0
				if revision != 0 && err == nil {
					_, err = fmt.Sscan(string(value), &n)
				}
				var next uint64
				if err == nil {
					next, err = kv.Swap(t.Context(), "p", "n", fmt.Append(nil, n+1), 0, revision)
				}
				if err != nil {
					failures.Store(err)
					return
				}
				if next != 0 {
					done++
				}
			}
		})
	}
	wg.Wait()
	if err := failures.Load(); err != nil {
		t.Fatal(err)
	}
	expect(t, kv, "p", "n", fmt.Sprint(writers*each))
}
