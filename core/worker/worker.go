package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/auth"
	"github.com/zenconn/server/core/channel"
	"github.com/zenconn/server/core/config"
	"github.com/zenconn/server/core/door"
	"github.com/zenconn/server/core/history"
	"github.com/zenconn/server/core/hub"
	"github.com/zenconn/server/core/metrics"
	"github.com/zenconn/server/core/outbound"
	"github.com/zenconn/server/core/presence"
	"github.com/zenconn/server/core/protocol"
	"github.com/zenconn/server/core/registry"
	"github.com/zenconn/server/core/session"
	"github.com/zenconn/server/core/transport/websocket"
	"github.com/zenconn/server/hooks"
)

// Options are what a worker is made of.
type Options struct {
	Config     *config.Config
	Node       string       // Name of the node.
	Number     uint16       // Of the worker among those of its agent; 0: it is none.
	UID        string       // Of this process among the members of the cluster.
	Bus        registry.Bus // Where sessions are announced; nil: nobody else is there.
	Version    string       // Of the program, for the server API.
	Started    time.Time
	Hooks      *hooks.Chain
	History    history.Store                                      // Of the namespaces whose history is kept on the bus; nil: all are kept in memory.
	Shared     bool                                               // There are other nodes: all histories are kept on the bus.
	Relay      Relay                                              // To and from the other nodes; nil: there are none.
	Delivered  func(pub *core.Publication, deliveries, drops int) // See hub.Options.
	Drain      time.Duration                                      // Over which clients are told to reconnect, at the end; 0: a third of the time for the shutdown.
	Recorder   session.Recorder
	Unrecorded bool               // See session.Node.
	Durability session.Durability // nil: publications do not wait for their record.
	Drops      session.Drops      // Hears what sessions did not get; nil: nobody wants to know.
	Metrics    *metrics.Metrics
	Registry   prometheus.Registerer // Gets the gauges.
	Pages      http.Handler          // Answers what is no client endpoint; nil: 404.
	Wrap       func(http.Handler) http.Handler
	Log        *slog.Logger
}

// Relay is a hub.Relay that has to run. Implemented by core/relay.
type Relay interface {
	hub.Relay
	Run(ctx context.Context, h *hub.Hub)
}

// Worker keeps client connections.
type Worker struct {
	config   *config.Config
	log      *slog.Logger
	node     *session.Node
	own      *session.Server
	sender   *registry.Sender
	history  *history.Memory
	relay    Relay         // nil: there are no other nodes.
	spread   time.Duration // See Options.Drain.
	flushers *outbound.Flushers
	deflate  *protocol.Deflate // nil: nothing is compressed.
	sockets  *websocket.Handler
	door     door.Options
	server   *http.Server
}

