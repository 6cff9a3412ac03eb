//go:build !race

// Without the race detector, which allocates too.

package hub_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/channel"
	"github.com/zenconn/server/core/history"
	"github.com/zenconn/server/core/hub"
	"github.com/zenconn/server/core/metrics"
	"github.com/zenconn/server/core/outbound"
	"github.com/zenconn/server/core/protocol"
)

// TestAllocations holds what a publication may allocate, however many get it: itself, what its publisher waits with, its frame in each
// encoding, and what the history keeps.
func TestAllocations(t *testing.T) {
	const deflated = protocol.Deflated
	plain := channel.Namespace{Name: "default"}
	kept, batching := plain, plain
	kept.HistorySize, kept.HistoryTTL = 10, time.Minute
	batching.Batch = channel.Batch{Delay: time.Second, Size: 50}
	for _, test := range []struct {
		name      string
		ns        channel.Namespace
		encodings []protocol.Encoding // Of the members, in turn.
		members   int
		numbered  bool
		most      float64
	}{
		{"nobody", plain, nil, 0, false, 3},
		{"one", plain, []protocol.Encoding{0}, 1, false, 4},
		{"1000", plain, []protocol.Encoding{0}, 1000, false, 4},
		{"1000 in both protocols", plain, []protocol.Encoding{0, 1}, 1000, false, 5},
		{"1000 with a number", plain, []protocol.Encoding{0}, 1000, true, 4},
		{"1000 compressed and not", plain, []protocol.Encoding{0, deflated}, 1000, false, 5},
		{"1000 with a history", kept, []protocol.Encoding{0}, 1000, false, 4},
		{"1000 in batches of 50", batching, []protocol.Encoding{0}, 1000, false, 3},
	} {
		t.Run(test.name, func(t *testing.T) {
			flushers := outbound.NewFlushers(1)
			h := hub.New(hub.Options{
				History: history.NewMemory(history.Options{}), Flushers: flushers, Metrics: metrics.New(prometheus.NewRegistry()),
			})
			compress := protocol.NewDeflate(1, 100)
			for i := range test.members {
				encoding := test.encodings[i%len(test.encodings)]
				limits := outbound.Limits{Messages: 1, Bytes: 1 << 30} // The newest makes room for itself, so that no list grows.
				q := outbound.New(sink{}, encoding, limits, noDrops{}, flushers, func(core.Disconnect) []byte { return nil })
				t.Cleanup(q.Destroy)
				if encoding&deflated != 0 {
					q.Compress(compress)
				}
				test.ns.SlowConsumer = channel.Conflate
				h.Join(&test.ns, "news", &hub.Listener{Queue: q, Session: core.NewID()}, hub.MemberOptions{Numbered: test.numbered}).Release(core.Position{})
			}
			data := fmt.Appendf(nil, `{"n":1,"text":"%0200d"}`, 0)
			publish := func() {
				if _, err := h.Publish(t.Context(), &test.ns, &core.Publication{Channel: "news", Data: data}, core.ID{}); err != nil {
					t.Fatal(err)
				}
			}
			for range 200 { // What grows has grown then.
				publish()
			}
			if got := testing.AllocsPerRun(500, publish); got > test.most {
				t.Errorf("%v allocations, want at most %v", got, test.most)
			}
		})
	}
}
