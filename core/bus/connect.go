package bus

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/zenconn/server/core/config"
)

// What Open says, if it shall Insist, about a server that trying again will not change.
var (
	ErrRefused   = errors.New("the bus refuses this process: is the token, the user or the certificate right?")
	ErrUntrusted = errors.New("the bus shows no certificate that this process can trust")
	ErrDown      = errors.New("the bus does not answer")
)

// The pace of connecting to an external server.
const (
	reconnectFirst = 100 * time.Millisecond
	reconnectMost  = 5 * time.Second
	connectTimeout = 5 * time.Second // For one server; also the longest time to hand a message to a connection that is stuck.
	never          = 365 * 24 * time.Hour
	mainPurpose    = "main"
)

// link is the state of the main connection. Asking the connection itself would wait while it connects.
type link struct {
	up    atomic.Bool
	why   atomic.Pointer[error] // The last error while it is not up.
	once  sync.Once
	first chan struct{} // Closed when it was up for the first time.
	again chan struct{} // Holds something when it has come up.
}

func (l *link) connected() {
	l.why.Store(nil)
	l.up.Store(true)
	l.once.Do(func() { close(l.first) })
	select {
	case l.again <- struct{}{}:
	default:
	}
}

// reason is the end of a sentence.
func (l *link) reason() string {
	if err := l.why.Load(); err != nil {
		return " (" + oneLine((*err).Error()) + ")"
	}
	return ""
}

func pause(attempts int) time.Duration {
	d := min(reconnectFirst<<min(attempts, 10), reconnectMost)
	return d/2 + rand.N(d/2) //nolint:gosec // Nobody gains by guessing it.
}

// tolerate opens the main connection; it goes on trying in the background when nobody answers.
func (b *Bus) tolerate(ctx context.Context) (*nats.Conn, error) {
	conn, err := b.dial(ctx, mainPurpose)
	if err == nil && conn.IsConnected() {
		select {
		case <-b.link.first: // It is told by another goroutine, at once.
		case <-ctx.Done():
		case <-time.After(connectTimeout):
		}
	}
	return conn, err
}

