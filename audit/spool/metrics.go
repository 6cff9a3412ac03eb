package spool

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metric is one of the drain's: its name, what it is, and how it is read.
type metric struct {
	name, help string
	kind       prometheus.ValueType
	value      func(*Stats) float64
}

var drainMetrics = []metric{
	{"drain_leading", "1 when this agent stores what is in the audit spool, 0 when another one does.", prometheus.GaugeValue, func(s *Stats) float64 {
		if s.Leading {
			return 1
		}
		return 0
	}},
	{"drain_events_total", "Audit events that this agent took from the spool and stored.", prometheus.CounterValue, func(s *Stats) float64 { return float64(s.Events) }},
	{"drain_refused_total", "Audit events that the store refused for good.", prometheus.CounterValue, func(s *Stats) float64 { return float64(s.Refused) }},
	{"drain_repeated_total", "Batches that were in the spool twice.", prometheus.CounterValue, func(s *Stats) float64 { return float64(s.Repeated) }},
	{"drain_last_success_timestamp_seconds", "When this agent last stored something; 0: never.", prometheus.GaugeValue, func(s *Stats) float64 { return seconds(s.LastSuccess) }},
	{"spool_batches", "Batches of audit events in the spool.", prometheus.GaugeValue, func(s *Stats) float64 { return float64(s.Messages) }},
	{"spool_bytes", "Bytes in the audit spool.", prometheus.GaugeValue, func(s *Stats) float64 { return float64(s.Bytes) }},
	{"spool_capacity_bytes", "Bytes that the audit spool may take.", prometheus.GaugeValue, func(s *Stats) float64 { return float64(s.Capacity) }},
	{"spool_full_seconds", "Time until the audit spool is full at the rate of the last minute; 0: it is not filling.", prometheus.GaugeValue, func(s *Stats) float64 { return s.FullIn.Seconds() }},
	{"spool_oldest_timestamp_seconds", "When the oldest batch in the spool came; 0: it is empty.", prometheus.GaugeValue, func(s *Stats) float64 { return seconds(s.Oldest) }},
	{"spool_aside", "Batches of audit events that could not be stored and were set aside.", prometheus.GaugeValue, func(s *Stats) float64 { return float64(s.Aside) }},
}

func seconds(t time.Time) float64 {
	if t.IsZero() || t.Unix() <= 0 {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}

// Describe implements prometheus.Collector.
func (d *Drain) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(d, ch) }

// Collect implements prometheus.Collector. The state of the spool is that of the last second.
func (d *Drain) Collect(ch chan<- prometheus.Metric) {
	s := d.Stats()
	for _, m := range drainMetrics {
		ch <- prometheus.MustNewConstMetric(prometheus.NewDesc("zenconn_audit_"+m.name, m.help, nil, nil), m.kind, m.value(&s))
	}
}
