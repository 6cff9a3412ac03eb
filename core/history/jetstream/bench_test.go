package jetstream_test

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/bus"
	"github.com/zenconn/server/core/config"
	"github.com/zenconn/server/core/history"
	"github.com/zenconn/server/core/history/jetstream"
)

func openBus(t testing.TB, dir string, c config.Bus) *bus.Bus {
	t.Helper()
	b := bus.New(bus.Options{Config: c, Data: dir, Node: "test", Log: slog.New(slog.DiscardHandler)})
	if err := b.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func openStore(t testing.TB, b *bus.Bus, namespaces map[string]jetstream.Namespace) *jetstream.Store {
	t.Helper()
	s := jetstream.New(jetstream.Options{Bus: b, Namespaces: namespaces, Log: slog.New(slog.DiscardHandler), Of: func(channel string) string {
		ns, _, found := strings.Cut(channel, ":")
		if !found {
			return "default"
		}
		return ns
	}})
	if err := s.Open(); err != nil {
		t.Fatal(err)
	}
	return s
}

func embedded() config.Bus { return config.Default().Bus }

func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{1, 10, 100, 1000} {
		b.Run(fmt.Sprintf("size=%d", size), func(b *testing.B) {
			s := openStore(b, openBus(b, b.TempDir(), embedded()),
				map[string]jetstream.Namespace{"default": {Limits: history.Limits{Size: size, TTL: time.Minute}}})
			const channels = 1000
			data := []byte(`"` + strings.Repeat("x", 200) + `"`)
			var wg sync.WaitGroup
			var n atomic.Int64
			per := b.N/64 + 1
			b.ResetTimer()
			for w := range 64 {
				wg.Go(func() {
					for i := range per {
						name := fmt.Sprintf("room-%d", (w+64*i)%channels)
						if _, err := s.Append(b.Context(), name, &core.Publication{Channel: name, Data: data}, history.Limits{}); err != nil {
							b.Error(err)
							return
						}
						n.Add(1)
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(n.Load())/b.Elapsed().Seconds(), "appends/s")
		})
	}
}
