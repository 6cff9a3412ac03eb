package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/zenconn/server/audit"
	"github.com/zenconn/server/audit/erase"
	"github.com/zenconn/server/audit/spool"
	"github.com/zenconn/server/audit/store"
	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/api"
	"github.com/zenconn/server/core/bus"
	"github.com/zenconn/server/core/cluster"
	"github.com/zenconn/server/core/config"
	"github.com/zenconn/server/core/join"
	"github.com/zenconn/server/core/node"
	"github.com/zenconn/server/core/registry"
	"github.com/zenconn/server/core/supervise"
	"github.com/zenconn/server/plugins"
)

// Options are what an instance is made of.
type Options struct {
	Config     *config.Config // Checked.
	Version    string         // Of the program.
	Executable string         // Its file, from which workers are started,
	Environ    []string       // with these environment variables, as os.Environ returns them.
	Stdout     io.Writer      // For the access log when it goes to no file, and what workers write there.
	Stderr     io.Writer      // For what workers write there.
	Log        *slog.Logger

	// Plugins reads what the configuration says about plugins again, for when they are to be reloaded; nil: it says what it did.
	Plugins func() (config.Plugins, error)

	// ReplaceWorkers has the workers that are found running replaced, one after the other, although nothing seems to have changed.
	ReplaceWorkers bool
}

// ErrReplaced says that an agent has ended and left its workers running, for one that is to take its place at once.
var ErrReplaced = errors.New("the agent is to be replaced")

// Agent is one instance of the server.
type Agent struct {
	Options
	config *config.Config
	log    *slog.Logger
	name   string

	replace   chan struct{} // Closed by Replace.
	replacing sync.Once

	reloader atomic.Pointer[reloader] // nil: it has not begun to serve, or has ended.
}

// New makes an instance.
func New(o Options) *Agent {
	host, _ := os.Hostname() //nolint:errcheck // Without one there is a name too.
	return &Agent{Options: o, config: o.Config, log: o.Log, name: o.Config.Agent.NodeName(host), replace: make(chan struct{})}
}

// Replace has Run end with ErrReplaced and leave the workers running, with their clients. Without workers it does nothing.
func (a *Agent) Replace() {
	if a.config.Agent.Workers > 0 {
		a.replacing.Do(func() { close(a.replace) })
	}
}

// replaced says that Replace was called.
func (a *Agent) replaced() bool {
	select {
	case <-a.replace:
		return true
	default:
		return false
	}
}

// parts are what Run has opened, to be closed in the reverse order.
type parts struct {
	bus       *bus.Bus
	drain     *spool.Drain // nil: recording is off.
	retention *retention   // nil: the store looks after itself.
	past      *past
	store     audit.Sink // nil: recording is off.
	settling  *settling  // nil: recording is off.
	bundles   []plugins.Bundle
	node      *node.Node
	registry  *registry.Registry
	host      *join.Host
	crew      *crew // nil: this process keeps its clients itself.
	fleet     *fleet
	reloader  *reloader
	survivors []*supervise.Survivor // Workers that an agent before has left.
	strangers bool                  // There may be more of them, which this agent cannot take over.
	clients   net.Listener
	operator  net.Listener // nil: no API, or on the client listener.
	api       http.Handler

	closers []func() error
}

func (p *parts) onClose(f func() error) { p.closers = append(p.closers, f) }

func (p *parts) close() error {
	var all []error
	for _, f := range slices.Backward(p.closers) {
		all = append(all, f())
	}
	p.closers = nil
	return errors.Join(all...)
}

