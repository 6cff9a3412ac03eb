package supervise

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// endTimeout is how long a process that never got ready has between SIGTERM and SIGKILL.
const endTimeout = 5 * time.Second

// slot is the place of one child: it has a process, or is about to.
type slot struct {
	s       *Supervisor
	index   int
	replace chan replacement

	// Owned by run.
	current   *process
	announced *process       // The one last told to be ready.
	pause     time.Duration  // Before the next start.
	failed    int            // Ends in a row, none after a stable time.
	ends      []time.Time    // The same, within the last LoopWindow.
	leaving   sync.WaitGroup // Processes that are being drained.

	mu        sync.Mutex
	status    Status
	loop      bool       // It is in a crash loop.
	processes []*process // Those that may yet become ready.
}

func newSlot(s *Supervisor, index int) *slot {
	return &slot{s: s, index: index, replace: make(chan replacement), status: Status{Index: index, State: StateStopped}}
}

// run keeps the place filled until ctx ends, and then empties it.
func (k *slot) run(ctx context.Context) {
	defer k.leaving.Wait()
	for ctx.Err() == nil {
		if k.current == nil {
			k.fill(ctx)
		} else {
			k.watch(ctx)
		}
	}
	if p := k.current; p != nil {
		k.show(StateDraining)
		k.s.drain(p)
		k.let(p)
	}
	k.show(StateStopped)
}

// fill starts a process after the pause that is due.
func (k *slot) fill(ctx context.Context) {
	timer := time.NewTimer(k.pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return
	case request := <-k.replace:
		k.swap(ctx, request)
		return
	case <-timer.C:
	}
	p, err := k.s.launch(k.index)
	if err != nil {
		k.lost(Exit{At: time.Now(), Text: err.Error()}, time.Time{})
		return
	}
	k.current = p
	k.hold(p)
}

// watch waits for the next that happens to the process.
func (k *slot) watch(ctx context.Context) {
	p := k.current
	ready, late := p.ready, (<-chan time.Time)(nil)
	if k.announced == p {
		ready = nil
	} else {
		timer := time.NewTimer(time.Until(p.since.Add(k.s.o.ReadyTimeout)))
		defer timer.Stop()
		late = timer.C
	}
	for {
		select {
		case <-ready:
			ready, late = nil, nil
			k.isReady(p)
		case <-late:
			k.s.end(p, endTimeout)
			k.gone(p, fmt.Sprintf("was not ready within %v", k.s.o.ReadyTimeout))
			return
		case <-p.ended:
			k.gone(p, "")
			return
		case request := <-k.replace:
			k.swap(ctx, request)
			return
		case <-ctx.Done():
			return
		}
	}
}

// swap replaces the process, if there is one, by another.
func (k *slot) swap(ctx context.Context, request replacement) {
	next, err := k.s.launch(k.index)
	if err != nil {
		request <- err
		return
	}
	k.hold(next)
	late := time.NewTimer(k.s.o.ReadyTimeout)
	defer late.Stop()
	for {
		var ended <-chan struct{}
		if k.current != nil {
			ended = k.current.ended
		}
		select {
		case <-next.ready:
			k.hand(next, request)
			return
		case <-ended:
			k.gone(k.current, "")
		case <-next.ended:
			k.refuse(next, next.exit)
			request <- fmt.Errorf("the replacement ended before it was ready: %s", next.report())
			return
		case <-late.C:
			k.s.end(next, endTimeout)
			text := fmt.Sprintf("was not ready within %v", k.s.o.ReadyTimeout)
			k.refuse(next, text)
			request <- fmt.Errorf("the replacement %s", text)
			return
		case <-ctx.Done():
			k.s.end(next, endTimeout)
			k.let(next)
			request <- ErrNotRunning
			return
		}
	}
}

// hand gives the place to a replacement that is ready. The restart goes on when the old process has ended.
func (k *slot) hand(next *process, request replacement) {
	old := k.current
	k.current, k.failed, k.ends = next, 0, nil
	k.mu.Lock()
	k.loop = false
	k.mu.Unlock()
	k.isReady(next)
	if old == nil {
		request <- nil
		return
	}
	k.leaving.Go(func() {
		k.s.drain(old)
		k.let(old)
		request <- nil
	})
}

