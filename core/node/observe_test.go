package node

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/zenconn/server/audit"
	"github.com/zenconn/server/core/metrics"
	"github.com/zenconn/server/hooks"
)

// broken is a plugin that fails unless it is mended.
type broken struct{ mended bool }

func (b *broken) Name() string { return "broken" }
func (b *broken) Hash() string { return "0" }
func (b *broken) Close() error { return nil }

func (b *broken) Channel(context.Context, *hooks.Channel) (hooks.Answer, error) {
	if b.mended {
		return hooks.Answer{}, nil
	}
	return hooks.Answer{}, errors.New("oops")
}

// A failing plugin is seen in the metrics and told to the log: each fault, and when it is cut out and back, but not each of the
// thousands of times it is then not asked. Its events have no client.
func TestFailingPluginIsSeen(t *testing.T) { synctest.Test(t, failingPluginIsSeen) }

func failingPluginIsSeen(t *testing.T) {
	var log bytes.Buffer
	m := metrics.New(prometheus.NewRegistry())
	recorder := audit.New(struct{ audit.Sink }{}, audit.Options{})
	o := &observer{recorder: recorder, metrics: m, log: slog.New(slog.NewTextHandler(&log, nil))}
	p := &broken{}
	cooldown := time.Minute
	c := hooks.NewChain([]hooks.Link{{Plugin: p, Breaker: hooks.Breaker{Faults: 2, Window: time.Minute, Cooldown: cooldown}}}, o)
	ask := func() { c.Channel(t.Context(), &hooks.Channel{Channel: "x"}) }
	for range 3 {
		ask()
	}
	if state := testutil.ToFloat64(m.Breaker.WithLabelValues("broken", "channel")); state != 1 {
		t.Errorf("the gauge says %v when open", state)
	}
	if n := testutil.ToFloat64(m.Decisions.WithLabelValues("broken", "channel", "error")); n != 3 || recorder.Stats().Recorded != 3 {
		t.Errorf("%v faults counted, %d recorded", n, recorder.Stats().Recorded)
	}
	p.mended = true
	<-time.After(cooldown)
	ask()
	if state := testutil.ToFloat64(m.Breaker.WithLabelValues("broken", "channel")); state != 0 {
		t.Errorf("the gauge says %v when closed again", state)
	}
	for part, times := range map[string]int{"a plugin failed\"": 2, "no longer asked": 1, "is tried again": 1, "works again": 1} {
		if n := strings.Count(log.String(), part); n != times {
			t.Errorf("%q is in the log %d times, want %d:\n%s", part, n, times, log.String())
		}
	}
}
