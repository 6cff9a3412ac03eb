package spool_test

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/zenconn/server/audit"
	"github.com/zenconn/server/audit/audittest"
	"github.com/zenconn/server/audit/spool"
)

type nowhere struct{}

func (nowhere) Write(context.Context, *audit.Batch) error { return nil }

// perEvent reports the cost of one event.
func perEvent(b *testing.B, events int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(events), "ns/event")
	b.ReportMetric(float64(b.N)*float64(events)/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkEncode is what the spool costs a node for each event, besides sending a few compressed bytes.
func BenchmarkEncode(b *testing.B) {
	batch := &audit.Batch{Messages: audittest.Messages(0, 1000)}
	size := 0
	b.ReportAllocs()
	for b.Loop() {
		size = 0
		for _, m := range spool.Encode(batch, 1<<20) {
			size += len(m)
		}
	}
	perEvent(b, 1000)
	b.ReportMetric(float64(size)/1000, "bytes/event")
}

func BenchmarkDecode(b *testing.B) {
	message := spool.Encode(&audit.Batch{Messages: audittest.Messages(0, 1000)}, 1<<20)[0]
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := spool.Decode(message); err != nil {
			b.Fatal(err)
		}
	}
	perEvent(b, 1000)
}

// BenchmarkWriter is the whole way into the spool, server included: batches of many events as in fast mode, and of few as in durable mode.
func BenchmarkWriter(b *testing.B) {
	for _, events := range []int{1, 10, 100, 1000, 10_000} {
		b.Run(fmt.Sprintf("batch=%d", events), func(b *testing.B) {
			bus := alone(b, b.TempDir())
			runDrain(b, spool.Options{Bus: bus, Sink: nowhere{}, Size: 4 << 30})
			w, l := openWriter(b, bus), &life{name: "node"}
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				batch := l.make(events)
				b.StartTimer()
				if err := w.Write(b.Context(), batch); err != nil {
					b.Fatal(err)
				}
			}
			perEvent(b, events)
		})
	}
}

// BenchmarkDrain is the way out of the spool, into nothing and into the real stores.
func BenchmarkDrain(b *testing.B) {
	for name, open := range map[string]func(b *testing.B) audit.Writer{
		"nowhere":    func(*testing.B) audit.Writer { return nowhere{} },
		"sqlite":     func(b *testing.B) audit.Writer { return openSQLite(b, filepath.Join(b.TempDir(), "audit.db")) },
		"clickhouse": func(b *testing.B) audit.Writer { return openClickHouse(b, database(b)) },
	} {
		for _, events := range []int{10, 1000} {
			b.Run(fmt.Sprintf("%s/batch=%d", name, events), func(b *testing.B) {
				const all = 200_000
				bus := alone(b, b.TempDir())
				d := spool.NewDrain(spool.Options{Bus: bus, Sink: open(b), Size: 4 << 30})
				if err := d.Open(); err != nil {
					b.Fatal(err)
				}
				w, l := openWriter(b, bus), &life{name: "node"}
				for range all / events {
					l.write(b, w, events)
				}
				for b.Loop() {
					if b.N > 1 {
						b.Fatal("run it with -benchtime 1x")
					}
					ctx, cancel := context.WithCancel(b.Context())
					var running sync.WaitGroup
					running.Go(func() { d.Run(ctx) })
					for d.Stats().Events < all {
						<-time.After(time.Millisecond)
					}
					cancel()
					running.Wait()
				}
				perEvent(b, all)
			})
		}
	}
}

// BenchmarkOpen is what a bus with a spool adds to the start and the end of a process.
func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	for b.Loop() {
		bus := alone(b, dir)
		d := runDrain(b, spool.Options{Bus: bus, Sink: nowhere{}})
		openWriter(b, bus)
		d.stop()
		bus.Close()
	}
}
