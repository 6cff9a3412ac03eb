package bus_test

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/zenconn/server/core/bus"
)

// A request of 256 bytes and its answer, between two connections as two processes have them.
func BenchmarkRequest(b *testing.B) {
	c := defaults()
	c.Listen = "127.0.0.1:0"
	agent := bus.New(bus.Options{Config: c, Data: b.TempDir(), Node: "agent", Log: slog.New(slog.DiscardHandler)})
	if err := agent.Open(b.Context()); err != nil {
		b.Fatal(err)
	}
	defer agent.Close()
	worker := func(name string) *bus.Bus {
		w := bus.New(bus.Options{Config: agent.Join(), Data: b.TempDir(), Node: name, Log: slog.New(slog.DiscardHandler), Insist: true})
		if err := w.Open(b.Context()); err != nil {
			b.Fatal(err)
		}
		return w
	}
	one, two := worker("one"), worker("two")
	defer one.Close()
	defer two.Close()
	for _, bench := range []struct {
		name     string
		from, to *bus.Bus
	}{{"worker to agent", one, agent}, {"worker to worker", one, two}} {
		b.Run(bench.name, func(b *testing.B) {
			stop, err := bench.to.Handle("echo", func(_ context.Context, body []byte) ([]byte, error) { return body, nil })
			if err != nil {
				b.Fatal(err)
			}
			defer stop()
			body := make([]byte, 256)
			var took []time.Duration
			for b.Loop() {
				begin := time.Now()
				if _, err := bench.from.Request(b.Context(), "echo", body); err != nil {
					b.Fatal(err)
				}
				took = append(took, time.Since(begin))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
		})
	}
}
