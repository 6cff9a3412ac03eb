package host

import "time"

// longestTurn is far more than a plugin's code runs between two looks of its runtime at the clock. What goes beyond is time in which the
// machine, or the process, had something else to do.
const longestTurn = 10 * time.Millisecond

// Standstill finds the time in which a plugin's code could not run, for limits on code that nobody waits for: a plugin is not refused
// because the machine stood still for seconds while it was loaded. The runtime tells it of every look at the clock. It belongs to one
// instance and is not safe for concurrent use.
type Standstill struct{ looked time.Time }

// Begin says that the code runs from now on.
func (s *Standstill) Begin(now time.Time) { s.looked = now }

// Lost is the time since the last look in which the code cannot have run.
func (s *Standstill) Lost(now time.Time) time.Duration {
	lost := now.Sub(s.looked) - longestTurn
	s.looked = now
	return max(lost, 0)
}
