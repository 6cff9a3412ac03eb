package cluster_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/zenconn/server/core/cluster"
	"github.com/zenconn/server/test/server"
)

// watched keeps the events of a node, as text.
type watched struct {
	mu     sync.Mutex
	events []string
}

func watch(n *node) *watched {
	w := &watched{}
	n.members.Watch(func(e cluster.Event) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.events = append(w.events, strings.TrimSpace(fmt.Sprintf("%s %s %s %s", e.Member.Name, e.Kind, e.Member.State, e.Reason)))
	})
	return w
}

func (w *watched) all() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.events)
}

func (w *watched) has(event string) func() bool {
	return func() bool { return slices.Contains(w.all(), event) }
}

func TestMembersMeetAndPart(t *testing.T) {
	all := startAll(t, setup{name: "b"}, setup{name: "c"}, setup{name: "a"})
	for _, one := range all {
		if one.names() != "a b c" {
			t.Errorf("%s knows %s", one.name, one.names())
		}
		for _, m := range one.members.List() {
			if m.Self != (m.UID == one.uid) || m.Problem != "" || m.Incompatible || m.Version != "v0" {
				t.Errorf("%s knows %+v", one.name, m)
			}
		}
	}
	b, c := all[0], all[1]
	seen := watch(b)
	if got := seen.all(); len(got) != 2 || !seen.has("a joined ready")() || !seen.has("c joined ready")() {
		t.Errorf("who begins to watch sees %q", got)
	}
	c.state.Store(cluster.Draining)
	c.members.Hello()
	eventually(t, "c drains", seen.has("c changed draining"))
	c.stop()
	eventually(t, "c has gone", seen.has("c gone draining it was stopped"))
	if b.names() != "a b" {
		t.Errorf("b knows %s", b.names())
	}
	if n := testutil.ToFloat64(b.metrics.ClusterGone.WithLabelValues("goodbye")); n != 1 {
		t.Errorf("counted %v goodbyes", n)
	}
}

func TestKilledMember(t *testing.T) {
	all := startAll(t, setup{name: "a"}, setup{name: "b"}, setup{name: "c"})
	seen := watch(all[2])
	all[1].kill()
	eventually(t, "c misses b", seen.has("b gone ready its process has ended, or lost its connection to the bus"))
	eventually(t, "a misses b", func() bool { return all[0].names() == "a c" })
	again := start(t, setup{name: "b", url: "nats://" + all[0].bus.Addr()})
	meet(t, all[0], all[2], again)
	if got := seen.all(); got[len(got)-1] != "b joined ready" || got[len(got)-2] != "b gone ready its process has ended, or lost its connection to the bus" {
		t.Errorf("c saw %q", got)
	}
}

func TestMemberThatIsCutOff(t *testing.T) {
	a := startAll(t, setup{name: "a"})[0]
	proxy := server.NewProxy(t, a.bus.Addr())
	b := start(t, setup{name: "b", url: "nats://" + proxy.Addr()})
	c := start(t, setup{name: "c", url: "nats://" + a.bus.Addr()})
	meet(t, a, b, c)
	atB, atC := watch(b), watch(c)
	proxy.Cut()
	eventually(t, "a and c miss b", func() bool { return a.names() == "a c" && c.names() == "a c" })
	proxy.Restore()
	meet(t, a, b, c)
	if got := atB.all(); len(got) != 2 {
		t.Errorf("who was cut off thinks that others went: %q", got)
	}
	if got := atC.all(); !slices.Contains(got, "b gone ready its process has ended, or lost its connection to the bus") || got[len(got)-1] != "b joined ready" {
		t.Errorf("c saw %q", got)
	}
}

func TestSupervisorSaysGone(t *testing.T) {
	all := startAll(t, setup{name: "a"}, setup{name: "b"})
	child := intrude(t, all[0])
	child.answers(nil) // Else it is soon found to have gone.
	child.join("child", all...)
	seen := watch(all[1])
	all[0].members.Gone(child.uid, "signal: killed")
	if all[0].names() != "a b" {
		t.Errorf("a knows %s", all[0].names())
	}
	eventually(t, "b hears of it", seen.has("child gone ready signal: killed"))
	child.hello(`"name":"child"`) // It was still under way.
	next := intrude(t, all[0])
	next.answers(nil)
	next.join("next", all...)
	if all[0].names() != "a b next" || all[1].names() != "a b next" {
		t.Errorf("known are %s, and %s", all[0].names(), all[1].names())
	}
}

func TestWrongVersions(t *testing.T) {
	a := startAll(t, setup{name: "a"}, setup{name: "b"})[0]
	for name, said := range map[string]string{
		"other requests":    `{"v":1,"bus":99,"uid":%q,"name":"x","version":"v9","state":"ready"}`,
		"other hello":       `{"v":2,"bus":1,"uid":%q,"name":"x","version":"v9","state":{"is":"new"},"pid":"text"}`,
		"it asks as well":   `{"v":2,"bus":1,"uid":%q,"name":"x","version":"v9","ask":true}`,
		"its bye is no bye": `{"v":2,"bus":1,"uid":%q,"name":"x","version":"v9","bye":"x"}`,
	} {
		t.Run(name, func(t *testing.T) {
			s := intrude(t, a)
			s.answers(nil)
			s.say(fmt.Sprintf(said, s.uid))
			eventually(t, "it is listed", func() bool {
				m, ok := a.members.Find(s.uid)
				return ok && m.Incompatible && strings.Contains(m.Problem, "version") && m.Name == "x" && m.Version == "v9"
			})
			if nodes, err := a.calls.Nodes(t.Context()); err != nil || len(nodes) < 3 || nodes[len(nodes)-1].Problem == "" {
				t.Errorf("%+v, %v", nodes, err)
			}
			var users map[string]int
			var err error
			a.asked("online", func() { users, err = a.calls.Online(t.Context(), []string{"nobody"}) }) // Never, if it is asked too.
			if err != nil || users["nobody"] != 0 {
				t.Errorf("%v, %v", users, err)
			}
			a.members.Gone(s.uid, "the test is over")
		})
	}
	if !strings.Contains(a.log.String(), "there is a problem with a process") {
		t.Errorf("the log says nothing: %s", a.log)
	}
}

func TestGarbageInsteadOfHello(t *testing.T) {
	a := startAll(t, setup{name: "a"}, setup{name: "b"})[0]
	s := intrude(t, a)
	said := []string{
		``, `null`, `7`, `{`, `{"v":1}`, `{"v":1,"uid":"x","name":"y"}`, `{"v":1,"bus":1,"uid":"` + s.uid + `"}`, `{"v":1,"bus":1,"uid":"` + s.uid + `","name":7}`,
		`{"v":1,"bus":1,"uid":"` + s.uid + `","name":"` + strings.Repeat("x", 256) + `"}`, `{"v":1,"bus":1,"uid":"*","name":"y"}`,
	}
	for _, text := range said {
		s.say(text)
	}
	eventually(t, "all are counted", func() bool { return testutil.ToFloat64(a.metrics.ClusterGarbage) == float64(len(said)) })
	if a.names() != "a b" || strings.Count(a.log.String(), "do two installations share bus.prefix?") != 1 {
		t.Errorf("a knows %s and said %s", a.names(), a.log)
	}
	s.say(fmt.Sprintf(`{"v":1,"bus":1,"uid":%q,"name":"liar","gone":%q,"why":"because"}`, s.uid, a.uid))
	eventually(t, "a says that it is there", func() bool { return strings.Contains(a.log.String(), "says that this one has ended") })
}
