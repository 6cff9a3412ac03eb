package cli

import (
	"context"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zenconn/server/hooks"
	"github.com/zenconn/server/hooks/scenario"
)

// series is the runs of one plugin with one event.
type series struct {
	stage *scenario.Stage
	event scenario.Event

	each    []float64 // Nanoseconds by call, of each run.
	calls   int
	mallocs uint64
	bytes   uint64
}

const (
	firstBatch = 100 // Calls that tell how many a run has.
	mostCalls  = 50_000
)

// run asks for about that long.
func (s *series) run(ctx context.Context, length time.Duration) error {
	took, err := s.ask(ctx, firstBatch)
	if err != nil {
		return err
	}
	n := max(int(length/max(took/firstBatch, 1)), 1)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if took, err = s.ask(ctx, n); err != nil {
		return err
	}
	runtime.ReadMemStats(&after)
	s.each = append(s.each, float64(took.Nanoseconds())/float64(n))
	s.calls += n
	s.mallocs += after.Mallocs - before.Mallocs
	s.bytes += after.TotalAlloc - before.TotalAlloc
	return nil
}

func (s *series) ask(ctx context.Context, n int) (time.Duration, error) {
	began := time.Now()
	for i := range n {
		if _, fault := s.stage.Ask(ctx, s.event); fault != nil {
			return 0, fault
		}
		if i%firstBatch == 0 && ctx.Err() != nil {
			return 0, ctx.Err()
		}
	}
	return time.Since(began), nil
}

func (s *series) median() float64 {
	sorted := slices.Sorted(slices.Values(s.each))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

func (s *series) allocated() (allocs, bytes float64) {
	return float64(s.mallocs) / float64(s.calls), float64(s.bytes) / float64(s.calls)
}

// percentile is the 99th of single calls.
func (s *series) percentile(ctx context.Context, length time.Duration) (time.Duration, error) {
	var each []time.Duration
	for end := time.Now().Add(length); len(each) < mostCalls && (len(each) < firstBatch || time.Now().Before(end)); {
		began := time.Now()
		if _, fault := s.stage.Ask(ctx, s.event); fault != nil {
			return 0, fault
		}
		each = append(each, time.Since(began))
	}
	slices.Sort(each)
	return each[len(each)*99/100], nil
}

// concurrency is what became of many calls at the same time.
type concurrency struct {
	goroutines, instances int
	perSecond             float64
	memory                int64 // Of an instance; 0: unknown.
}

// parallel asks from more goroutines than there are processors, so that there are instances to compare the heap with and without.
func parallel(ctx context.Context, st *scenario.Stage, hook hooks.Hook, length time.Duration) (concurrency, error) {
	counted, ok := st.Plugin.(interface{ Instances() int })
	c := concurrency{goroutines: 4 * runtime.GOMAXPROCS(0)}
	events := make([]scenario.Event, c.goroutines)
	for i := range events {
		var err error
		if events[i], err = eventOf(st, hook); err != nil {
			return c, err
		}
	}
	heap, instances := int64(0), 0
	if ok {
		heap, instances = heapSize(), counted.Instances()
	}
	var calls atomic.Int64
	var asking sync.WaitGroup
	ctx, cancel := context.WithTimeout(ctx, max(length, 100*time.Millisecond))
	defer cancel()
	began := time.Now()
	for _, e := range events {
		asking.Go(func() {
			n := int64(0)
			for ; n%firstBatch != 0 || ctx.Err() == nil; n++ {
				st.Ask(context.WithoutCancel(ctx), e) //nolint:errcheck // Under such a load a deadline may be missed; that is part of the number.
			}
			calls.Add(n)
		})
	}
	asking.Wait()
	c.perSecond = float64(calls.Load()) / time.Since(began).Seconds()
	if ok {
		c.instances = counted.Instances()
		if more := c.instances - instances; more > 0 {
			c.memory = max((heapSize()-heap)/int64(more), 0)
		}
	}
	return c, nil
}

// heapSize is what is in use after everything else was collected.
func heapSize() int64 {
	runtime.GC()
	runtime.GC() // What finalizers let go of.
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc) //nolint:gosec // Not that much.
}

// idle is a plugin of the same kind that has no opinion on anything.
func idle(p *pluginFile) *pluginFile {
	same := *p
	same.name = "nothing"
	if p.wasm {
		same.source = idleModule()
		return &same
	}
	var b strings.Builder
	for _, hook := range hooks.All {
		b.WriteString("function on_" + string(hook) + "(ev) end\n")
	}
	same.source = []byte(b.String())
	return &same
}

// idleModule is a WebAssembly module, section by section, whose hooks all are one function that returns 3, which is pass.
func idleModule() []byte {
	section := func(id byte, content ...byte) []byte {
		return slices.Concat([]byte{id}, leb(len(content)), content)
	}
	name := func(text string) []byte { return append(leb(len(text)), text...) }
	exports := slices.Concat(leb(len(hooks.All)+1), name("memory"), []byte{2, 0})
	for _, hook := range hooks.All {
		exports = slices.Concat(exports, name("on_"+string(hook)), []byte{0, 0})
	}
	return slices.Concat([]byte("\x00asm\x01\x00\x00\x00"),
		section(1, 1, 0x60, 0, 1, 0x7f), // Type 0: () -> i32.
		section(3, 1, 0),                // Function 0 is of type 0.
		section(5, 1, 0, 1),             // A page of memory.
		section(7, exports...),
		section(10, 1, 4, 0, 0x41, 3, 0x0b), // Function 0: no locals, i32.const 3, end.
	)
}

// leb writes a number in the form that modules have them in (LEB128).
func leb(n int) []byte {
	var b []byte
	for n >= 0x80 {
		b = append(b, byte(n)|0x80)
		n >>= 7
	}
	return append(b, byte(n))
}
