package node

import (
	"context"
	"log/slog"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// How much garbage may gather before it is collected. Collecting costs the more the more is alive, and happens the more often the less
// garbage may gather and the faster it is made: the least memory for the least work is spent when the garbage is in proportion to the square
// root of both (see docs/rationale.md). So a busy process with little in memory is not interrupted dozens of times a second, and one that
// has much in memory and little to do does not double it.
const (
	// collectorSeconds weighs work against memory: with 10 MiB alive and 200 MiB made per second, 126 MiB of garbage may gather.
	collectorSeconds = 8
	garbageLeast     = 8 << 20   // At least a quarter of what is alive, or this.
	garbageMost      = 256 << 20 // At most as much as is alive, or this.

	// What gathered in busier times is given back when little happens any more.
	quietAfter   = 8               // Looks without much new garbage.
	quietFor     = 5 * time.Second // In which, as it goes, less would be made than may gather at least.
	worthwhile   = 4 << 20         // Bytes that are worth the work; a sixth of what is alive if that is more.
	releaseLimit = 256 << 20       // At a time: giving back holds up whoever wants to stop the world. The runtime does more, slowly.
)

const (
	collectorLag = 250 * time.Millisecond // How often the use of memory is looked at: so long a process that gets busy has to do with little.
	containerLag = 10 * time.Second       // How often that of the container is.
)

// collector decides when garbage is collected.
type collector struct {
	container container
	log       *slog.Logger
	samples   []metrics.Sample

	// Owned by run.
	percent int
	limit   int64
	made    uint64  // Bytes allocated since the start, at the last look.
	rate    float64 // Bytes per second; rises at once and falls within seconds.
	quiet   int     // Looks in a row.
}

// usage is what the runtime says about memory, in bytes.
type usage struct {
	alive  uint64 // Found by the last collection, with what has to be looked through besides.
	heap   uint64 // Alive, and garbage.
	made   uint64 // Since the start.
	unused uint64 // Taken from the system, and not given back.
	held   uint64 // All that the runtime has taken from the system and not given back.
}

func newCollector(log *slog.Logger) *collector {
	c := &collector{container: container{files: os.DirFS("/")}, log: log, percent: 100, limit: math.MaxInt64}
	for _, name := range []string{
		"/gc/heap/live:bytes", "/gc/scan/stack:bytes", "/gc/scan/globals:bytes", "/memory/classes/heap/objects:bytes",
		"/gc/heap/allocs:bytes", "/memory/classes/heap/free:bytes", "/memory/classes/total:bytes", "/memory/classes/heap/released:bytes",
	} {
		c.samples = append(c.samples, metrics.Sample{Name: name})
	}
	return c
}

// run tunes the collector until ctx ends. Who has set GOGC or GOMEMLIMIT has decided that part otherwise.
func (c *collector) run(ctx context.Context) {
	percent, limit := debug.SetGCPercent(c.percent), debug.SetMemoryLimit(-1)
	defer debug.SetGCPercent(percent)
	ours, limited := percent == c.percent, limit == math.MaxInt64
	if !ours {
		debug.SetGCPercent(percent)
	}
	if limited {
		defer debug.SetMemoryLimit(limit)
	}
	ticker := time.NewTicker(collectorLag)
	defer ticker.Stop()
	for looks := 0; ; looks++ {
		u := c.read()
		if limited && looks%int(containerLag/collectorLag) == 0 {
			c.fit(u)
		}
		if ours {
			c.tune(u)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (c *collector) read() usage {
	metrics.Read(c.samples)
	value := func(i int) uint64 { return c.samples[i].Value.Uint64() }
	return usage{
		alive: value(0) + value(1) + value(2), heap: value(3), made: value(4), unused: value(5), held: value(6) - value(7),
	}
}

// tune is called at every look.
func (c *collector) tune(u usage) {
	now := float64(u.made-c.made) / collectorLag.Seconds()
	c.made = u.made
	c.rate = max(now, 0.75*c.rate)
	if next := percentFor(u.alive, c.rate); next != c.percent {
		debug.SetGCPercent(next)
		c.percent = next
	}
	if c.quiet++; now*quietFor.Seconds() > least(u.alive) {
		c.quiet = 0
	}
	if c.quiet < quietAfter || !worthCollecting(u) {
		return
	}
	if u.unused > releaseLimit {
		runtime.GC()
	} else {
		debug.FreeOSMemory()
	}
}

// least is how much garbage may gather at least.
func least(alive uint64) float64 { return max(garbageLeast, float64(alive)/4) }

// percentFor returns what GOGC is to be with so many bytes alive and so many made per second. It is rounded, because each change makes
// the runtime stop for a moment.
func percentFor(alive uint64, rate float64) int {
	const step, most = 25, 1000
	a := float64(max(alive, 1<<20))
	garbage := min(max(math.Sqrt(a*rate*collectorSeconds), least(alive)), max(garbageMost, a))
	return min(int(garbage*100/a)/step*step, most)
}

// worthCollecting says that a collection would give back a good deal of memory.
func worthCollecting(u usage) bool {
	garbage := u.heap - min(u.heap, u.alive)
	return garbage+u.unused > max(worthwhile, u.alive/6)
}

// fit makes the collector work harder when the memory of the container comes to its end.
func (c *collector) fit(u usage) {
	most, used, ok := c.container.memory()
	if !ok {
		return
	}
	next := limitFor(most, used-min(used, u.held))
	if c.limit == math.MaxInt64 {
		c.log.Info("the container's memory is limited, and the garbage collector will respect that", "container_bytes", most, "limit_bytes", next)
	}
	if difference := max(next, c.limit) - min(next, c.limit); difference > next/50 { // Each change makes the runtime stop for a moment.
		debug.SetMemoryLimit(next)
		c.limit = next
	}
}

// limitFor returns how much this process may use of a container's memory when others, and what the runtime does not know of, use so
// much: nine tenths together, and in any case one, below which collecting all the time would not help either.
func limitFor(most, others uint64) int64 {
	share := most / 10 * 9
	return int64(max(share-min(share, others), most/10)) //nolint:gosec // A container has less than 8 EiB.
}
