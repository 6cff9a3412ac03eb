package node

import (
	"context"
	"log/slog"
	"math"
	"runtime/debug"
	"testing"
)

func TestPercent(t *testing.T) {
	const mib = 1 << 20
	for _, test := range []struct {
		name  string
		alive uint64
		rate  float64 // MiB per second.
		want  int
	}{
		{"nothing yet", 0, 0, 800},
		{"small, idle", 10 * mib, 0, 75},
		{"small, some work", 10 * mib, 30, 475},
		{"small, busy", 10 * mib, 1000, 1000},
		{"tiny, busy", 2 * mib, 1000, 1000},
		{"middling, idle", 60 * mib, 1, 25},
		{"middling, busy", 64 * mib, 1000, 400},
		{"large, idle", 1000 * mib, 1, 25},
		{"large, some work", 200 * mib, 20, 75},
		{"large, much work", 200 * mib, 60, 125},
		{"large, busy", 1000 * mib, 2000, 100},
		{"absurd", 1 << 50, 1e12, 100},
	} {
		if got := percentFor(test.alive, test.rate*mib); got != test.want {
			t.Errorf("%s: GOGC is %d, want %d", test.name, got, test.want)
		}
	}
}

func TestWorthCollecting(t *testing.T) {
	const mib = 1 << 20
	for _, test := range []struct {
		name string
		u    usage
		want bool
	}{
		{"clean", usage{alive: 50 * mib, heap: 50 * mib}, false},
		{"little garbage", usage{alive: 50 * mib, heap: 56 * mib}, false},
		{"little for so much", usage{alive: 50 * mib, heap: 58 * mib}, false},
		{"garbage", usage{alive: 50 * mib, heap: 60 * mib}, true},
		{"unused", usage{alive: 50 * mib, heap: 50 * mib, unused: 10 * mib}, true},
		{"both", usage{alive: 50 * mib, heap: 55 * mib, unused: 4 * mib}, true},
		{"small", usage{alive: 5 * mib, heap: 8 * mib}, false},
		{"stacks are alive and not on the heap", usage{alive: 50 * mib, heap: 20 * mib}, false},
	} {
		if got := worthCollecting(test.u); got != test.want {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

func TestLimit(t *testing.T) {
	const mib = 1 << 20
	for _, test := range []struct {
		name                 string
		most, others, atMost uint64
	}{
		{"alone", 1000 * mib, 0, 900 * mib},
		{"beside others", 1000 * mib, 300 * mib, 600 * mib},
		{"crowded out", 1000 * mib, 2000 * mib, 100 * mib},
	} {
		if got := limitFor(test.most, test.others); uint64(got) > test.atMost || uint64(got) < test.atMost-10 {
			t.Errorf("%s: %d, want %d", test.name, got, test.atMost)
		}
	}
}

func TestCollectorLeavesTheOperatorsSettings(t *testing.T) {
	percent, limit := debug.SetGCPercent(100), debug.SetMemoryLimit(math.MaxInt64)
	defer debug.SetMemoryLimit(limit)
	defer debug.SetGCPercent(percent)
	ended, end := context.WithCancel(t.Context())
	end()
	for _, test := range []struct {
		percent int
		limit   int64
	}{{100, math.MaxInt64}, {77, math.MaxInt64}, {100, 1 << 40}, {77, 1 << 40}} {
		debug.SetGCPercent(test.percent)
		debug.SetMemoryLimit(test.limit)
		newCollector(slog.New(slog.DiscardHandler)).run(ended)
		if got := debug.SetGCPercent(100); got != test.percent {
			t.Errorf("GOGC is %d, and was %d before", got, test.percent)
		}
		if got := debug.SetMemoryLimit(-1); got != test.limit {
			t.Errorf("GOMEMLIMIT is %d, and was %d before", got, test.limit)
		}
	}
}

// What a look does is decided by its figures alone, so it needs no clock.
func TestQuietProcessIsCollected(t *testing.T) {
	percent := debug.SetGCPercent(100)
	defer debug.SetGCPercent(percent)
	const mib = 1 << 20
	c := newCollector(slog.New(slog.DiscardHandler))
	for i, test := range []struct {
		made  uint64 // Since the last look.
		quiet int
	}{{50 * mib, 0}, {mib, 0}, {mib / 2, 1}, {0, 2}, {mib / 8, 3}, {9 * mib, 0}, {0, 1}} {
		c.tune(usage{alive: 50 * mib, heap: 50 * mib, made: c.made + test.made})
		if c.quiet != test.quiet {
			t.Errorf("look %d: quiet for %d, want %d", i, c.quiet, test.quiet)
		}
	}
	before := debug.GCStats{}
	debug.ReadGCStats(&before)
	for range quietAfter {
		c.tune(usage{alive: 50 * mib, heap: 80 * mib, made: c.made})
	}
	after := debug.GCStats{}
	if debug.ReadGCStats(&after); after.NumGC == before.NumGC {
		t.Error("garbage that gathered before it became quiet is kept")
	}
}
