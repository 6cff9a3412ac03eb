package cluster_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/zenconn/server/audit"
	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/bus"
	"github.com/zenconn/server/core/channel"
	"github.com/zenconn/server/core/cluster"
	"github.com/zenconn/server/core/config"
	"github.com/zenconn/server/core/history"
	"github.com/zenconn/server/core/hub"
	"github.com/zenconn/server/core/metrics"
	"github.com/zenconn/server/core/outbound"
	"github.com/zenconn/server/core/presence"
	"github.com/zenconn/server/core/protocol"
	"github.com/zenconn/server/core/session"
	"github.com/zenconn/server/hooks"
	"github.com/zenconn/server/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// patience is how long a test waits for what must come. It is long, because the machine may be slow.
const patience = 3 * time.Minute

// node is one process of a cluster: a bus of its own, a hub, sessions, Members and Calls.
type node struct {
	t        testing.TB
	name     string
	uid      string
	bus      *bus.Bus
	members  *cluster.Members
	calls    *cluster.Calls
	session  *session.Node
	server   *session.Server
	metrics  *metrics.Metrics
	flushers *outbound.Flushers
	state    atomic.Value // cluster.State
	stop     func()       // In an orderly way.
	kill     func()       // As the system does it to a process: no goodbye.
	log      *logged
}

// logged keeps what is logged for a look.
type logged struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// setup is how a node differs from others.
type setup struct {
	name    string
	kind    cluster.Kind // Worker, if empty.
	url     string       // Of the NATS; empty: it has the embedded one.
	perUser int
	mute    bool // Its sessions may be in no channel.
}

// start starts a node.
func start(t testing.TB, s setup) *node {
	t.Helper()
	n := &node{t: t, name: s.name, uid: core.NewID().String(), log: &logged{}, metrics: metrics.New(prometheus.NewRegistry())}
	log := slog.New(slog.NewTextHandler(n.log, nil))
	n.state.Store(cluster.Ready)
	if s.kind == "" {
		s.kind = cluster.Worker
	}
	settings, data := config.Default().Bus, t.TempDir()
	if s.url == "" {
		settings.Listen = "127.0.0.1:0"
		if err := os.WriteFile(filepath.Join(data, "bus.token"), []byte(token), 0o600); err != nil {
			t.Fatal(err)
		}
	} else {
		settings.URL, settings.Token = s.url, token
	}
	n.bus = bus.New(bus.Options{Config: settings, Data: data, Node: s.name, Log: slog.New(slog.DiscardHandler)})
	if err := n.bus.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	n.assemble(s, log)
	vitals := cluster.NewVitals(n.server, n.metrics)
	n.members = cluster.New(cluster.Options{Bus: n.bus, Log: log, Metrics: n.metrics, Self: func() cluster.Member {
		m := cluster.Member{UID: n.uid, Name: s.name, Kind: s.kind, Version: "v0", PID: 1, Started: time.Now(), State: n.state.Load().(cluster.State)}
		m.Numbers = vitals.Numbers()
		return m
	}})
	n.calls = cluster.NewCalls(cluster.CallsOptions{Members: n.members, Bus: n.bus, Local: n.server, Log: log, Metrics: n.metrics})
	n.session.Presence.Join(n.calls.Gather())
	n.session.Elsewhere = n.calls.Elsewhere()
	n.run()
	return n
}

// assemble makes what keeps the node's sessions.
func (n *node) assemble(s setup, log *slog.Logger) {
	c := config.Default()
	c.Auth.Type, c.Auth.User = "none", "claimed"
	c.Client.Limits.SessionsPerUser = s.perUser
	if s.mute {
		c.Client.Limits.Channels = 0
	}
	ns := config.DefaultNamespace()
	ns.Subscribe, ns.Presence = "anyone", true
	kept := ns
	kept.HistorySize, kept.HistoryTTL = 10, time.Minute
	namespaces, err := channel.New(map[string]config.Namespace{"default": ns, "kept": kept}, 255)
	if err != nil {
		n.t.Fatal(err)
	}
	n.flushers = outbound.NewFlushers(1)
	store, chain := history.NewMemory(history.Options{}), hooks.NewChain(nil, nil)
	members := hub.New(hub.Options{History: store, Flushers: n.flushers})
	n.session = &session.Node{
		Name: s.name, Client: c.Client, Auth: c.Auth, Namespaces: namespaces, Hub: members, History: store, Presence: presence.New(members),
		Hooks: chain, Notices: session.NewNotices(chain, n.metrics, log), Recorder: silent{}, Metrics: n.metrics,
		Registry: session.NewRegistry(s.perUser), Wheel: session.NewWheel(), Log: log,
	}
	n.server = session.NewServer(n.session, "v0")
}

