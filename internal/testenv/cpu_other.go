//go:build !unix

package testenv

import (
	"testing"
	"time"
)

// CPU returns zero: what a process used is asked of Unix systems only.
func CPU(testing.TB) time.Duration { return 0 }
