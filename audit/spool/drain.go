package spool

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"

	"github.com/zenconn/server/audit"
	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/bus"
)

// Options are what a drain is made of. Zero fields take the value in brackets.
type Options struct {
	Bus          *bus.Bus      // Open.
	Sink         audit.Writer  // The store. Tokens must be honoured.
	Size         int64         // Bytes the spool may take [a quarter of the bus's disk; 4 GiB when the bus is not ours].
	Events       int           // Events that are stored at once [20000].
	Bytes        int           // And their bytes [32 MiB].
	Linger       time.Duration // How long is waited for more events, after the first [250 ms].
	WriteTimeout time.Duration // Longest time for one writing; a store that is too slow for it gets more [30 s].
	DrainTimeout time.Duration // Time that Run has, after its end was asked for, to store what is in the spool [5 s].
	Log          *slog.Logger  // [Nothing is logged.]
}

func (o Options) withDefaults() Options {
	o.Size = sizeOn(o.Bus, o.Size)
	o.Events = cmp.Or(o.Events, 20_000)
	o.Bytes = cmp.Or(o.Bytes, 32<<20)
	o.Linger = cmp.Or(o.Linger, 250*time.Millisecond)
	o.WriteTimeout = cmp.Or(o.WriteTimeout, 30*time.Second)
	o.DrainTimeout = cmp.Or(o.DrainTimeout, 5*time.Second)
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	return o
}

// The pace of leading.
const (
	beatInterval  = time.Second
	leaseTime     = 3 * time.Second // A leader who was silent for so long is gone.
	lookInterval  = 500 * time.Millisecond
	firstPause    = 100 * time.Millisecond
	maxPause      = 5 * time.Second
	ensureTimeout = 5 * time.Second
	lastLinger    = 50 * time.Millisecond // For more messages, when the end was asked for.
)

// Drain writes what is in the spool to the store, if it is the leader among all that share the bus. Otherwise it waits to become it.
type Drain struct {
	options Options
	names   names
	id      string

	// Set by Open.
	conn *nats.Conn
	js   natsjs.JetStream

	// Set by ensure, used by Run's goroutine.
	stream natsjs.Stream
	aside  natsjs.Stream
	ledger *ledger

	ending chan struct{} // Closed when Run's end is asked for.
	watch  watch
	stats  stats
}

// NewDrain returns a drain, which does nothing until Run runs.
func NewDrain(o Options) *Drain {
	return &Drain{options: o.withDefaults(), names: namesOn(o.Bus), id: core.NewID().String(), ending: make(chan struct{})}
}

// Open connects, or begins to, and makes the spool if the bus answers. The connection ends with the bus.
func (d *Drain) Open() (err error) {
	if d.conn, err = d.options.Bus.Connect("audit drain"); err != nil {
		return err
	}
	if d.js, err = natsjs.New(d.conn); err != nil {
		return err
	}
	if !d.options.Bus.External() {
		if err := d.ensure(context.Background()); err != nil {
			d.options.Log.Error("the audit spool cannot be opened; it is tried again", "error", err)
		}
	}
	return nil
}

// ensure makes the streams and the bucket if they are not there, and fits them to the configuration.
func (d *Drain) ensure(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, ensureTimeout)
	defer cancel()
	for i, c := range d.names.streams(d.options.Bus, d.options.Size) {
		stream, err := d.js.CreateOrUpdateStream(ctx, c)
		if err != nil {
			var there error
			if stream, there = d.js.Stream(ctx, c.Name); there != nil {
				return fmt.Errorf("the audit spool: %w", err)
			}
			d.options.Log.Warn("the audit spool is used as it is, since it cannot be fitted to the configuration", "stream", c.Name, "error", err)
		}
		if i == 0 {
			d.stream = stream
		} else {
			d.aside = stream
		}
	}
	kv, err := d.js.CreateOrUpdateKeyValue(ctx, natsjs.KeyValueConfig{
		Bucket: d.names.bucket, Description: "ZenConn: how far the audit spool is drained", Replicas: d.options.Bus.Replicas(),
		Storage: natsjs.FileStorage, MaxBytes: 16 << 20,
	})
	if err != nil {
		return fmt.Errorf("the audit spool: %w", err)
	}
	if d.ledger == nil {
		d.ledger = &ledger{kv: kv}
	}
	return nil
}

