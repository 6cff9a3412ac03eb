package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
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
	"github.com/zenconn/server/core/api"
	"github.com/zenconn/server/core/cluster"
	"github.com/zenconn/server/core/config"
	"github.com/zenconn/server/core/metrics"
	"github.com/zenconn/server/core/worker"
	"github.com/zenconn/server/hooks"
	"github.com/zenconn/server/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

const (
	// patience is how long a test waits for what must come. It is long, because the machine may be slow.
	patience = 5 * time.Minute
	key      = "the key of the tests"
)

// recorded keeps audit events for a look.
type recorded struct {
	mu     sync.Mutex
	events []audit.Event
}

func (r *recorded) Record(e audit.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

// all returns the events of one kind, in their order.
func all[E audit.Event](r *recorded) (found []E) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.events {
		if event, ok := e.(E); ok {
			found = append(found, event)
		}
	}
	return found
}

// running is a worker and its API, each on a free port of this machine. It is a cluster of one.
type running struct {
	t        *testing.T
	clients  string // host:port
	api      string // host:port
	audit    *recorded
	fleet    *fleet
	aside    *aside
	registry *prometheus.Registry
	http     *http.Client
}

// configuration has a namespace for each thing a channel can be.
func configuration() *config.Config {
	c := config.Default()
	c.Auth.Type, c.Auth.User = "none", "claimed"
	c.API.Key = key
	c.Shutdown.Timeout = 5 * time.Minute
	// Clients of these tests send no pongs, and no time runs out on a machine that stands still for a while.
	c.Client.HandshakeTimeout, c.Client.ConnectTimeout, c.Client.WriteTimeout, c.Client.Ping.Interval = time.Hour, time.Hour, time.Hour, time.Hour
	keeping := config.DefaultNamespace()
	keeping.Subscribe, keeping.Publish = "anyone", "anyone"
	keeping.Presence, keeping.JoinLeave, keeping.Recovery, keeping.HistorySize, keeping.HistoryTTL = true, true, true, 100, time.Hour
	closed := config.DefaultNamespace()
	closed.Subscribe, closed.Publish = "nobody", "nobody"
	binary := config.DefaultNamespace()
	binary.Content, binary.HistorySize = "binary", 10
	secret := config.DefaultNamespace()
	secret.AuditPayload = "none"
	c.Namespaces = map[string]config.Namespace{"default": keeping, "closed": closed, "binary": binary, "secret": secret}
	return &c
}

