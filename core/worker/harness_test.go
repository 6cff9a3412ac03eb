package worker_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lxzan/gws"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/zenconn/server/audit"
	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/config"
	"github.com/zenconn/server/core/metrics"
	"github.com/zenconn/server/core/session"
	"github.com/zenconn/server/core/worker"
	"github.com/zenconn/server/hooks"
	"github.com/zenconn/server/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// patience is how long a test waits for what must come. It is long, because the machine may be slow.
const patience = time.Minute

// recorded keeps audit events for a look.
type recorded struct {
	mu     sync.Mutex
	events []audit.Event
	drops  map[string]int // Messages by user and reason.
}

func (r *recorded) Dropped(_ core.ID, user, reason string, messages int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.drops == nil {
		r.drops = map[string]int{}
	}
	r.drops[user+" "+reason] += messages
}

// lost returns how many messages a user did not get for a reason, both separated by a space.
func (r *recorded) lost(why string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.drops[why]
}

func (r *recorded) Record(e audit.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

// session returns the record of a closed session, by the code it was closed with.
func (r *recorded) closed(code uint16) *audit.Session {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.events {
		if s, ok := e.(*audit.Session); ok && !s.DisconnectedAt.IsZero() && s.CloseCode == code {
			return s
		}
	}
	return nil
}

// running is a worker on a free port of this machine.
type running struct {
	t        *testing.T
	addr     string
	audit    *recorded
	registry *prometheus.Registry
	worker   *worker.Worker
	stop     func()
}

// open returns a configuration whose default namespace lets everybody do everything, and in which no time runs out, however long the
// machine stands still. Only tests of a time set it.
func open() *config.Config {
	c := config.Default()
	c.Client.HandshakeTimeout, c.Client.ConnectTimeout, c.Client.WriteTimeout = time.Hour, time.Hour, time.Hour
	c.Client.Ping.Interval, c.Client.Ping.Timeout = time.Hour, time.Hour
	c.Auth.Type, c.Auth.User = "none", "claimed"
	ns := config.DefaultNamespace()
	ns.Subscribe, ns.Publish = "anyone", "anyone"
	ns.Presence, ns.JoinLeave, ns.Recovery, ns.HistorySize, ns.HistoryTTL = true, true, true, 100, time.Hour
	c.Namespaces = map[string]config.Namespace{"default": ns}
	c.Shutdown.Timeout = patience
	return &c
}

func start(t *testing.T, c *config.Config, links ...hooks.Link) *running {
	t.Helper()
	return startDurable(t, c, nil, links...)
}

func startDurable(t *testing.T, c *config.Config, d session.Durability, links ...hooks.Link) *running {
	t.Helper()
	r := &running{t: t, audit: &recorded{}, registry: prometheus.NewRegistry()}
	w, err := worker.New(worker.Options{
		Config: c, Node: "test", Started: time.Now(), Hooks: hooks.NewChain(links, nil), Recorder: r.audit, Durability: d, Drops: r.audit,
		Metrics: metrics.New(r.registry), Registry: r.registry, Wrap: func(h http.Handler) http.Handler { return h },
		Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	r.worker = w
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.addr = listener.Addr().String()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx, listener) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("worker: %v", err)
		}
	})
	t.Cleanup(r.stop)
	return r
}

// client is a raw WebSocket client.
type client struct {
	gws.BuiltinEventHandler
	t        *testing.T
	conn     *gws.Conn
	messages chan []byte
	closed   chan *gws.CloseError // Gets nil when the connection broke without a closing frame.
	ended    chan struct{}        // Closed when nothing more is read.
}

func (c *client) OnMessage(_ *gws.Conn, m *gws.Message) {
	defer m.Close()
	for line := range bytes.Lines(m.Bytes()) {
		c.messages <- bytes.Clone(bytes.TrimSpace(line))
	}
}

func (c *client) OnClose(_ *gws.Conn, err error) {
	if e, ok := errors.AsType[*gws.CloseError](err); ok {
		c.closed <- &gws.CloseError{Code: e.Code, Reason: bytes.Clone(e.Reason)}
	} else {
		c.closed <- nil
	}
	close(c.ended)
}

