package spool

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	natsjs "github.com/nats-io/nats.go/jetstream"

	"github.com/zenconn/server/audit"
)

// quiet is how long the log is not told the same again.
const quiet = 10 * time.Second

// stats count what the drain does.
type stats struct {
	events   atomic.Uint64 // Stored.
	refused  atomic.Uint64
	repeated atomic.Uint64 // Messages that were in the spool twice, and skipped.
	setAside atomic.Uint64 // Messages.

	mu      sync.Mutex // Guards all below.
	leading bool
	failure error // Why the store, or the spool, cannot be written or read; nil after a success.
	told    time.Time
	success time.Time
}

func (s *stats) leads(yes bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leading = yes
}

func (s *stats) wrote(b *audit.Batch, err error) {
	if err != nil {
		if b.Len() == 1 {
			s.refused.Add(1)
		}
		return
	}
	s.events.Add(uint64(b.Len()))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failure, s.success = nil, time.Now()
}

// well notes that the drain works, or has nothing to do.
func (s *stats) well() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failure = nil
}

// trouble notes a failure. It reports whether the log should hear of it.
func (s *stats) trouble(err error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !errors.Is(err, errDeposed) {
		s.failure = err
	}
	if time.Since(s.told) < quiet {
		return false
	}
	s.told = time.Now()
	return true
}

// watch looks at how full the spool is.
type watch struct {
	mu      sync.Mutex // Guards all below.
	samples []sample
	max     int64
	aside   uint64 // Messages.
}

type sample struct {
	at       time.Time
	bytes    int64
	messages uint64
	oldest   time.Time
}

const (
	sampleEvery = time.Second
	maxSamples  = 60
)

// look takes a sample, if the last one is old enough, and returns the number of the last message.
func (w *watch) look(ctx context.Context, stream, aside natsjs.Stream) (last uint64, known bool) {
	w.mu.Lock()
	fresh := len(w.samples) > 0 && time.Since(w.samples[len(w.samples)-1].at) < sampleEvery-100*time.Millisecond
	w.mu.Unlock()
	if fresh {
		return 0, false
	}
	ctx, cancel := context.WithTimeout(ctx, recordTimeout)
	defer cancel()
	info, err := stream.Info(ctx)
	if err != nil {
		return 0, false
	}
	asideInfo, err := aside.Info(ctx)
	if err != nil {
		return 0, false
	}
	s := sample{time.Now(), int64(info.State.Bytes), info.State.Msgs, info.State.FirstTime}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.max, w.aside = info.Config.MaxBytes, asideInfo.State.Msgs
	w.samples = append(w.samples[max(len(w.samples)-maxSamples+1, 0):], s)
	return info.State.LastSeq, true
}

// fill says how full the spool is, and when it will be full at the rate of the last minute.
func (w *watch) fill() (now sample, capacity int64, aside uint64, fullIn time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.samples) == 0 {
		return sample{}, w.max, w.aside, 0
	}
	first, last := w.samples[0], w.samples[len(w.samples)-1]
	grown, took := last.bytes-first.bytes, last.at.Sub(first.at)
	if grown > 0 && took > 0 {
		rate := float64(grown) / took.Seconds()
		fullIn = time.Duration(float64(w.max-last.bytes) / rate * float64(time.Second))
	}
	return last, w.max, w.aside, max(fullIn, 0)
}

// stuckTime is how long nothing may be stored of what waits before somebody should know, whatever the reason.
const stuckTime = time.Minute

// Problem says in a sentence what is wrong with the drain, or "".
func (d *Drain) Problem() string {
	d.stats.mu.Lock()
	failure, leading, stored := d.stats.failure, d.stats.leading, d.stats.success
	d.stats.mu.Unlock()
	now, capacity, aside, fullIn := d.watch.fill()
	full := 0.0
	if capacity > 0 {
		full = float64(now.bytes) / float64(capacity) * 100
	}
	level := fmt.Sprintf("the spool is %.0f %% full", full)
	if fullIn > 0 && fullIn < 30*24*time.Hour {
		level += fmt.Sprintf(" and will be full in about %v at this rate", fullIn.Round(time.Minute))
	}
	switch {
	case failure != nil:
		why := "they cannot be stored (see the log)"
		if obstacle, ok := errors.AsType[audit.Obstacle](failure); ok {
			why = obstacle.Error()
		}
		return fmt.Sprintf("audit events wait in the spool, since %s; %s", why, level)
	case leading && now.messages > 0 && time.Since(now.oldest) > stuckTime && time.Since(stored) > stuckTime:
		return fmt.Sprintf("audit events wait in the spool, and none has been stored for more than %v; %s", stuckTime, level)
	case full > 80:
		return "audit events come faster than they can be stored: " + level
	case aside > 0:
		return fmt.Sprintf("%d batches of audit events could not be stored and were set aside (see the log); try again with: zenconn audit retry", aside)
	}
	return ""
}

// Stats says how draining goes, for the metrics.
type Stats struct {
	Leading     bool
	Events      uint64        // Stored by this drain.
	Refused     uint64        // Events that the store refused.
	Repeated    uint64        // Messages that had been stored already.
	SetAside    uint64        // Messages that this drain has set aside.
	Aside       uint64        // Messages that are set aside now.
	Messages    uint64        // In the spool.
	Bytes       int64         // In the spool.
	Capacity    int64         // Of the spool, in bytes.
	Oldest      time.Time     // When the first message in the spool came; zero: it is empty.
	FullIn      time.Duration // Until the spool is full; 0: it is not filling.
	LastSuccess time.Time     // When the store took something; zero before the first.
}

// Stats returns the counts since NewDrain, and the state of the spool as it was seen last. It may be called by any goroutine.
func (d *Drain) Stats() Stats {
	now, capacity, aside, fullIn := d.watch.fill()
	s := &d.stats
	s.mu.Lock()
	defer s.mu.Unlock()
	return Stats{
		Leading: s.leading, Events: s.events.Load(), Refused: s.refused.Load(), Repeated: s.repeated.Load(), SetAside: s.setAside.Load(), Aside: aside,
		Messages: now.messages, Bytes: now.bytes, Capacity: capacity, Oldest: now.oldest, FullIn: fullIn, LastSuccess: s.success,
	}
}
