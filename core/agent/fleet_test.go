package agent

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/api"
	"github.com/zenconn/server/core/cluster"
	"github.com/zenconn/server/core/supervise"
)

func member(uid, name, agent string, pid int, change ...func(*cluster.Member)) cluster.Member {
	m := cluster.Member{
		UID: uid, Name: name, Kind: cluster.Worker, Agent: agent, Version: "v1", PID: pid, Started: time.Now().Add(-time.Minute), State: cluster.Ready,
	}
	if agent == "" {
		m.Kind = cluster.Agent
	}
	for _, f := range change {
		f(&m)
	}
	return m
}

func TestArrange(t *testing.T) {
	one, two := member("A", "one", "", 10), member("B", "two", "", 10)
	built := time.Now()
	crash := &api.FleetCrash{At: time.Now(), Text: "exit status 2"}
	at := func(index int, name string, pid int, state supervise.State) place {
		return place{Index: index, Name: name, PID: pid, State: state, Restarts: index, Crash: crash}
	}
	for name, test := range map[string]struct {
		members []cluster.Member
		reports []report
		want    []string // name, agent, worker, state, restarts, problem
	}{
		"one process": {[]cluster.Member{one}, []report{{agent: one}}, []string{"one///ready//"}},
		"workers of two agents with the same process IDs": {
			[]cluster.Member{member("B1", "two-1", "B", 11), one, two, member("A1", "one-1", "A", 11), member("A2", "one-2", "A", 12)},
			[]report{
				{agent: one, Places: []place{at(1, "one-1", 11, supervise.StateReady), at(2, "one-2", 12, supervise.StateReplacing)}},
				{agent: two, Places: []place{at(1, "two-1", 11, supervise.StateReady)}},
			},
			[]string{"one///ready//", "one-1/one/1/ready/1/", "one-2/one/2/replacing/2/", "two///ready//", "two-1/two/1/ready/1/"},
		},
		"a crash loop comes first": {
			[]cluster.Member{one, member("A1", "one-1", "A", 11)},
			[]report{{agent: one, Places: []place{
				at(1, "one-1", 11, supervise.StateReady),
				{Index: 2, Name: "one-2", State: supervise.StateCrashLoop, Restarts: 9, Crash: crash, NextTry: 20 * time.Second},
			}}},
			[]string{"one-2/one/2/crash loop/9/ended: exit status 2; the next try is in 20s", "one///ready//", "one-1/one/1/ready/1/"},
		},
		"a worker is replaced": {
			[]cluster.Member{
				one,
				member("A1", "one-1", "A", 11, func(m *cluster.Member) { m.State, m.Problem = cluster.Draining, "another process has the same name" }),
				member("A2", "one-1", "A", 12, func(m *cluster.Member) { m.Started = time.Now() }),
			},
			[]report{{agent: one, Places: []place{at(1, "one-1", 12, supervise.StateReady)}}},
			[]string{"one///ready//", "one-1/one/1/draining//", "one-1/one/1/ready/1/"},
		},
		"an agent that does not answer, one that is not there, a silent worker": {
			[]cluster.Member{
				one, member("A1", "one-1", "A", 11), member("X1", "lost-1", "X", 12),
				member("A2", "one-2", "A", 13, func(m *cluster.Member) { m.Silence = 7 * time.Second }),
			},
			[]report{{agent: one, missing: errors.New("time-out")}},
			[]string{
				"lost-1///ready//its agent is not there", "one///ready//does not say how its workers are", "one-2/one//ready//not heard for 7s",
				"one-1/one//ready//",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, n := range arrange(test.members, test.reports).Nodes {
				got = append(got, strings.Join([]string{n.Name, n.Agent, number(n.Worker), n.State, number(n.Restarts), n.Problem}, "/"))
				if n.UID != "" && n.Uptime > 61+int64(time.Since(built).Seconds()) {
					t.Errorf("%s runs for %d s", n.Name, n.Uptime)
				}
			}
			if a, b := strings.Join(got, "\n"), strings.Join(test.want, "\n"); a != b {
				t.Errorf("got\n%s\nwant\n%s", a, b)
			}
		})
	}
}

func number(n int) string {
	if n == 0 {
		return ""
	}
	return string(rune('0' + n))
}

func TestRestartOfNothing(t *testing.T) {
	idle, err := supervise.New(supervise.Options{Count: 0})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []*fleet{{}, {supervisor: idle}} {
		_, err := f.RestartWorkers(context.Background())
		if !errors.Is(err, core.ErrNotAvailable) || !strings.Contains(err.Error(), "agent.workers is 0") {
			t.Errorf("%v", err)
		}
	}
}
