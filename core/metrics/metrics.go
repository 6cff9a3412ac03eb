// Package metrics holds the counters a worker keeps while it works, as Prometheus collectors. It knows no other package of the
// server but core; what is counted elsewhere (connections, queue lengths) is read when somebody scrapes.
package metrics

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are the counters of one worker. Names and labels are documented in docs/operations.md.
type Metrics struct {
	SessionsOpened *prometheus.CounterVec // By transport, protocol.
	SessionsClosed *prometheus.CounterVec // By code.
	Commands       *prometheus.CounterVec // By command.
	Refused        *prometheus.CounterVec // By command, code.
	Publications   *prometheus.CounterVec // By namespace.
	Deliveries     *prometheus.CounterVec // By namespace.
	Dropped        *prometheus.CounterVec // By reason.
	Decisions      *prometheus.CounterVec // By plugin, hook, verdict.
	HookDuration   *prometheus.HistogramVec
	Breaker        *prometheus.GaugeVec   // By plugin, hook; the numbers of hooks.BreakerState.
	Reloads        *prometheus.CounterVec // By result.
	Untold         *prometheus.CounterVec // By hook, reason.
	Redactions     *prometheus.CounterVec // By kind, result.
	Handshakes     *prometheus.CounterVec // By result.
	TLSHandshakes  *prometheus.CounterVec // By result.
	Turned         *prometheus.CounterVec // By reason.
	Compressed     prometheus.Counter
	APIRequests    *prometheus.CounterVec // By method, code.
	APIDuration    *prometheus.HistogramVec

	ClusterGone       *prometheus.CounterVec // By cause.
	ClusterUnanswered *prometheus.CounterVec // By call.
	ClusterGarbage    prometheus.Counter

	Live    Live
	Batches Batches

	commands *known[prometheus.Counter] // Of Commands.
	traffic  *known[traffic]            // Of Publications and Deliveries.
}

// Batches are the counters of publications that wait for others.
type Batches struct {
	Flushed      *prometheus.CounterVec // By cause (delay, size, early).
	Publications prometheus.Counter
	Outdated     *prometheus.CounterVec // By namespace.
}

// New makes the counters and registers them.
func New(registry prometheus.Registerer) *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "zenconn", Name: name, Help: help}, labels)
		registry.MustRegister(c)
		return c
	}
	m := &Metrics{
		SessionsOpened: counter("sessions_opened_total", "Sessions that completed their connect command.", "transport", "protocol"),
		SessionsClosed: counter("sessions_closed_total", "Connections that ended, by close code.", "code"),
		Commands:       counter("commands_total", "Commands received from clients.", "command"),
		Refused:        counter("commands_refused_total", "Commands answered with an error, by error code.", "command", "code"),
		Publications:   counter("publications_total", "Publications accepted.", "namespace"),
		Deliveries:     counter("deliveries_total", "Publications queued for subscribers.", "namespace"),
		Dropped:        counter("frames_dropped_total", "Frames that were not delivered, by reason.", "reason"),
		Decisions:      counter("hook_decisions_total", "Verdicts and faults of plugins.", "plugin", "hook", "verdict"),
		Reloads:        counter("plugin_reloads_total", "Times that other plugins were to be used from then on, by result: ok, or refused.", "result"),
		Untold:         counter("hook_untold_total", "Ends of sessions and subscriptions that plugins were not told of.", "hook", "reason"),
		Redactions:     counter("audit_redactions_total", "Audit events that plugins changed, withheld or dropped.", "kind", "result"),
		Handshakes:     counter("handshakes_total", "WebSocket handshakes, by result.", "result"),
		TLSHandshakes:  counter("tls_handshakes_total", "TLS handshakes with clients, by result: full, or resumed.", "result"),
		Turned:         counter("connections_refused_total", "Connections that were refused before anything was read from them, by reason.", "reason"),
		APIRequests:    counter("api_requests_total", "Requests to the server API, by error code; 0: success.", "method", "code"),
		APIDuration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "zenconn", Name: "api_request_duration_seconds", Help: "Time the server API took for one request.",
			Buckets: prometheus.ExponentialBuckets(50e-6, 4, 10), // 50 µs to 13 s.
		}, []string{"method"}),
		HookDuration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "zenconn", Name: "hook_duration_seconds", Help: "Time plugins took for one answer, those without an opinion too.",
			Buckets: prometheus.ExponentialBuckets(0.5e-6, 4, 10), // 0.5 µs to 131 ms.
		}, []string{"plugin", "hook"}),
		Breaker: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Namespace: "zenconn", Name: "hook_breaker_state",
			Help: "Whether a plugin is asked: 0 yes, 1 no, it failed too often, 2 it is being tried again.",
		}, []string{"plugin", "hook"}),
	}
	registry.MustRegister(m.HookDuration, m.APIDuration, m.Breaker)
	m.Compressed = counter("connections_compressed_total", "Connections that agreed on permessage-deflate.").WithLabelValues()
	m.Live = newLive(registry, counter)
	m.Batches = Batches{
		Flushed:      counter("batches_total", "Times that publications of a channel which had waited were delivered, by what ended the wait.", "cause"),
		Publications: counter("batched_publications_total", "Publications that were delivered then.").WithLabelValues(),
		Outdated:     counter("batch_outdated_total", "Publications that were not delivered because a newer one came while they waited.", "namespace"),
	}
	m.ClusterGone = counter("cluster_gone_total", "Processes that left the cluster.", "cause")
	m.ClusterUnanswered = counter("cluster_unanswered_total", "Processes that did not answer a call in time, or with a fault.", "call")
	m.ClusterGarbage = counter("cluster_garbage_total", "Messages between processes that could not be read.").WithLabelValues()
	m.commands = newKnown(func(name string) prometheus.Counter { return m.Commands.WithLabelValues(name) })
	m.traffic = newKnown(func(namespace string) traffic {
		return traffic{m.Publications.WithLabelValues(namespace), m.Deliveries.WithLabelValues(namespace)}
	})
	return m
}

// Refusal counts one command answered with an error.
func (m *Metrics) Refusal(command string, code uint32) {
	m.Refused.WithLabelValues(command, strconv.FormatUint(uint64(code), 10)).Inc()
}

// Closed counts the end of one connection.
func (m *Metrics) Closed(code uint16) {
	m.SessionsClosed.WithLabelValues(strconv.FormatUint(uint64(code), 10)).Inc()
}

// Decision counts one verdict of a plugin.
func (m *Metrics) Decision(plugin, hook, verdict string) {
	m.Decisions.WithLabelValues(plugin, hook, verdict).Inc()
}

// APIRequest counts one request to the server API; code 0 is success.
func (m *Metrics) APIRequest(method string, code uint32, took time.Duration) {
	m.APIRequests.WithLabelValues(method, strconv.FormatUint(uint64(code), 10)).Inc()
	m.APIDuration.WithLabelValues(method).Observe(took.Seconds())
}
