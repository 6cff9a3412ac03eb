package cluster

import (
	"bytes"
	"context"
	"os"
	goruntime "runtime/metrics"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/zenconn/server/core/metrics"
	"github.com/zenconn/server/core/session"
)

// Vitals measures what a process has to do, for its hellos. It may be used concurrently.
type Vitals struct {
	server   *session.Server
	counters *prometheus.Registry // Holds the commands and the deliveries only.

	mu      sync.Mutex // Guards all below.
	at      time.Time  // When latest was measured.
	latest  Numbers
	samples []sample // Of the last seconds, the oldest first.
}

type sample struct {
	at      time.Time
	in, out float64 // In all.
}

// The measuring of rates.
const (
	vitalsAge   = 100 * time.Millisecond // Numbers that are younger are good enough.
	sampleEvery = 500 * time.Millisecond
	rateWindow  = 5 * time.Second
)

// NewVitals makes the Vitals of a process with this server and these metrics.
func NewVitals(server *session.Server, m *metrics.Metrics) *Vitals {
	v := &Vitals{server: server, counters: prometheus.NewRegistry()}
	v.counters.MustRegister(m.Commands, m.Deliveries)
	return v
}

// Numbers returns what was measured a moment ago.
func (v *Vitals) Numbers() Numbers {
	v.mu.Lock()
	defer v.mu.Unlock()
	now := time.Now()
	if now.Sub(v.at) < vitalsAge {
		return v.latest
	}
	n := Numbers{Memory: resident()}
	if nodes, err := v.server.Nodes(context.Background()); err == nil {
		n.Sessions, n.Users, n.Channels, n.Subscriptions = nodes[0].Sessions, nodes[0].Users, nodes[0].Channels, nodes[0].Subscriptions
	}
	n.MessagesIn, n.MessagesOut = v.ratesLocked(now)
	v.at, v.latest = now, n
	return n
}

// ratesLocked takes a sample and compares it with the oldest one.
func (v *Vitals) ratesLocked(now time.Time) (in, out float64) {
	s := sample{at: now}
	s.in, s.out = v.totals()
	if len(v.samples) == 0 {
		v.samples = append(v.samples, s)
		return 0, 0
	}
	first := v.samples[0]
	if seconds := now.Sub(first.at).Seconds(); seconds > 0 {
		in, out = (s.in-first.in)/seconds, (s.out-first.out)/seconds
	}
	if now.Sub(v.samples[len(v.samples)-1].at) >= sampleEvery {
		v.samples = append(v.samples, s)
	}
	for len(v.samples) > 1 && now.Sub(v.samples[1].at) >= rateWindow {
		v.samples = v.samples[1:]
	}
	return in, out
}

// totals adds up the counters over their labels.
func (v *Vitals) totals() (in, out float64) {
	families, err := v.counters.Gather()
	if err != nil {
		return 0, 0
	}
	for _, f := range families {
		var sum float64
		for _, m := range f.GetMetric() {
			sum += m.GetCounter().GetValue()
		}
		if f.GetName() == "zenconn_commands_total" {
			in = sum
		} else {
			out = sum
		}
	}
	return in, out
}

// resident returns the resident memory of this process, in bytes. Where the system does not tell, it is what Go has taken from it.
func resident() int64 {
	if text, err := os.ReadFile("/proc/self/statm"); err == nil {
		if fields := bytes.Fields(text); len(fields) > 1 {
			if pages, err := strconv.ParseInt(string(fields[1]), 10, 64); err == nil {
				return pages * int64(os.Getpagesize())
			}
		}
	}
	samples := []goruntime.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	goruntime.Read(samples)
	return int64(samples[0].Value.Uint64() - samples[1].Value.Uint64())
}
