package registry_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

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
	"github.com/zenconn/server/core/registry"
	"github.com/zenconn/server/core/relay"
	"github.com/zenconn/server/core/session"
	"github.com/zenconn/server/hooks"
	"github.com/zenconn/server/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// patience is how long a test waits for what must come. It is long, because the machine may be slow.
const patience = 3 * time.Minute

// eventually waits until a condition holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); {
		if time.Now().After(deadline) {
			t.Fatalf("it does not come to this: %s", what)
		}
		<-time.After(2 * time.Millisecond)
	}
}

// recorded keeps audit events, and of every session the record that a store would keep.
type recorded struct {
	mu       sync.Mutex
	sessions map[core.ID]*audit.Session
	events   []*audit.Session
	real     *audit.Recorder // Gets them too; nil: there is none.
}

// to hands all events from now on to a recorder as well.
func (r *recorded) to(recorder *audit.Recorder) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.real = recorder
}

func (r *recorded) Hasten() {}

func (r *recorded) Record(e audit.Event) {
	s, ok := e.(*audit.Session)
	if !ok {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sessions == nil {
		r.sessions = make(map[core.ID]*audit.Session)
	}
	r.events = append(r.events, s)
	if r.real != nil {
		r.real.Record(e)
	}
	if old := r.sessions[s.Session]; old == nil || s.Version >= old.Version {
		r.sessions[s.Session] = s
	}
}

// count returns how many sessions have a record in the store that fits.
func (r *recorded) count(fits func(*audit.Session) bool) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.sessions {
		if fits(s) {
			n++
		}
	}
	return n
}

func isOpen(s *audit.Session) bool { return s.DisconnectedAt.IsZero() && s.Version%3 == 1 }
func isLost(s *audit.Session) bool {
	return !s.DisconnectedAt.IsZero() && s.CloseCode == registry.LostCode && s.Version%3 == 2
}

// installation is a NATS and the audit that its processes share.
type installation struct {
	t     testing.TB
	nats  *bus.Bus
	token string
	audit recorded
	uids  []string // Of all processes that were started.
}

func newInstallation(t testing.TB) *installation {
	c, dir := config.Default().Bus, t.TempDir()
	c.Listen = "127.0.0.1:0"
	i := &installation{t: t, nats: bus.New(bus.Options{Config: c, Data: dir, Node: "nats", Log: slog.New(slog.DiscardHandler)})}
	if err := i.nats.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	token, err := os.ReadFile(filepath.Join(dir, "bus.token"))
	if err != nil {
		t.Fatal(err)
	}
	i.token = strings.TrimSpace(string(token))
	t.Cleanup(func() { i.nats.Close() }) //nolint:errcheck // It says nothing.
	return i
}

// process is one of an installation's.
type process struct {
	*installation
	uid      string
	bus      *bus.Bus
	gate     *gate
	flushers *outbound.Flushers
	node     *session.Node
	sender   *registry.Sender
	members  *cluster.Members
	server   *session.Server
	calls    *cluster.Calls
	registry *registry.Registry // nil: it is no agent.
	kill     func()             // Ends it as SIGKILL would.
	stop     func()             // Ends it in good order.

	mu       sync.Mutex
	sessions []*session.Session
}

// gate is a bus on which publishing can be made to wait.
type gate struct {
	*bus.Bus
	mu sync.Mutex
}

func (g *gate) Publish(subject string, body []byte) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.Bus.Publish(subject, body)
}

// birth says what kind of process it is.
type birth struct {
	kind  cluster.Kind
	name  string
	uid   string   // Empty: a fresh one.
	agent *process // Supervises it.
	index int      // Which of the agent's workers it is.
	addr  string   // Of the NATS; empty: the installation's.
	mute  bool     // It announces its sessions, and fails to answer questions about them.
}

var counter sync.Mutex // Orders the UIDs of the tests as they are made.

