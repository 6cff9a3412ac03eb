package testenv

import (
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// leakPatience is how long goroutines may take to end after what owns them is done, on a machine that stands still for seconds.
const leakPatience = 30 * time.Second

// Main runs a package's tests, and fails when goroutines are left by them that do not end. It is the last of a TestMain: cleanup runs after it.
func Main(m *testing.M, cleanup ...func()) {
	code := m.Run()
	if code == 0 {
		if err := leaks(); err != nil {
			fmt.Fprintln(os.Stderr, "the tests passed, but left behind:", err)
			code = 1
		}
	}
	for _, f := range cleanup {
		f()
	}
	os.Exit(code) //nolint:forbidigo // The end of the tests.
}

// VerifyNoLeaks fails the test when there are goroutines that do not end.
func VerifyNoLeaks(t testing.TB) {
	t.Helper()
	if err := leaks(); err != nil {
		t.Error(err)
	}
}

// leaks returns the goroutines, but those of the test's own, that are still there when all patience is over.
func leaks() (err error) {
	for end := time.Now().Add(leakPatience); ; {
		if err = goleak.Find(); err == nil || time.Now().After(end) {
			return err
		}
	}
}
