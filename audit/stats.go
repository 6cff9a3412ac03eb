package audit

import (
	"log/slog"
	"time"
)

// The reasons for which events are dropped.
const (
	DropQueueFull = "queue_full" // The store is too slow or down for longer than the queue can absorb.
	DropSpoolFull = "spool_full" // The same, because the spool has no room.
	DropRefused   = "refused"    // The store will never take the batch; see ErrRefused.
	DropShutdown  = "shutdown"   // Recorded after the end, or still waiting when the drain timeout was over.
)

// Stats says how recording goes. At any moment Recorded = Stored + Redacted + the sum of Dropped + Queued.
type Stats struct {
	Recorded    uint64
	Stored      uint64
	Redacted    uint64            // Kept out of the store by the redactor.
	Dropped     map[string]uint64 // By reason; every reason is present.
	Queued      int               // Events that wait or are being written.
	QueuedBytes int64             // Their payload.
	LastError   error             // Why the last write failed; nil after a success.
	LastErrorAt time.Time
	Blocked     uint64    // Times that Admit refused.
	Unconfirmed uint64    // Events that RecordDurable gave up waiting for; they may be stored later.
	LastSuccess time.Time // Zero before the first.
}

// Stats returns the counts since New. It may be called by any goroutine.
func (r *Recorder) Stats() Stats {
	// A batch is settled before its room is released; with both locks held no event is seen twice or not at all, save those between
	// the two steps, which count as stored or dropped and no longer as queued.
	r.mu.Lock()
	defer r.mu.Unlock()
	q := r.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	dropped := map[string]uint64{DropQueueFull: q.full, DropSpoolFull: q.spool, DropRefused: r.refused, DropShutdown: q.late + r.abandoned}
	settled := r.stored + r.redactedOut + q.full + q.spool + r.refused + q.late + r.abandoned
	return Stats{
		Recorded:    q.recorded,
		Stored:      r.stored,
		Redacted:    r.redactedOut,
		Dropped:     dropped,
		Queued:      int(q.recorded - settled),
		QueuedBytes: q.bytes,
		Blocked:     r.blocked,
		Unconfirmed: r.unconfirmed,
		LastError:   r.lastError,
		LastErrorAt: r.lastErrorAt,
		LastSuccess: r.lastSuccess,
	}
}

func (s *Stats) lost() (n uint64) {
	for _, count := range s.Dropped {
		n += count
	}
	return n
}

// report tells the log about trouble, at most once in quiet, and about its end. It is owned by Run.
type report struct {
	log      *slog.Logger
	failing  bool
	told     time.Time // Last line about a failing store.
	lost     uint64    // Drops the log knows of.
	lostTold time.Time
}

const quiet = 10 * time.Second

func (p *report) write(batch *Batch, err error) {
	switch {
	case err == nil && p.failing:
		p.failing = false
		p.log.Info("the audit store works again")
	case err != nil && (!p.failing || time.Since(p.told) >= quiet):
		p.failing, p.told = true, time.Now()
		p.log.Error("cannot write to the audit store", "events", batch.Len(), "error", err)
	}
}

func (p *report) drops(s Stats) {
	if s.lost() > p.lost && time.Since(p.lostTold) >= quiet {
		p.tellDrops(s)
	}
}

func (p *report) final(s Stats) {
	if s.lost() > p.lost {
		p.tellDrops(s)
	}
}

func (p *report) tellDrops(s Stats) {
	lost := s.lost()
	p.log.Error("audit events were dropped", "events", lost-p.lost, "total", lost, DropQueueFull, s.Dropped[DropQueueFull], DropSpoolFull, s.Dropped[DropSpoolFull],
		DropRefused, s.Dropped[DropRefused], DropShutdown, s.Dropped[DropShutdown])
	p.lost, p.lostTold = lost, time.Now()
}
