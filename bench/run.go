package bench

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"
)

// The bounds of waiting.
const (
	tick         = 100 * time.Millisecond // Between two looks at the run, and two reports of its progress.
	stallTime    = 10 * time.Second       // Without any arrival while publications are under way, a run is ended.
	drainQuiet   = 8 * time.Second        // At the end, stragglers are given up when nothing has come for so long,
	drainTime    = time.Minute            // or after this.
	drainGrace   = 100 * time.Millisecond // When all have come: so that duplicates are seen.
	filesOfOurs  = 64                     // Open files beside the connections.
	checkTimeout = 30 * time.Second       // For asking a server about its histories.
)

// Run does what the options say and reports what it measured. An error with a nil Report means that there is nothing to report;
// whether the report is one of success, its Err says. Canceling ctx ends the run early, with the figures so far. watch, when not
// nil, is told ten times a second how it goes, by one goroutine that ends before Run returns.
func Run(ctx context.Context, o Options, watch func(Progress)) (*Report, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	connections, _ := o.connections()
	if err := reserveFiles(connections + o.Storm + filesOfOurs); err != nil {
		return nil, err
	}
	o.Channel += "-" + rand.Text()[:6]
	r := &run{o: &o, report: newReport(&o), watch: watch}
	if _, err := r.usage(); err != nil {
		return nil, err
	}
	var err error
	if r.network, err = newNetwork(o.Readers); err != nil {
		return nil, fmt.Errorf("cannot read from connections: %w", err)
	}
	defer r.close()
	if r.dialer, err = newDialer(&o, o.URL, r.network, connections); err != nil {
		return nil, err
	}
	r.publishing = r.dialer
	if o.PublishURL != "" {
		if r.publishing, err = newDialer(&o, o.PublishURL, r.network, connections); err != nil {
			return nil, err
		}
	}
	if err := r.do(ctx); err != nil {
		return nil, err
	}
	return r.report, nil
}

// run is a run under way. One goroutine drives it.
type run struct {
	o           *Options
	report      *Report
	watch       func(Progress)
	network     *network
	dialer      *dialer
	publishing  *dialer  // Of the publishers; the same unless they connect elsewhere.
	traffic     *traffic // nil when the scenario is not about messages.
	clients     []*client
	subscribers []*client
	positions   []position // Scenario recovery: where each subscriber began.
	closed      bool
}

// usage returns what the server has used, when we know its processes.
func (r *run) usage() (usage, error) {
	if len(r.o.PIDs) == 0 {
		return usage{}, nil
	}
	return usageOf(r.o.PIDs)
}

func (r *run) close() {
	if !r.closed {
		r.closed = true
		r.network.close(r.clients)
	}
}

func (r *run) do(ctx context.Context) error {
	if err := r.connect(ctx); err != nil {
		return err
	}
	var err error
	switch {
	case r.report.Interrupted:
	case r.o.Scenario == Recovery:
		err = r.recover(ctx)
	case r.o.Scenario == Subscriptions:
		err = r.fill(ctx)
	case r.o.Scenario == Presence:
		err = r.askPresence(ctx)
	case r.traffic != nil:
		err = r.converse(ctx)
	case r.o.Scenario == Idle:
		err = r.hold(ctx)
	}
	if err != nil {
		return err
	}
	if r.o.Scenario == History && r.network.sum(nil).refused == 0 {
		if err := r.checkHistory(); err != nil {
			r.report.note(err)
		}
	}
	r.close()
	r.conclude()
	return nil
}

