package node

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/zenconn/server/audit"
	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/metrics"
	"github.com/zenconn/server/hooks"
)

// observer writes the decisions of the plugins down: in the audit, the metrics, and, for faults, the log.
type observer struct {
	node     string
	recorder *audit.Recorder
	metrics  *metrics.Metrics
	log      *slog.Logger
}

// Decided implements hooks.Observer.
func (o *observer) Decided(d hooks.Decision) {
	verdict := verdictOf(d)
	o.metrics.Decision(d.Plugin, string(d.Hook), string(verdict))
	client := &hooks.Client{}
	if d.Client != nil {
		client = d.Client
	}
	if d.Fault != nil && !errors.Is(d.Fault, hooks.ErrBreakerOpen) { // Of an open breaker the log has heard.
		o.log.Error("a plugin failed", "plugin", d.Plugin, "hook", d.Hook, "channel", d.Channel, "session", client.ID, "error", d.Fault)
	}
	if d.Hook == hooks.OnAudit {
		return // Recorded, it would itself be redacted, which is a decision, which would be recorded.
	}
	event := &audit.Decision{
		At: time.Now(), ID: d.ID, Node: o.node, Hook: string(d.Hook), Plugin: d.Plugin, PluginHash: d.Hash, Verdict: verdict,
		Reason: d.Reason, User: client.User, Channel: d.Channel, Message: d.Message, Latency: d.Duration,
	}
	event.Session, _ = core.ParseID(client.ID)
	event.RemoteAddr, _ = netip.ParseAddr(client.RemoteAddr)
	if d.Fault != nil {
		event.Reason = d.Fault.Error()
	}
	o.recorder.Record(event)
}

// Calls implements hooks.CallObserver.
func (o *observer) Calls(plugin string, hook hooks.Hook) func(took time.Duration) {
	duration := o.metrics.HookDuration.WithLabelValues(plugin, string(hook))
	return func(took time.Duration) { duration.Observe(took.Seconds()) }
}

// BreakerChanged implements hooks.BreakerObserver.
func (o *observer) BreakerChanged(plugin string, hook hooks.Hook, state hooks.BreakerState) {
	o.metrics.Breaker.WithLabelValues(plugin, string(hook)).Set(float64(state))
	switch state {
	case hooks.BreakerOpen:
		o.log.Error("a plugin fails too often and is no longer asked by this hook; on_error says what that means", "plugin", plugin, "hook", hook)
	case hooks.BreakerHalfOpen:
		o.log.Info("a plugin that failed is tried again", "plugin", plugin, "hook", hook)
	case hooks.BreakerClosed:
		o.log.Info("a plugin that failed works again", "plugin", plugin, "hook", hook)
	}
}

// Left implements hooks.LeaveObserver.
func (o *observer) Left(plugin string, hook hooks.Hook) {
	o.metrics.Breaker.DeleteLabelValues(plugin, string(hook))
}

func verdictOf(d hooks.Decision) audit.DecisionVerdict {
	switch {
	case errors.Is(d.Fault, context.DeadlineExceeded):
		return audit.DecisionTimeout
	case d.Fault != nil:
		return audit.DecisionError
	case d.Verdict == hooks.Deny:
		return audit.DecisionReject
	case d.Verdict == hooks.Drop:
		return audit.DecisionDrop
	case d.Modified:
		return audit.DecisionModify
	}
	return audit.DecisionAllow
}

// auditCollector shows the recorder's counts to Prometheus.
type auditCollector struct {
	recorder                                 *audit.Recorder
	recorded, stored, dropped, queued, bytes *prometheus.Desc
	blocked, unconfirmed                     *prometheus.Desc
	lastSuccess                              *prometheus.Desc
}

func newAuditCollector(r *audit.Recorder) *auditCollector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("zenconn_audit_"+name, help, labels, nil)
	}
	return &auditCollector{
		recorder:    r,
		recorded:    desc("recorded_total", "Audit events recorded."),
		stored:      desc("stored_total", "Audit events written to the store."),
		dropped:     desc("dropped_total", "Audit events that were lost, by reason.", "reason"),
		blocked:     desc("blocked_total", "Publications that were refused because they could not have been recorded (audit.on_full: block)."),
		unconfirmed: desc("unconfirmed_total", "Publications whose record was not stored while their publisher waited (audit.mode: durable)."),
		queued:      desc("queued", "Audit events waiting for the store."),
		bytes:       desc("queued_bytes", "Payload of the audit events waiting for the store."),
		lastSuccess: desc("last_success_timestamp_seconds", "When the store last took a batch; 0 before the first."),
	}
}

// Describe implements prometheus.Collector.
func (c *auditCollector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

// Collect implements prometheus.Collector.
func (c *auditCollector) Collect(ch chan<- prometheus.Metric) {
	s := c.recorder.Stats()
	ch <- prometheus.MustNewConstMetric(c.recorded, prometheus.CounterValue, float64(s.Recorded))
	ch <- prometheus.MustNewConstMetric(c.stored, prometheus.CounterValue, float64(s.Stored))
	ch <- prometheus.MustNewConstMetric(c.blocked, prometheus.CounterValue, float64(s.Blocked))
	ch <- prometheus.MustNewConstMetric(c.unconfirmed, prometheus.CounterValue, float64(s.Unconfirmed))
	for reason, n := range s.Dropped {
		ch <- prometheus.MustNewConstMetric(c.dropped, prometheus.CounterValue, float64(n), reason)
	}
	ch <- prometheus.MustNewConstMetric(c.queued, prometheus.GaugeValue, float64(s.Queued))
	ch <- prometheus.MustNewConstMetric(c.bytes, prometheus.GaugeValue, float64(s.QueuedBytes))
	last := 0.0
	if !s.LastSuccess.IsZero() {
		last = float64(s.LastSuccess.UnixMilli()) / 1000
	}
	ch <- prometheus.MustNewConstMetric(c.lastSuccess, prometheus.GaugeValue, last)
}
