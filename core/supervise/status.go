package supervise

import (
	"slices"
	"time"
)

// State says what a child's place is doing.
type State string

// The states.
const (
	StateStarting   State = "starting" // A process is there and not ready yet.
	StateReady      State = "ready"
	StateReplacing  State = "replacing"   // Ready, and its replacement is being started.
	StateBackingOff State = "backing off" // No process is there; the next one is started after a pause.
	StateCrashLoop  State = "crash loop"  // The same, after so many ends that the pauses are the longest; or that next one is not ready yet.
	StateDraining   State = "draining"    // It was asked to end, and has no replacement.
	StateStopped    State = "stopped"
)

// Status is how a child's place stands.
type Status struct {
	Index    int
	PID      int // 0: no process is there.
	State    State
	Since    time.Time // Of the state.
	Started  time.Time // Of the process; zero when there is none.
	Restarts int       // Starts after an unasked end.
	NextTry  time.Time // While backing off.
	LastExit *Exit     // The last unasked end; nil: none.
}

// Exit is how a child ended that nobody had asked to.
type Exit struct {
	At    time.Time
	PID   int
	Text  string   // Such as "exit status 2", or what was wrong.
	Lines []string // The last it wrote to standard error.
}

// Status returns the state of all children, in the order of their indices.
func (s *Supervisor) Status() []Status {
	all := make([]Status, len(s.slots))
	for i, k := range s.slots {
		all[i] = k.snapshot()
	}
	return all
}

// Progress is how far a restart of all children is.
type Progress struct {
	Running bool
	Begun   time.Time // Zero: there was none yet.
	Over    time.Time // Zero while it runs.
	Done    int       // Children that were replaced.
	Count   int
	Err     error // Why it was given up.
}

// Progress returns how far the restart is that is under way, or how the last one ended.
func (s *Supervisor) Progress() Progress {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.restart
}

func (k *slot) snapshot() Status {
	k.mu.Lock()
	defer k.mu.Unlock()
	status := k.status
	if status.LastExit != nil {
		last := *status.LastExit
		last.Lines = slices.Clone(last.Lines)
		status.LastExit = &last
	}
	return status
}
