package agent

import (
	"context"
	"log/slog"

	"github.com/zenconn/server/core/api"
	"github.com/zenconn/server/core/node"
)

// loaded implements api.Plugins: every node knows its own plugins.
type loaded struct {
	node *node.Node
	log  *slog.Logger
}

// Plugins implements api.Plugins.
func (l loaded) Plugins(ctx context.Context) (*api.PluginNodes, error) {
	all := &api.PluginNodes{Nodes: []api.PluginNode{}}
	for _, on := range l.node.LoadedEverywhere(ctx) {
		n := api.PluginNode{UID: on.Member.UID, Name: on.Member.Name, Kind: string(on.Member.Kind), Plugins: []api.ActivePlugin{}}
		if on.Err != nil {
			n.Problem = "does not say which plugins it has"
			l.log.Warn("a node does not say which plugins it has", "node", n.Name, "error", on.Err)
		}
		for _, p := range on.Plugins {
			active := api.ActivePlugin{Name: p.Name, Hash: p.Hash, Hooks: []string{}, Breakers: make(map[string]string, len(p.Breakers))}
			for _, hook := range p.Hooks {
				active.Hooks = append(active.Hooks, string(hook))
			}
			for hook, state := range p.Breakers {
				active.Breakers[string(hook)] = state
			}
			n.Plugins = append(n.Plugins, active)
		}
		all.Nodes = append(all.Nodes, n)
	}
	return all, nil
}
