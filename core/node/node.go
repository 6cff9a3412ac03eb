package node

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/zenconn/server/audit"
	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/bus"
	"github.com/zenconn/server/core/cluster"
	"github.com/zenconn/server/core/config"
	"github.com/zenconn/server/core/history/jetstream"
	"github.com/zenconn/server/core/metrics"
	"github.com/zenconn/server/core/session"
	"github.com/zenconn/server/core/worker"
	"github.com/zenconn/server/hooks"
	"github.com/zenconn/server/plugins"
)

// Options are what a node is made of.
type Options struct {
	Config  *config.Config // Checked.
	UID     core.ID        // Another one after each start.
	Name    string         // Unique among the nodes of the installation.
	Kind    cluster.Kind
	Agent   func() string // UID of the agent that supervises it; it changes when that one is started again.
	Version string        // Of the program.
	Bus     *bus.Bus      // Open; nil: nothing needs it.
	Sink    audit.Writer  // Where the audit goes; nil: recording is off.
	Stdout  io.Writer     // For the access log when it goes to no file.
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
	chain    *hooks.Chain
	history  *jetstream.Store // nil: no namespace keeps its history on the bus.
	worker   *worker.Worker
	members  *cluster.Members // nil: the process is alone.

	state   atomic.Value // cluster.State
	numbers numbers

	closers []func() error
}

// Open makes a node and loads what it needs. An error leaves nothing behind.
func Open(o Options) (*Node, error) {
	n := &Node{options: o, log: o.Log, started: time.Now(), registry: prometheus.NewRegistry()}
	n.state.Store(cluster.Starting)
	if err := n.open(); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

func (n *Node) open() error {
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

	links, err := plugins.Load(c.Plugins, plugins.Bundled(), plugins.Options{Cache: filepath.Join(c.Data, "compiled"), Log: n.log})
	if err != nil {
		return err
	}
	n.chain = hooks.NewChain(links, &observer{node: o.Name, recorder: n.recorder, metrics: n.metrics, log: n.log})
	n.onClose(n.chain.Close)
	redactor.chain = n.chain

	durable, err := n.openHistory()
	if err != nil {
		return err
	}
	pages, wrap, err := n.openWeb()
	if err != nil {
		return err
	}
	n.worker, err = worker.New(worker.Options{
		Config: c, Node: o.Name, Version: o.Version, Started: n.started, Hooks: n.chain, History: durable, Recorder: n.recorder, Durability: n.recorder,
		Metrics: n.metrics, Registry: n.registry, Pages: pages, Wrap: wrap, Log: n.log,
	})
	if err != nil || o.Bus == nil || o.Bus.Alone() {
		return err
	}
	n.members = cluster.New(cluster.Options{Bus: o.Bus, Self: n.self, Log: n.log, Metrics: n.metrics})
	return nil
}

// self describes this process to the others.
func (n *Node) self() cluster.Member {
	return cluster.Member{
		UID: n.options.UID.String(), Name: n.options.Name, Kind: n.options.Kind, Agent: n.options.Agent(), Version: n.options.Version,
		PID: os.Getpid(), Started: n.started, State: n.state.Load().(cluster.State), Numbers: n.current(), //nolint:forcetypeassert // Nothing else is stored.
	}
}

// become tells the others how far this process is in its life.
func (n *Node) become(s cluster.State) {
	n.state.Store(s)
	if n.members != nil {
		n.members.Hello()
	}
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
func (n *Node) keepers() (all []func(context.Context) error) {
	if n.history != nil {
		all = append(all, func(ctx context.Context) error { n.history.Run(ctx); return nil })
	}
	if n.members != nil {
		all = append(all, n.belong)
	}
	return all
}

// belong takes part in the cluster until ctx ends.
func (n *Node) belong(ctx context.Context) error {
	stop, err := n.options.Bus.Handle(metricsSubject(n.options.UID.String()), n.tellMetrics)
	if err != nil {
		return err
	}
	defer stop()
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

// Server returns what the server itself can do to the sessions and channels of this node.
func (n *Node) Server() *session.Server { return n.worker.Server() }

// Members knows the processes on the bus; nil when this one is alone.
func (n *Node) Members() *cluster.Members { return n.members }

// Registerer takes more metrics.
func (n *Node) Registerer() prometheus.Registerer { return n.registry }

// Metrics returns the counters of this node.
func (n *Node) Metrics() *metrics.Metrics { return n.metrics }

// Recorder returns the node's recorder, which takes events until Run returns.
func (n *Node) Recorder() *audit.Recorder { return n.recorder }

// Plugins describes the plugins in the order in which they are asked.
func (n *Node) Plugins() []hooks.PluginInfo { return n.chain.Plugins() }
