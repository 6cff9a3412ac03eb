//go:build unix

package testenv

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// CPU returns the processor time that this process has used so far. Benchmarks report it because it depends less on what else a machine does
// than the time that passes.
func CPU(t testing.TB) time.Duration {
	t.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
