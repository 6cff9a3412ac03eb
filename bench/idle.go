package bench

import (
	"context"
	"time"
)

// hold keeps the connections open and idle, and measures the memory at the end of it.
func (r *run) hold(ctx context.Context) error {
	before, err := r.usage()
	if err != nil {
		return err
	}
	own := ownCPU()
	start := time.Now()
	r.rest(ctx)
	after, err := r.usage()
	if err != nil {
		return err
	}
	r.report.measured(uint64(len(r.clients)), time.Since(start), ownCPU()-own, after.cpu-before.cpu)
	r.report.settled(after, len(r.clients))
	return nil
}

// rest lets the connections be idle for the time of the run.
func (r *run) rest(ctx context.Context) {
	start := time.Now()
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for time.Since(start) < r.o.Duration && !r.report.Interrupted {
		select {
		case <-ctx.Done():
			r.report.Interrupted = true
		case <-ticker.C:
			r.tell(Progress{Phase: "holding", Elapsed: time.Since(start), Length: r.o.Duration, Unit: "connections", Measured: true,
				Rate: float64(len(r.clients)) - float64(r.network.sum(nil).ended)})
		}
	}
}
