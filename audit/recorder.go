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
	Durable       bool          // RecordDurable waits until its event is stored.
	Block         bool          // Admit waits for room, instead of letting events be dropped.
	BlockTimeout  time.Duration // Longest time either of them waits [5 s].
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
	o.BlockTimeout = cmp.Or(o.BlockTimeout, 5*time.Second)
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
	tallies tallies

	// Owned by Run.
	sequence uint64

	mu          sync.Mutex
	stored      uint64
	refused     uint64
	abandoned   uint64
	redactedOut uint64
	blocked     uint64
	unconfirmed uint64
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

// Hasten has what is recorded written at once, and not at the end of the flush interval. It waits for nothing.
func (r *Recorder) Hasten() {
	if r.sink != nil {
		r.queue.tell()
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
			r.recordTallies()
			if r.queue.closeIfEmpty() {
				r.report.final(r.Stats())
				return
			}
		case <-r.queue.wake:
		case <-ticker.C:
			r.recordTalliesInTime()
		}
		taken, waiting := r.queue.take(spare)
		waiting.settle(r.writeAll(life, taken))
		spare = taken.empty()
		r.report.drops(r.Stats())
	}
	left, waiting := r.queue.close()
	r.abandon(&left)
	waiting.settle(errEnded)
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

// errEnded is why events are not stored that were recorded too late.
var errEnded = errors.New("the server ends")

// writeAll writes all in batches. What is unwritten when ctx ends is dropped. An error says that something was not stored.
func (r *Recorder) writeAll(ctx context.Context, all Batch) (failed error) {
	for all.Len() > 0 {
		batch := all.split(r.options.BatchEvents)
		r.redact(ctx, &batch)
		if batch.Len() == 0 {
			continue
		}
		r.sequence++
		batch.Token = fmt.Sprintf("%s/%d", r.life, r.sequence)
		err := r.write(ctx, &batch)
		if err == nil {
			continue
		}
		failed = err
		if !errors.Is(err, ErrRefused) {
			r.abandon(&batch)
			r.abandon(&all)
			break
		}
	}
	return failed
}

// write tries until the batch is stored, or refused for good (ErrRefused), or ctx ends.
func (r *Recorder) write(ctx context.Context, batch *Batch) error {
	for pause := firstPause; ctx.Err() == nil; pause = min(2*pause, maxPause) {
		limited, cancel := context.WithTimeout(ctx, r.options.WriteTimeout)
		err := r.sink.Write(limited, batch)
		cancel()
		r.settle(batch, err)
		if err == nil || errors.Is(err, ErrRefused) {
			r.queue.release(batch)
			return err
		}
		r.report.drops(r.Stats())
		select {
		case <-time.After(jittered(pause)):
		case <-ctx.Done():
		}
	}
	return errEnded
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
	r.queue.note(err != nil && !errors.Is(err, ErrRefused), errors.Is(err, ErrFull))
	r.report.write(batch, err)
}

// abandon drops a batch because time is up.
func (r *Recorder) abandon(batch *Batch) {
	r.mu.Lock()
	r.abandoned += uint64(batch.Len())
	r.mu.Unlock()
	r.queue.release(batch)
}