// run runs the node until the test ends, or it is stopped or killed.
func (n *node) run() {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for _, run := range []func(context.Context) error{n.calls.Run, n.members.Run} {
		wg.Go(func() {
			if err := run(ctx); err != nil {
				n.t.Errorf("%s: %v", n.name, err)
			}
		})
	}
	end := sync.OnceFunc(func() {
		cancel()
		wg.Wait()
		if err := n.bus.Close(); err != nil {
			n.t.Error(err)
		}
	})
	n.stop = end
	n.kill = func() {
		if err := n.bus.Close(); err != nil {
			n.t.Error(err)
		}
		end()
	}
	n.t.Cleanup(end)
}

const token = "the token of the tests of the cluster"

// startAll starts as many nodes; the first one is an agent and has the NATS. They know each other when it returns.
func startAll(t testing.TB, setups ...setup) []*node {
	t.Helper()
	var all []*node
	for i, s := range setups {
		if i > 0 && s.url == "" {
			s.url = "nats://" + all[0].bus.Addr()
		} else if s.kind == "" {
			s.kind = cluster.Agent
		}
		all = append(all, start(t, s))
	}
	meet(t, all...)
	return all
}

// meet waits until the nodes know each other, as ready.
func meet(t testing.TB, all ...*node) {
	t.Helper()
	for _, one := range all {
		eventually(t, one.name+" knows the others", func() bool {
			for _, other := range all {
				if m, ok := one.members.Find(other.uid); !ok || m.State != other.state.Load() {
					return false
				}
			}
			return true
		})
	}
}

// patient is for calls that must be answered, however long the machine stands still meanwhile.
func patient(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// eventually waits until the condition holds.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
		<-time.After(5 * time.Millisecond)
	}
}

// names lists the members a node knows.
func (n *node) names() string {
	var names []string
	for _, m := range n.members.List() {
		names = append(names, m.Name)
	}
	return strings.Join(names, " ")
}

// asked looks until nobody was left out: who does not answer within two seconds, or was not heard for one, is not waited for, and a busy
// machine may take longer.
func (n *node) asked(call string, look func()) {
	n.t.Helper()
	eventually(n.t, n.name+" gets all answers to "+call, func() bool {
		before := n.unanswered(call)
		look()
		return n.unanswered(call) == before
	})
}

func (n *node) unanswered(call string) float64 {
	return testutil.ToFloat64(n.metrics.ClusterUnanswered.WithLabelValues(call))
}

type silent struct{}

func (silent) Record(audit.Event)               {}
func (silent) Dropped(outbound.DropReason, int) {}

// client is a session whose connection keeps what is written.
type client struct {
	net.Conn
	id      string
	session *session.Session
	queue   *outbound.Queue
	ending  sync.Once
	mu      sync.Mutex
	text    strings.Builder
}

func (c *client) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.text.Write(p)
}
func (c *client) Close() error                     { return nil }
func (c *client) SetWriteDeadline(time.Time) error { return nil }
func (c *client) SetReadDeadline(time.Time) error  { return nil }

func (c *client) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.text.String()
}

// code is that of the disconnect; 0: it is connected.
func (c *client) code() uint32 {
	d, ended := c.queue.Ended()
	if !ended {
		return 0
	}
	return d.Code
}

// say hands a command to the session as the transport does.
func (c *client) say(format string, args ...any) {
	c.session.Handle(fmt.Appendf(nil, format, args...))
	c.session.Flush()
}