func (i *installation) start(b birth) *process {
	i.t.Helper()
	counter.Lock()
	defer counter.Unlock()
	p := &process{installation: i, uid: b.uid}
	if p.uid == "" {
		p.uid = core.NewID().String()
	}
	i.uids = append(i.uids, p.uid)
	c := config.Default().Bus
	c.Token, c.URL = i.token, "nats://"+i.nats.Addr()
	if b.addr != "" {
		c.URL = "nats://" + b.addr
	}
	log := slog.New(slog.DiscardHandler)
	p.bus = bus.New(bus.Options{Config: c, Node: b.name, Log: log})
	if err := p.bus.Open(i.t.Context()); err != nil {
		i.t.Fatal(err)
	}
	p.gate = &gate{Bus: p.bus}
	counters := metrics.New(prometheus.NewRegistry())
	live := relay.New(relay.Options{Bus: p.bus, Metrics: counters, Log: log})
	if err := live.Open(); err != nil {
		i.t.Fatal(err)
	}
	p.flushers = outbound.NewFlushers(1)
	p.node = newNode(i.t, b.name, &i.audit, hub.Options{Flushers: p.flushers, Relay: live, Metrics: counters})
	p.sender = registry.NewSender(registry.SenderOptions{Node: p.node, UID: p.uid, Bus: p.gate, Log: log})
	p.node.Announcer = p.sender
	self := cluster.Member{UID: p.uid, Name: b.name, Kind: b.kind, State: cluster.Ready, Started: time.Now(), Index: b.index}
	if b.agent != nil {
		self.Agent = b.agent.uid
	}
	p.members = cluster.New(cluster.Options{Bus: p.bus, Self: func() cluster.Member { return self }, Log: log, Metrics: counters})
	p.server = session.NewServer(p.node, "v0")
	p.calls = cluster.NewCalls(cluster.CallsOptions{Members: p.members, Bus: p.bus, Local: p.server, Log: log, Metrics: counters})
	runs := []func(context.Context) error{p.members.Run}
	if b.mute {
		runs = append(runs, p.fail)
	} else {
		runs = append(runs, p.calls.Run)
	}
	if b.kind == cluster.Agent {
		p.registry = registry.New(registry.Options{Members: p.members, Bus: p.bus, Sender: p.sender, Recorder: &i.audit, Log: log})
		p.calls.Consult(p.registry)
		runs = append(runs, p.registry.Run)
	}
	p.run(append(runs,
		func(ctx context.Context) error { p.flushers.Run(ctx); return nil },
		func(ctx context.Context) error { live.Run(ctx, p.node.Hub); return nil },
	))
	return p
}

// fail answers every question about sessions with an error.
func (p *process) fail(ctx context.Context) error {
	stop, err := p.bus.Handle("node."+p.uid+".call.look", func(context.Context, []byte) ([]byte, error) { return nil, errors.New("out of luck") })
	if err != nil {
		return err
	}
	<-ctx.Done()
	stop()
	return nil
}

func (p *process) run(runs []func(context.Context) error) {
	begin := func(runs ...func(context.Context) error) (end func()) {
		ctx, cancel := context.WithCancel(context.Background())
		var running sync.WaitGroup
		for _, run := range runs {
			running.Go(func() {
				if err := run(ctx); err != nil {
					p.t.Error(err)
				}
			})
		}
		return func() { cancel(); running.Wait() }
	}
	others, sending := begin(runs...), begin(p.sender.Run)
	end := func() { sending(); others(); p.bus.Close() } //nolint:errcheck // It says nothing. As a worker ends: its last words come before its goodbye.
	var once sync.Once
	p.stop = func() { once.Do(end) }
	p.kill = func() {
		p.bus.Close() //nolint:errcheck // It says nothing.
		p.stop()
	}
	p.t.Cleanup(p.stop)
}

