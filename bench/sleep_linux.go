package bench

import (
	"time"

	"golang.org/x/sys/unix"
)

// sleep waits for d with the kernel's precision: Go's own timers round up to a millisecond when the process is otherwise idle,
// which would show as latency.
func sleep(d time.Duration) {
	if d <= 0 {
		return
	}
	spec := unix.NsecToTimespec(int64(d))
	unix.Nanosleep(&spec, nil) //nolint:errcheck // When a signal cuts it short, the caller looks at the clock and sleeps again.
}
