package session

import "time"

// limiter is a token bucket. It belongs to one session and is small because there are many of those.
type limiter struct {
	rate, burst float64 // Per second, and at once; rate 0: no limit.
	tokens      float64
	last        time.Time
}

// allow takes one token, if there is one.
func (l *limiter) allow(now time.Time) bool {
	if l.rate <= 0 {
		return true
	}
	if l.last.IsZero() {
		l.tokens = l.burst
	} else {
		l.tokens = min(l.burst, l.tokens+now.Sub(l.last).Seconds()*l.rate)
	}
	l.last = now
	if l.tokens < 1 {
		return false
	}
	l.tokens--
	return true
}