// Run opens everything, serves until ctx ends, and closes everything. An error in the opening leaves nothing behind.
func (a *Agent) Run(ctx context.Context) error {
	p := &parts{}
	if err := a.open(ctx, p); err != nil {
		if errors.Is(err, context.Canceled) && ctx.Err() != nil {
			a.log.Info("stopped before it was ready")
			return p.close()
		}
		return errors.Join(err, p.close())
	}
	a.announce(p)
	serving, stop := context.WithCancel(ctx)
	defer stop()
	p.reloader.life = serving
	a.reloader.Store(p.reloader)
	defer a.reloader.Store(nil)
	var asked sync.WaitGroup
	asked.Go(func() {
		select {
		case <-a.replace:
			stop()
		case <-serving.Done():
		}
	})
	err := a.serve(serving, p)
	err = errors.Join(err, p.close())
	stop()
	asked.Wait()
	if err == nil && ctx.Err() == nil && a.replaced() {
		return ErrReplaced
	}
	a.log.Info("stopped")
	return err
}

// serve runs all parts. The bus and the way of the audit to its store outlive the node.
func (a *Agent) serve(ctx context.Context, p *parts) error {
	var keeping sync.WaitGroup
	defer keeping.Wait()
	kept, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	keeping.Go(func() { p.bus.Run(kept) })

	var draining sync.WaitGroup
	defer draining.Wait()
	drained, stopDraining := context.WithCancel(context.WithoutCancel(ctx))
	defer stopDraining()
	if p.drain != nil {
		draining.Go(func() { p.drain.Run(drained) })
	}
	if p.retention != nil {
		keeping.Go(func() { p.retention.run(ctx) })
	}
	keeping.Go(func() { p.past.beat(kept) })
	if p.settling != nil {
		keeping.Go(func() { p.settling.run(ctx) })
	}

	var services []func(context.Context) error
	clients := p.clients
	if p.operator != nil {
		services = append(services, func(ctx context.Context) error { return api.Serve(ctx, p.operator, p.api, a.log) })
	}
	if !p.bus.Alone() {
		services = append(services, p.host.Run, p.registry.Run, p.fleet.run)
	}
	if a.config.Plugins.Watch {
		services = append(services, p.reloader.watch)
	}
	if p.crew != nil {
		clients = nil
		services = append(services, p.crew.run)
	}
	return p.node.Run(ctx, clients, services...)
}

func (a *Agent) open(ctx context.Context, p *parts) error {
	c := a.config
	if err := os.MkdirAll(c.Data, 0o750); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	unlock, err := lockData(c.Data)
	if err != nil {
		return err
	}
	p.onClose(unlock)
	if p.past, err = openPast(c.Data, a.name, a.log); err != nil {
		return err
	}
	if c, err = withTicketSecret(c); err != nil {
		return err
	}
	a.config = c
	if p.bundles, err = plugins.Resolve(c.Plugins, plugins.Bundled()); err != nil {
		return err
	}
	if err := a.findWorkers(ctx, p); err != nil {
		return err
	}
	if err := a.listen(p); err != nil {
		return err
	}
	p.bus = bus.New(bus.Options{Config: c.Bus, Data: c.Data, Node: a.name, Log: a.log})
	if err := p.bus.Open(ctx); err != nil {
		return err
	}
	p.onClose(p.bus.Close)
	writer, err := a.openAudit(p)
	if err != nil {
		return err
	}
	o := node.Options{
		Config: c, UID: core.NewID(), Name: a.name, Kind: cluster.Agent, Version: a.Version, Plugins: p.bundles, Bus: p.bus, Sink: writer,
		Stdout: a.Stdout, Log: a.log,
	}
	if c.API.Addr == c.Client.Addr {
		o.Pages = func(pages http.Handler) http.Handler { return sharing(p, pages) }
	}
	if p.node, err = node.Open(ctx, o); err != nil {
		return err
	}
	p.onClose(p.node.Close)
	if p.drain != nil {
		p.node.Registerer().MustRegister(p.drain)
	}
	p.fleet = &fleet{name: a.name, members: p.node.Members(), bus: p.bus, log: a.log}
	if !p.bus.Alone() {
		if err := a.gather(p); err != nil {
			return err
		}
	}
	p.settling = a.newSettling(p)
	p.reloader = &reloader{
		config: c, reread: a.Plugins, plugins: c.Plugins, node: p.node, host: p.host, name: a.name, log: a.log,
	}
	p.api = a.handler(p)
	return nil
}

