package metrics

import "github.com/prometheus/client_golang/prometheus"

// Plugins are the counters of what plugins do besides answering.
type Plugins struct {
	Instances *prometheus.GaugeVec   // By plugin.
	Calls     *prometheus.CounterVec // Of functions of the server, by plugin, function, result (ok, absent, failed, fault).
	Own       *prometheus.CounterVec // By plugin, name; both are the owner's.
	Actions   *prometheus.CounterVec // By plugin, action, result (ok, failed, dropped).
}

// NewPlugins makes the counters and registers them. The runtimes of plugins count with them.
func NewPlugins(registry prometheus.Registerer) *Plugins {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "zenconn", Name: name, Help: help}, labels)
	}
	p := &Plugins{
		Instances: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Namespace: "zenconn", Name: "plugin_instances", Help: "Instances of plugins that exist.",
		}, []string{"plugin"}),
		Calls:   counter("plugin_calls_total", "Calls of functions of the server by plugins.", "plugin", "function", "result"),
		Own:     counter("plugin_metric_total", "What plugins count themselves.", "plugin", "name"),
		Actions: counter("plugin_actions_total", "What plugins have done to sessions.", "plugin", "action", "result"),
	}
	registry.MustRegister(p.Instances, p.Calls, p.Own, p.Actions)
	return p
}

// PluginInstances counts instances that were made or destroyed.
func (p *Plugins) PluginInstances(plugin string, change int) {
	p.Instances.WithLabelValues(plugin).Add(float64(change))
}

// PluginCalls returns the counter of a function's calls.
func (p *Plugins) PluginCalls(plugin, function, result string) interface{ Add(n float64) } {
	return p.Calls.WithLabelValues(plugin, function, result)
}

// PluginMetric returns a counter that a plugin has named.
func (p *Plugins) PluginMetric(plugin, name string) interface{ Add(n float64) } {
	return p.Own.WithLabelValues(plugin, name)
}

// PluginActions counts what plugins have done to sessions.
func (p *Plugins) PluginActions(plugin, action, result string, n float64) {
	p.Actions.WithLabelValues(plugin, action, result).Add(n)
}
