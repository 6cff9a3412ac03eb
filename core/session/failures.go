package session

import (
	"log/slog"
	"sync"
	"time"
)

// failures tells the log about commands that failed, at most so many times a second: during an outage of a store every publication
// fails, and a log that fills the disk would be the next outage. What is left out is counted and told with the next line.
type failures struct {
	mu     sync.Mutex
	second int64 // Unix seconds that lines are counted in.
	lines  int
	silent uint64 // Left out since the last line.
}

// failureLines is how many lines a second may have.
const failureLines = 10

func (f *failures) log(log *slog.Logger, args ...any) {
	f.mu.Lock()
	if now := time.Now().Unix(); now != f.second {
		f.second, f.lines = now, 0
	}
	if f.lines++; f.lines > failureLines {
		f.silent++
		f.mu.Unlock()
		return
	}
	silent := f.silent
	f.silent = 0
	f.mu.Unlock()
	if silent > 0 {
		args = append(args, "failures_not_logged", silent)
	}
	log.Error("a command failed", args...)
}