// connect opens all connections, the subscribers first.
func (r *run) connect(ctx context.Context) error {
	if r.o.publishes() {
		r.traffic = newTraffic(r.o, r.network)
		if r.o.Scenario == Recovery {
			r.positions = make([]position, r.o.Clients)
		}
	}
	before, err := r.usage()
	if err != nil {
		return err
	}
	subscribers := r.o.subscribers()
	if r.o.Scenario == Presence && r.o.APIURL == "" {
		subscribers-- // The last one asks.
	}
	total := subscribers + r.o.Publishers
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	own, start := ownCPU(), time.Now()
	done := make(chan error, 1)
	var took *Histogram
	if r.o.Scenario == Connect {
		took = &r.report.latency
	}
	go func() {
		subs, err := r.dialer.openAll(ctx, subscribers, r.subscription, took)
		r.subscribers, r.clients = subs, slices.Clone(subs)
		if err == nil {
			var pubs []*client
			pubs, err = r.publishing.openAll(ctx, r.o.Publishers, func(i int) plan { return r.publication(subscribers, i) }, nil)
			r.clients = append(r.clients, pubs...)
		}
		done <- err
	}()
	err = r.follow(done, func() Progress {
		return Progress{Phase: "connecting", Done: r.made(), Total: total, Measured: r.o.Scenario == Connect}
	})
	elapsed := time.Since(start)
	made := r.made()
	r.report.connected(made, elapsed)
	if err != nil {
		if !errors.Is(err, context.Canceled) {
			return fmt.Errorf("connection %d of %d: %w", made+1, total, err)
		}
		r.report.Interrupted = true
	}
	after, err := r.usage()
	if err != nil {
		return err
	}
	r.report.memory(before, after, made)
	if r.o.Scenario == Connect {
		r.report.measured(uint64(made), elapsed, ownCPU()-own, after.cpu-before.cpu)
	}
	return nil
}

// made returns how many connections were made so far.
func (r *run) made() int {
	made := r.dialer.made.Load()
	if r.publishing != r.dialer {
		made += r.publishing.made.Load()
	}
	return int(made)
}

// subscription is the plan of subscriber i.
func (r *run) subscription(i int) plan {
	p := plan{number: i}
	if r.o.Scenario == Connect {
		return p
	}
	t, channel := r.traffic, i%r.o.Channels
	if r.o.Scenario == Subscriptions {
		p.prepare = func(c *client, _ reply) {
			t.subscriber(c, i)
			t.publisher(c, t.streams[c.first:c.first+t.perSub]...)
		}
		return p
	}
	p.channel = r.o.channelName(channel)
	if t != nil {
		p.prepare = func(c *client, last reply) {
			t.subscriber(c, channel)
			switch r.o.Scenario {
			case Echo:
				t.publisher(c, t.streams[i])
			case Recovery:
				r.positions[i] = last.at
			}
		}
	}
	return p
}

// publication is the plan of publisher i, which comes after all subscribers.
func (r *run) publication(subscribers, i int) plan {
	t := r.traffic
	return plan{number: subscribers + i, prepare: func(c *client, _ reply) {
		for k := i; k < len(t.streams); k += r.o.Publishers {
			t.publisher(c, t.streams[k])
		}
	}}
}

// follow reports the progress until done says how it ended.
func (r *run) follow(done <-chan error, progress func() Progress) error {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		select {
		case err := <-done:
			return err
		case <-ticker.C:
			r.tell(progress())
		}
	}
}

func (r *run) tell(p Progress) {
	if r.watch != nil {
		r.watch(p)
	}
}

// converse lets publications flow for the time of the run and waits for the last ones.
func (r *run) converse(ctx context.Context) error {
	t := r.traffic
	runtime.GC() // What connecting left behind shall not be cleared away while we measure.
	paced := t.start()
	own, server, err := r.wait(ctx, "warming up", r.o.Warmup, func(*shard) bool { return true })
	if err != nil {
		return err
	}
	calm, raged, err := r.rage(ctx)
	if err != nil {
		return err
	}
	var read uint64
	if !r.unwell() {
		read = r.network.mark(&t.from)
	}
	// A machine that stood still for all of the time has measured nothing, and a rate of nothing says nothing.
	ownEnd, serverEnd, err := r.wait(ctx, "running", r.o.Duration, func(sum *shard) bool { return sum.measured > 0 && raged() })
	r.report.Storm = calm()
	if err != nil {
		return err
	}
	read = r.network.mark(&t.until) - read
	paced()
	r.drain(t)
	total := r.network.sum(&r.report.latency)
	span := max(time.Duration(t.until.Load()-t.from.Load()), 0)
	r.report.measured(total.measured, span, ownEnd-own, serverEnd.cpu-server.cpu)
	r.report.BytesPerCount = float64(read) / float64(max(total.measured, 1))
	return nil
}

