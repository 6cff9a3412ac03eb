package node

import (
	"context"
	"os"
	runtimemetrics "runtime/metrics"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/zenconn/server/core/cluster"
)

// numbersAge is how old the numbers in a member's hello may be.
const numbersAge = 400 * time.Millisecond

// numbers are what a node has to do, measured again when they are older than numbersAge.
type numbers struct {
	mu      sync.Mutex // Guards all below.
	at      time.Time
	in, out float64 // Totals at that time.
	last    cluster.Numbers
}

// current returns the numbers of now, or of a moment ago.
func (n *Node) current() cluster.Numbers {
	n.numbers.mu.Lock()
	defer n.numbers.mu.Unlock()
	now := time.Now()
	elapsed := now.Sub(n.numbers.at)
	if elapsed < numbersAge {
		return n.numbers.last
	}
	first := n.numbers.at.IsZero()
	info, _ := n.worker.Server().Nodes(context.Background()) // Of this process alone, which cannot fail.
	in, out := total(n.metrics.Commands), total(n.metrics.Deliveries)
	last := cluster.Numbers{
		Sessions: info[0].Sessions, Users: info[0].Users, Channels: info[0].Channels, Subscriptions: info[0].Subscriptions, Memory: resident(),
	}
	if !first {
		last.MessagesIn, last.MessagesOut = (in-n.numbers.in)/elapsed.Seconds(), (out-n.numbers.out)/elapsed.Seconds()
	}
	n.numbers.at, n.numbers.in, n.numbers.out, n.numbers.last = now, in, out, last
	return last
}

// total adds a counter up over its labels.
func total(counters *prometheus.CounterVec) (sum float64) {
	all := make(chan prometheus.Metric)
	go func() { counters.Collect(all); close(all) }()
	for one := range all {
		var m dto.Metric
		if one.Write(&m) == nil {
			sum += m.GetCounter().GetValue()
		}
	}
	return sum
}

// resident returns the bytes of memory the process takes.
func resident() int64 {
	if text, err := os.ReadFile("/proc/self/statm"); err == nil {
		if fields := strings.Fields(string(text)); len(fields) > 1 {
			if pages, err := strconv.ParseInt(fields[1], 10, 64); err == nil {
				return pages * int64(os.Getpagesize())
			}
		}
	}
	sample := []runtimemetrics.Sample{{Name: "/memory/classes/total:bytes"}}
	runtimemetrics.Read(sample)
	return int64(sample[0].Value.Uint64()) //nolint:gosec // No process has that much.
}