// insist opens the main connection, or says why that is impossible.
func (b *Bus) insist(ctx context.Context) (*nats.Conn, error) {
	for attempt := 0; ; attempt++ {
		conn, err := b.dial(ctx, mainPurpose, nats.RetryOnFailedConnect(false))
		if err == nil {
			b.link.connected()
			return conn, nil
		}
		if final := finality(err); final != nil {
			return nil, fmt.Errorf("%w (%w)", final, err)
		}
		if ctx.Err() == nil {
			b.log.say(slog.LevelWarn, "the bus does not answer; trying again", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%w (%w): %w", ErrDown, err, ctx.Err())
		case <-time.After(pause(attempt)):
		}
	}
}

// finality returns what an error means that another attempt will not change, else nil.
func finality(err error) error {
	for _, refusal := range []error{nats.ErrAuthorization, nats.ErrAuthExpired, nats.ErrAuthRevoked, nats.ErrAccountAuthExpired} {
		if errors.Is(err, refusal) {
			return ErrRefused
		}
	}
	if remote, ok := errors.AsType[*net.OpError](err); ok && remote.Op == "remote error" { // So crypto/tls calls what the other side says.
		return ErrRefused
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok || errors.Is(err, nats.ErrSecureConnWanted) {
		return ErrUntrusted
	}
	return nil
}

// Connect opens one more connection, for a purpose that shall not wait for others: a server carries out what comes over one
// connection one after the other. It is closed by Close at the latest. It connects again for ever when it breaks; meanwhile
// publishing on it fails at once. While the main connection is down it does not wait for the server. More options follow those that
// every connection has.
func (b *Bus) Connect(purpose string, more ...nats.Option) (*nats.Conn, error) {
	conn, err := b.dial(b.life, purpose, more...)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.conns = append(b.conns, conn)
	return conn, nil
}

// dial opens a connection. The first attempt ends with ctx.
func (b *Bus) dial(ctx context.Context, purpose string, more ...nats.Option) (*nats.Conn, error) {
	c := b.options.Config
	d := &dialer{ctx: ctx, later: purpose != mainPurpose && !b.Connected()}
	options := []nats.Option{
		nats.Name("zenconn " + b.options.Node + " " + purpose), nats.Timeout(connectTimeout), nats.MaxReconnects(-1),
		nats.ReconnectBufSize(-1), nats.RetryOnFailedConnect(true), nats.IgnoreAuthErrorAbort(), nats.CustomReconnectDelay(pause),
	}
	options = append(options, b.handlers(purpose, d)...)
	url := nats.DefaultURL
	if b.embedded != nil {
		// No pings: a connection within the process breaks only with the server. When the server is slow, as on a bad disk, a new
		// connection would overtake what is under way on the old one.
		options = append(options, nats.InProcessServer(b.embedded), nats.Token(b.embedded.token), nats.PingInterval(never))
	} else {
		url = c.URL
		options = append(options, nats.PingInterval(5*time.Second), nats.MaxPingsOutstanding(2), nats.FlusherTimeout(connectTimeout),
			nats.SetCustomDialer(d))
		options = append(options, external(c)...)
	}
	conn, err := nats.Connect(url, append(options, more...)...)
	d.settle(b.life)
	if err != nil {
		return nil, fmt.Errorf("bus: %w", err)
	}
	return conn, nil
}

// handlers log what happens to a connection, and keep the state of the main one.
func (b *Bus) handlers(purpose string, d *dialer) []nats.Option {
	isMain := purpose == mainPurpose
	down := func(err error) {
		if isMain {
			b.link.up.Store(false)
			b.link.why.Store(&err)
		}
	}
	return []nats.Option{
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				down(err)
				b.log.say(slog.LevelWarn, "the connection to the bus is broken", "purpose", purpose, "error", err)
			}
		}),
		nats.ReconnectErrHandler(func(_ *nats.Conn, err error) {
			if !errors.Is(err, errLater) {
				down(err)
				b.log.say(slog.LevelWarn, "the bus does not answer", "purpose", purpose, "error", err)
			}
		}),
		nats.ClosedHandler(func(*nats.Conn) { down(nats.ErrConnectionClosed) }),
		nats.ConnectHandler(func(conn *nats.Conn) {
			d.done()
			if isMain {
				b.link.connected()
				if conn.Stats().Reconnects > 0 { // The first attempt failed.
					b.log.say(slog.LevelInfo, "connected to the bus", "server", conn.ConnectedServerName())
					b.returned()
				}
			}
		}),
		nats.ReconnectHandler(func(conn *nats.Conn) {
			d.done()
			b.log.say(slog.LevelInfo, "connected to the bus again", "purpose", purpose, "server", conn.ConnectedServerName())
			if isMain {
				b.link.connected()
				b.returned()
			}
		}),
		nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) {
			subject := ""
			if sub != nil {
				subject = sub.Subject
			} else if isMain && !b.Connected() {
				b.link.why.Store(&err)
			}
			b.log.say(slog.LevelError, "the bus reports an error", "purpose", purpose, "subject", subject, "error", err)
		}),
	}
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
	if c.TLS.ServerName != "" {
		options = append(options, nats.Secure(&tls.Config{MinVersion: tls.VersionTLS12, ServerName: c.TLS.ServerName}))
	}
	if c.TLS.CA != "" {
		options = append(options, nats.RootCAs(strings.Split(c.TLS.CA, ",")...))
	}
	if c.TLS.Cert != "" {
		options = append(options, nats.ClientCert(c.TLS.Cert, c.TLS.Key))
	}
	return options
}

var errLater = errors.New("the bus is not there yet")

// dialer connects so that it can be interrupted, also while the server does not say what it should after the connection was made.
type dialer struct {
	mu    sync.Mutex // Guards all below.
	ctx   context.Context
	later bool        // The first attempt fails, so that the connection is made in the background.
	stop  func() bool // Ends the watch over the connection being made; nil: none.
}

// Dial implements nats.CustomDialer.
func (d *dialer) Dial(network, address string) (net.Conn, error) {
	d.mu.Lock()
	ctx, later := d.ctx, d.later
	d.later = false
	d.mu.Unlock()
	if later {
		return nil, errLater
	}
	conn, err := (&net.Dialer{Timeout: connectTimeout}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	d.done()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stop = context.AfterFunc(ctx, func() { _ = conn.Close() })
	return conn, nil
}

// settle has later attempts end with another context.
func (d *dialer) settle(ctx context.Context) {
	d.done()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ctx = ctx
}

// done says that the connection is made, or given up.
func (d *dialer) done() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stop != nil {
		d.stop()
		d.stop = nil
	}
}
