package node

import (
	"context"
	"path/filepath"
	"time"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/cluster"
	"github.com/zenconn/server/core/kv"
	"github.com/zenconn/server/core/metrics"
	"github.com/zenconn/server/core/session"
	"github.com/zenconn/server/hooks"
	"github.com/zenconn/server/hooks/host"
	"github.com/zenconn/server/plugins"
)

// openPlugins loads the plugins and makes the chain in which they are asked.
func (n *Node) openPlugins(ctx context.Context) error {
	o := n.options
	store := kv.New(kv.Options{Bus: o.Bus, Log: n.log})
	if err := store.Open(ctx); err != nil {
		return err
	}
	n.services = host.New(host.Options{KV: store, Metrics: metrics.NewPlugins(n.registry)})
	var err error
	if n.plugins, err = n.plugins.Next(ctx, o.Plugins, n.pluginOptions()); err != nil {
		return err
	}
	n.chain = hooks.NewChain(n.plugins.Links, &observer{node: o.Name, recorder: n.recorder, metrics: n.metrics, log: n.log})
	n.onClose(n.chain.Close)
	n.onClose(func() error { n.retiring.Wait(); return nil })
	return nil
}

func (n *Node) pluginOptions() plugins.Options {
	return plugins.Options{
		Cache: filepath.Join(n.options.Config.Data, "compiled"), Services: n.services, Log: n.log, Compiling: n.compiling,
	}
}

// compiling has the log tell what takes so long.
func (n *Node) compiling(plugin string) (done func()) {
	began := time.Now()
	n.log.Info("compiling a plugin, which takes a while; the result is kept for the next time", "plugin", plugin)
	return func() { n.log.Info("compiled", "plugin", plugin, "took", time.Since(began).Round(time.Millisecond)) }
}

// server is what plugins do to the whole installation. Implements host.Server.
type server struct{ calls *cluster.Calls }

// Publish implements host.Server.
func (s server) Publish(ctx context.Context, _, channel string, data []byte, tags map[string]string) error {
	_, err := s.calls.Publish(ctx, session.Outgoing{Channel: channel, Data: data, Tags: tags})
	return err
}

// Unsubscribe implements host.Server.
func (s server) Unsubscribe(ctx context.Context, _, user, client, channel string) error {
	return s.calls.Unsubscribe(ctx, session.Target{User: user, Client: client}, channel)
}

// Disconnect implements host.Server.
func (s server) Disconnect(ctx context.Context, _, user, client string, d core.Disconnect) error {
	return s.calls.Disconnect(ctx, session.Target{User: user, Client: client}, d)
}
