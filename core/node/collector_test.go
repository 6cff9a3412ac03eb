package node

import (
	"context"
	"runtime/debug"
	"testing"
)

func TestPercent(t *testing.T) {
	for live, want := range map[uint64]int{0: 1000, 5 << 20: 1000, 16 << 20: 400, 40 << 20: 150, 64 << 20: 100, 1 << 40: 100} {
		if got := percentFor(live); got != want {
			t.Errorf("with %d bytes in use GOGC is %d, want %d", live, got, want)
		}
	}
}

func TestCollectorIsTunedWhileTheNodeRuns(t *testing.T) {
	before := debug.SetGCPercent(100)
	defer debug.SetGCPercent(before)
	ended, end := context.WithCancel(t.Context())
	end()
	tuneCollector(ended)
	if got := debug.SetGCPercent(100); got != 100 {
		t.Errorf("GOGC is %d afterwards", got)
	}
	debug.SetGCPercent(77) // The operator's.
	tuneCollector(t.Context())
	if got := debug.SetGCPercent(100); got != 77 {
		t.Errorf("GOGC was set to %d over the operator's 77", got)
	}
}
