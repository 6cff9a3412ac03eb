package audit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/zenconn/server/core"
)

// Options bound a Recorder. Zero fields take the value in brackets.
type Options struct {
	Node          string        // With Epoch, an identifier of this recorder's own and a sequence, it names the batches.
	Epoch         uint64        // Unix seconds of the node's start.
	Queue         int           // Events that may wait for the store [100000].
	QueueBytes    int64         // Bytes of payload that may wait for the store [64 MiB].
	BatchEvents   int           // Events that are written at once [10000].
	FlushInterval time.Duration // Longest time an event waits for its batch [1 s].
	WriteTimeout  time.Duration // Longest time for one batch [30 s].
	DrainTimeout  time.Duration // Time that Run has, after its end was asked for, to store what waits [5 s].
	Redactor      Redactor      // [Events are stored as they are.]
	Log           *slog.Logger  // [Nothing is logged.]
}

func (o Options) withDefaults() Options {
	o.Queue = cmp.Or(o.Queue, 100_000)
	o.QueueBytes = cmp.Or(o.QueueBytes, 64<<20)
	o.BatchEvents = min(cmp.Or(o.BatchEvents, 10_000), o.Queue)
	o.FlushInterval = cmp.Or(o.FlushInterval, time.Second)
	o.WriteTimeout = cmp.Or(o.WriteTimeout, 30*time.Second)
	o.DrainTimeout = cmp.Or(o.DrainTimeout, 5*time.Second)
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	return o
}

// Between two attempts to write the same batch lie at least firstPause and, after some doublings, maxPause.
const (
	firstPause = 100 * time.Millisecond
	maxPause   = 5 * time.Second
)

// Recorder takes events from any number of goroutines and writes them to its sink in batches. While the sink fails, the queue
// absorbs and the same batch is tried again; when the queue is full, new events are dropped and counted. Producers never wait
// for the store and never hear of its troubles.
type Recorder struct {
	sink    Writer // nil: recording is off.
	options Options
	life    string // Begins the names of its batches, and of no other recorder's.
	queue   *queue
	report  report

	// Owned by Run.
	sequence uint64

	mu          sync.Mutex
	stored      uint64
	refused     uint64
	abandoned   uint64
	redactedOut uint64
	lastError   error
	lastErrorAt time.Time
	lastSuccess time.Time
}

// New returns a recorder, which only gathers until Run runs. Without a sink (nil) recording is off: Record does nothing.
func New(sink Writer, options Options) *Recorder {
	options = options.withDefaults()
	return &Recorder{
		sink:    sink,
		options: options,
		life:    fmt.Sprintf("%s/%d-%s", options.Node, options.Epoch, core.NewID()),
		queue:   newQueue(options.Queue, options.QueueBytes, options.BatchEvents),
		report:  report{log: options.Log},
	}
}

// Record notes an event, a non-nil pointer, which nobody writes to any more. It never waits
// for the store, and may be called by any goroutine, also before Run and after it (then the event is dropped and counted).
func (r *Recorder) Record(e Event) {
	if r.sink != nil {
		r.queue.add(e)
	}
}

// Run writes what is recorded until ctx ends; then it stores what still waits, for at most the drain timeout, and returns. It
// does not close the sink. It may run once.
func (r *Recorder) Run(ctx context.Context) {
	if r.sink == nil {
		<-ctx.Done()
		return
	}
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	var deadline sync.WaitGroup
	deadline.Go(func() { r.endAfter(ctx, life, end) })
	defer deadline.Wait()
	defer end()

	ticker := time.NewTicker(r.options.FlushInterval)
	defer ticker.Stop()
	var spare Batch
	for life.Err() == nil {
		select {
		case <-ctx.Done():
			if r.queue.closeIfEmpty() {
				r.report.final(r.Stats())
				return
			}
		case <-r.queue.wake:
		case <-ticker.C:
		}
		taken := r.queue.take(spare)
		r.writeAll(life, taken)
		spare = taken.empty()
		r.report.drops(r.Stats())
	}
	left := r.queue.close()
	r.abandon(&left)
	r.report.final(r.Stats())
}

// endAfter ends life when the drain timeout is over, unless it ended before.
func (r *Recorder) endAfter(ctx, life context.Context, end context.CancelFunc) {
	select {
	case <-ctx.Done():
	case <-life.Done():
		return
	}
	select {
	case <-time.After(r.options.DrainTimeout):
		end()
	case <-life.Done():
	}
}

// writeAll writes all in batches. What is unwritten when ctx ends is dropped.
func (r *Recorder) writeAll(ctx context.Context, all Batch) {
	for all.Len() > 0 {
		batch := all.split(r.options.BatchEvents)
		r.redact(ctx, &batch)
		if batch.Len() == 0 {
			continue
		}
		r.sequence++
		batch.Token = fmt.Sprintf("%s/%d", r.life, r.sequence)
		if !r.write(ctx, &batch) {
			r.abandon(&batch)
			r.abandon(&all)
			return
		}
	}
}

// write tries until the batch is stored or refused. It returns false when ctx ended before.
func (r *Recorder) write(ctx context.Context, batch *Batch) bool {
	for pause := firstPause; ctx.Err() == nil; pause = min(2*pause, maxPause) {
		limited, cancel := context.WithTimeout(ctx, r.options.WriteTimeout)
		err := r.sink.Write(limited, batch)
		cancel()
		r.settle(batch, err)
		if err == nil || errors.Is(err, ErrRefused) {
			r.queue.release(batch)
			return true
		}
		r.report.drops(r.Stats())
		select {
		case <-time.After(jittered(pause)):
		case <-ctx.Done():
		}
	}
	return false
}

// jittered keeps nodes that lost the same store from returning at the same moment.
func jittered(pause time.Duration) time.Duration {
	return pause + rand.N(pause/4) //nolint:gosec // Nothing depends on its being unpredictable.
}

// settle notes what became of a batch.
func (r *Recorder) settle(batch *Batch, err error) {
	now := time.Now()
	r.mu.Lock()
	switch {
	case err == nil:
		r.stored += uint64(batch.Len())
		r.lastSuccess = now
		r.lastError = nil
	case errors.Is(err, ErrRefused):
		r.refused += uint64(batch.Len())
		fallthrough
	default:
		r.lastError, r.lastErrorAt = err, now
	}
	r.mu.Unlock()
	r.report.write(batch, err)
}

// abandon drops a batch because time is up.
func (r *Recorder) abandon(batch *Batch) {
	r.mu.Lock()
	r.abandoned += uint64(batch.Len())
	r.mu.Unlock()
	r.queue.release(batch)
}
