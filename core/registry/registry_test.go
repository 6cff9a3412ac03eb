package registry_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/zenconn/server/audit"
	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/channel"
	"github.com/zenconn/server/core/cluster"
	"github.com/zenconn/server/core/registry"
	"github.com/zenconn/server/core/session"
	"github.com/zenconn/server/test/server"
)

// Sessions from before an agent began, and those that open and close while it is there, are listed with where they are.
func TestAgentsListAllSessions(t *testing.T) {
	i := newInstallation(t)
	first := i.start(birth{kind: cluster.Agent, name: "a"})
	worker := i.start(birth{kind: cluster.Worker, name: "a-1", agent: first})
	worker.open(5)
	first.open(2)
	second := i.start(birth{kind: cluster.Agent, name: "b"})
	agents := []*process{first, second}
	i.knows(agents, first, worker)
	worker.open(7)
	worker.close(4)
	first.close(1)
	i.knows(agents, first, worker)

	for _, test := range []struct {
		f    session.Filter
		want int
	}{
		{session.Filter{}, 9},
		{session.Filter{Node: "a-1"}, 8},
		{session.Filter{Node: "b"}, 0},
		{session.Filter{Transport: "websocket"}, 9},
		{session.Filter{Transport: "tcp"}, 0},
		{session.Filter{User: "u1"}, 4},
		{session.Filter{User: "u1", Node: "a"}, 1},
		{session.Filter{User: "nobody"}, 0},
		{session.Filter{Channel: "room"}, 0},
	} {
		if got := second.listed(test.f); len(got) != test.want {
			t.Errorf("%+v lists %d sessions, want %d", test.f, len(got), test.want)
		}
	}
	eight := second.listed(session.Filter{Node: "a-1"})
	for limit := range 10 {
		var paged []core.ID
		for after := (core.ID{}); ; after = paged[len(paged)-1] {
			page := second.registry.Sessions(worker.uid, session.Filter{}, after, limit)
			for _, o := range page {
				paged = append(paged, o.ID)
			}
			if len(page) < max(limit, 1) {
				break
			}
		}
		if !slices.Equal(paged, eight) {
			t.Errorf("in pages of %d: %v, want %v", limit, paged, eight)
		}
	}
	everyone := []string{first.uid, worker.uid, second.uid}
	if sessions, users, known := second.registry.Counts(everyone); sessions != 9 || users != 3 || !known {
		t.Errorf("there are %d sessions of %d users, %v", sessions, users, known)
	}
	if _, _, known := second.registry.Counts(append(everyone, core.NewID().String())); known {
		t.Error("the list of a process that is not there is known")
	}
}

// The sessions of a killed worker are closed in every list, and once in the audit, with the reason.
func TestWorkerKilled(t *testing.T) {
	i := newInstallation(t)
	first, second := i.start(birth{kind: cluster.Agent, name: "a"}), i.start(birth{kind: cluster.Agent, name: "b"})
	worker := i.start(birth{kind: cluster.Worker, name: "b-1", agent: second})
	other := i.start(birth{kind: cluster.Worker, name: "b-2", agent: second})
	worker.open(50)
	other.open(3)
	agents := []*process{first, second}
	i.knows(agents, worker, other)
	worker.kill()
	second.members.Gone(worker.uid, "the worker ended: signal: killed")
	i.knows(agents, other)
	eventually(t, "all its sessions are lost in the audit", func() bool { return i.audit.count(isLost) == 50 })
	i.audit.mu.Lock()
	records := 0
	for _, s := range i.audit.events {
		if isLost(s) {
			records++
			if s.CloseReason != "the worker ended: signal: killed" || s.Node != "b-1" || s.NodeEpoch != 7 || s.Worker != 3 || s.User == "" {
				t.Fatalf("recorded as %+v", s)
			}
		}
	}
	for _, s := range i.audit.events {
		if isOpen(s) && i.audit.sessions[s.Session].ConnectedAt.UnixMilli() != s.ConnectedAt.UnixMilli() {
			t.Fatalf("the record of the end has another connected_at, by which stores find the row: %v, %v", i.audit.sessions[s.Session].ConnectedAt, s.ConnectedAt)
		}
	}
	i.audit.mu.Unlock()
	if records != 50 {
		t.Errorf("%d ends were recorded for 50 sessions: one agent should do it", records)
	}
	if n := i.audit.count(isOpen); n != 3 {
		t.Errorf("%d sessions are open in the audit, want 3", n)
	}
}