// openAudit opens the store and the way to it; nil when recording is off.
func (a *Agent) openAudit(p *parts) (audit.Writer, error) {
	c := a.config
	sink, err := store.Open(c.Audit, c.Data)
	if err != nil {
		return nil, fmt.Errorf("audit store: %w", err)
	}
	if sink == nil {
		return nil, nil
	}
	p.onClose(sink.Close)
	p.store = sink
	p.drain = spool.NewDrain(spool.Options{
		Bus: p.bus, Sink: sink, Size: int64(c.Audit.SpoolSize), Linger: c.Audit.FlushInterval, WriteTimeout: c.Audit.ClickHouse.Timeout,
		DrainTimeout: c.Shutdown.Timeout, Log: a.log,
	})
	if err := p.drain.Open(); err != nil {
		return nil, err
	}
	if limits, ours := Retention(c.Audit); ours {
		p.retention = &retention{sink, limits, erase.By{Node: a.name, Actor: "zenconn " + a.Version, Kind: "server"}, a.log}
	}
	writer := spool.NewWriter(p.bus, a.log)
	return writer, writer.Open()
}

// gather makes what an agent has to do with other processes.
func (a *Agent) gather(p *parts) error {
	p.registry = registry.New(registry.Options{
		Members: p.node.Members(), Bus: p.bus, Sender: p.node.Sender(), Recorder: p.node.Recorder(), Log: a.log,
	})
	p.node.Calls().Consult(p.registry)
	p.node.Registerer().MustRegister(p.registry.Collectors()...)
	p.host = join.NewHost(join.HostOptions{Bus: p.bus, Name: a.name, UID: p.node.Members().UID(), Version: a.Version, Log: a.log})
	if err := p.host.Set(a.config, p.bundles); err != nil {
		return err
	}
	return a.muster(p)
}

// handler is what answers operators and backends.
func (a *Agent) handler(p *parts) http.Handler {
	c := a.config
	metrics := prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) { return p.node.Gather(a.mine(p)) })
	var profiler api.Profiler
	if c.API.Pprof {
		profiler = p.node
	}
	return api.Handler(metrics, a.checks(p), api.NewCommands(api.Options{
		Key: c.API.Key, Insecure: c.API.Insecure, RequestSize: int(c.API.RequestSize), Node: a.name, Cluster: p.node.Calls(),
		Fleet: p.fleet, Plugins: loaded{p.node, a.log}, Reloader: p.reloader, Audit: retry(p.drain), Profiler: profiler, Recorder: p.node.Recorder(), Metrics: p.node.Metrics(), Log: a.log,
	}), a.log)
}

// retry lets operators have the drain try again; nil: there is none.
func retry(d *spool.Drain) api.Audit {
	if d == nil {
		return nil
	}
	return d
}

// mine says which processes this agent speaks for.
func (a *Agent) mine(p *parts) func(cluster.Member) bool {
	own := p.node.Members()
	return func(m cluster.Member) bool { return m.Agent == own.UID() }
}

// checks are what /readyz looks at.
func (a *Agent) checks(p *parts) (checks []api.Check) {
	for _, c := range p.node.Checks() {
		checks = append(checks, api.Check{Name: c.Name, Problem: c.Problem})
	}
	if p.drain != nil {
		checks = append(checks, api.Check{Name: "spool", Problem: p.drain.Problem})
	}
	if p.crew != nil {
		checks = append(checks, api.Check{Name: "clients", Required: true, Problem: func() string {
			if n, problem := p.crew.ready(); n == 0 {
				return problem
			}
			return ""
		}}, api.Check{Name: "workers", Problem: func() string {
			_, problem := p.crew.ready()
			return problem
		}})
	}
	return checks
}

// note records an act of this agent.
func (a *Agent) note(p *parts, action, target string, err error) {
	event := &audit.Action{
		At: time.Now(), ID: core.NewID(), Node: a.name, Actor: "zenconn " + a.Version, ActorKind: "server", Action: action, Target: target, OK: err == nil,
	}
	if err != nil {
		event.Error = err.Error()
	}
	p.node.Recorder().Record(event)
}
