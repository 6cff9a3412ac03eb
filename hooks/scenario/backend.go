package scenario

import (
	"context"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/hooks/host"
)

// backend is what lies behind the functions of the server, in place of one: it writes down what a plugin does. Implements host.Server and
// host.Metrics.
type backend struct {
	mu      sync.Mutex // Guards all below. Nobody waits while holding it.
	calls   []call
	metrics map[string]float64
	queued  float64 // Calls that are carried out after the plugin's answer,
	done    float64 // and those that were.
	ignored bool    // No more calls are written down.
}

func newBackend() *backend { return &backend{metrics: map[string]float64{}} }

func (b *backend) note(name string, fields map[string]Value) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.ignored {
		b.calls = append(b.calls, call{name: name, fields: fields})
	}
}

func (b *backend) ignore() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ignored, b.calls = true, nil
}

// Publish implements host.Server.
func (b *backend) Publish(_ context.Context, _, channel string, data []byte, tags map[string]string) error {
	fields := map[string]Value{"channel": textValue(channel), "data": textValue(string(data)), "tags": {Absent: true}}
	if len(tags) > 0 {
		fields["tags"] = Value{Text: toJSON(tags), IsJSON: true}
	}
	b.note("publish", fields)
	return nil
}

// Unsubscribe implements host.Server.
func (b *backend) Unsubscribe(_ context.Context, _, user, client, channel string) error {
	b.note("unsubscribe", map[string]Value{"user": optional(user), "client": optional(client), "channel": textValue(channel)})
	return nil
}

// Disconnect implements host.Server.
func (b *backend) Disconnect(_ context.Context, _, user, client string, d core.Disconnect) error {
	b.note("disconnect", map[string]Value{
		"user": optional(user), "client": optional(client), "code": intValue(int64(d.Code)), "reason": textValue(d.Reason),
	})
	return nil
}

// adder is a host.Counter.
type adder func(n float64)

func (a adder) Add(n float64) { a(n) }

// PluginInstances implements host.Metrics.
func (*backend) PluginInstances(string, int) {}

// PluginCalls implements host.Metrics: it learns how many calls are to be carried out later.
func (b *backend) PluginCalls(_, function, result string) host.Counter {
	later := result == "ok" && (function == "server_unsubscribe" || function == "server_disconnect")
	return adder(func(n float64) {
		if later {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.queued += n
		}
	})
}

// PluginMetric implements host.Metrics.
func (b *backend) PluginMetric(_, name string) host.Counter {
	return adder(func(n float64) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.metrics[name] += n
	})
}

// PluginActions implements host.Metrics.
func (b *backend) PluginActions(_, _, result string, n float64) {
	if result == "dropped" {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.done += n
}

// settled says whether everything has been carried out. It must not be asked while the plugin is.
func (b *backend) settled() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.done >= b.queued
}

// take returns the calls and counters since the last take.
func (b *backend) take() (calls []call, metrics map[string]float64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	calls, metrics = b.calls, b.metrics
	b.calls, b.metrics = nil, map[string]float64{}
	return calls, metrics
}

func (c call) String() string {
	var b strings.Builder
	b.WriteString(c.name)
	for _, name := range []string{"user", "client", "channel", "code", "reason", "data", "tags"} {
		if v, ok := c.fields[name]; ok && !v.Absent {
			b.WriteString(" " + name + " " + v.Text)
		}
	}
	return b.String()
}

// like says whether a call is the one that a file wants. Fields that it does not name may be anything.
func (c call) like(wanted call) bool {
	if c.name != wanted.name {
		return false
	}
	for name, v := range wanted.fields {
		if !v.matches(c.fields[name]) {
			return false
		}
	}
	return true
}

// logbook takes a plugin's log. Implements slog.Handler.
type logbook struct {
	mu    sync.Mutex
	lines []logLine // Guarded by mu.
}

// Enabled implements slog.Handler.
func (*logbook) Enabled(context.Context, slog.Level) bool { return true }

// WithAttrs implements slog.Handler.
func (l *logbook) WithAttrs([]slog.Attr) slog.Handler { return l }

// WithGroup implements slog.Handler.
func (l *logbook) WithGroup(string) slog.Handler { return l }

// Handle implements slog.Handler.
func (l *logbook) Handle(_ context.Context, r slog.Record) error {
	text := r.Message
	r.Attrs(func(a slog.Attr) bool {
		text += " " + a.Key + "=" + strconv.Quote(a.Value.String())
		return true
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, logLine{level: strings.ToLower(r.Level.String()), text: text})
	return nil
}

// take returns the lines since the last take.
func (l *logbook) take() []logLine {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := slices.Clone(l.lines)
	l.lines = nil
	return lines
}

func (l logLine) String() string {
	if l.level == "" {
		return strconv.Quote(l.text)
	}
	return l.level + " " + strconv.Quote(l.text)
}

// like says whether a line is the one that a file wants.
func (l logLine) like(wanted logLine) bool {
	return (wanted.level == "" || wanted.level == l.level) && strings.Contains(l.text, wanted.text)
}

// settleTimeout is how long something may take that a plugin has had queued; only what hangs takes as long.
const (
	settleTimeout = time.Minute
	settlePoll    = time.Millisecond
)

// until waits for a condition.
func until(ctx context.Context, condition func() bool) bool {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	for !condition() {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(settlePoll):
		}
	}
	return true
}
