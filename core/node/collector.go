package node

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// The collector of a small heap runs dozens of times a second under load, for the sake of memory that nobody misses: measured with
// durable publications it takes a sixth of the throughput and most of the slowest hundredth of the latencies. So a process may have this much
// garbage before it collects, however little it needs; from there on the runtime's own rule holds: as much garbage as there is memory in use.
const (
	garbage      = 64 << 20
	collectorLag = time.Second // How often the use of memory is looked at.
)

// tuneCollector lets garbage gather until ctx ends. Who has set GOGC has decided otherwise.
func tuneCollector(ctx context.Context) {
	before := debug.SetGCPercent(100)
	if before != 100 {
		debug.SetGCPercent(before)
		return
	}
	defer debug.SetGCPercent(before)
	ticker := time.NewTicker(collectorLag)
	defer ticker.Stop()
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	for percent := 100; ; {
		metrics.Read(live)
		if next := percentFor(live[0].Value.Uint64()); next != percent {
			debug.SetGCPercent(next)
			percent = next
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// percentFor returns what GOGC is to be with so many bytes in use. It is rounded, because each change makes the runtime stop for a moment.
func percentFor(live uint64) int {
	const step, most = 50, 1000
	percent := int(garbage * 100 / max(live, 1<<20)) //nolint:gosec // At most 6400.
	return min(max(percent/step*step, 100), most)
}
