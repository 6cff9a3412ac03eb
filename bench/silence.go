package bench

import "time"

// silence is how long nothing has come of what is waited for. Only time in which we looked counts: while the machine stood still, or had no
// processor for us, nothing could be seen to come.
type silence struct {
	looked time.Time
	lasted time.Duration
}

// look is how long one look counts at most, twice what there is between two.
const look = 2 * tick

func newSilence() *silence { return &silence{looked: time.Now()} }

// lasts is told at every look whether it is still silent, and returns for how long it has been.
func (s *silence) lasts(still bool) time.Duration {
	now := time.Now()
	s.lasted += min(now.Sub(s.looked), look)
	s.looked = now
	if !still {
		s.lasted = 0
	}
	return s.lasted
}
