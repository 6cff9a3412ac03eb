package bench

import (
	"context"
	"runtime"
	"time"
)

// subscribeAhead is how many subscribe commands may be unanswered at a time.
const subscribeAhead = 4096

// fill subscribes every client to its channels and measures what that takes of the server's memory, after a while in which nothing
// happens. Then each client publishes into each of its channels, and all of it has to come back.
func (r *run) fill(ctx context.Context) error {
	before, err := r.usage()
	if err != nil {
		return err
	}
	runtime.GC()
	own, start := ownCPU(), time.Now()
	total := len(r.traffic.streams)
	sent := 0
	for _, c := range r.clients {
		for _, s := range r.traffic.streams[c.first : c.first+r.traffic.perSub] {
			c.send(c.codec.appendSubscribe(nil, c.id(), s.channel, nil))
			sent++
		}
		if c.flush() != nil {
			c.abort()
		}
		window := max(subscribeAhead-r.traffic.perSub, 1)
		if sent == total {
			window = 1 // Until all are answered.
		}
		if _, err := r.await(ctx, window, func(sum *shard) int { return sent - int(sum.subscribed+sum.refused) }, func() Progress {
			return Progress{Phase: "subscribing", Measured: true, Done: sent, Total: total}
		}); err != nil {
			return err
		}
		if r.unwell() {
			return nil
		}
	}
	elapsed := time.Since(start)
	spent, err := r.usage()
	if err != nil {
		return err
	}
	r.report.measured(uint64(total), elapsed, ownCPU()-own, spent.cpu-before.cpu)
	if r.rest(ctx); r.report.Interrupted {
		return nil
	}
	after, err := r.usage()
	if err != nil {
		return err
	}
	r.report.filled(before, after, total)
	if err := r.publishEach(ctx, "to each", 1); err != nil {
		return err
	}
	r.drain(r.traffic)
	return nil
}