// end is what the transport does when the connection is closed.
func (c *client) end() {
	c.ending.Do(func() { c.session.End(core.DisconnectConnectionClosed, true) })
}

// dial opens a session without expecting anything.
func (n *node) dial(user string, channels ...string) *client {
	c := &client{}
	limits := outbound.Limits{Messages: 1000, Bytes: 1 << 20, WriteTimeout: time.Minute}
	c.queue = outbound.New(c, protocol.WebSocketJSON, limits, silent{}, n.flushers, func(core.Disconnect) []byte { return nil })
	c.session = n.session.Open(c.queue, session.Peer{Transport: "test", Header: func(string) string { return "" }})
	c.say(`{"id":1,"connect":{"data":{"user":%q}}}`, user)
	for i, name := range channels {
		c.say(`{"id":%d,"subscribe":{"channel":%q}}`, i+2, name)
	}
	return c
}

// connect opens a session of a user, which is in some channels.
func (n *node) connect(user string, channels ...string) *client {
	n.t.Helper()
	c := n.dial(user, channels...)
	n.t.Cleanup(c.end)
	eventually(n.t, user+" is connected to "+n.name, func() bool {
		text := c.String()
		if strings.Contains(text, `"error"`) || c.code() != 0 {
			n.t.Fatalf("%s cannot connect to %s: %s", user, n.name, text)
		}
		_, c.id, _ = strings.Cut(text, `"client":"`)
		return c.id != "" && strings.Count(text, `"subscribe":`) == len(channels)
	})
	c.id = c.id[:36]
	return c
}

// expect waits until the client has got a text.
func (c *client) expect(t testing.TB, part string) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !strings.Contains(c.String(), part) {
		if time.Now().After(deadline) {
			t.Fatalf("got no %s in %s", part, c)
		}
		<-time.After(time.Millisecond)
	}
}

// stranger is a process on the bus that does what a test wants.
type stranger struct {
	*nats.Conn
	t   testing.TB
	uid string
}

// intrude connects to the NATS of a node.
func intrude(t testing.TB, n *node) *stranger {
	t.Helper()
	var conn *nats.Conn
	eventually(t, "somebody else is on the bus", func() bool { // Who is too slow to say the token tries again.
		var err error
		conn, err = nats.Connect("nats://"+n.bus.Addr(), nats.Token(token), nats.Timeout(patience))
		return err == nil
	})
	t.Cleanup(conn.Close)
	return &stranger{Conn: conn, t: t, uid: core.NewID().String()}
}

// hello says hello, as this JSON without its beginning.
func (s *stranger) hello(rest string) {
	s.say(fmt.Sprintf(`{"v":1,"bus":%d,"now":%d,"uid":%q,"kind":"worker","version":"v9","state":"ready",%s}`,
		bus.Version, time.Now().UnixMilli(), s.uid, rest))
}

// join says hello until the nodes know the stranger by its name.
func (s *stranger) join(name string, nodes ...*node) {
	s.t.Helper()
	for _, n := range nodes {
		eventually(s.t, n.name+" knows "+name, func() bool {
			s.hello(fmt.Sprintf(`"name":%q`, name))
			_, ok := n.members.Find(s.uid)
			return ok
		})
	}
}

func (s *stranger) say(text string) {
	s.t.Helper()
	if err := s.Publish(config.Default().Bus.Prefix+".nodes.hello", []byte(text)); err != nil {
		s.t.Fatal(err)
	}
	if err := s.FlushTimeout(patience); err != nil {
		s.t.Fatal(err)
	}
}

// answers has the stranger answer pings, and questions with a message; nil: not at all.
func (s *stranger) answers(message func(question string) []byte) {
	s.t.Helper()
	_, err := s.Subscribe(config.Default().Bus.Prefix+".node."+s.uid+".>", func(m *nats.Msg) {
		if strings.HasSuffix(m.Subject, ".ping") {
			_ = m.Respond(nil) // Fails when the test is over.
		} else if message != nil {
			_ = m.Respond(message(string(m.Data)))
		}
	})
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.FlushTimeout(patience); err != nil {
		s.t.Fatal(err)
	}
}
