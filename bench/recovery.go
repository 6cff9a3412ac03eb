package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// recover has all subscribers get one publication and leave, publishes what they miss, and lets them come back all at once. After that
// one more publication has to come, so that the seam between what was recovered and what is live is looked at too.
func (r *run) recover(ctx context.Context) error {
	if err := r.publishEach(ctx, "before", 1); err != nil {
		return err
	}
	r.drain(r.traffic)
	if r.unwell() {
		return nil
	}
	r.network.leave(r.subscribers)
	if err := r.publishEach(ctx, "missing", r.o.Missed); err != nil {
		return err
	}
	if r.unwell() {
		return nil
	}
	if err := r.storm(ctx); err != nil || r.report.Interrupted {
		return err
	}
	if err := r.publishEach(ctx, "after", 1); err != nil {
		return err
	}
	r.drain(r.traffic)
	return nil
}

// unwell says that there is no sense in going on; what is wrong has been noted.
func (r *run) unwell() bool {
	select {
	case <-r.traffic.stopped:
		return true
	default:
		return r.report.Interrupted
	}
}

// publishEach publishes n times in every stream, options.InFlight at a time, and waits for the acknowledgements.
func (r *run) publishEach(ctx context.Context, phase string, n int) error {
	t := r.traffic
	total, begun := n*len(t.streams), int(t.published.Load())
	underWay := func(sum *shard) int { return int(t.published.Load() - sum.answered - sum.refused) }
	progress := func() Progress {
		return Progress{Phase: "publishing what comes " + phase, Done: int(t.published.Load()) - begun, Total: total}
	}
	for sent := 0; sent < total; {
		room, err := r.await(ctx, r.o.InFlight, underWay, progress)
		if err != nil || r.unwell() {
			return err
		}
		for range min(room, total-sent) {
			s := t.streams[sent%len(t.streams)]
			t.publish(s, r.network.now())
			if s.client.flush() != nil {
				s.client.abort()
			}
			sent++
		}
	}
	_, err := r.await(ctx, 1, underWay, progress)
	return err
}

// await waits until fewer than window things are under way, and returns how many fewer.
func (r *run) await(ctx context.Context, window int, underWay func(*shard) int, progress func() Progress) (room int, err error) {
	silence, told, least := newSilence(), time.Now(), 1<<62
	for !r.unwell() {
		left := underWay(r.network.sum(nil))
		if left < window {
			return window - left, nil
		}
		if silence.lasts(left >= least) > stallTime {
			return 0, errStalled
		}
		least = min(least, left)
		if time.Since(told) > tick {
			told = time.Now()
			r.tell(progress())
		}
		if ctx.Err() != nil {
			r.report.Interrupted = true
		}
		sleep(200 * time.Microsecond)
	}
	return 0, nil
}

// storm lets all subscribers come back at the same moment, and takes the time until the last one has all that it missed.
func (r *run) storm(ctx context.Context) error {
	before := r.subscribers
	server, err := r.usage()
	if err != nil {
		return err
	}
	again := *r.dialer.options
	again.Concurrency = len(before)
	dialer, err := newDialer(&again, r.o.URL, r.network, len(before))
	if err != nil {
		return err
	}
	own, start := ownCPU(), time.Now()
	done := make(chan error, 1)
	var clients []*client
	go func() {
		var err error
		clients, err = dialer.openAll(ctx, len(before), func(i int) plan { return r.comeback(i, before[i]) }, &r.report.latency)
		done <- err
	}()
	err = r.follow(done, func() Progress {
		return Progress{Phase: "recovering", Measured: true, Done: int(dialer.made.Load()), Total: len(before)}
	})
	elapsed := time.Since(start)
	publishers := r.clients[len(before):]
	r.subscribers, r.clients = clients, append(slices.Clone(clients), publishers...)
	if err != nil {
		if !errors.Is(err, context.Canceled) {
			return fmt.Errorf("connection %d of %d that came back: %w", len(clients)+1, len(before), err)
		}
		r.report.Interrupted = true
	}
	serverEnd, err := r.usage()
	if err != nil {
		return err
	}
	r.report.measured(uint64(len(clients)*r.o.Missed), elapsed, ownCPU()-own, serverEnd.cpu-server.cpu)
	return nil
}

// comeback is the plan of a subscriber that was there before: it has to get what came after the position it knows.
func (r *run) comeback(i int, was *client) plan {
	channel := i % r.o.Channels
	from := &position{r.positions[i].epoch, r.positions[i].offset + 1}
	return plan{number: i, channel: r.o.channelName(channel), from: from, prepare: func(c *client, last reply) {
		r.traffic.subscriber(c, channel)
		c.verifier = was.verifier
		sh := r.network.shardOf(c)
		sh.mu.Lock()
		defer sh.mu.Unlock()
		if !last.recovered {
			sh.fault(errNotRecovered)
		}
		for _, payload := range last.missed {
			hint := 0
			m, ok := readMark(findMark(payload, &hint))
			if !ok || len(payload) < r.o.Size {
				sh.damaged++
				continue
			}
			r.traffic.check(c, m, sh)
		}
	}}
}

var errNotRecovered = errors.New("the server did not recover a subscription: does the namespace keep a history of that many publications, " +
	"with recovery: true?")