// refuse notes that a replacement was no good. The place stays as it is.
func (k *slot) refuse(next *process, text string) {
	k.let(next)
	exit := next.last(text)
	k.s.tell(Event{Kind: Ended, Index: k.index, PID: next.pid, Exit: &exit})
	k.mu.Lock()
	defer k.mu.Unlock()
	k.status.LastExit = &exit
	if k.status.State == StateReplacing {
		k.status.State, k.status.Since = StateReady, time.Now()
	}
}

// gone notes the end of the current process, which nobody asked for.
func (k *slot) gone(p *process, text string) {
	k.let(p)
	k.current = nil
	if text == "" {
		text = p.exit
	}
	k.lost(p.last(text), p.readyAt())
}

// lost decides when to try again.
func (k *slot) lost(exit Exit, ready time.Time) {
	o := &k.s.o
	if !ready.IsZero() && exit.At.Sub(ready) >= o.StableAfter {
		k.failed, k.ends = 0, nil
		k.mu.Lock()
		k.loop = false
		k.mu.Unlock()
	}
	k.ends = append(k.ends, exit.At)
	for exit.At.Sub(k.ends[0]) > o.LoopWindow {
		k.ends = k.ends[1:]
	}
	k.pause = min(o.FirstPause<<min(k.failed, 20), o.LongestPause)
	k.failed++

	k.mu.Lock()
	k.loop = k.loop || len(k.ends) >= o.LoopEnds
	if k.loop {
		k.pause = o.LongestPause
	}
	k.pause -= rand.N(k.pause/4 + 1) //nolint:gosec // Only so that not all come at once.
	k.status.State, k.status.Since = StateBackingOff, exit.At
	if k.loop {
		k.status.State = StateCrashLoop
	}
	k.status.PID, k.status.Started, k.status.NextTry, k.status.LastExit = 0, time.Time{}, exit.At.Add(k.pause), &exit
	k.status.Restarts++
	loop := k.loop
	k.mu.Unlock()

	o.Log.Error("a worker ended", "worker", o.Name(k.index), "pid", exit.PID, "why", exit.Text, "crash_loop", loop,
		"next_try_in", k.pause.Round(time.Millisecond))
	k.s.tell(Event{Kind: Ended, Index: k.index, PID: exit.PID, Exit: &exit})
}

// isReady notes that the current process is ready.
func (k *slot) isReady(p *process) {
	k.announced = p
	k.s.o.Log.Info("a worker is ready", "worker", k.s.o.Name(k.index), "pid", p.pid, "after", time.Since(p.since).Round(time.Millisecond))
	k.mu.Lock()
	k.status.State, k.status.Since, k.status.PID, k.status.Started, k.status.NextTry = StateReady, time.Now(), p.pid, p.started, time.Time{}
	k.mu.Unlock()
	k.s.tell(Event{Kind: Ready, Index: k.index, PID: p.pid})
}

// hold lets a process be found by Ready.
func (k *slot) hold(p *process) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.processes = append(k.processes, p)
	switch {
	case p != k.current && k.status.State == StateReady:
		k.status.State, k.status.Since = StateReplacing, time.Now()
	case p == k.current:
		k.status.State, k.status.Since, k.status.PID, k.status.Started = StateStarting, time.Now(), p.pid, p.started
		k.status.NextTry = time.Time{}
		if k.loop {
			k.status.State = StateCrashLoop
		}
	}
}

// let forgets a process that has ended.
func (k *slot) let(p *process) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i, other := range k.processes {
		if other == p {
			k.processes = append(k.processes[:i:i], k.processes[i+1:]...)
			return
		}
	}
}

func (k *slot) markReady(pid int) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, p := range k.processes {
		if p.pid == pid {
			p.markReady()
			return true
		}
	}
	return false
}

// show shows a state that leaves the process as it is; of a place that is empty, none.
func (k *slot) show(state State) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.status.State, k.status.Since, k.status.NextTry = state, time.Now(), time.Time{}
	if state == StateStopped {
		k.status.PID, k.status.Started = 0, time.Time{}
	}
}