// A worker whose agent is gone with it is closed by the agent that is left, and without a supervisor who tells; also when the worker is
// missed first, and the agent is still thought to do it.
func TestHostKilled(t *testing.T) {
	for name, workerFirst := range map[string]bool{"both are missed": false, "the worker is missed first": true} {
		t.Run(name, func(t *testing.T) {
			i := newInstallation(t)
			first, second := i.start(birth{kind: cluster.Agent, name: "a"}), i.start(birth{kind: cluster.Agent, name: "b"})
			worker := i.start(birth{kind: cluster.Worker, name: "a-1", agent: first})
			worker.open(20)
			first.open(10)
			i.knows([]*process{first, second}, first, worker)
			worker.kill()
			first.kill()
			if workerFirst {
				second.members.Gone(worker.uid, "the worker ended: signal: killed")
			}
			i.knows([]*process{second})
			eventually(t, "all sessions are lost in the audit", func() bool { return i.audit.count(isLost) == 30 })
		})
	}
}

// A worker that stops in good order has closed its sessions itself.
func TestWorkerStops(t *testing.T) {
	i := newInstallation(t)
	agent := i.start(birth{kind: cluster.Agent, name: "a"})
	worker := i.start(birth{kind: cluster.Worker, name: "a-1", agent: agent})
	worker.open(20)
	i.knows([]*process{agent}, worker)
	worker.close(20)
	worker.stop()
	agent.current(1)
	i.knows([]*process{agent})
	if n := i.audit.count(isLost); n != 0 {
		t.Errorf("%d sessions are recorded as lost", n)
	}
}

// A worker that was cut off and taken for lost has its sessions taken back: they are open again in the list and in the audit, and close
// in both when they really do. One that closed meanwhile does not come back.
func TestWorkerCutOffAndBack(t *testing.T) {
	i := newInstallation(t)
	agent := i.start(birth{kind: cluster.Agent, name: "a"})
	proxy := server.NewProxy(t, i.nats.Addr())
	worker := i.start(birth{kind: cluster.Worker, name: "a-1", agent: agent, addr: proxy.Addr()})
	worker.open(30)
	i.knows([]*process{agent}, worker)
	for lives := range uint8(2) {
		proxy.Cut()
		i.knows([]*process{agent})
		left := len(worker.sessions)
		eventually(t, "the sessions are lost in the audit", func() bool { return i.audit.count(isLost) == left })
		worker.close(5)
		worker.open(2)
		proxy.Restore()
		i.knows([]*process{agent}, worker)
		eventually(t, "the sessions are open again in the audit", func() bool {
			return i.audit.count(isOpen) == len(worker.sessions) && i.audit.count(isLost) == 0
		})
		if got := worker.node.Incarnation(); got != lives+1 {
			t.Errorf("the worker is in incarnation %d, want %d", got, lives+1)
		}
	}
	worker.close(len(worker.sessions))
	i.knows([]*process{agent})
	eventually(t, "all sessions are closed in the audit", func() bool {
		return i.audit.count(func(s *audit.Session) bool { return s.Version%3 == 0 && s.CloseCode != registry.LostCode }) == 34
	})
}

// An agent that starts anew knows all sessions, and none of them notices.
func TestAgentRestarts(t *testing.T) {
	i := newInstallation(t)
	agent := i.start(birth{kind: cluster.Agent, name: "a"})
	worker := i.start(birth{kind: cluster.Worker, name: "a-1", agent: agent})
	worker.open(100)
	for range 3 {
		i.knows([]*process{agent}, worker)
		agent.kill()
		worker.close(10)
		worker.open(5)
		agent = i.start(birth{kind: cluster.Agent, name: "a"})
	}
	i.knows([]*process{agent}, worker)
	if n := i.audit.count(isLost); n != 0 {
		t.Errorf("%d sessions are recorded as lost", n)
	}
}

// What was lost on the way, because the agent was cut off, is made up for.
func TestAgentCutOff(t *testing.T) {
	i := newInstallation(t)
	proxy := server.NewProxy(t, i.nats.Addr())
	agent := i.start(birth{kind: cluster.Agent, name: "a", addr: proxy.Addr()})
	worker := i.start(birth{kind: cluster.Worker, name: "a-1", agent: agent})
	worker.open(40)
	i.knows([]*process{agent}, worker)
	proxy.Cut()
	worker.close(15)
	worker.open(15)
	proxy.Restore()
	i.knows([]*process{agent}, worker)
}

