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
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/zenconn/server/audit"
	"github.com/zenconn/server/audit/store"
	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/api"
	"github.com/zenconn/server/core/bus"
	"github.com/zenconn/server/core/config"
	"github.com/zenconn/server/core/history/jetstream"
	"github.com/zenconn/server/core/metrics"
	"github.com/zenconn/server/core/web"
	"github.com/zenconn/server/core/worker"
	"github.com/zenconn/server/hooks"
	"github.com/zenconn/server/plugins"
)

// Agent is one instance of the server.
type Agent struct {
	config  *config.Config
	version string
	stdout  io.Writer // For the access log.
	log     *slog.Logger
	node    string
	started time.Time
}

// New makes an instance of a checked configuration. stdout gets the access log when it goes to no file.
func New(c *config.Config, version string, stdout io.Writer, log *slog.Logger) *Agent {
	node, err := os.Hostname()
	if err != nil || node == "" {
		node = "zenconn"
	}
	return &Agent{config: c, version: version, stdout: stdout, log: log, node: node}
}

// parts are what Run has opened, to be closed in the reverse order.
type parts struct {
	registry *prometheus.Registry
	sink     audit.Sink // nil: recording is off.
	recorder *audit.Recorder
	chain    *hooks.Chain
	bus      *bus.Bus         // nil: nothing needs it.
	history  *jetstream.Store // nil: no namespace keeps its history on the bus.
	worker   *worker.Worker
	clients  net.Listener
	operator net.Listener // nil: no API, or on the client listener.
	api      http.Handler

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
	a.started = time.Now()
	p := &parts{registry: prometheus.NewRegistry()}
	if err := a.open(p); err != nil {
		return errors.Join(err, p.close())
	}
	a.announce(p)
	err := a.serve(ctx, p)
	err = errors.Join(err, p.close())
	a.log.Info("stopped")
	return err
}

// serve runs all parts. The audit outlives the worker, so that the end of every session is written down.
func (a *Agent) serve(ctx context.Context, p *parts) error {
	recording, stopRecording := context.WithCancel(context.WithoutCancel(ctx))
	defer stopRecording()
	serving, stop := context.WithCancel(ctx)
	defer stop()

	var auditing, clients sync.WaitGroup
	auditing.Go(func() { p.recorder.Run(recording) })
	stopKeeping := a.keep(p)
	a.act(p, "start", nil)
	failures := make(chan error, 2)
	clients.Go(func() {
		failures <- p.worker.Run(serving, p.clients)
		stop() // Without clients there is nothing left to do.
	})
	if p.operator != nil {
		clients.Go(func() {
			failures <- api.Serve(serving, p.operator, p.api, a.log)
			stop()
		})
	}
	<-serving.Done()
	a.log.Info("stopping: clients are told to reconnect elsewhere", "timeout", a.config.Shutdown.Timeout)
	clients.Wait()
	stopKeeping()
	close(failures)
	var all []error
	for err := range failures {
		all = append(all, err)
	}
	err := errors.Join(all...)
	a.act(p, "stop", err)
	stopRecording()
	auditing.Wait()
	return err
}

// act records an act of the server itself.
func (a *Agent) act(p *parts, action string, err error) {
	event := &audit.Action{
		At: time.Now(), ID: core.NewID(), Node: a.node, Actor: "zenconn " + a.version, ActorKind: "server", Action: action,
		Target: a.node, OK: err == nil,
	}
	if err != nil {
		event.Error = err.Error()
	}
	p.recorder.Record(event)
}

func (a *Agent) open(p *parts) error {
	c := a.config
	if err := os.MkdirAll(c.Data, 0o750); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	unlock, err := lockData(c.Data)
	if err != nil {
		return err
	}
	p.onClose(unlock)
	p.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	counters := metrics.New(p.registry)

	sink, err := store.Open(c.Audit, c.Data)
	if err != nil {
		return fmt.Errorf("audit store: %w", err)
	}
	if sink != nil {
		p.sink = sink
		p.onClose(sink.Close)
	}
	redactor := &redactor{metrics: counters}
	p.recorder = audit.New(sink, audit.Options{
		Node: a.node, Epoch: uint64(a.started.Unix()), Queue: c.Audit.Queue, QueueBytes: int64(c.Audit.QueueSize),
		BatchEvents: c.Audit.BatchEvents, FlushInterval: c.Audit.FlushInterval, WriteTimeout: c.Audit.ClickHouse.Timeout,
		DrainTimeout: c.Shutdown.Timeout, Redactor: redactor, Log: a.log,
	})
	p.registry.MustRegister(newAuditCollector(p.recorder))

	links, err := plugins.Load(c.Plugins, plugins.Bundled(), filepath.Join(c.Data, "compiled"), a.log)
	if err != nil {
		return err
	}
	p.chain = hooks.NewChain(links, &observer{node: a.node, recorder: p.recorder, metrics: counters, log: a.log})
	p.onClose(p.chain.Close)
	redactor.chain = p.chain

	durable, err := a.openHistory(p)
	if err != nil {
		return err
	}
	pages, wrap, err := a.openWeb(p)
	if err != nil {
		return err
	}
	p.worker, err = worker.New(worker.Options{
		Config: c, Node: a.node, Version: a.version, Started: a.started, Hooks: p.chain, History: durable, Recorder: p.recorder,
		Metrics: counters, Registry: p.registry, Pages: pages, Wrap: wrap, Log: a.log,
	})
	if err != nil {
		return err
	}
	p.api = api.Handler(p.registry, a.checks(p), api.NewCommands(api.Options{
		Key: c.API.Key, Insecure: c.API.Insecure, RequestSize: int(c.API.RequestSize), Node: a.node, Cluster: p.worker.Server(),
		Recorder: p.recorder, Metrics: counters, Log: a.log,
	}), a.log)
	return a.listen(p)
}

