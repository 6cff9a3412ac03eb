package host

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"

	"golang.org/x/time/rate"
)

// What a plugin may write to the log: a burst, then a steady trickle. The rest is counted and told with the next line.
const (
	logBurst     = 100
	logPerSecond = 20
	maxLogLine   = 4096 // Bytes.
)

// Log is a plugin's way into the server's log, shared by its instances. It is safe for concurrent use.
type Log struct {
	logger     *slog.Logger
	limit      *rate.Limiter
	suppressed atomic.Int64
}

// NewLog makes the log of a plugin. logger may be nil: then nothing is written.
func NewLog(logger *slog.Logger, plugin string) *Log {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	return &Log{logger: logger.With("plugin", plugin), limit: rate.NewLimiter(logPerSecond, logBurst)}
}

// Failed writes why the server could not do what the plugin wanted, which does not get to see the error.
func (l *Log) Failed(message string, err error) {
	if logger := l.next(); logger != nil {
		logger.Warn(message, "error", err) //nolint:sloglint // It is one of a few.
	}
}

// next returns where one more line goes; nil: it is one too many.
func (l *Log) next() *slog.Logger {
	if !l.limit.Allow() {
		l.suppressed.Add(1)
		return nil
	}
	if n := l.suppressed.Swap(0); n > 0 {
		return l.logger.With("suppressed", n)
	}
	return l.logger
}

// Write writes one line. What is too long is cut, and what is too much is counted.
func (l *Log) Write(level slog.Level, message string) {
	logger := l.next()
	if logger == nil {
		return
	}
	if len(message) > maxLogLine {
		message = message[:maxLogLine] + "…"
	}
	logger.Log(context.Background(), level, strings.ToValidUTF8(message, "\ufffd")) //nolint:sloglint // The message is the plugin's.
}
