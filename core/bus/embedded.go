package bus

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/zenconn/server/core/keyfile"
)

const (
	readyTimeout  = 30 * time.Second // For a server to read what it has stored.
	readyLook     = time.Millisecond // That it is asked whether it is ready; it cannot be told to stop.
	readyPause    = 10 * time.Millisecond
	watchInterval = 2 * time.Second
	sickTime      = 5 * time.Second // A server that is sick for so long is started again, if there is room on the disk.
	leastFree     = 8 << 20         // Bytes that must be free for that.
	maxMemory     = 256 << 20       // For streams in memory and the server's own.
	tokenFile     = "bus.token"
)

// embedded is the server in this process. It can be exchanged while connections to it live: they connect again.
type embedded struct {
	// Set by start.
	options     Options
	log         *seldom
	dir         string
	token       string               // What connections must show; "" without a listener.
	budget      int64                // Bytes the streams may take together.
	cert        *keyfile.Certificate // nil: no TLS.
	authorities *x509.CertPool       // Whose certificates other agents may have.

	twin atomic.Pointer[time.Time] // When another agent with our name was last there.

	mu     sync.RWMutex // Guards all below.
	server *server.Server
	sick   string       // What is wrong; "": nothing.
	last   *net.TCPAddr // Where the server listens, or did; nil: nowhere.
}

// start makes the first server.
func (e *embedded) start(ctx context.Context) error {
	e.dir = filepath.Join(e.options.Data, "nats")
	if err := os.MkdirAll(e.dir, 0o700); err != nil {
		return fmt.Errorf("bus: %w", err)
	}
	var err error
	if e.budget, err = budget(e.dir); err != nil {
		return fmt.Errorf("bus: cannot find out how much room there is: %w", err)
	}
	if err := e.credentials(); err != nil {
		return fmt.Errorf("bus: %w", err)
	}
	s, err := e.launch(ctx)
	if err != nil {
		return err
	}
	if e.clustered() {
		e.gather(ctx, s)
	}
	sick, _ := e.examine(s)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.server, e.sick = s, sick
	return nil
}

// credentials reads what others must show, and what we show.
func (e *embedded) credentials() (err error) {
	c := e.options.Config
	if c.Listen == "" && !e.clustered() {
		return nil
	}
	if e.token = c.Token; e.token == "" {
		if e.token, err = keyfile.Secret(filepath.Join(e.options.Data, tokenFile)); err != nil {
			return err
		}
	}
	if c.TLS.Cert != "" {
		if e.cert, err = keyfile.LoadCertificate("bus.tls.cert", c.TLS.Cert, c.TLS.Key); err != nil {
			return err
		}
	}
	if c.TLS.CA != "" {
		e.authorities, err = loadAuthorities(c.TLS.CA)
	}
	return err
}

// launch starts a server and waits until it answers.
func (e *embedded) launch(ctx context.Context) (*server.Server, error) {
	// The budget is kept by the limits of the streams. One for all would make streams that were there before, with limits of a time
	// with more room, stand in the way of new ones. Who reads within this process is not taken for stuck because the process stood still:
	// what waits for him is bounded, and what he was promised is not sent again.
	o := &server.Options{
		ServerName: e.options.Node, DontListen: true, NoSigs: true, NoLog: true, JetStream: true, StoreDir: e.dir,
		JetStreamMaxMemory: maxMemory, JetStreamMaxStore: 1 << 60, DisableJetStreamBanner: true, MaxPayload: maxPayload,
		WriteDeadline: never, Authorization: e.token, LameDuckDuration: 2 * time.Second, LameDuckGracePeriod: 500 * time.Millisecond,
	}
	if e.options.Config.Listen != "" || e.clustered() {
		if err := e.serve(o); err != nil {
			return nil, fmt.Errorf("bus: %w", err)
		}
	}
	if e.clustered() {
		if err := e.cluster(o); err != nil {
			return nil, fmt.Errorf("bus: %w", err)
		}
	}
	s, err := server.NewServer(o)
	if err != nil {
		return nil, fmt.Errorf("bus: %w", err)
	}
	s.SetLoggerV2(serverLog{e.options.Log, e.options.Config.Cluster.Secret, &e.twin}, false, false, false)
	started := make(chan struct{})
	go func() { s.Start(); close(started) }()
	if !awaitReady(ctx, s) || !s.JetStreamEnabled() {
		s.Shutdown()
		<-started
		s.WaitForShutdown()
		return nil, errors.Join(fmt.Errorf("bus: the embedded NATS server does not start in %s (see the log)", e.dir), ctx.Err())
	}
	<-started
	if addr, ok := s.Addr().(*net.TCPAddr); ok && e.options.Config.Listen != "" {
		e.mu.Lock()
		e.last = addr
		e.mu.Unlock()
		e.keepPort(addr)
	}
	return s, nil
}

