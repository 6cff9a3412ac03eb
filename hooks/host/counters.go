package host

import (
	"context"
	"strings"
)

// The limits of the counters that a plugin names itself.
const (
	maxCounters    = 100 // Of a plugin.
	maxCounterName = 64
)

func metricAdd(_ context.Context, p *Plugin, c *Call) error {
	n := max(c.Args[1].Int, 1)
	if c.Args[1].Int < 0 {
		return failure("a counter does not go down")
	}
	counter, err := p.counter(c.Args[0].Text)
	if err != nil {
		return err
	}
	counter.Add(float64(n))
	return nil
}

// counter finds or makes one of the plugin's counters.
func (p *Plugin) counter(name string) (Counter, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c := p.metrics[name]; c != nil {
		return c, nil
	}
	const letters = "abcdefghijklmnopqrstuvwxyz_"
	switch {
	case name == "" || len(name) > maxCounterName || strings.Trim(name, letters+"0123456789") != "" || !strings.ContainsRune(letters, rune(name[0])):
		return nil, failure("a counter's name has 1 to %d lower-case letters, digits and _, and begins with none of the digits", maxCounterName)
	case len(p.metrics) >= maxCounters:
		return nil, failure("the plugin has %d counters already; a name must not depend on what clients send", maxCounters)
	}
	c := p.services.metrics.PluginMetric(p.name, name)
	p.metrics[name] = c
	return c, nil
}
