package relay_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/bus"
	"github.com/zenconn/server/core/channel"
	"github.com/zenconn/server/core/config"
	"github.com/zenconn/server/core/history"
	"github.com/zenconn/server/core/history/jetstream"
	"github.com/zenconn/server/core/hub"
	"github.com/zenconn/server/core/metrics"
	"github.com/zenconn/server/core/outbound"
	"github.com/zenconn/server/core/relay"
	"github.com/zenconn/server/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// patience is how long a test waits for what must come.
const patience = 3 * time.Minute

var (
	plain = &channel.Namespace{Name: "plain"}
	kept  = &channel.Namespace{Name: "kept", HistorySize: 5000, HistoryTTL: time.Hour}
	short = &channel.Namespace{Name: "short", HistorySize: 3, HistoryTTL: time.Hour}
)

func limitsOf(ns *channel.Namespace) history.Limits {
	return history.Limits{Size: ns.HistorySize, TTL: ns.HistoryTTL}
}

// installation is one bus with some nodes.
type installation struct {
	bus   *bus.Bus
	nodes []*node
}

// node is what a process of the installation has for its channels.
type node struct {
	store    *jetstream.Store
	relay    *relay.Relay
	hub      *hub.Hub
	flushers *outbound.Flushers
	metrics  *metrics.Metrics
}

// settings change how a node is made.
type settings struct {
	bus       *bus.Bus                               // Its own; nil: the installation's.
	interval  time.Duration                          // Of checks.
	lane      int                                    // Messages for which a lane has room; 0: as ever.
	memory    bool                                   // Histories are kept in memory.
	histories func(*jetstream.Store) relay.Histories // Between the streams and the relay; nil: nothing.
	history   func(history.Store) history.Store      // Between the hub and the store; nil: nothing.
	delivered func(*core.Publication, int, int)
}

var silent = slog.New(slog.DiscardHandler)

func openBus(t testing.TB, c config.Bus, dir string) *bus.Bus {
	t.Helper()
	b := bus.New(bus.Options{Config: c, Data: dir, Node: "test", Log: silent})
	if err := b.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// install opens an embedded bus that others can use.
func install(t testing.TB) *installation {
	t.Helper()
	c := config.Default().Bus
	c.Listen = "127.0.0.1:0"
	return &installation{bus: openBus(t, c, t.TempDir())}
}

// add starts another node.
func (in *installation) add(t testing.TB, set settings) *node {
	t.Helper()
	if set.bus == nil {
		set.bus = in.bus
	}
	namespaces := map[string]jetstream.Namespace{}
	for _, ns := range []*channel.Namespace{kept, short} {
		namespaces[ns.Name] = jetstream.Namespace{Limits: limitsOf(ns), Memory: set.memory}
	}
	n := &node{flushers: outbound.NewFlushers(1), metrics: metrics.New(prometheus.NewRegistry())}
	n.store = jetstream.New(jetstream.Options{Bus: set.bus, Namespaces: namespaces, Of: channel.NamespaceOf, Log: silent})
	if err := n.store.Open(); err != nil {
		t.Fatal(err)
	}
	options := relay.Options{Bus: set.bus, Histories: n.store, Metrics: n.metrics, Log: silent, CheckInterval: set.interval}
	if set.histories != nil {
		options.Histories = set.histories(n.store)
	}
	n.relay = relay.New(options)
	if set.lane > 0 {
		n.relay.Narrow(set.lane)
	}
	if err := n.relay.Open(); err != nil {
		t.Fatal(err)
	}
	var store history.Store = n.store
	if set.history != nil {
		store = set.history(store)
	}
	n.hub = hub.New(hub.Options{History: store, Flushers: n.flushers, Relay: n.relay, Delivered: set.delivered, Metrics: n.metrics})
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { n.flushers.Run(ctx) })
	wg.Go(func() { n.relay.Run(ctx, n.hub) })
	wg.Go(func() { n.store.Run(ctx) })
	t.Cleanup(func() { cancel(); wg.Wait() })
	in.nodes = append(in.nodes, n)
	return n
}

func (n *node) publish(t testing.TB, ns *channel.Namespace, name string, data any, except core.ID) hub.Published {
	t.Helper()
	body, err := json.Marshal(data)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	out, err := n.hub.Publish(ctx, ns, &core.Publication{ID: core.NewID(), Channel: name, Data: body}, except)
	if err != nil {
		t.Errorf("publish in %q: %v", name, err)
	}
	return out
}

type noDrops struct{}

func (noDrops) Dropped(outbound.DropReason, int) {}

// eventually waits until something is so.
func eventually(t testing.TB, what func() string) {
	t.Helper()
	deadline := time.Now().Add(patience)
	problem := what()
	for problem != "" {
		if time.Now().After(deadline) {
			t.Fatal(problem)
		}
		<-time.After(2 * time.Millisecond)
		problem = what()
	}
}

// filter is between a stream and a relay, and loses what it is told to.
type filter struct {
	relay.Histories
	lose func(pub *core.Publication) bool
}

func (f filter) Live(m *nats.Msg) (*core.Publication, string, error) {
	pub, epoch, err := f.Histories.Live(m)
	if pub != nil && f.lose(pub) {
		return nil, "", io.ErrNoProgress
	}
	return pub, epoch, err
}

func losing(lose func(pub *core.Publication) bool) func(*jetstream.Store) relay.Histories {
	return func(s *jetstream.Store) relay.Histories { return filter{s, lose} }
}
