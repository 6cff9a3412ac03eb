package audit_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"

	"github.com/zenconn/server/audit"
)

type nowhere struct{ audit.Sink }

func (nowhere) Write(context.Context, *audit.Batch) error { return nil }

// BenchmarkRecord is the price of one event for its producer, with the writer running.
func BenchmarkRecord(b *testing.B) {
	r := audit.New(nowhere{}, audit.Options{Queue: 1 << 20, QueueBytes: 1 << 40, Log: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(b.Context())
	var running sync.WaitGroup
	running.Go(func() { r.Run(ctx) })
	defer running.Wait()
	defer cancel()
	m := &audit.Message{Payload: make([]byte, 200)}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			r.Record(m)
		}
	})
	b.ReportMetric(float64(r.Stats().Dropped[audit.DropQueueFull])/float64(b.N), "dropped/op")
}

// BenchmarkQueue compares the two ways to hand events from many producers to one writer.
func BenchmarkQueue(b *testing.B) {
	b.Run("swapped slice", BenchmarkRecord)
	b.Run("channel", func(b *testing.B) {
		events := make(chan audit.Event, 1<<20)
		var reading sync.WaitGroup
		reading.Go(func() {
			batch := make([]audit.Event, 0, 10_000)
			for e := range events {
				if batch = append(batch, e); len(batch) == cap(batch) {
					batch = batch[:0]
				}
			}
		})
		defer reading.Wait()
		defer close(events)
		m := &audit.Message{Payload: make([]byte, 200)}
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				events <- m // Waits when full: a producer that may drop instead looks fast by dropping.
			}
		})
	})
}
