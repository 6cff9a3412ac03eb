package api

import (
	"context"

	"github.com/zenconn/server/core"
)

// Plugins is what is known of the plugins of all nodes. Its method may be called concurrently and keeps the deadline of ctx.
type Plugins interface {
	// Plugins returns the plugins that are active at this moment, of each node. One that does not answer has its Problem.
	Plugins(ctx context.Context) (*PluginNodes, error)
}

// PluginNodes is the result of plugins.
type PluginNodes struct {
	Nodes []PluginNode `json:"nodes"`
}

// PluginNode is one node with its plugins.
type PluginNode struct {
	UID     string         `json:"uid"`
	Name    string         `json:"name"`
	Kind    string         `json:"kind"`    // agent or worker.
	Problem string         `json:"problem"` // A sentence; empty: none.
	Plugins []ActivePlugin `json:"plugins"` // In the order in which they are asked.
}

// ActivePlugin is a plugin that is asked.
type ActivePlugin struct {
	Name     string            `json:"name"`
	Hash     string            `json:"hash"` // SHA-256 of what was loaded, in lower-case hex.
	Hooks    []string          `json:"hooks"`
	Breakers map[string]string `json:"breakers"` // By hook: closed, open or half-open.
}

type pluginsRequest struct{}

func (*pluginsRequest) run(ctx context.Context, c *Commands) (any, error) {
	if c.options.Plugins == nil {
		return nil, core.ErrNotAvailable.Saying("this server does not know its plugins")
	}
	return c.options.Plugins.Plugins(ctx)
}

func (*pluginsRequest) about() (string, any) { return "", nil }
