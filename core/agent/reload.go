package agent

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/api"
	"github.com/zenconn/server/core/bus"
	"github.com/zenconn/server/core/cluster"
	"github.com/zenconn/server/core/config"
	"github.com/zenconn/server/core/join"
	"github.com/zenconn/server/core/node"
	"github.com/zenconn/server/plugins"
)

// reloadTimeout is how long a worker may take to change its plugins: some have to be fetched and compiled.
const reloadTimeout = 30 * time.Second

// reloader puts changed plugins into this agent's node and its workers. Implements api.Reloader.
type reloader struct {
	config *config.Config // Of the start.
	reread func() (config.Plugins, error)
	node   *node.Node
	host   *join.Host // nil: there are no other nodes.
	name   string
	log    *slog.Logger
	life   context.Context // Ends when the agent is to stop, and with it what is being compiled.

	mu sync.Mutex // One reload at a time.

	configured sync.Mutex
	plugins    config.Plugins // What the configuration says now. Guarded by configured.
}

// ReloadPlugins reads the plugins again, and what the configuration says about them, and has this node and its workers use them. If
// something is wrong with them it says why, and changes nothing.
func (a *Agent) ReloadPlugins(ctx context.Context) error {
	r := a.reloader.Load()
	if r == nil {
		return errors.New("the server is starting or stopping")
	}
	_, err := r.ReloadPlugins(ctx)
	return err
}

// ReloadPlugins implements api.Reloader.
func (r *reloader) ReloadPlugins(ctx context.Context) (*api.PluginReload, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.now()
	if r.reread != nil {
		var err error
		if c, err = r.reread(); err != nil {
			r.node.Refuse(err)
			return nil, refused(err)
		}
	}
	bundles, err := plugins.Resolve(c, plugins.Bundled())
	change, err := r.useLocked(r.life, c, bundles, err)
	if err != nil {
		return nil, refused(err)
	}
	return r.tell(context.WithoutCancel(ctx), change), nil
}

// refused is what the operator is told about wrong plugins.
func refused(err error) error {
	return core.ErrNotAvailable.Saying("nothing was changed: " + strings.ReplaceAll(err.Error(), "\n", "; "))
}

// watch has changed files used until ctx ends.
func (r *reloader) watch(ctx context.Context) error {
	plugins.Watch(ctx, plugins.LookEvery, r.now, plugins.Bundled(), func(bundles []plugins.Bundle, err error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if change, err := r.useLocked(ctx, r.now(), bundles, err); err == nil && change.Changed { // Else the log has told.
			r.tell(ctx, change)
		}
	})
	return nil
}

func (r *reloader) now() config.Plugins {
	r.configured.Lock()
	defer r.configured.Unlock()
	return r.plugins
}

// useLocked has this node use the bundles, which were resolved with err, and workers be told of them when they ask.
func (r *reloader) useLocked(ctx context.Context, c config.Plugins, bundles []plugins.Bundle, err error) (node.PluginChange, error) {
	if err != nil {
		r.node.Refuse(err)
		return node.PluginChange{}, err
	}
	staged, err := r.node.Stage(ctx, bundles)
	if err != nil {
		return node.PluginChange{}, err
	}
	if r.host != nil {
		next := *r.config
		next.Plugins = c
		if err := r.host.Set(&next, bundles); err != nil {
			staged.Discard(err)
			return node.PluginChange{}, err
		}
	}
	r.configured.Lock()
	r.plugins = c
	r.configured.Unlock()
	return staged.Use(), nil
}

// tell has the workers change too, and reports on all nodes.
func (r *reloader) tell(ctx context.Context, change node.PluginChange) *api.PluginReload {
	own := r.node.Members().UID()
	report := &api.PluginReload{
		Changed: change.Changed, Before: versions(change.Before), After: versions(change.After), Nodes: []api.ReloadedNode{{UID: own, Name: r.name}},
	}
	if r.host == nil {
		return report
	}
	ctx, cancel := context.WithTimeout(ctx, reloadTimeout)
	defer cancel()
	var telling sync.WaitGroup
	var mu sync.Mutex
	for _, m := range r.node.Members().List() {
		if m.Kind != cluster.Worker || m.Agent != own || m.State == cluster.Draining {
			continue
		}
		telling.Go(func() {
			err := r.tellOne(ctx, m.UID)
			n := api.ReloadedNode{UID: m.UID, Name: m.Name}
			switch {
			case errors.Is(err, bus.ErrNobody): // It has ended.
				return
			case err != nil:
				n.Problem = cause(err)
				r.log.Error("a worker could not change its plugins and uses the former ones", "worker", m.Name, "error", err)
			}
			mu.Lock()
			defer mu.Unlock()
			report.Nodes = append(report.Nodes, n)
		})
	}
	telling.Wait()
	slices.SortFunc(report.Nodes[1:], func(a, b api.ReloadedNode) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.UID, b.UID)) })
	if change.Changed {
		r.log.Info("the plugins were reloaded", "nodes", len(report.Nodes))
	}
	return report
}

// tellOne has one worker change. One that has just begun may not be listening yet.
func (r *reloader) tellOne(ctx context.Context, uid string) error {
	for try := 1; ; try++ {
		err := r.host.Tell(ctx, uid)
		if try == 5 || !errors.Is(err, bus.ErrNobody) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// cause is what a worker said, without on which subject.
func cause(err error) string {
	if said, ok := errors.AsType[bus.RemoteError](err); ok {
		return string(said)
	}
	return "it did not answer in time"
}

func versions(all []node.PluginVersion) []api.PluginVersion {
	v := make([]api.PluginVersion, len(all))
	for i, p := range all {
		v[i] = api.PluginVersion(p)
	}
	return v
}