// newNode makes a node that keeps connections to nobody.
func newNode(t testing.TB, name string, recorder session.Recorder, o hub.Options) *session.Node {
	c := config.Default()
	c.Auth.Type, c.Auth.User = "none", "claimed"
	c.Client.Limits.SessionsPerUser = 0
	namespaces, err := channel.New(map[string]config.Namespace{"default": config.DefaultNamespace()}, 255)
	if err != nil {
		t.Fatal(err)
	}
	o.History = history.NewMemory(history.Options{})
	members := hub.New(o)
	counters, log, chain := metrics.New(prometheus.NewRegistry()), slog.New(slog.DiscardHandler), hooks.NewChain(nil, nil)
	return &session.Node{
		Name: name, Epoch: 7, Worker: 3, Client: c.Client, Auth: c.Auth, Namespaces: namespaces, Hub: members, History: o.History,
		Presence: presence.New(members), Hooks: chain, Notices: session.NewNotices(chain, counters, log), Recorder: recorder,
		Metrics: counters, Registry: session.NewRegistry(0), Wheel: session.NewWheel(), Log: log,
	}
}

type silent struct{}

func (silent) Record(audit.Event)               {}
func (silent) Dropped(outbound.DropReason, int) {}

// sink is a connection that keeps what is written.
type sink struct {
	net.Conn
	mu   sync.Mutex
	text strings.Builder
}

func (s *sink) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}
func (s *sink) Close() error                     { return nil }
func (s *sink) SetWriteDeadline(time.Time) error { return nil }

func (s *sink) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// connect opens a session.
func (p *process) connect(user string) (*session.Session, *sink) {
	conn := &sink{}
	limits := outbound.Limits{Messages: 1000, Bytes: 1 << 20, WriteTimeout: time.Minute}
	queue := outbound.New(conn, protocol.WebSocketJSON, limits, silent{}, p.flushers, func(core.Disconnect) []byte { return nil })
	s := p.node.Open(queue, session.Peer{Transport: "websocket", UserAgent: "test", Header: func(string) string { return "" }})
	s.Handle(fmt.Appendf(nil, `{"id":1,"connect":{"data":{"user":%q}}}`, user))
	return s, conn
}

// open opens n sessions of users u0, u1 and u2.
func (p *process) open(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range n {
		s, _ := p.connect(fmt.Sprint("u", i%3))
		p.sessions = append(p.sessions, s)
	}
}

// close ends the first n sessions.
func (p *process) close(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.sessions[:n] {
		s.End(core.DisconnectConnectionClosed, true)
	}
	p.sessions = p.sessions[n:]
}

// ids returns the sessions of the processes, sorted.
func ids(of ...*process) (all []core.ID) {
	for _, p := range of {
		p.mu.Lock()
		for _, s := range p.sessions {
			all = append(all, s.ID())
		}
		p.mu.Unlock()
	}
	slices.SortFunc(all, core.ID.Compare)
	return all
}

// listed returns what an agent's list has of all processes there ever were, sorted.
func (p *process) listed(f session.Filter) (all []core.ID) {
	for _, uid := range p.uids {
		for _, o := range p.registry.Sessions(uid, f, core.ID{}, 1<<20) {
			all = append(all, o.ID)
		}
	}
	slices.SortFunc(all, core.ID.Compare)
	return all
}

// knows waits until agents list exactly the sessions of the processes.
func (i *installation) knows(agents []*process, of ...*process) {
	i.t.Helper()
	for _, a := range agents {
		eventually(i.t, fmt.Sprintf("the agent %s lists %d sessions of %d processes", a.node.Name, len(ids(of...)), len(of)), func() bool {
			return slices.Equal(a.listed(session.Filter{}), ids(of...))
		})
	}
}

// current waits until an agent knows so many processes and has read their lists.
func (p *process) current(processes int) {
	p.t.Helper()
	eventually(p.t, fmt.Sprintf("%d lists are read", processes), func() bool {
		var uids []string
		for _, m := range p.members.List() {
			uids = append(uids, m.UID)
		}
		_, _, known := p.registry.Counts(uids)
		return known && len(uids) == processes
	})
}

// sum returns the value of a metric, over all labels.
func sum(t testing.TB, collectors []prometheus.Collector, name string) (total float64) {
	t.Helper()
	metrics := prometheus.NewRegistry()
	metrics.MustRegister(collectors...)
	families, err := metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			total += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return total
}