// errEnding says that the store failed when the end was asked for already.
var errEnding = errors.New("the audit store does not take events, and the server ends; they stay in the spool")

// Run drains until ctx ends. The leader then stores what is in the spool by that time, for at most the drain timeout and as long as the
// store takes it. It may run once.
func (d *Drain) Run(ctx context.Context) {
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	stop := context.AfterFunc(ctx, func() {
		close(d.ending)
		time.AfterFunc(d.options.DrainTimeout, end)
	})
	defer stop()
	for pause := firstPause; ; pause = min(2*pause, maxPause) {
		err := d.turn(ctx, life)
		if err == nil || errors.Is(err, errEnding) {
			return
		}
		if d.stats.trouble(err) {
			d.options.Log.Warn("the audit spool is not drained now", "error", err)
		}
		select {
		case <-life.Done():
			return
		case <-time.After(pause):
		}
		if errors.Is(err, errDeposed) {
			pause = firstPause
		}
	}
}

// turn waits to be the leader, and leads. It returns nil when ctx has ended and there is nothing left to do.
func (d *Drain) turn(ctx, life context.Context) error {
	if err := d.ensure(life); err != nil {
		return err
	}
	if elected, err := d.elect(ctx, life); err != nil || !elected {
		return err
	}
	return d.lead(ctx, life)
}

// elect waits until this drain is the leader. It returns false when somebody else is and ctx has ended.
func (d *Drain) elect(ctx, life context.Context) (bool, error) {
	var seen uint64 // The revision that was found last; when somebody looked; and for how long it has been this one:
	var looked time.Time
	var silent time.Duration
	for {
		if err := d.ledger.load(life); err != nil {
			return false, err
		}
		r, revision := d.ledger.now()
		if revision != seen || looked.IsZero() {
			seen, silent = revision, 0
		} else { // Time in which this process stood still is no silence of the leader's: he may have stood still with it.
			silent += min(time.Since(looked), 2*lookInterval)
		}
		looked = time.Now()
		d.stats.well()
		free := r.Leader == "" || r.Leader == d.id || d.options.Bus.Alone() || silent >= leaseTime
		if free {
			err := d.ledger.change(life, func(r *record) { r.Leader = d.id })
			if !errors.Is(err, errDeposed) {
				return err == nil, err
			}
		}
		d.watch.look(life, d.stream, d.aside)
		select {
		case <-ctx.Done():
			return false, nil
		case <-time.After(lookInterval):
		}
	}
}

// lead drains as the leader. It returns nil when ctx has ended and what was in the spool is stored, or life has ended.
func (d *Drain) lead(ctx, life context.Context) error {
	leading, depose := context.WithCancelCause(life)
	defer depose(nil)
	d.stats.leads(true)
	defer d.stats.leads(false)
	d.options.Log.Debug("this agent drains the audit spool")
	var beating sync.WaitGroup
	beating.Go(func() { d.beat(leading, depose) })
	err := d.drain(ctx, leading)
	if cause := context.Cause(leading); cause != nil && life.Err() == nil {
		err = cause
	}
	depose(nil)
	beating.Wait()
	if err == nil || errors.Is(err, errEnding) {
		// The next one need not wait. If this fails he waits.
		_ = d.ledger.change(context.WithoutCancel(life), func(r *record) { r.Leader = "" })
	}
	if life.Err() != nil {
		return nil //nolint:nilerr // Time is up; what is not stored is still in the spool.
	}
	return err
}

