//go:build !linux

package bench

import (
	"errors"
	"runtime"
)

func usageOf([]int) (usage, error) {
	return usage{}, errors.New("what the server uses (--pid) can be measured on Linux only, not on " + runtime.GOOS)
}