// More changes than may wait: they are dropped and counted, and the list is read instead.
func TestOverflow(t *testing.T) {
	i := newInstallation(t)
	agent := i.start(birth{kind: cluster.Agent, name: "a"})
	worker := i.start(birth{kind: cluster.Worker, name: "a-1", agent: agent})
	worker.open(3)
	i.knows([]*process{agent}, worker)
	worker.gate.mu.Lock()
	worker.open(40_000)
	worker.close(20_000)
	worker.gate.mu.Unlock()
	i.knows([]*process{agent}, worker)
	if sum(t, worker.sender.Collectors(), "zenconn_registry_dropped_total") == 0 || sum(t, agent.registry.Collectors(), "zenconn_registry_resyncs_total") == 0 {
		t.Error("neither drops nor resyncs were counted: the test is no test")
	}
	if got := sum(t, agent.registry.Collectors(), "zenconn_registry_sessions"); got != 20_003 {
		t.Errorf("the metric counts %v sessions", got)
	}
}

// A list of 100,000 is read in pages that every NATS server takes.
func TestManySessions(t *testing.T) {
	i := newInstallation(t)
	worker := i.start(birth{kind: cluster.Worker, name: "a-1"})
	worker.open(100_000)
	agent := i.start(birth{kind: cluster.Agent, name: "a"})
	agent.current(2)
	i.knows([]*process{agent}, worker)
	if n := len(agent.listed(session.Filter{Node: "a-1"})); n != 100_000 {
		t.Errorf("%d", n)
	}
}

// listen makes a session of a node listen to $system:sessions.
func (p *process) listen() *sink {
	p.t.Helper()
	s, heard := p.connect("operator")
	err := session.NewServer(p.node, "v0").Subscribe(p.t.Context(), session.Target{Client: s.ID().String()}, channel.SystemSessions, session.Subscription{})
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { s.End(core.DisconnectConnectionClosed, true) })
	return heard
}

func notices(p *process) float64 {
	return sum(p.t, p.sender.Collectors(), "zenconn_registry_notices_total")
}

// Who listens anywhere makes all nodes tell of their sessions, and of nobody else's, and hears it; when nobody does they are silent.
func TestNoticesAreMadeWhenSomebodyListens(t *testing.T) {
	i := newInstallation(t)
	agent := i.start(birth{kind: cluster.Agent, name: "a"})
	worker := i.start(birth{kind: cluster.Worker, name: "a-1", agent: agent})
	worker.open(10)
	i.knows([]*process{agent}, worker)
	if n := notices(worker); n != 0 {
		t.Errorf("%v notices were made for nobody", n)
	}
	heard := agent.listen()
	eventually(t, "the worker tells too, and the listener hears it", func() bool {
		worker.open(1)
		return notices(worker) > 0 && strings.Contains(heard.String(), `"node":"a-1"`)
	})
	if n := notices(agent); n > 1 { // Of the listener itself.
		t.Errorf("the agent told of %v sessions", n)
	}
}

// Who listens hears that sessions were lost with their node, and that they are back.
func TestNoticesOfALostNode(t *testing.T) {
	i := newInstallation(t)
	agent := i.start(birth{kind: cluster.Agent, name: "a"})
	proxy := server.NewProxy(t, i.nats.Addr())
	worker := i.start(birth{kind: cluster.Worker, name: "a-1", agent: agent, addr: proxy.Addr()})
	worker.open(3)
	heard := agent.listen()
	eventually(t, "the agent lists the worker's sessions", func() bool { return len(agent.listed(session.Filter{Node: "a-1"})) == 3 })
	proxy.Cut()
	for _, id := range ids(worker) {
		eventually(t, "the end is told", func() bool {
			return strings.Contains(heard.String(), fmt.Sprintf(`{"event":"closed","session":"%s"`, id))
		})
	}
	if !strings.Contains(heard.String(), `"code":1006,"reason":"`) || !strings.Contains(heard.String(), `"node":"a-1","worker":3,"transport":"websocket"`) {
		t.Errorf("heard %s", heard)
	}
	proxy.Restore()
	for _, id := range ids(worker) {
		eventually(t, "the return is told", func() bool {
			return strings.Contains(heard.String(), fmt.Sprintf(`{"event":"opened","session":"%s"`, id))
		})
	}
}
