package host_test

import (
	"testing"
	"time"

	"github.com/zenconn/server/hooks/host"
)

func TestStandstill(t *testing.T) {
	now := time.Now()
	var s host.Standstill
	s.Begin(now)
	for _, tt := range []struct{ passed, lost time.Duration }{
		{0, 0}, {time.Millisecond, 0}, {9 * time.Millisecond, 0}, {time.Minute + 10*time.Millisecond, time.Minute}, {time.Millisecond, 0},
	} {
		now = now.Add(tt.passed)
		if got := s.Lost(now); got != tt.lost {
			t.Errorf("of %v, %v were lost, want %v", tt.passed, got, tt.lost)
		}
	}
}