func start(t *testing.T, c *config.Config, links ...hooks.Link) *running {
	t.Helper()
	r := &running{t: t, audit: &recorded{}, fleet: &fleet{}, aside: &aside{}, registry: prometheus.NewRegistry(), http: &http.Client{Transport: &http.Transport{}}}
	log := slog.New(slog.DiscardHandler)
	counters := metrics.New(r.registry)
	w, err := worker.New(worker.Options{
		Config: c, Node: "test", Version: "v0", Started: time.Now(), Hooks: hooks.NewChain(links, nil), Recorder: r.audit,
		Metrics: counters, Registry: r.registry, Wrap: func(h http.Handler) http.Handler { return h }, Log: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	vitals, self := cluster.NewVitals(w.Server(), counters), cluster.Member{
		UID: core.NewID().String(), Name: "test", Kind: cluster.Agent, Version: "v0", State: cluster.Ready, Started: time.Now(),
	}
	members := cluster.New(cluster.Options{Log: log, Metrics: counters, Self: func() cluster.Member {
		m := self
		m.Numbers = vitals.Numbers()
		return m
	}})
	calls := cluster.NewCalls(cluster.CallsOptions{Members: members, Local: w.Server(), Log: log, Metrics: counters})
	commands := api.NewCommands(api.Options{
		Key: c.API.Key, Insecure: c.API.Insecure, RequestSize: int(c.API.RequestSize), Node: "test", Cluster: calls, Fleet: r.fleet, Plugins: active{}, Reloader: reloads{}, Audit: r.aside,
		Recorder: r.audit, Metrics: counters, Log: log,
	})
	clients, operators := listen(t), listen(t)
	r.clients, r.api = clients.Addr().String(), operators.Addr().String()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for what, run := range map[string]func() error{
		"worker": func() error { return w.Run(ctx, clients) },
		"api":    func() error { return api.Serve(ctx, operators, api.Handler(r.registry, nil, commands, log), log) },
	} {
		wg.Go(func() {
			if err := run(); err != nil {
				t.Errorf("%s: %v", what, err)
			}
		})
	}
	t.Cleanup(func() {
		r.http.CloseIdleConnections()
		cancel()
		wg.Wait()
	})
	return r
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// do makes any request.
func (r *running) do(method, path, body string, header ...string) (status int, answer string, response *http.Response) {
	r.t.Helper()
	request, err := http.NewRequestWithContext(r.t.Context(), method, "http://"+r.api+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			request.Host = header[i+1]
		}
		request.Header.Set(header[i], header[i+1])
	}
	response, err = r.http.Do(request)
	if err != nil {
		r.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return response.StatusCode, strings.TrimSpace(string(text)), response
}

// call makes a request with the key, expects status 200, and returns the answer.
func (r *running) call(method, body string) string {
	r.t.Helper()
	status, answer, _ := r.do(http.MethodPost, "/api/"+method, body, "X-API-Key", key)
	if status != http.StatusOK {
		r.t.Fatalf("%s %s: %d %s", method, body, status, answer)
	}
	return answer
}

// must is call for what must succeed; it reads the result into a value, unless that is nil.
func (r *running) must(method, body string, result any) {
	r.t.Helper()
	var answer struct{ Result, Error json.RawMessage }
	text := r.call(method, body)
	if err := json.Unmarshal([]byte(text), &answer); err != nil || answer.Error != nil || answer.Result == nil {
		r.t.Fatalf("%s %s: %s (%v)", method, body, text, err)
	}
	if result != nil {
		if err := json.Unmarshal(answer.Result, result); err != nil {
			r.t.Fatalf("%s %s: %s: %v", method, body, text, err)
		}
	}
}

// client is a raw WebSocket client.
type client struct {
	gws.BuiltinEventHandler
	t        *testing.T
	conn     *gws.Conn
	id       string
	messages chan string
	closed   chan *gws.CloseError // Gets nil when the connection broke without a closing frame.
	ended    chan struct{}        // Closed when nothing more is read.
}

func (c *client) OnMessage(_ *gws.Conn, m *gws.Message) {
	defer m.Close()
	for line := range bytes.Lines(m.Bytes()) {
		c.messages <- string(bytes.TrimSpace(line))
	}
}

func (c *client) OnClose(_ *gws.Conn, err error) {
	if e, ok := err.(*gws.CloseError); ok { //nolint:errorlint // gws hands it over as it is.
		c.closed <- &gws.CloseError{Code: e.Code, Reason: bytes.Clone(e.Reason)}
	} else {
		c.closed <- nil
	}
	close(c.ended)
}

// connect opens a session of a user.
func (r *running) connect(user string) *client {
	r.t.Helper()
	c := &client{t: r.t, messages: make(chan string, 10_000), closed: make(chan *gws.CloseError, 1), ended: make(chan struct{})}
	conn, _, err := gws.NewClient(c, &gws.ClientOption{
		Addr: "ws://" + r.clients + "/connection/websocket", HandshakeTimeout: patience,
		NewDialer: func() (gws.Dialer, error) { return &net.Dialer{}, nil }, // The usual one has five seconds.
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
	c.send(fmt.Sprintf(`{"id":1,"connect":{"name":"tests","data":{"user":%q}}}`, user))
	var reply struct{ Connect struct{ Client string } }
	if err := json.Unmarshal([]byte(c.expect(`"connect":{`)), &reply); err != nil {
		r.t.Fatal(err)
	}
	c.id = reply.Connect.Client
	return c
}

// subscribe subscribes to channels.
func (c *client) subscribe(names ...string) *client {
	c.t.Helper()
	for i, name := range names {
		c.send(fmt.Sprintf(`{"id":%d,"subscribe":{"channel":%q}}`, 100+i, name))
		c.expect(fmt.Sprintf(`{"id":%d,"subscribe":`, 100+i))
	}
	return c
}

func (c *client) send(text string) {
	c.t.Helper()
	if err := c.conn.WriteString(text); err != nil {
		c.t.Fatalf("send: %v", err)
	}
}

// next returns the next message.
func (c *client) next() string {
	c.t.Helper()
	select {
	case m := <-c.messages:
		return m
	case <-time.After(patience):
		c.t.Fatal("no message came")
	case <-c.ended:
		if len(c.messages) > 0 {
			return <-c.messages
		}
		c.t.Fatal("the connection ended")
	}
	return ""
}

// expect waits for a message that contains the text, passing over others.
func (c *client) expect(part string) string {
	c.t.Helper()
	for {
		if m := c.next(); strings.Contains(m, part) {
			return m
		}
	}
}

// expectClose waits for the closing frame.
func (c *client) expectClose(code uint16, reason string) {
	c.t.Helper()
	select {
	case e := <-c.closed:
		if e == nil || e.Code != code || string(e.Reason) != reason {
			c.t.Fatalf("closed with %v, want %d %s", e, code, reason)
		}
	case <-time.After(patience):
		c.t.Fatalf("not closed, want %d", code)
	}
}

// stays checks that the session is there and has got nothing since the last look.
func (c *client) stays() {
	c.t.Helper()
	c.send(`{"id":4000,"ping":{}}`)
	if m := c.next(); !strings.HasPrefix(m, `{"id":4000,`) {
		c.t.Errorf("got %s", m)
	}
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