// New makes a worker. It fails when the configuration names a key that cannot be read.
func New(o Options) (*Worker, error) {
	c := o.Config
	namespaces, err := channel.New(c.Namespaces, c.Client.Limits.ChannelLength)
	if err != nil {
		return nil, err
	}
	var tokens session.Tokens
	if c.Auth.Type == "jwt" {
		if tokens, err = auth.NewJWT(c.Auth.JWT); err != nil {
			return nil, fmt.Errorf("auth.jwt: %w", err)
		}
	}
	flushers := outbound.NewFlushers(c.Client.Flushers)
	memory := history.NewMemory(history.Options{})
	var store history.Store = memory
	if o.History != nil {
		store = history.Route(func(name string) history.Store {
			if ns, bad := namespaces.Resolve(name); bad == nil && (ns.Durable || o.Shared && ns.HistorySize > 0) {
				return o.History
			}
			return memory
		})
	}
	about := hub.Options{History: store, Flushers: flushers, Metrics: o.Metrics, Delivered: delivered(o)}
	if o.Relay != nil {
		about.Relay = o.Relay
	}
	members := hub.New(about)
	w := &Worker{config: c, log: o.Log, history: memory, flushers: flushers, relay: o.Relay, spread: o.Drain}
	w.node = &session.Node{
		Name: o.Node, Epoch: uint64(o.Started.Unix()), Worker: o.Number,
		Client: c.Client, Auth: c.Auth, Tokens: tokens, Namespaces: session.NewChannels(namespaces, o.Hooks), Notices: session.NewNotices(o.Hooks, o.Metrics, o.Log),
		Hub: members, History: store, Presence: presence.New(members), Hooks: o.Hooks,
		Recorder: o.Recorder, Unrecorded: o.Unrecorded, Durability: o.Durability, Drops: o.Drops, Metrics: o.Metrics, Log: o.Log,
		Registry: session.NewRegistry(c.Client.Limits.SessionsPerUser), Wheel: session.NewWheel(),
	}
	w.node.Notices.Grace = c.Shutdown.Timeout / 5 // What is left when the sessions have ended.
	w.sender = registry.NewSender(registry.SenderOptions{Node: w.node, UID: o.UID, Bus: o.Bus, Log: o.Log})
	w.node.Announcer = w.sender
	o.Registry.MustRegister(w.sender.Collectors()...)
	w.own = session.NewServer(w.node, o.Version)
	if compression := c.Client.WebSocket.Compression; compression.Enabled {
		w.deflate = protocol.NewDeflate(compression.Level, int(compression.MinSize))
	}
	w.sockets = websocket.New(w.node, flushers, drops{o.Metrics}, w.deflate)
	o.Registry.MustRegister(w.gauges()...)

	mux := http.NewServeMux()
	for _, path := range c.Client.WebSocket.Paths {
		mux.Handle(path, w.sockets)
	}
	if o.Pages != nil {
		mux.Handle("/", o.Pages)
	}
	w.server = &http.Server{
		Handler: o.Wrap(mux), ReadHeaderTimeout: c.Client.HandshakeTimeout, ReadTimeout: 30 * time.Second, IdleTimeout: time.Minute,
		MaxHeaderBytes: 32 << 10, ErrorLog: slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug),
	}
	w.door, err = w.entrance(o.Metrics)
	return w, err
}

// delivered counts what publishers are not told of, as what they are told of is counted, and passes it on.
func delivered(o Options) func(pub *core.Publication, deliveries, drops int) {
	return func(pub *core.Publication, deliveries, drops int) {
		if deliveries > 0 {
			o.Metrics.Delivered(channel.NamespaceOf(pub.Channel), deliveries)
		}
		if o.Delivered != nil {
			o.Delivered(pub, deliveries, drops)
		}
	}
}

// drops counts dropped frames.
type drops struct{ metrics *metrics.Metrics }

func (d drops) Dropped(reason outbound.DropReason, frames int) {
	d.metrics.Dropped.WithLabelValues(reason.String()).Add(float64(frames))
}

// Server returns what the server itself can do to the sessions and channels of this worker.
func (w *Worker) Server() *session.Server { return w.own }

// Join makes the worker one of several: presence is that of all nodes, and so are the limits of a user. It must be called before Run.
func (w *Worker) Join(presence presence.Gather, elsewhere session.Elsewhere) {
	w.node.Presence.Join(presence)
	w.node.Elsewhere = elsewhere
}

// Sender returns what announces the sessions of this worker; an agent's registry tells by it of those that were lost.
func (w *Worker) Sender() *registry.Sender { return w.sender }

