package join_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zenconn/server/core/bus"
	"github.com/zenconn/server/core/config"
	"github.com/zenconn/server/core/join"
	"github.com/zenconn/server/plugins"
)

// watched is a joined worker's changes of state.
type watched struct {
	states  chan join.State
	plugins chan []plugins.Bundle
	refuse  atomic.Pointer[string] // What is said against plugins; nil: nothing.
}

func watch(t *testing.T, j *join.Joined) *watched {
	t.Helper()
	w := &watched{states: make(chan join.State, 10), plugins: make(chan []plugins.Bundle, 10)}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		j.Watch(ctx, func(s join.State) { w.states <- s }, func(bundles []plugins.Bundle) error {
			w.plugins <- bundles
			if why := w.refuse.Load(); why != nil {
				return errors.New(*why)
			}
			return nil
		})
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
	return w
}

func (w *watched) next(t *testing.T) join.State {
	t.Helper()
	select {
	case s := <-w.states:
		return s
	case <-time.After(patience):
		t.Fatal("nothing was reported")
		return join.State{}
	}
}

func (w *watched) changed(t *testing.T) []plugins.Bundle {
	t.Helper()
	select {
	case b := <-w.plugins:
		return b
	case <-time.After(patience):
		t.Fatal("the plugins were not changed")
		return nil
	}
}

// Other plugins reach a worker at once when it is told, and those it refuses are offered again only then.
func TestOtherPlugins(t *testing.T) {
	in := install(t)
	one, two, three := resolved(t, "a.lua", script), resolved(t, "a.lua", script+"-- 2"), resolved(t, "b.lua", script, "a.lua", script)
	host, _ := in.agent("node", "uid-1", configured(), one...)
	o := in.options(in.connect(in.token))
	j := mustJoin(t, o)
	w := watch(t, j)
	uid := o.UID.String()
	set := func(bundles []plugins.Bundle) {
		t.Helper()
		if err := host.Set(configured(), bundles); err != nil {
			t.Fatal(err)
		}
	}
	tell := func() error {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		return host.Tell(ctx, uid)
	}
	eventually(t, "the worker can be told", func() bool { return tell() == nil })

	set(two)
	if err := tell(); err != nil || !plugins.Same(w.changed(t), two) {
		t.Errorf("told of other plugins: %v", err)
	}
	no := "no: line 3"
	w.refuse.Store(&no)
	set(three)
	for range 2 {
		if err := tell(); err == nil || !strings.Contains(err.Error(), no) || !plugins.Same(w.changed(t), three) {
			t.Errorf("told of plugins that the worker refuses: %v", err)
		}
	}
	w.refuse.Store(nil)
	set(two) // Which the worker still runs on, but it has to forget its complaint.
	if err := tell(); err != nil || !plugins.Same(w.changed(t), two) {
		t.Errorf("told of what it runs on: %v", err)
	}
	if err := tell(); err != nil || len(w.plugins) != 0 {
		t.Errorf("told of nothing: %v, %d changes", err, len(w.plugins))
	}

	other := configured()
	other.Client.Limits.Channels = 7
	if err := host.Set(other, three); err != nil {
		t.Fatal(err)
	}
	if err := tell(); err == nil || !strings.Contains(err.Error(), "another configuration") || len(w.plugins) != 0 {
		t.Errorf("told of another configuration: %v", err)
	}
	if got := w.next(t); got.Outdated == "" {
		t.Errorf("state %+v", got)
	}
	set(three)
	if err := tell(); err != nil || !plugins.Same(w.changed(t), three) {
		t.Errorf("told of its own configuration: %v", err)
	}
	if got := w.next(t); got.Outdated != "" {
		t.Errorf("state %+v", got)
	}
	if err := host.Tell(t.Context(), "nobody"); !errors.Is(err, bus.ErrNobody) {
		t.Errorf("told nobody: %v", err)
	}
}

// What the configuration says about plugins is in the bundles: it is no reason to be started again.
func TestPluginsConfigurationIsNotTheWorkers(t *testing.T) {
	in := install(t)
	bundles := resolved(t, "a.lua", script)
	host, _ := in.agent("node", "uid-1", configured(), bundles...)
	o := in.options(in.connect(in.token))
	w := watch(t, mustJoin(t, o))
	c := configured()
	c.Plugins.Deadline, bundles[0].Deadline = time.Hour, time.Hour
	if err := host.Set(c, bundles); err != nil {
		t.Fatal(err)
	}
	if got := w.changed(t); got[0].Deadline != time.Hour || len(w.states) != 0 {
		t.Errorf("changed to %+v, %d states", got, len(w.states))
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
			if got := w.next(t); got.Agent != "uid-3" || got.Outdated != "the agent has another configuration now" {
				t.Errorf("state %+v", got)
			}
			restart("uid-4", configured())
			if got := w.next(t); got.Agent != "uid-4" || got.Outdated != "" {
				t.Errorf("state %+v", got)
			}
			bundles = resolved(t, "a.lua", script+"-- new")
			restart("uid-5", configured())
			if got := w.next(t); got.Agent != "uid-5" || got.Outdated != "" {
				t.Errorf("state %+v", got)
			}
			if got := w.changed(t); !plugins.Same(got, bundles) {
				t.Errorf("changed to %+v", got)
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
