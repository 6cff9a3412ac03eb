package session

import (
	"context"
	"sync"
	"time"
)

// Wheel calls every session when something is due: its connect command, a ping, an answer, an expiry. It is one timing wheel for
// all sessions, so that a connection costs no timer of its own.
type Wheel struct {
	mu    sync.Mutex // Guards all below.
	slots [wheelSlots]*Session
	now   int // The tick that was served last.
	start time.Time

	resumed time.Time // When the process went on after it had stood still; zero: it never has. Owned by Run.
}

const (
	wheelTick  = 100 * time.Millisecond
	wheelSlots = 1024 // What is due later than a turn of the wheel is looked at again then.
	standstill = 10   // Ticks that are late: the process stood still, or has much more to do than it can.
)

// timer is a session's place in the wheel; guarded by Wheel.mu.
type timer struct {
	prev, next *Session
	tick       int // When it is due, in ticks since the start of the wheel.
	placed     bool
	removed    bool // Never placed again.
}

// NewWheel makes an empty wheel.
func NewWheel() *Wheel { return &Wheel{start: time.Now()} }

// Run turns the wheel until ctx ends.
func (w *Wheel) Run(ctx context.Context) {
	ticker := time.NewTicker(wheelTick)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C: // Not the ticker's time, which may be long ago.
			w.turn(time.Now())
		}
	}
}

// turn serves the slots that are due. A late tick serves several.
func (w *Wheel) turn(now time.Time) {
	target := int(now.Sub(w.start) / wheelTick)
	if target-w.now > standstill {
		w.resumed = now
	}
	for {
		w.mu.Lock()
		if w.now >= target {
			w.mu.Unlock()
			return
		}
		w.now++
		slot := w.now % wheelSlots
		var due []*Session
		for s := w.slots[slot]; s != nil; s = s.timer.next {
			due = append(due, s)
		}
		for _, s := range due {
			w.unlinkLocked(s)
		}
		w.mu.Unlock()

		for _, s := range due {
			if next := s.due(now); !next.IsZero() {
				w.add(s, next)
			}
		}
	}
}

// allow returns until when a client has to do something for which it had some time. If the process stood still in that time, what the
// client has done may lie unread, and the time begins anew.
func (w *Wheel) allow(deadline time.Time, had time.Duration) time.Time {
	if deadline.Add(-had).Before(w.resumed) {
		return w.resumed.Add(had)
	}
	return deadline
}

// add has the session called at the given time or earlier: when it is placed already, the earlier time counts. A session must bear
// to be called before anything is due.
func (w *Wheel) add(s *Session, at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	tick := int((at.Sub(w.start) + wheelTick - 1) / wheelTick)
	tick = min(max(tick, w.now+1), w.now+wheelSlots-1)
	if s.timer.removed || s.timer.placed && s.timer.tick <= tick {
		return
	}
	if s.timer.placed {
		w.unlinkLocked(s)
	}
	first := &w.slots[tick%wheelSlots]
	s.timer.tick, s.timer.placed, s.timer.next = tick, true, *first
	if s.timer.next != nil {
		s.timer.next.timer.prev = s
	}
	*first = s
}

// remove forgets the session for good.
func (w *Wheel) remove(s *Session) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s.timer.removed = true
	if s.timer.placed {
		w.unlinkLocked(s)
	}
}

func (w *Wheel) unlinkLocked(s *Session) {
	t := &s.timer
	if t.prev != nil {
		t.prev.timer.next = t.next
	} else {
		w.slots[t.tick%wheelSlots] = t.next
	}
	if t.next != nil {
		t.next.timer.prev = t.prev
	}
	t.prev, t.next, t.placed = nil, nil, false
}