func (w *Worker) gauges() []prometheus.Collector {
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "zenconn", Name: name, Help: help}, value)
	}
	counter := func(name, help string, value func(protocol.DeflateStats) uint64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Namespace: "zenconn", Name: name, Help: help}, func() float64 {
			if w.deflate == nil {
				return 0
			}
			return float64(value(w.deflate.Stats()))
		})
	}
	return []prometheus.Collector{
		counter("compression_frames_total", "Frames that were compressed, once for all who got them.",
			func(s protocol.DeflateStats) uint64 { return s.Frames }),
		counter("compression_before_bytes_total", "Bytes of them before.", func(s protocol.DeflateStats) uint64 { return s.Before }),
		counter("compression_after_bytes_total", "Bytes of them afterwards.", func(s protocol.DeflateStats) uint64 { return s.After }),
		gauge("connections", "Open WebSocket connections.", func() float64 { return float64(w.sockets.Open()) }),
		gauge("users", "Users with at least one session.", func() float64 { _, n := w.node.Registry.Counts(); return float64(n) }),
		gauge("channels", "Channels with subscribers.", func() float64 { n, _ := w.node.Hub.Counts(); return float64(n) }),
		gauge("subscriptions", "Subscriptions.", func() float64 { _, n := w.node.Hub.Counts(); return float64(n) }),
	}
}

// Run serves clients on the listener until ctx ends; then it takes no more, tells the connected ones to reconnect elsewhere,
// and returns when the last has gone or the time for the shutdown is over. Without a listener (nil) there are no clients.
func (w *Worker) Run(ctx context.Context, listener net.Listener) error {
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	wg.Go(func() { w.flushers.Run(background) })
	wg.Go(func() { w.node.Wheel.Run(background) })
	wg.Go(func() { w.node.Hub.Run(background) })
	wg.Go(func() { w.node.Notices.Run(background) })
	wg.Go(func() { w.history.Run(background) })
	if w.relay != nil {
		wg.Go(func() { w.relay.Run(background, w.node.Hub) })
	}
	wg.Go(func() {
		if err := w.sender.Run(background); err != nil {
			w.log.Error("sessions are not announced to the other processes", "error", err)
		}
	})
	defer wg.Wait()
	defer stop()

	if listener == nil {
		<-ctx.Done()
		return nil
	}
	failed := make(chan error, 1)
	entrance := door.New(listener, w.door)
	go func() { failed <- w.server.Serve(entrance) }()
	select {
	case err := <-failed:
		return errors.Join(fmt.Errorf("client listener: %w", err), w.drain())
	case <-ctx.Done():
	}
	err := w.drain()
	if ended := <-failed; !errors.Is(ended, http.ErrServerClosed) {
		err = errors.Join(err, ended)
	}
	return err
}

// drain ends everything clients see, within the configured time.
func (w *Worker) drain() error {
	deadline, cancel := context.WithTimeout(context.Background(), w.spread+w.config.Shutdown.Timeout)
	defer cancel()
	w.sockets.Refuse()
	stopped := make(chan error, 1)
	go func() { stopped <- w.server.Shutdown(deadline) }()
	w.disconnectAll(deadline)
	gone := make(chan struct{})
	go func() { w.sockets.Wait(); close(gone) }()
	select {
	case <-gone:
	case <-deadline.Done():
		left := 0
		for s := range w.node.Registry.All() {
			s.Destroy()
			left++
		}
		w.log.Warn("connections were cut at the end of the shutdown time", "connections", left)
		<-gone
	}
	if err := <-stopped; err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return w.server.Close()
}

// disconnectAll tells all sessions to reconnect, evenly over the time for it, so that thousands do not come back at once.
func (w *Worker) disconnectAll(deadline context.Context) {
	sessions, _ := w.node.Registry.Counts()
	batch, pause := 200, min(w.config.Shutdown.Timeout/3/time.Duration(sessions/200+1), 100*time.Millisecond)
	if w.spread > 0 {
		const turns = 50
		batch, pause = sessions/turns+1, w.spread/turns
		pause = min(pause, 100*time.Millisecond*time.Duration(batch)) // A few need no long time.
	}
	n := 0
	for s := range w.node.Registry.All() {
		s.Dismiss(core.DisconnectShutdown)
		if n++; n%batch != 0 {
			continue
		}
		select {
		case <-time.After(pause):
		case <-deadline.Done():
			return
		}
	}
}