// awaitReady returns whether a server takes connections before ctx, or the patience with it, ends.
func awaitReady(ctx context.Context, s *server.Server) bool {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for !s.ReadyForConnections(readyLook) {
		select {
		case <-time.After(readyPause):
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// InProcessConn implements nats.InProcessConnProvider.
func (e *embedded) InProcessConn() (net.Conn, error) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if e.server == nil {
		return nil, net.ErrClosed
	}
	return e.server.InProcessConn()
}

func (e *embedded) addr() string {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if e.last == nil {
		return ""
	}
	return e.last.String()
}

func (e *embedded) problem() string {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.sick
}

// watch looks after the server until ctx ends. A JetStream that could not write stays broken although there is room again; it is
// started anew then.
func (e *embedded) watch(ctx context.Context) {
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	var since time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		e.mu.RLock()
		s := e.server
		e.mu.RUnlock()
		sick, broken := e.examine(s)
		e.mu.Lock()
		e.sick = sick
		e.mu.Unlock()
		switch {
		case !broken:
			since = time.Time{}
			if sick != "" {
				e.log.say(slog.LevelWarn, "the embedded bus waits", "problem", sick)
			}
		case since.IsZero():
			since = time.Now()
			e.log.say(slog.LevelError, "the embedded bus does not store", "problem", sick)
		case time.Since(since) >= sickTime:
			if free, err := freeBytes(e.dir); err == nil && free >= leastFree {
				e.restart(ctx)
				since = time.Time{}
			}
		}
	}
}

// examine returns what is wrong with a server, and whether starting it anew may help.
func (e *embedded) examine(s *server.Server) (sick string, broken bool) {
	const advice = "the embedded bus cannot store (is the disk full?): "
	if s == nil {
		return "the embedded bus is down; see the log", true
	}
	if !e.clustered() {
		if now := health(s, nil); now.StatusCode >= 400 {
			return advice + now.Error, true
		}
		return "", false
	}
	if now := health(s, &server.HealthzOptions{JSEnabledOnly: true}); now.StatusCode >= 400 {
		return advice + now.Error, true
	}
	if sick := e.leaderless(s); sick != "" {
		return sick, false
	}
	// That a copy here is behind those elsewhere is no problem: they are used meanwhile.
	for _, problem := range health(s, &server.HealthzOptions{Details: true}).Errors {
		if strings.Contains(problem.Error, "write error") {
			return advice + problem.Error, true
		}
	}
	return "", false
}

// health asks a server how it is. It gives itself a millisecond to see that it listens, which it has done since it was launched, and on a
// busy machine may not get to look in that time: then it is asked again.
func health(s *server.Server, o *server.HealthzOptions) (h *server.HealthStatus) {
	for range 20 {
		if h = s.Healthz(o); h.StatusCode < 400 || !strings.Contains(h.Error, "failed to be ready for connections") {
			break
		}
	}
	return h
}

func (e *embedded) restart(ctx context.Context) {
	e.mu.Lock()
	old := e.server
	e.server = nil
	e.mu.Unlock()
	if old != nil {
		old.Shutdown()
		old.WaitForShutdown()
	}
	s, err := e.launch(ctx)
	if err != nil {
		e.log.say(slog.LevelError, "the embedded bus could not be started again", "error", err)
		return
	}
	e.log.say(slog.LevelWarn, "the embedded bus was started again, because it did not store although there is room")
	e.mu.Lock()
	defer e.mu.Unlock()
	e.server = s
}

// stop ends the server. It may be called again.
func (e *embedded) stop() {
	e.mu.Lock()
	s := e.server
	e.server = nil
	e.mu.Unlock()
	if s != nil {
		if e.clustered() {
			e.handOver(s)
		}
		s.Shutdown()
		s.WaitForShutdown()
	}
}

// budget is half of what is free for the directory, counting what it takes already as free.
func budget(dir string) (int64, error) {
	free, err := freeBytes(dir)
	if err != nil {
		return 0, err
	}
	var used int64
	err = filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		used += info.Size()
		return nil
	})
	return (free + used) / 2, err
}