// openWeb opens the pages and the access log.
func (a *Agent) openWeb(p *parts) (pages http.Handler, wrap func(http.Handler) http.Handler, err error) {
	if a.config.Public.Enabled {
		site, err := web.Open(a.config.Public)
		if err != nil {
			return nil, nil, err
		}
		p.onClose(site.Close)
		pages = site
	}
	if a.config.API.Addr == a.config.Client.Addr {
		pages = sharing(p, pages)
	}
	out := a.stdout
	if path := a.config.AccessLog.Path; path != "" && a.config.AccessLog.Format != "off" {
		file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o640) //nolint:gosec // The operator names the file.
		if err != nil {
			return nil, nil, fmt.Errorf("access log: %w", err)
		}
		p.onClose(file.Close)
		out = file
	}
	access, err := web.NewAccessLog(a.config.AccessLog.Format, out)
	if err != nil {
		return nil, nil, err
	}
	p.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
		Namespace: "zenconn", Name: "access_log_failures_total", Help: "Lines of the access log that could not be written.",
	}, func() float64 { return float64(access.Failures()) }))
	return pages, access.Handler, nil
}

// sharing serves the API beside the pages on one listener, when both have the same address. The API is there before the first
// request, though not yet now.
func sharing(p *parts, pages http.Handler) http.Handler {
	mux := http.NewServeMux()
	for _, path := range api.Paths {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) { p.api.ServeHTTP(w, r) })
	}
	if pages != nil {
		mux.Handle("/", pages)
	}
	return mux
}

func (a *Agent) listen(p *parts) error {
	var err error
	if p.clients, err = net.Listen("tcp", a.config.Client.Addr); err != nil {
		return fmt.Errorf("client listener (client.addr): %w", err)
	}
	p.onClose(func() error { return closeListener(p.clients) })
	if addr := a.config.API.Addr; addr != "" && addr != a.config.Client.Addr {
		if p.operator, err = net.Listen("tcp", addr); err != nil {
			return fmt.Errorf("API listener (api.addr): %w", err)
		}
		p.onClose(func() error { return closeListener(p.operator) })
	}
	return nil
}

// closeListener closes a listener that its server may have closed before.
func closeListener(l net.Listener) error {
	if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// checks are what /readyz looks at.
func (a *Agent) checks(p *parts) []api.Check {
	return append(a.historyChecks(p), api.Check{
		Name: "audit",
		Problem: func() string {
			if err := p.recorder.Stats().LastError; err != nil {
				return "the audit store cannot be written to; events wait in the queue (see the log)"
			}
			return ""
		},
	})
}

// announce says in the log where to look.
func (a *Agent) announce(p *parts) {
	c := a.config
	base := clientURL(p.clients.Addr())
	if c.Demo {
		a.log.Warn("demo mode: everybody on this machine may connect under any name; nobody else can")
	}
	if dir := c.Plugins.Dir; dir != "" {
		a.log.Info("plugins are read from", "dir", absolute(dir), "loaded", len(p.chain.Plugins()))
	}
	for _, plugin := range p.chain.Plugins() {
		a.log.Info("plugin", "name", plugin.Name, "version", plugin.Hash[:12], "hooks", plugin.Hooks)
	}
	data := absolute(c.Data)
	for _, path := range c.Client.WebSocket.Paths {
		a.log.Info("clients connect to", "url", "ws"+base[len("http"):]+path)
	}
	if c.Public.Enabled {
		a.log.Info("pages are at", "url", base+"/", "dir", dirOrBuiltIn(c.Public.Dir))
	}
	if c.API.Addr != "" {
		operators := base
		if p.operator != nil {
			operators = clientURL(p.operator.Addr())
		}
		a.log.Info("metrics and health are at", "url", operators+"/metrics")
		a.log.Info("the server API is at", "url", operators+"/api/", "open_to", openTo(c.API))
	}
	a.log.Info("data is kept in", "dir", data)
	if p.bus != nil {
		a.log.Info("the bus is ready", "nats", a.describeHistory(p), "addr", p.bus.Addr())
	}
	a.log.Info("audit is kept in", "store", store.Describe(c.Audit, data), "ask", `zenconn audit query "SELECT * FROM audit_messages"`)
	a.log.Info("ready", "version", a.version, "node", a.node)
}

// absolute names a directory so that it can be found from anywhere.
func absolute(dir string) string {
	if abs, err := filepath.Abs(dir); err == nil {
		return abs
	}
	return dir
}

// openTo says who may use the server API.
func openTo(c config.API) string {
	switch {
	case c.Key != "":
		return "programs with the key"
	case c.Insecure:
		return "programs on this machine"
	}
	return "nobody: set api.key"
}

func dirOrBuiltIn(dir string) string {
	if dir == "" {
		return "built in"
	}
	return dir
}

// clientURL names a listener as a browser on this machine would.
func clientURL(addr net.Addr) string {
	host, port, err := net.SplitHostPort(addr.String())
	if err != nil {
		return "http://" + addr.String()
	}
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() || ip.IsLoopback() {
		host = "localhost"
	}
	return "http://" + net.JoinHostPort(host, port)
}
