package agent

import (
	"context"
	"strings"
	"sync"

	"github.com/zenconn/server/core/api"
	"github.com/zenconn/server/core/bus"
	"github.com/zenconn/server/core/channel"
	"github.com/zenconn/server/core/history"
	"github.com/zenconn/server/core/history/jetstream"
)

// openHistory opens the bus, if something needs it, and the histories that are kept there; nil when there are none.
func (a *Agent) openHistory(p *parts) (history.Store, error) {
	c := a.config
	namespaces := map[string]jetstream.Namespace{}
	for name, ns := range c.Namespaces {
		if ns.HistorySize > 0 && ns.HistoryStorage == "file" {
			limits := history.Limits{Size: ns.HistorySize, TTL: ns.HistoryTTL}
			namespaces[name] = jetstream.Namespace{Limits: limits, Disk: int64(ns.HistoryDisk)}
		}
	}
	if len(namespaces) == 0 && c.Bus.URL == "" && c.Bus.Listen == "" {
		return nil, nil
	}
	p.bus = bus.New(bus.Options{Config: c.Bus, Data: c.Data, Node: a.node, Log: a.log})
	if err := p.bus.Open(context.Background()); err != nil {
		return nil, err
	}
	p.onClose(p.bus.Close)
	if len(namespaces) == 0 {
		return nil, nil
	}
	p.history = jetstream.New(jetstream.Options{Bus: p.bus, Namespaces: namespaces, Of: channel.NamespaceOf, Log: a.log})
	return p.history, p.history.Open()
}

// keep runs what looks after the bus and the histories. They outlive the clients; stop ends them.
func (a *Agent) keep(p *parts) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var keeping sync.WaitGroup
	if p.history != nil {
		keeping.Go(func() { p.history.Run(ctx) })
	}
	if p.bus != nil {
		keeping.Go(func() { p.bus.Run(ctx) })
	}
	return func() { cancel(); keeping.Wait() }
}

// historyChecks are what /readyz looks at because of the bus. Without it the server still serves what needs none.
func (a *Agent) historyChecks(p *parts) (checks []api.Check) {
	if p.bus != nil {
		checks = append(checks, api.Check{Name: "bus", Problem: p.bus.Problem})
	}
	if p.history != nil {
		checks = append(checks, api.Check{Name: "history", Problem: p.history.Problem})
	}
	return checks
}

// describeHistory says for the log where the bus is.
func (a *Agent) describeHistory(p *parts) (where string) {
	if !p.bus.External() {
		return "embedded"
	}
	return strings.ReplaceAll(a.config.Bus.URL, ",", " ")
}
