package api

import (
	"context"

	"github.com/zenconn/server/core"
)

// Reloader puts changed plugins into the running server. Its method may be called concurrently.
type Reloader interface {
	// ReloadPlugins reads the plugins again and has all nodes of this agent use them. It returns when they do, or do not: each node that
	// could not change has its Problem, and uses the former ones. When the plugins are wrong it is an error that says why, and nothing has
	// changed. It carries on when ctx ends.
	ReloadPlugins(ctx context.Context) (*PluginReload, error)
}

// PluginReload is the result of reload.
type PluginReload struct {
	Changed bool            `json:"changed"` // False: they are what they were.
	Before  []PluginVersion `json:"before"`
	After   []PluginVersion `json:"after"`
	Nodes   []ReloadedNode  `json:"nodes"` // The agent and its workers.
}

// PluginVersion is a plugin, and which.
type PluginVersion struct {
	Name string `json:"name"`
	Hash string `json:"hash"` // SHA-256 of what was loaded, in lower-case hex.
}

// ReloadedNode is what came of a reload on one node.
type ReloadedNode struct {
	UID     string `json:"uid"`
	Name    string `json:"name"`
	Problem string `json:"problem"` // Why it uses the former plugins; empty: it does not.
}

type reloadRequest struct {
	What string `json:"what"`
}

func (r *reloadRequest) run(ctx context.Context, c *Commands) (any, error) {
	switch {
	case r.What != "plugins":
		return nil, core.ErrBadRequest.Saying(`say what to reload: {"what":"plugins"}`)
	case c.options.Reloader == nil:
		return nil, core.ErrNotAvailable.Saying("this server cannot reload its plugins")
	}
	return c.options.Reloader.ReloadPlugins(ctx)
}

func (r *reloadRequest) about() (string, any) { return r.What, r }
