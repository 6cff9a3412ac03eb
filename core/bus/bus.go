// Package bus connects the processes of an installation, and holds the log that outlives them: NATS with JetStream, either
// embedded in this process or a cluster of the owner's.
//
// It knows subjects and bytes, nothing of sessions and channels' options. Bus.Run owns the watch over the embedded server; the
// server's and the connections' own goroutines end with Close.
package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/zenconn/server/core/config"
)

// Options are what a bus is made of.
type Options struct {
	Config config.Bus
	Data   string // The data directory. The embedded server keeps its files in the folder nats below it.
	Node   string // This node's name, shown to other nodes and in NATS's own tools.
	Log    *slog.Logger
}

// Bus is the connection to NATS. All methods but Open and Close may be called concurrently, once Open has returned.
type Bus struct {
	options Options
	log     *seldom

	// Set by Open.
	embedded *embedded // nil: an external NATS.
	main     *nats.Conn

	mu      sync.Mutex // Guards all below.
	conns   []*nats.Conn
	subs    map[*nats.Subscription]struct{} // On the main connection.
	dropped uint64                          // Messages, for subscriptions that have ended.
	returns map[*byte]func()                // By OnReconnect.
}

// New makes a bus of a checked configuration.
func New(o Options) *Bus {
	return &Bus{
		options: o, log: &seldom{log: o.Log, last: map[string]*spoken{}}, subs: map[*nats.Subscription]struct{}{}, returns: map[*byte]func(){},
	}
}

// Open starts the embedded server, or begins to connect to the external one. The embedded one is ready afterwards. An external one
// that does not answer is no error: the bus has a Problem and goes on trying.
func (b *Bus) Open(ctx context.Context) error {
	if b.options.Config.URL == "" {
		e := &embedded{options: b.options, log: b.log}
		if err := e.start(ctx); err != nil {
			return err
		}
		b.embedded = e
	}
	conn, err := b.Connect(mainPurpose)
	if err != nil {
		return errors.Join(err, b.Close())
	}
	b.main = conn
	return nil
}

// Run watches the embedded server until ctx ends, and starts it again when it has stopped to store although it could.
func (b *Bus) Run(ctx context.Context) {
	if b.embedded == nil {
		<-ctx.Done()
		return
	}
	b.embedded.watch(ctx)
}

// Close ends all connections and the embedded server. What JetStream has acknowledged is on disk then. It may be called again.
func (b *Bus) Close() error {
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

// The pace of reconnecting to an external server; nats.go adds the jitter.
const (
	reconnectFirst = 100 * time.Millisecond
	reconnectMost  = 5 * time.Second
	connectTimeout = 5 * time.Second
	never          = 365 * 24 * time.Hour
	mainPurpose    = "main"
)

// Connect opens one more connection, for a purpose that shall not wait for others: a server carries out what comes over one
// connection one after the other. It is closed by Close at the latest. It connects again for ever when it breaks; meanwhile
// publishing on it fails at once. More options follow those that every connection has.
func (b *Bus) Connect(purpose string, more ...nats.Option) (*nats.Conn, error) {
	c := b.options.Config
	options := []nats.Option{
		nats.Name("zenconn " + b.options.Node + " " + purpose), nats.Timeout(connectTimeout), nats.MaxReconnects(-1),
		nats.ReconnectBufSize(-1), nats.RetryOnFailedConnect(true), nats.IgnoreAuthErrorAbort(),
		nats.CustomReconnectDelay(func(attempts int) time.Duration {
			return min(reconnectFirst<<min(attempts, 10), reconnectMost)
		}),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				b.log.say(slog.LevelWarn, "the connection to the bus is broken", "purpose", purpose, "error", err)
			}
		}),
		nats.ReconnectHandler(func(conn *nats.Conn) {
			b.log.say(slog.LevelInfo, "connected to the bus again", "purpose", purpose, "server", conn.ConnectedServerName())
			if purpose == mainPurpose {
				b.returned()
			}
		}),
		nats.ConnectHandler(func(conn *nats.Conn) {
			if purpose == mainPurpose && conn.Stats().Reconnects > 0 { // The first attempt failed.
				b.returned()
			}
		}),
		nats.ReconnectErrHandler(func(_ *nats.Conn, err error) {
			b.log.say(slog.LevelWarn, "the bus does not answer", "purpose", purpose, "error", err)
		}),
		nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) {
			subject := ""
			if sub != nil {
				subject = sub.Subject
			}
			b.log.say(slog.LevelError, "the bus reports an error", "purpose", purpose, "subject", subject, "error", err)
		}),
	}
	url := nats.DefaultURL
	if b.embedded != nil {
		// No pings: a connection within the process breaks only with the server. When the server is slow, as on a bad disk, a new
		// connection would overtake what is under way on the old one.
		options = append(options, nats.InProcessServer(b.embedded), nats.Token(b.embedded.token), nats.PingInterval(never))
	} else {
		url = c.URL
		options = append(options, nats.PingInterval(5*time.Second), nats.MaxPingsOutstanding(2))
		options = append(options, external(c)...)
	}
	conn, err := nats.Connect(url, append(options, more...)...)
	if err != nil {
		return nil, fmt.Errorf("bus: %w", err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.conns = append(b.conns, conn)
	return conn, nil
}

// external are the options that only an external server needs.
func external(c config.Bus) []nats.Option {
	var options []nats.Option
	if c.CredentialsFile != "" {
		options = append(options, nats.UserCredentials(c.CredentialsFile))
	}
	if c.User != "" {
		options = append(options, nats.UserInfo(c.User, c.Password))
	}
	if c.Token != "" {
		options = append(options, nats.Token(c.Token))
	}
	if c.TLS.CA != "" {
		options = append(options, nats.RootCAs(strings.Split(c.TLS.CA, ",")...))
	}
	if c.TLS.Cert != "" {
		options = append(options, nats.ClientCert(c.TLS.Cert, c.TLS.Key))
	}
	return options
}

// Conn returns the connection for what belongs to no purpose of its own.
func (b *Bus) Conn() *nats.Conn { return b.main }

// Problem says in a sentence what is wrong with the bus, or "".
func (b *Bus) Problem() string {
	if b.embedded != nil {
		return b.embedded.problem()
	}
	if !b.main.IsConnected() {
		return "the bus (bus.url) does not answer; what needs it is refused until it does"
	}
	return ""
}

// Prefix returns the first token of every subject and the beginning of every stream's name.
func (b *Bus) Prefix() string { return b.options.Config.Prefix }

// Replicas returns how many copies a stream has.
func (b *Bus) Replicas() int {
	if b.embedded != nil {
		return 1
	}
	return b.options.Config.Replicas
}

// Disk returns how many bytes all streams together should take at most; 0: the external server's owner decides.
func (b *Bus) Disk() int64 {
	if b.embedded != nil {
		return b.embedded.budget
	}
	return 0
}

// Alone says that no other process can be on the bus.
func (b *Bus) Alone() bool { return b.embedded != nil && b.options.Config.Listen == "" }

// External says that the NATS is not the embedded one.
func (b *Bus) External() bool { return b.embedded == nil }

// Addr returns host:port of the embedded server's listener, "" when there is none.
func (b *Bus) Addr() string {
	if b.embedded == nil {
		return ""
	}
	return b.embedded.addr()
}
