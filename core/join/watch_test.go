package join_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zenconn/server/core/config"
	"github.com/zenconn/server/core/join"
)

// watched is a joined worker's changes of state.
type watched struct{ states chan join.State }

func watch(t *testing.T, j *join.Joined) *watched {
	t.Helper()
	w := &watched{make(chan join.State, 10)}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { j.Watch(ctx, func(s join.State) { w.states <- s }) })
	t.Cleanup(func() { cancel(); wg.Wait() })
	return w
}

func (w *watched) next(t *testing.T) join.State {
	t.Helper()
	select {
	case s := <-w.states:
		return s
	case <-time.After(30 * time.Second):
		t.Fatal("nothing was reported")
		return join.State{}
	}
}

// The agent is restarted, with the bus in it: first with the same configuration, then with another, then in a version that has no place
// for this worker.
func TestRestartedAgent(t *testing.T) {
	for name, index := range map[string]int{"child": 1, "elsewhere": 0} {
		t.Run(name, func(t *testing.T) {
			in := install(t)
			bundles := resolved(t, "a.lua", script)
			_, stop := in.agent("node", "uid-1", configured(), bundles...)
			o := in.options(in.connect(in.token))
			o.Index = index
			j := mustJoin(t, o)
			w := watch(t, j)
			restart := func(uid string, c *config.Config) {
				stop()
				in.close()
				in.open()
				_, stop = in.agent("node", uid, c, bundles...)
			}

			restart("uid-2", configured())
			if got, want := w.next(t), (join.State{Agent: "uid-2", AgentName: "node", AgentVersion: "1.2.3"}); got != want {
				t.Errorf("state %+v, want %+v", got, want)
			}
			changed := configured()
			changed.Client.Limits.Channels = 7
			restart("uid-3", changed)
			if got := w.next(t); got.Agent != "uid-3" || got.Outdated != "the agent has another configuration or other plugins now" {
				t.Errorf("state %+v", got)
			}
			restart("uid-4", configured())
			if got := w.next(t); got.Agent != "uid-4" || got.Outdated != "" {
				t.Errorf("state %+v", got)
			}
			bundles = resolved(t, "a.lua", script+"-- new")
			restart("uid-5", configured())
			if got := w.next(t); got.Outdated == "" {
				t.Errorf("state %+v", got)
			}
			if index == 0 {
				return
			}
			changed.Agent.Workers = 0
			restart("uid-6", changed)
			if got := w.next(t); !strings.Contains(got.Outdated, "there is no worker 1") {
				t.Errorf("state %+v", got)
			}
		})
	}
}

// A worker from elsewhere turns to another agent when its own is gone, the child of an agent does not.
func TestAgentThatDoesNotComeBack(t *testing.T) {
	in := install(t)
	_, stop := in.agent("one", "uid-one", configured())
	o := in.options(in.connect(in.token))
	far := watch(t, mustJoin(t, o))
	o.Index = 1
	child := watch(t, mustJoin(t, o))
	stop()
	in.agent("two", "uid-two", configured())
	in.close()
	in.open()
	_, stopTwo := in.agent("two", "uid-two", configured())
	defer stopTwo()
	if got := far.next(t); got.Agent != "uid-two" || got.Outdated != "" {
		t.Errorf("state %+v", got)
	}
	select {
	case got := <-child.states:
		t.Errorf("the child turned to %+v", got)
	default:
	}
}