// wait lets time go by until the phase was long enough in both ways, or until the run has to end, and returns what was used until then.
func (r *run) wait(ctx context.Context, phase string, length time.Duration, enough func(*shard) bool) (own time.Duration, server usage, err error) {
	t, n := r.traffic, r.network
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	end := time.NewTimer(length)
	defer end.Stop()
	begin, lastCount, silence := n.now(), uint64(0), newSilence()
	first := n.sum(nil)
	tell := func(now int64, sum *shard) {
		progress := t.counted(sum) - t.counted(first)
		r.tell(Progress{Phase: phase, Elapsed: time.Duration(now - begin), Length: length,
			Rate: float64(progress) / time.Duration(max(now-begin, 1)).Seconds(), Unit: r.report.unit(), Measured: begin >= t.from.Load()})
	}
	tell(begin, first)
	for waiting, over := true, false; waiting; {
		select {
		case <-end.C:
			over = true
		case <-t.stopped:
			waiting = false
		case <-ctx.Done():
			r.report.Interrupted = true
			t.stop()
			waiting = false
		case <-ticker.C:
			now, sum := n.now(), n.sum(nil)
			count := sum.received + sum.answered
			if silence.lasts(count == lastCount && t.underWay(sum) > 0) > stallTime {
				r.report.note(errStalled)
				t.stop()
			}
			lastCount = count
			tell(now, sum)
		}
		if over && enough(n.sum(nil)) {
			waiting = false
		}
	}
	server, err = r.usage()
	return ownCPU(), server, err
}

// counted returns what the scenario counts: deliveries, or acknowledgements when nobody is subscribed.
func (t *traffic) counted(sum *shard) uint64 {
	if t.fanout == 0 {
		return sum.answered
	}
	return sum.received
}

// underWay returns how many deliveries and acknowledgements are still to come.
func (t *traffic) underWay(sum *shard) uint64 {
	each := uint64(t.fanout) + 1
	expected := t.published.Load() * each
	return expected - min(sum.received+sum.answered+sum.refused*each, expected) // What was refused leads to no delivery.
}

// drain waits for what is under way.
func (r *run) drain(t *traffic) {
	all, silence, lastLeft := newSilence(), newSilence(), uint64(0)
	for {
		left := t.underWay(r.network.sum(nil))
		if left == 0 {
			time.Sleep(drainGrace)
			return
		}
		if all.lasts(true) > drainTime || silence.lasts(left == lastLeft) > drainQuiet {
			return
		}
		lastLeft = left
		r.tell(Progress{Phase: "waiting for stragglers", Rate: float64(left), Unit: "to come"})
		time.Sleep(tick / 10)
	}
}

// checkHistory asks the server how many publications it has in each channel: as many as it acknowledged.
func (r *run) checkHistory() error {
	ctx, cancel := context.WithTimeout(context.Background(), checkTimeout)
	defer cancel()
	var kept uint64
	for i := range r.o.Channels {
		c, conn, _, err := r.dialer.dial(ctx, plan{number: i, channel: r.o.channelName(i)})
		if err != nil {
			return fmt.Errorf("ask for the history: %w", err)
		}
		c.send(c.codec.appendHistory(nil, c.id(), r.o.channelName(i)))
		answer, err := r.dialer.await(ctx, c, conn, []string{"history"})
		c.close()
		if err != nil {
			return fmt.Errorf("ask for the history: %w", err)
		}
		kept += answer.at.offset
	}
	if answered := r.network.sum(nil).answered; kept != answered {
		return fmt.Errorf("the server acknowledged %d publications, but its histories count %d", answered, kept)
	}
	return nil
}

// conclude counts what is missing, when nobody reads any more.
func (r *run) conclude() {
	total := r.network.sum(nil)
	v := &r.report.Verification
	v.Duplicated, v.Reordered, v.Stray, v.Damaged = total.duplicate, total.reordered, total.stray, total.damaged
	v.Refused, v.Disconnected = total.refused, total.ended
	for text, count := range total.faults {
		r.report.note(fmt.Errorf("%s (%d times)", text, count))
	}
	if t := r.traffic; t != nil {
		v.Published, v.Received = t.published.Load(), total.received
		v.Expected = t.expected()
		v.Unacknowledged = v.Published - min(total.answered+total.refused, v.Published)
		v.Lost = t.missing(r.subscribers, total.refused)
	}
}
