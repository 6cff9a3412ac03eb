package bus

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// serverLog hands what the embedded server has to say to our log. Its notices are for people who run a NATS server: they become
// debug messages. Its warnings tell of what it has dealt with, such as the traces of a process that was killed.
type serverLog struct {
	log    *slog.Logger
	secret string                     // Not written; "": there is none.
	twin   *atomic.Pointer[time.Time] // Set when another server has the same name: the server tells only its log.
}

func (l serverLog) write(level slog.Level, format string, args []any) {
	if strings.Contains(format, "has a duplicate name") {
		now := time.Now()
		l.twin.Store(&now)
	}
	if l.log.Enabled(context.Background(), level) {
		text := fmt.Sprintf(format, args...)
		if l.secret != "" {
			text = strings.ReplaceAll(text, l.secret, "***")
		}
		l.log.Log(context.Background(), level, "NATS: "+text) //nolint:sloglint // Another program's words.
	}
}

func (l serverLog) Noticef(format string, args ...any) { l.write(slog.LevelDebug, format, args) }
func (l serverLog) Warnf(format string, args ...any)   { l.write(slog.LevelInfo, format, args) }
func (l serverLog) Errorf(format string, args ...any)  { l.write(slog.LevelError, format, args) }
func (l serverLog) Debugf(format string, args ...any)  { l.write(slog.LevelDebug, format, args) }
func (l serverLog) Tracef(format string, args ...any)  { l.write(slog.LevelDebug, format, args) }

// Fatalf does not end the process: Open finds that the server does not get ready.
func (l serverLog) Fatalf(format string, args ...any) { l.write(slog.LevelError, format, args) }

// quiet is how long a message is not repeated.
const quiet = 10 * time.Second

// seldom writes the same message at most once in a while, with the number of those left out.
type seldom struct {
	log *slog.Logger

	mu   sync.Mutex // Guards last.
	last map[string]*spoken
}

type spoken struct {
	at     time.Time
	silent int // Messages left out since.
}

func (s *seldom) say(level slog.Level, message string, args ...any) {
	s.mu.Lock()
	l := s.last[message]
	if l == nil {
		l = &spoken{}
		s.last[message] = l
	}
	if now := time.Now(); now.Sub(l.at) < quiet {
		l.silent++
		s.mu.Unlock()
		return
	} else if l.at = now; l.silent > 0 {
		args = append(args, "left_out", l.silent)
		l.silent = 0
	}
	s.mu.Unlock()
	s.log.Log(context.Background(), level, message, args...) //nolint:sloglint // The callers' messages are constant.
}
