package metrics

import "github.com/prometheus/client_golang/prometheus"

// Live are the counters of what nodes tell each other about channels.
type Live struct {
	Messages   *prometheus.CounterVec // By direction (in, out), kind (publication, history, join, leave).
	Dropped    *prometheus.CounterVec // By reason (slow, bus, invalid).
	Duplicates prometheus.Counter
	Gaps       *prometheus.CounterVec // By result (found, filled, lost).
	Checks     *prometheus.CounterVec // By result (current, behind, failed, lost).
}

func newLive(registry prometheus.Registerer, counter func(name, help string, labels ...string) *prometheus.CounterVec) Live {
	l := Live{
		Messages: counter("live_messages_total", "Messages about channels between the nodes.", "direction", "kind"),
		Dropped:  counter("live_dropped_total", "Messages between the nodes that were lost; those of a history are read from it.", "reason"),
		Duplicates: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: "zenconn", Name: "live_duplicates_total",
			Help: "Publications that came from the bus and were delivered already, as every one of the node's own is.",
		}),
		Gaps:   counter("live_gaps_total", "Publications that came while one before them was missing, and what became of that.", "result"),
		Checks: counter("position_checks_total", "Comparisons of what was delivered in a channel with its history.", "result"),
	}
	registry.MustRegister(l.Duplicates)
	return l
}