// dial opens a connection and sends nothing.
func (r *running) dial(subprotocol string) *client {
	r.t.Helper()
	c := &client{t: r.t, messages: make(chan []byte, 10_000), closed: make(chan *gws.CloseError, 1), ended: make(chan struct{})}
	header := http.Header{}
	if subprotocol != "" {
		header.Set("Sec-WebSocket-Protocol", subprotocol)
	}
	conn, _, err := gws.NewClient(c, &gws.ClientOption{
		Addr: "ws://" + r.addr + "/connection/websocket", RequestHeader: header, HandshakeTimeout: patience,
		NewDialer: func() (gws.Dialer, error) { return &net.Dialer{}, nil }, // The usual one gives up after five seconds.
	})
	if err != nil {
		r.t.Fatal(err)
	}
	c.conn = conn
	go conn.ReadLoop()
	r.t.Cleanup(func() {
		_ = conn.NetConn().Close()
		<-c.ended
	})
	return c
}

// connect opens a connection and completes the connect command.
func (r *running) connect(user string) *client {
	r.t.Helper()
	c := r.dial("")
	c.send(fmt.Sprintf(`{"id":1,"connect":{"data":{"user":%q}}}`, user))
	c.expect(`"connect":{`)
	return c
}

func (c *client) send(text string) {
	c.t.Helper()
	if err := c.conn.WriteString(text); err != nil {
		c.t.Fatalf("send: %v", err)
	}
}

// expect waits for a message that contains the text, passing over others.
func (c *client) expect(part string) []byte {
	c.t.Helper()
	timeout := time.After(patience)
	var seen []string
	for {
		select {
		case m := <-c.messages:
			if strings.Contains(string(m), part) {
				return m
			}
			seen = append(seen, string(m))
		case e := <-c.closed:
			if len(c.messages) > 0 { // They came before the end.
				c.closed <- e
				m := <-c.messages
				if strings.Contains(string(m), part) {
					return m
				}
				seen = append(seen, string(m))
				continue
			}
			c.t.Fatalf("closed with %v while waiting for %s; got %q", e, part, seen)
		case <-timeout:
			c.t.Fatalf("no message with %s; got %q", part, seen)
		}
	}
}

// expectClose waits for the closing frame.
func (c *client) expectClose(code uint16) {
	c.t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case <-c.messages:
		case e := <-c.closed:
			if e == nil {
				c.t.Fatalf("the connection broke without a closing frame, want %d", code)
			}
			if e.Code != code {
				c.t.Fatalf("closed with %d %s, want %d", e.Code, e.Reason, code)
			}
			return
		case <-timeout:
			c.t.Fatalf("not closed, want %d", code)
		}
	}
}

// reply is what tests look at in a reply.
type reply struct {
	ID    uint32
	Error *struct {
		Code    uint32
		Message string
	}
	Subscribe *struct {
		Recoverable, Recovered bool
		WasRecovering          bool `json:"was_recovering"`
		Epoch                  string
		Offset                 uint64
		Publications           []struct {
			Offset uint64
			Data   json.RawMessage
		}
	}
	Push *struct {
		Channel string
		Pub     *struct {
			Offset uint64
			Data   json.RawMessage
		}
	}
}

// ask sends a command and waits for its reply.
func (c *client) ask(id int, command string) reply {
	c.t.Helper()
	c.send(fmt.Sprintf(`{"id":%d,%s}`, id, command))
	var r reply
	if err := json.Unmarshal(c.expect(fmt.Sprintf(`"id":%d,`, id)), &r); err != nil {
		c.t.Fatal(err)
	}
	return r
}

// metric returns the value of a counter or gauge, all label sets together.
func (r *running) metric(name string, labels ...string) (sum float64) {
	r.t.Helper()
	families, err := r.registry.Gather()
	if err != nil {
		r.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			matches := len(labels) == 0
			for _, l := range m.GetLabel() {
				matches = matches || l.GetValue() == labels[0]
			}
			if matches {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

// eventually waits until the condition holds.
func (r *running) eventually(what string, condition func() bool) {
	r.t.Helper()
	deadline := time.Now().Add(patience)
	for !condition() {
		if time.Now().After(deadline) {
			r.t.Fatalf("never: %s", what)
		}
		<-time.After(5 * time.Millisecond)
	}
}
