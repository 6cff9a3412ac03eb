package node

import (
	"github.com/zenconn/server/core/channel"
	"github.com/zenconn/server/core/history"
	"github.com/zenconn/server/core/history/jetstream"
)

// openHistory opens the histories that are kept on the bus; nil when there are none. A process that is alone keeps those in memory
// itself.
func (n *Node) openHistory() (history.Store, error) {
	namespaces := map[string]jetstream.Namespace{}
	for name, ns := range n.options.Config.Namespaces {
		memory := ns.HistoryStorage == "memory"
		if ns.HistorySize == 0 || memory && n.options.Bus.Alone() {
			continue
		}
		limits := history.Limits{Size: ns.HistorySize, TTL: ns.HistoryTTL}
		namespaces[name] = jetstream.Namespace{Limits: limits, Memory: memory, Disk: int64(ns.HistoryDisk)}
	}
	if len(namespaces) == 0 {
		return nil, nil
	}
	n.history = jetstream.New(jetstream.Options{Bus: n.options.Bus, Namespaces: namespaces, Of: channel.NamespaceOf, Log: n.log})
	return n.history, n.history.Open()
}