// beat shows the others that the leader lives, until leading ends. A leader who could not show it steps down.
func (d *Drain) beat(leading context.Context, depose context.CancelCauseFunc) {
	ticker := time.NewTicker(beatInterval)
	defer ticker.Stop()
	shown := time.Now()
	for {
		select {
		case <-leading.Done():
			return
		case <-ticker.C:
		}
		began := time.Now()
		err := d.ledger.change(leading, func(*record) {})
		switch {
		case err == nil:
			shown = began
		case errors.Is(err, errDeposed), time.Since(shown) >= leaseTime:
			depose(err)
			return
		}
		r, _ := d.ledger.now() // Before the look: messages come and are stored meanwhile.
		if last, known := d.watch.look(leading, d.stream, d.aside); known && last < r.Done {
			depose(errors.New("the bus has lost the end of the audit spool"))
			return
		}
	}
}

// drain stores range after range.
func (d *Drain) drain(ctx, leading context.Context) error {
	if err := d.identify(leading); err != nil {
		return err
	}
	r, _ := d.ledger.now()
	in := &reader{stream: d.stream, next: r.Done + 1}
	defer func() { in.close(context.WithoutCancel(leading)) }()
	for ctx.Err() == nil {
		if _, err := d.advance(leading, ctx, in, d.options.Linger); err != nil {
			return err
		}
		d.stats.well()
	}
	info, err := d.stream.Info(leading)
	if err != nil {
		return err
	}
	for goal := info.State.LastSeq; ; {
		if r, _ := d.ledger.now(); r.First == 0 && r.Done >= goal {
			return nil
		}
		if some, err := d.advance(leading, leading, in, lastLinger); err != nil || !some {
			return err
		}
	}
}

// advance stores the claimed range, or the next one. It reports false when there is none, or enough ends before one comes.
func (d *Drain) advance(ctx, enough context.Context, in *reader, linger time.Duration) (bool, error) {
	all, err := d.claim(ctx, enough, in, linger)
	if err != nil {
		return false, err
	}
	r, _ := d.ledger.now()
	if r.First == 0 {
		return false, nil
	}
	if err := d.store(ctx, &r, all); err != nil {
		return false, err
	}
	return true, d.done(ctx, &r)
}

// identify makes sure that the record is about this stream, and that the stream has all that the record tells of.
func (d *Drain) identify(ctx context.Context) error {
	info, err := d.stream.Info(ctx)
	if err != nil {
		return err
	}
	r, _ := d.ledger.now()
	created, last := info.Created.UnixNano(), info.State.LastSeq
	if r.Stream == created && r.Done <= last && r.Last <= last {
		return nil
	}
	if r.Stream != 0 {
		d.options.Log.Error("the audit spool on the bus is not the one of before, or has lost its end; events that were in it may be lost")
	}
	return d.ledger.change(ctx, func(r *record) {
		if r.Stream != created {
			r.Done = 0
		}
		r.Stream, r.Done, r.First, r.Last = created, min(r.Done, last), 0, 0
		r.Age++
	})
}

// claim returns the messages to store, having written down which they are: none if none has come.
func (d *Drain) claim(ctx, enough context.Context, in *reader, linger time.Duration) ([]*message, error) {
	if r, _ := d.ledger.now(); r.First != 0 {
		return in.exactly(ctx, r.Last)
	}
	all, err := in.gather(ctx, enough, idleWait, limits{d.options.Events, d.options.Bytes, linger})
	if err != nil || len(all) == 0 {
		return nil, err
	}
	first, last := all[0].seq, all[len(all)-1].seq
	return all, d.persist(ctx, func(r *record) { r.First, r.Last = first, last })
}

// done notes that the claim is stored, and removes its messages.
func (d *Drain) done(ctx context.Context, stored *record) error {
	err := d.persist(ctx, func(r *record) { r.Done, r.First, r.Last, r.Lives = stored.Last, 0, 0, stored.Lives })
	if err != nil {
		return err
	}
	if err := d.stream.Purge(ctx, natsjs.WithPurgeSequence(stored.Last+1)); err != nil {
		d.options.Log.Debug("stored messages could not be removed from the audit spool; they are later", "error", err)
	}
	return nil
}

// persist changes the record, and tries until it can or ctx ends.
func (d *Drain) persist(ctx context.Context, how func(*record)) error {
	for pause := firstPause; ; pause = min(2*pause, maxPause) {
		err := d.ledger.change(ctx, how)
		if err == nil || errors.Is(err, errDeposed) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}
