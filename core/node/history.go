package node

import (
	"github.com/zenconn/server/core/channel"
	"github.com/zenconn/server/core/config"
	"github.com/zenconn/server/core/history"
	"github.com/zenconn/server/core/history/jetstream"
)

// durable returns the namespaces whose history is kept on the bus.
func durable(c *config.Config) map[string]jetstream.Namespace {
	namespaces := map[string]jetstream.Namespace{}
	for name, ns := range c.Namespaces {
		if ns.HistorySize > 0 && ns.HistoryStorage == "file" {
			limits := history.Limits{Size: ns.HistorySize, TTL: ns.HistoryTTL}
			namespaces[name] = jetstream.Namespace{Limits: limits, Disk: int64(ns.HistoryDisk)}
		}
	}
	return namespaces
}

// NeedsBus says that a node of this configuration does not work without a bus.
func NeedsBus(c *config.Config) bool { return len(durable(c)) > 0 }

// openHistory opens the histories that are kept on the bus; nil when there are none.
func (n *Node) openHistory() (history.Store, error) {
	namespaces := durable(n.options.Config)
	if len(namespaces) == 0 {
		return nil, nil
	}
	n.history = jetstream.New(jetstream.Options{Bus: n.options.Bus, Namespaces: namespaces, Of: channel.NamespaceOf, Log: n.log})
	return n.history, n.history.Open()
}
