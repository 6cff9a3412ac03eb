package lua

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"

	lua "github.com/yuin/gopher-lua"
	"golang.org/x/time/rate"
)

// What a plugin may write to the log: a burst, then a steady trickle. The rest is counted and told with the next line.
const (
	logBurst     = 100
	logPerSecond = 20
	maxLogLine   = 4096 // Bytes.
)

// scriptLog is a plugin's way into the server's log, shared by its instances.
type scriptLog struct {
	logger     *slog.Logger
	limit      *rate.Limiter
	suppressed atomic.Int64
}

func newScriptLog(logger *slog.Logger, plugin string) *scriptLog {
	return &scriptLog{logger: logger.With("plugin", plugin), limit: rate.NewLimiter(logPerSecond, logBurst)}
}

func (s *scriptLog) info(message string)  { s.write(slog.LevelInfo, message) }
func (s *scriptLog) warn(message string)  { s.write(slog.LevelWarn, message) }
func (s *scriptLog) error(message string) { s.write(slog.LevelError, message) }

func (s *scriptLog) write(level slog.Level, message string) {
	if !s.limit.Allow() {
		s.suppressed.Add(1)
		return
	}
	if len(message) > maxLogLine {
		message = message[:maxLogLine] + "…"
	}
	logger := s.logger
	if n := s.suppressed.Swap(0); n > 0 {
		logger = logger.With("suppressed", n)
	}
	logger.Log(context.Background(), level, strings.ToValidUTF8(message, "\ufffd")) //nolint:sloglint // The message is the script's.
}

func (in *instance) logLibrary() *lua.LTable {
	t := in.l.CreateTable(0, 3)
	for name, write := range map[string]func(string){"info": in.log.info, "warn": in.log.warn, "error": in.log.error} {
		t.RawSetString(name, in.l.NewFunction(func(l *lua.LState) int {
			write(l.ToStringMeta(l.CheckAny(1)).String())
			return 0
		}))
	}
	return t
}
