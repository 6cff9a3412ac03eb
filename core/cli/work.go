package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/zenconn/server/audit"
	"github.com/zenconn/server/audit/spool"
	"github.com/zenconn/server/core/bus"
	"github.com/zenconn/server/core/cluster"
	"github.com/zenconn/server/core/join"
	"github.com/zenconn/server/core/node"
	"github.com/zenconn/server/core/supervise"
	"github.com/zenconn/server/plugins"
)

// orphanPatience is how long a worker goes on after its agent has ended and no other has come: clients keep their connections while an
// agent is started again.
const orphanPatience = 2 * time.Minute

// work is the life of a worker that has joined, until ctx ends.
func work(ctx context.Context, env *environment, joined *join.Joined, b *bus.Bus) error {
	c := joined.Config
	log := newLogger(c.Log, env)
	listener, inherited, err := workerListener(joined)
	if err != nil {
		return err
	}
	defer listener.Close() //nolint:errcheck // Its server has closed it before.

	var sink audit.Writer
	if c.Audit.Store != "none" {
		writer := spool.NewWriter(b, log)
		if err := writer.Open(); err != nil {
			return err
		}
		sink = writer
	}
	n, err := node.Open(ctx, node.Options{
		Config: c, UID: joined.UID, Name: joined.Name, Kind: cluster.Worker, Index: joined.Index, Version: version(), Plugins: joined.Plugins,
		Bus: b, Sink: sink, Stdout: env.stdout, Log: log,
	})
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		log.Info("stopped before it was ready")
		return nil
	}
	if err != nil {
		return err
	}
	n.Stand(node.Standing{Agent: joined.Agent})
	watch := func(ctx context.Context) error {
		stand := func(s join.State) { n.Stand(node.Standing{Agent: s.Agent, Outdated: s.Outdated}) }
		joined.Watch(ctx, stand, func(bundles []plugins.Bundle) error {
			_, err := n.Reload(ctx, bundles)
			return err
		})
		return nil
	}

	// The bus, and the answers to supervisors, go on until all else has ended.
	outer, stop := context.WithCancel(context.WithoutCancel(ctx))
	inner, end := context.WithCancelCause(ctx)
	defer end(nil)
	var around sync.WaitGroup
	around.Go(func() { b.Run(outer) })
	if inherited != nil {
		around.Go(func() {
			if err := inherited.Run(outer, orphanPatience); err != nil {
				end(err)
			}
		})
	}
	log.Info("ready", "version", version(), "node", joined.Name, "addr", listener.Addr())
	err = n.Run(inner, listener, watch)
	if cause := context.Cause(inner); cause != nil && !errors.Is(cause, context.Canceled) {
		err = errors.Join(err, cause)
	}
	err = errors.Join(err, n.Close())
	stop()
	around.Wait()
	log.Info("stopped")
	return err
}

// workerListener returns the clients' listener: the agent's, which its child inherits, or one of its own.
func workerListener(joined *join.Joined) (net.Listener, *supervise.Inheritance, error) {
	if joined.Index == 0 {
		l, err := net.Listen("tcp", joined.Config.Client.Addr)
		if err != nil {
			return nil, nil, fmt.Errorf("client listener (--addr): %w", err)
		}
		return l, nil, nil
	}
	inherited, err := supervise.Inherit(1)
	if err != nil {
		return nil, nil, err
	}
	l, err := net.FileListener(inherited.Files[0])
	if err != nil {
		return nil, nil, fmt.Errorf("client listener: %w", err)
	}
	return l, inherited, nil
}
