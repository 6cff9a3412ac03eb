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
	"github.com/zenconn/server/internal/testenv"
)

type nowhere struct{}

func (nowhere) Write(context.Context, *audit.Batch) error { return nil }

// BenchmarkRecorder is what an event costs a worker from the recorder to the acknowledgement of the spool; cpu-ns/event is what counts. It
// includes the bus's server, which in a worker is elsewhere.
func BenchmarkRecorder(b *testing.B) {
	bus := alone(b, b.TempDir())
	if err := spool.NewDrain(spool.Options{Bus: bus, Sink: nowhere{}, Size: 4 << 30}).Open(); err != nil { // Makes the spool, and takes nothing out.
		b.Fatal(err)
	}
	r := audit.New(openWriter(b, bus), audit.Options{Node: "node", Queue: 1 << 20, QueueBytes: 1 << 40, DrainTimeout: time.Minute})
	messages := audittest.Messages(0, 10_000)
	ctx, cancel := context.WithCancel(b.Context())
	var recording sync.WaitGroup
	recording.Go(func() { r.Run(ctx) })
	before := testenv.CPU(b)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		r.Record(messages[i%len(messages)])
	}
	cancel()
	recording.Wait()
	b.ReportMetric(float64((testenv.CPU(b)-before).Nanoseconds())/float64(b.N), "cpu-ns/event")
	if s := r.Stats(); s.Stored != uint64(b.N) {
		b.Fatalf("%d of %d events are in the spool", s.Stored, b.N)
	}
}

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
		"nowhere": func(*testing.B) audit.Writer { return nowhere{} },
		"sqlite":  func(b *testing.B) audit.Writer { return openSQLite(b, filepath.Join(b.TempDir(), "audit.db")) },
		"clickhouse": func(b *testing.B) audit.Writer {
			return openClickHouse(b, audittest.ClickHouse(b, testenv.ClickHouse(b)))
		},
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
					before := testenv.CPU(b)
					ctx, cancel := context.WithCancel(b.Context())
					var running sync.WaitGroup
					running.Go(func() { d.Run(ctx) })
					for d.Stats().Events < all {
						<-time.After(time.Millisecond)
					}
					cancel()
					running.Wait()
					b.ReportMetric(all/(testenv.CPU(b)-before).Seconds(), "events/cpu-s") // Of this process, the bus's server included.
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

// BenchmarkDurable is how long publishers wait for their record, so many of them at the same time, and how many records that makes.
func BenchmarkDurable(b *testing.B) {
	for _, publishers := range []int{1, 16, 256} {
		b.Run(fmt.Sprintf("publishers=%d", publishers), func(b *testing.B) {
			bus := alone(b, b.TempDir())
			runDrain(b, spool.Options{Bus: bus, Sink: nowhere{}, Size: 4 << 30})
			r := audit.New(openWriter(b, bus), audit.Options{Node: "node", Durable: true, Block: true})
			ctx, cancel := context.WithCancel(b.Context())
			var recording, publishing sync.WaitGroup
			recording.Go(func() { r.Run(ctx) })
			m := audittest.Messages(0, 1)[0]
			b.ReportAllocs()
			for i := range publishers {
				publishing.Go(func() {
					for range b.N/publishers + min(1, max(b.N%publishers-i, 0)) {
						if err := r.RecordDurable(b.Context(), m); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			publishing.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)*float64(publishers), "µs/wait")
			cancel()
			recording.Wait()
		})
	}
}

// BenchmarkWay compares the way through the spool with the direct one, for a process that is alone.
func BenchmarkWay(b *testing.B) {
	const all = 200_000
	for _, spooled := range []bool{false, true} {
		b.Run(fmt.Sprintf("spool=%v", spooled), func(b *testing.B) {
			for b.Loop() {
				if b.N > 1 {
					b.Fatal("run it with -benchtime 1x")
				}
				store := openSQLite(b, filepath.Join(b.TempDir(), "audit.db"))
				to, drain := audit.Writer(store), func() {}
				if spooled {
					bus := alone(b, b.TempDir())
					drain = runDrain(b, spool.Options{Bus: bus, Sink: store, Size: 4 << 30, DrainTimeout: time.Minute}).stop
					to = openWriter(b, bus)
				}
				r := audit.New(to, audit.Options{Node: "node", Queue: 1 << 20, QueueBytes: 1 << 40, DrainTimeout: time.Minute})
				ctx, cancel := context.WithCancel(b.Context())
				var recording sync.WaitGroup
				recording.Go(func() { r.Run(ctx) })
				for _, m := range audittest.Messages(0, all) {
					r.Record(m)
				}
				cancel()
				recording.Wait()
				drain()
				if got, want := counts(b, store), fmt.Sprintf("[%d,%d]", all, all); got != want {
					b.Fatal(got)
				}
			}
			perEvent(b, all)
		})
	}
}
