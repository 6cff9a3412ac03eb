package node

import (
	"context"
	"errors"
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
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/zenconn/server/audit"
	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/bus"
	"github.com/zenconn/server/core/channel"
	"github.com/zenconn/server/core/cluster"
	"github.com/zenconn/server/core/config"
	"github.com/zenconn/server/core/history/jetstream"
	"github.com/zenconn/server/core/metrics"
	"github.com/zenconn/server/core/profile"
	"github.com/zenconn/server/core/registry"
	"github.com/zenconn/server/core/relay"
	"github.com/zenconn/server/core/worker"
	"github.com/zenconn/server/hooks"
	"github.com/zenconn/server/hooks/host"
	"github.com/zenconn/server/plugins"
)

// Options are what a node is made of.
type Options struct {
	Config  *config.Config // Checked.
	UID     core.ID        // Another one after each start.
	Name    string         // Unique among the nodes of the installation.
	Kind    cluster.Kind
	Index   int    // Of a worker among those of its agent, from 1; 0: it is none, or from elsewhere.
	Version string // Of the program.
	Plugins []plugins.Bundle
	Bus     *bus.Bus     // Open.
	Sink    audit.Writer // Where the audit goes; nil: recording is off.
	Stdout  io.Writer    // For the access log when it goes to no file.
	Log     *slog.Logger
	Pages   func(http.Handler) http.Handler // Puts more beside the pages on the clients' listener; nil: nothing.
}

// Node is one process's part of the installation.
type Node struct {
	options  Options
	log      *slog.Logger
	started  time.Time
	registry *prometheus.Registry
	metrics  *metrics.Metrics
	recorder *audit.Recorder
	services *host.Services
	chain    *hooks.Chain
	history  *jetstream.Store // nil: no namespace keeps its history on the bus.
	worker   *worker.Worker
	vitals   *cluster.Vitals
	members  *cluster.Members
	calls    *cluster.Calls
	profiles profile.Taker

	state    atomic.Value             // cluster.State
	standing atomic.Pointer[Standing] // nil: nobody supervises it.

	reloading sync.Mutex
	plugins   plugins.Loaded // Those that are asked. Guarded by reloading.
	retiring  sync.WaitGroup // Of those that were replaced.
	refusal   atomic.Pointer[string]

	closers []func() error
}

// Standing is how a worker stands to the agent that supervises it.
type Standing struct {
	Agent    string // Its UID, another one after it was started again.
	Outdated string // Why the worker must be started again to be as the agent wants it; empty: it need not.
}

