package registry

import "github.com/prometheus/client_golang/prometheus"

// Collectors show the registry to Prometheus.
func (r *Registry) Collectors() []prometheus.Collector {
	return []prometheus.Collector{
		&nodeCollector{registry: r, sessions: prometheus.NewDesc(
			"zenconn_registry_sessions", "Sessions in this agent's list of all, by node.", []string{"node"}, nil)},
		counter("registry_resyncs_total", "Times a node's list was read again because changes were lost.", r.resyncs.Load),
	}
}

// Collectors show the sender to Prometheus.
func (s *Sender) Collectors() []prometheus.Collector {
	return []prometheus.Collector{
		counter("registry_batches_total", "Announcements of sessions that were sent to the agents.", s.batches.Load),
		counter("registry_dropped_total", "Sessions' beginnings and ends that were not announced; the agents ask for the list instead.", s.dropped.Load),
		counter("registry_notices_total", "Publications in $system:sessions.", s.notices.told.Load),
	}
}

func counter(name, help string, value func() uint64) prometheus.Collector {
	return prometheus.NewCounterFunc(prometheus.CounterOpts{Namespace: "zenconn", Name: name, Help: help},
		func() float64 { return float64(value()) })
}

type nodeCollector struct {
	registry *Registry
	sessions *prometheus.Desc
}

// Describe implements prometheus.Collector.
func (c *nodeCollector) Describe(ch chan<- *prometheus.Desc) { ch <- c.sessions }

// Collect implements prometheus.Collector. Processes of one name, such as a worker and the one that replaces it, are counted together.
func (c *nodeCollector) Collect(ch chan<- prometheus.Metric) {
	byName := make(map[string]int)
	c.registry.mu.RLock()
	for _, m := range c.registry.members {
		if m.list.name != "" { // Else nothing was heard of it yet.
			byName[m.list.name] += len(m.list.sessions)
		}
	}
	c.registry.mu.RUnlock()
	for name, n := range byName {
		ch <- prometheus.MustNewConstMetric(c.sessions, prometheus.GaugeValue, float64(n), name)
	}
}
