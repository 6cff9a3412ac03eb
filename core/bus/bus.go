// Package bus connects the processes of an installation, and holds the log that outlives them: NATS with JetStream, either
// embedded in this process, alone or in a cluster with those of other agents, or a cluster of the owner's.
//
// It knows subjects and bytes, nothing of sessions and channels' options. Bus.Run owns the watch over the server; the
// server's and the connections' own goroutines end with Close.
package bus

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/nats-io/nats.go"

	"github.com/zenconn/server/core/config"
)

// Options are what a bus is made of.
type Options struct {
	Config config.Bus
	Data   string // The data directory. The embedded server keeps its files in the folder nats below it.
	Node   string // This node's name, shown to other nodes and in NATS's own tools. In a cluster of agents it must be unique.
	Log    *slog.Logger

	// Insist makes Open wait for an external server until its context ends, and fail at once with ErrRefused or ErrUntrusted. It is
	// for processes that can do nothing without the bus.
	Insist bool
}

// Bus is the connection to NATS. All methods but Open and Close may be called concurrently, once Open has returned.
type Bus struct {
	options Options
	log     *seldom
	life    context.Context // Ends with Close.
	end     context.CancelFunc

	// Set by Open.
	embedded *embedded // nil: an external NATS.
	main     *nats.Conn
	link     link // The state of main.

	terms atomic.Pointer[Terms]  // By Agree; nil: its own.
	unfit atomic.Pointer[string] // What is wrong with an external server that answers; nil: nothing.

	mu      sync.Mutex // Guards all below.
	conns   []*nats.Conn
	subs    map[*nats.Subscription]struct{} // On the main connection.
	dropped uint64                          // Messages, for subscriptions that have ended.
	returns map[*byte]func()                // By OnReconnect.
}

// New makes a bus of a checked configuration.
func New(o Options) *Bus {
	b := &Bus{
		options: o, log: &seldom{log: o.Log, last: map[string]*spoken{}}, subs: map[*nats.Subscription]struct{}{}, returns: map[*byte]func(){},
		link: link{first: make(chan struct{}), again: make(chan struct{}, 1)},
	}
	b.life, b.end = context.WithCancel(context.Background())
	return b
}

// Open starts the embedded server, or begins to connect to the external one. The embedded one is ready afterwards, or in a cluster of
// agents waits for the others: then the bus has a Problem. So it has when an external one does not answer within five
// seconds, and goes on trying, unless it shall Insist.
func (b *Bus) Open(ctx context.Context) error {
	if b.options.Config.URL == "" {
		e := &embedded{options: b.options, log: b.log}
		if err := e.start(ctx); err != nil {
			return err
		}
		b.embedded = e
	}
	open := b.tolerate
	if b.options.Insist && b.embedded == nil {
		open = b.insist
	}
	conn, err := open(ctx)
	if err != nil {
		return errors.Join(err, b.Close())
	}
	b.main = conn
	b.mu.Lock()
	b.conns = append(b.conns, conn)
	b.mu.Unlock()
	if b.embedded == nil && b.Connected() {
		b.inspect(ctx)
	}
	return nil
}

// Run watches the server until ctx ends. An embedded one is started again when it has stopped to store although it could.
func (b *Bus) Run(ctx context.Context) {
	if b.embedded == nil {
		b.watch(ctx)
		return
	}
	b.embedded.watch(ctx)
}

// Close ends all connections and the embedded server. What JetStream has acknowledged is on disk then. In a cluster of agents it hands
// over what this server leads, which takes up to a few seconds. It may be called again.
func (b *Bus) Close() error {
	b.end()
	b.mu.Lock()
	conns := b.conns
	b.conns = nil
	b.mu.Unlock()
	for _, c := range conns {
		c.Close()
	}
	if b.embedded != nil {
		b.embedded.stop()
	}
	return nil
}

// Conn returns the connection for what belongs to no purpose of its own.
func (b *Bus) Conn() *nats.Conn { return b.main }

// Problem says in a sentence what is wrong with the bus, or "".
func (b *Bus) Problem() string {
	if b.embedded != nil {
		return b.embedded.problem()
	}
	if !b.Connected() {
		return "the bus (bus.url) does not answer" + b.link.reason() + "; what needs it is refused until it does"
	}
	if unfit := b.unfit.Load(); unfit != nil {
		return *unfit
	}
	return ""
}

// Connected says whether the main connection is there; it never waits.
func (b *Bus) Connected() bool { return b.link.up.Load() }

// Prefix returns the first token of every subject and the beginning of every stream's name.
func (b *Bus) Prefix() string { return b.options.Config.Prefix }

// Alone says that no other process can be on the bus.
func (b *Bus) Alone() bool {
	return b.embedded != nil && b.options.Config.Listen == "" && !b.embedded.clustered()
}

// External says that the NATS is not the embedded one.
func (b *Bus) External() bool { return b.embedded == nil }

// Addr returns host:port of the embedded server's listener, "" when there is none.
func (b *Bus) Addr() string {
	if b.embedded == nil {
		return ""
	}
	return b.embedded.addr()
}

// Join returns what another process on this machine needs to be on the same bus. It holds secrets. The URL is empty when the
// embedded server does not listen.
func (b *Bus) Join() config.Bus {
	if b.embedded == nil {
		return b.options.Config
	}
	return b.embedded.join()
}