// Open makes a node and loads what it needs. An error leaves nothing behind.
func Open(ctx context.Context, o Options) (*Node, error) {
	n := &Node{options: o, log: o.Log, started: time.Now(), registry: prometheus.NewRegistry()}
	n.state.Store(cluster.Starting)
	if err := n.open(ctx); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

func (n *Node) open(ctx context.Context) error {
	o, c := n.options, n.options.Config
	n.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	n.metrics = metrics.New(n.registry)
	redactor := &redactor{metrics: n.metrics}
	n.recorder = audit.New(o.Sink, audit.Options{
		Node: o.Name, Epoch: uint64(n.started.Unix()), Queue: c.Audit.Queue, QueueBytes: int64(c.Audit.QueueSize),
		BatchEvents: c.Audit.BatchEvents, FlushInterval: c.Audit.FlushInterval, WriteTimeout: c.Audit.ClickHouse.Timeout,
		DrainTimeout: c.Shutdown.Timeout, Durable: c.Audit.Mode == "durable", Block: c.Audit.OnFull == "block", Redactor: redactor, Log: n.log,
	})
	n.registry.MustRegister(newAuditCollector(n.recorder))
	if err := n.openPlugins(ctx); err != nil {
		return err
	}
	redactor.chain = n.chain
	durable, err := n.openHistory()
	if err != nil {
		return err
	}
	pages, wrap, err := n.openWeb()
	if err != nil {
		return err
	}
	w := worker.Options{
		Config: c, Node: o.Name, Number: uint16(o.Index), UID: o.UID.String(), Version: o.Version, Started: n.started, Hooks: n.chain, //nolint:gosec // At most 256.
		Delivered: n.delivered,
		History:   durable, Recorder: n.recorder, Unrecorded: o.Sink == nil, Drops: n.recorder,
		Metrics: n.metrics, Registry: n.registry, Pages: pages, Wrap: wrap, Log: n.log,
	}
	if c.Audit.Mode == "durable" || c.Audit.OnFull == "block" {
		w.Durability = n.recorder
	}
	members := cluster.Options{Self: n.self, Log: n.log, Metrics: n.metrics}
	calls := cluster.CallsOptions{Log: n.log, Metrics: n.metrics}
	if !o.Bus.Alone() {
		w.Bus, members.Bus, calls.Bus = o.Bus, o.Bus, o.Bus
		if w.Relay, err = n.openRelay(); err != nil {
			return err
		}
		w.Shared = true
	}
	if o.Kind == cluster.Worker {
		w.Drain = c.Agent.DrainWindow
	}
	if n.worker, err = worker.New(w); err != nil {
		return err
	}
	n.vitals = cluster.NewVitals(n.worker.Server(), n.metrics)
	n.members = cluster.New(members)
	calls.Members, calls.Local = n.members, n.worker.Server()
	n.calls = cluster.NewCalls(calls)
	n.services.Serve(server{n.calls})
	if !o.Bus.Alone() {
		n.worker.Join(n.calls.Gather(), n.calls.Elsewhere())
	}
	return nil
}

// openRelay opens the way to and from the hubs of the other nodes.
func (n *Node) openRelay() (*relay.Relay, error) {
	about := relay.Options{Bus: n.options.Bus, Metrics: n.metrics, Log: n.log}
	if n.history != nil {
		about.Histories = n.history
	}
	r := relay.New(about)
	return r, r.Open()
}

// delivered counts for the audit what publishers are not told of: see hub.Options.
func (n *Node) delivered(pub *core.Publication, deliveries, drops int) {
	n.recorder.Delivered(pub.ID, channel.NamespaceOf(pub.Channel), pub.Channel, deliveries, drops)
}

// self describes this process to the others.
func (n *Node) self() cluster.Member {
	m := cluster.Member{
		UID: n.options.UID.String(), Name: n.options.Name, Kind: n.options.Kind, Index: n.options.Index, Version: n.options.Version,
		PID: os.Getpid(), Started: n.started, State: n.state.Load().(cluster.State), //nolint:forcetypeassert // Nothing else is stored.
	}
	if s := n.standing.Load(); s != nil {
		m.Agent, m.Outdated = s.Agent, s.Outdated
	}
	if why := n.refusal.Load(); why != nil {
		m.Complaint = *why
	}
	if n.vitals != nil {
		m.Numbers = n.vitals.Numbers()
	}
	return m
}

// Stand says how this worker stands to its agent.
func (n *Node) Stand(s Standing) {
	n.standing.Store(&s)
	n.members.Hello()
}

// become tells the others how far this process is in its life.
func (n *Node) become(s cluster.State) {
	n.state.Store(s)
	n.members.Hello()
}

func (n *Node) onClose(f func() error) { n.closers = append(n.closers, f) }

// Close gives back what Open took. It may be called again.
func (n *Node) Close() error {
	var all []error
	for _, f := range slices.Backward(n.closers) {
		all = append(all, f())
	}
	n.closers = nil
	return errors.Join(all...)
}

// Run keeps clients on the listener (nil: the node has none) until ctx ends, or until one of the services beside it ends; they have a
// context that ends with the clients'. The audit outlives them all, so that the end of every session is written down.
func (n *Node) Run(ctx context.Context, clients net.Listener, beside ...func(context.Context) error) error {
	recording, stopRecording := context.WithCancel(context.WithoutCancel(ctx))
	defer stopRecording()
	keeping, stopKeeping := context.WithCancel(context.WithoutCancel(ctx))
	defer stopKeeping()
	serving, stop := context.WithCancel(ctx)
	defer stop()

	var auditing sync.WaitGroup
	auditing.Go(func() { n.recorder.Run(recording) })
	keepers := group{stop: stop}
	for _, keeper := range n.keepers() {
		keepers.run(keeping, keeper)
	}
	n.act("start", nil)
	services := group{stop: stop} // Without one of them there is nothing left to do.
	services.run(serving, func(ctx context.Context) error { return n.worker.Run(ctx, clients) })
	for _, service := range beside {
		services.run(serving, service)
	}
	n.become(cluster.Ready)
	<-serving.Done()
	n.become(cluster.Draining)
	n.log.Info("stopping: clients are told to reconnect elsewhere", "timeout", n.options.Config.Shutdown.Timeout)
	err := services.wait()
	stopKeeping()
	err = errors.Join(err, keepers.wait())
	n.act("stop", err)
	stopRecording()
	auditing.Wait()
	return err
}

// keepers are what clients need, and what therefore outlives them.
func (n *Node) keepers() []func(context.Context) error {
	all := []func(context.Context) error{
		func(ctx context.Context) error { newCollector(n.log).run(ctx); return nil },
		n.calls.Run, n.belong, func(ctx context.Context) error { n.services.Run(ctx); return nil },
	}
	if n.history != nil {
		all = append(all, func(ctx context.Context) error { n.history.Run(ctx); return nil })
	}
	return all
}

// belong takes part in the cluster until ctx ends.
func (n *Node) belong(ctx context.Context) error {
	if n.options.Bus.Alone() {
		<-ctx.Done()
		return nil
	}
	uid := n.options.UID.String()
	var stops []func()
	defer func() {
		for _, stop := range stops {
			stop()
		}
	}()
	for subject, tell := range map[string]func(context.Context, []byte) ([]byte, error){
		metricsSubject(uid): n.tellMetrics, loadedSubject(uid): n.tellLoaded, profileSubject(uid): n.tellProfile,
	} {
		stop, err := n.options.Bus.Handle(subject, tell)
		if err != nil {
			return err
		}
		stops = append(stops, stop)
	}
	return n.members.Run(ctx)
}

// group runs functions of which each that ends ends all.
type group struct {
	stop    context.CancelFunc
	running sync.WaitGroup
	mu      sync.Mutex
	errs    []error // Guarded by mu.
}

func (g *group) run(ctx context.Context, f func(context.Context) error) {
	g.running.Go(func() {
		defer g.stop()
		err := f(ctx)
		g.mu.Lock()
		defer g.mu.Unlock()
		g.errs = append(g.errs, err)
	})
}

func (g *group) wait() error {
	g.running.Wait()
	return errors.Join(g.errs...)
}

// act records an act of the server itself.
func (n *Node) act(action string, err error) {
	event := &audit.Action{
		At: time.Now(), ID: core.NewID(), Node: n.options.Name, Actor: "zenconn " + n.options.Version, ActorKind: "server", Action: action,
		Target: n.options.Name, OK: err == nil,
	}
	if err != nil {
		event.Error = err.Error()
	}
	n.recorder.Record(event)
}

// Calls returns what the server itself can do to all sessions and channels of the installation.
func (n *Node) Calls() *cluster.Calls { return n.calls }

// Members knows the processes of the installation.
func (n *Node) Members() *cluster.Members { return n.members }

// Sender returns what announces the sessions of this node.
func (n *Node) Sender() *registry.Sender { return n.worker.Sender() }

// Registerer takes more metrics.
func (n *Node) Registerer() prometheus.Registerer { return n.registry }

// Metrics returns the counters of this node.
func (n *Node) Metrics() *metrics.Metrics { return n.metrics }

// Recorder returns the node's recorder, which takes events until Run returns.
func (n *Node) Recorder() *audit.Recorder { return n.recorder }

// Plugins describes the plugins in the order in which they are asked.
func (n *Node) Plugins() []hooks.PluginInfo { return n.chain.Plugins() }
