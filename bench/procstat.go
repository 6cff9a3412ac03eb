package bench

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// usage is what processes have used so far.
type usage struct {
	cpu time.Duration // User and system time.
	rss int64         // Resident memory, in bytes.
}

// clockTick is the unit of /proc/PID/stat: USER_HZ is 100 on every architecture that Go runs on.
const clockTick = 10 * time.Millisecond

var errProcFormat = errors.New("not in the form that proc(5) describes")

// parseStatCPU reads user plus system time from the contents of /proc/PID/stat.
func parseStatCPU(stat []byte) (time.Duration, error) {
	end := bytes.LastIndexByte(stat, ')') // The program's name may hold anything.
	if end < 0 {
		return 0, errProcFormat
	}
	fields := bytes.Fields(stat[end+1:])
	const utime, stime = 14 - 3, 15 - 3 // Numbered from 1 in proc(5); the state, field 3, comes first here.
	if len(fields) <= stime {
		return 0, errProcFormat
	}
	user, err1 := strconv.ParseInt(string(fields[utime]), 10, 64)
	system, err2 := strconv.ParseInt(string(fields[stime]), 10, 64)
	if err := errors.Join(err1, err2); err != nil {
		return 0, fmt.Errorf("%w: %w", errProcFormat, err)
	}
	return time.Duration(user+system) * clockTick, nil
}

// parseStatusRSS reads the resident memory from the contents of /proc/PID/status.
func parseStatusRSS(status []byte) (int64, error) {
	for line := range bytes.Lines(status) {
		value, ok := bytes.CutPrefix(line, []byte("VmRSS:"))
		if !ok {
			continue
		}
		fields := bytes.Fields(value)
		if len(fields) != 2 || string(fields[1]) != "kB" {
			return 0, errProcFormat
		}
		kib, err := strconv.ParseInt(string(fields[0]), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%w: %w", errProcFormat, err)
		}
		return kib << 10, nil
	}
	return 0, errProcFormat // A kernel thread, or a process that has just ended.
}
