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

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/zenconn/server/audit/store"
	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/api"
	"github.com/zenconn/server/core/bus"
	"github.com/zenconn/server/core/cluster"
	"github.com/zenconn/server/core/config"
	"github.com/zenconn/server/core/node"
)

// Agent is one instance of the server.
type Agent struct {
	config  *config.Config
	version string
	stdout  io.Writer // For the access log.
	log     *slog.Logger
	name    string
}

// New makes an instance of a checked configuration. stdout gets the access log when it goes to no file.
func New(c *config.Config, version string, stdout io.Writer, log *slog.Logger) *Agent {
	name, err := os.Hostname()
	if err != nil || name == "" {
		name = "zenconn"
	}
	return &Agent{config: c, version: version, stdout: stdout, log: log, name: name}
}

// parts are what Run has opened, to be closed in the reverse order.
type parts struct {
	bus      *bus.Bus // nil: nothing needs it.
	node     *node.Node
	clients  net.Listener
	operator net.Listener // nil: no API, or on the client listener.
	api      http.Handler
	fleet    *fleet

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
		return errors.Join(err, p.close())
	}
	a.announce(p)
	err := a.serve(ctx, p)
	err = errors.Join(err, p.close())
	a.log.Info("stopped")
	return err
}

// serve runs all parts. The bus outlives the node.
func (a *Agent) serve(ctx context.Context, p *parts) error {
	var keeping sync.WaitGroup
	defer keeping.Wait()
	kept, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	if p.bus != nil {
		keeping.Go(func() { p.bus.Run(kept) })
	}
	services := []func(context.Context) error{p.fleet.run}
	if p.operator != nil {
		services = append(services, func(ctx context.Context) error { return api.Serve(ctx, p.operator, p.api, a.log) })
	}
	return p.node.Run(ctx, p.clients, services...)
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
	if node.NeedsBus(c) || c.Bus.URL != "" || c.Bus.Listen != "" {
		p.bus = bus.New(bus.Options{Config: c.Bus, Data: c.Data, Node: a.name, Log: a.log})
		if err := p.bus.Open(ctx); err != nil {
			return err
		}
		p.onClose(p.bus.Close)
	}
	sink, err := store.Open(c.Audit, c.Data)
	if err != nil {
		return fmt.Errorf("audit store: %w", err)
	}
	if sink != nil {
		p.onClose(sink.Close)
	}
	o := node.Options{
		Config: c, UID: core.NewID(), Name: a.name, Kind: cluster.Agent, Agent: func() string { return "" }, Version: a.version, Bus: p.bus, Sink: sink, Stdout: a.stdout, Log: a.log,
	}
	if c.API.Addr == c.Client.Addr {
		o.Pages = func(pages http.Handler) http.Handler { return sharing(p, pages) }
	}
	if p.node, err = node.Open(o); err != nil {
		return err
	}
	p.onClose(p.node.Close)
	p.fleet = &fleet{name: a.name, members: p.node.Members(), log: a.log}
	if p.bus != nil {
		p.fleet.bus = p.bus
	}
	p.api = api.Handler(prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) { return p.node.Gather(a.mine(p)) }), checks(p), api.NewCommands(api.Options{
		Key: c.API.Key, Insecure: c.API.Insecure, RequestSize: int(c.API.RequestSize), Node: a.name, Cluster: p.node.Server(), Fleet: p.fleet,
		Recorder: p.node.Recorder(), Metrics: p.node.Metrics(), Log: a.log,
	}), a.log)
	return a.listen(p)
}

// mine says which processes this agent speaks for.
func (a *Agent) mine(p *parts) func(cluster.Member) bool {
	own := p.node.Members()
	return func(m cluster.Member) bool { return m.Agent == own.UID() }
}

// checks are what /readyz looks at.
func checks(p *parts) (checks []api.Check) {
	for _, c := range p.node.Checks() {
		checks = append(checks, api.Check{Name: c.Name, Problem: c.Problem})
	}
	return checks
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
