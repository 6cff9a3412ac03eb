package bus_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/zenconn/server/core/bus"
	"github.com/zenconn/server/core/config"
	"github.com/zenconn/server/internal/testenv"
)

// agents are those of a cluster on this machine.
type agents struct {
	t    *testing.T
	dirs []string
	conf []config.Bus
}

func newAgents(t *testing.T, n int, set func(c *config.Bus)) *agents {
	t.Helper()
	a := &agents{t: t}
	var peers, addrs []string
	for range n {
		addrs = append(addrs, testenv.FreeAddr(t))
		peers = append(peers, "nats-route://"+addrs[len(addrs)-1])
	}
	for i := range n {
		c := defaults()
		c.Replicas = n
		c.Cluster = config.BusCluster{Listen: addrs[i], Peers: strings.Join(peers, ","), Secret: "what the agents show each other"}
		if set != nil {
			set(&c)
		}
		a.conf, a.dirs = append(a.conf, c), append(a.dirs, t.TempDir())
	}
	return a
}

// start opens the bus of an agent.
func (a *agents) start(i int, name string) *bus.Bus {
	a.t.Helper()
	b := bus.New(bus.Options{Config: a.conf[i], Data: a.dirs[i], Node: name, Log: slog.New(slog.DiscardHandler)})
	if err := b.Open(a.t.Context()); err != nil {
		a.t.Error(err)
	}
	a.t.Cleanup(func() {
		if err := b.Close(); err != nil {
			a.t.Error(err)
		}
	})
	running(a.t, b)
	return b
}

// startAll opens those of all agents at the same time.
func (a *agents) startAll() []*bus.Bus {
	a.t.Helper()
	all := make([]*bus.Bus, len(a.conf))
	var wg sync.WaitGroup
	for i := range all {
		wg.Go(func() { all[i] = a.start(i, fmt.Sprint("agent-", i)) })
	}
	wg.Wait()
	return all
}

// keepAll makes the stream that holds what store puts there. Who leads may change just then.
func keepAll(t *testing.T, js jetstream.JetStream) {
	t.Helper()
	eventually(t, "the stream is made", func() bool {
		one, end := context.WithTimeout(t.Context(), 15*time.Second)
		defer end()
		_, err := js.CreateOrUpdateStream(one, jetstream.StreamConfig{Name: "kept", Subjects: []string{"kept"}, Replicas: 3})
		return err == nil
	})
}

// kept waits until at least n messages are in that stream.
func kept(t *testing.T, js jetstream.JetStream, n uint64) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d messages are kept", n), func() bool {
		one, end := context.WithTimeout(t.Context(), 15*time.Second)
		defer end()
		stream, err := js.Stream(one, "kept")
		return err == nil && stream.CachedInfo().State.Msgs >= n
	})
}

// store puts a message into it, again and again until it is acknowledged.
func store(t *testing.T, b *bus.Bus, body string) {
	t.Helper()
	js, err := jetstream.New(b.Conn())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for wait := time.Second; ; wait *= 2 {
		one, end := context.WithTimeout(ctx, wait)
		_, err := js.Publish(one, "kept", []byte(body))
		end()
		if err == nil {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("%q could not be stored: %v", body, err)
		}
	}
}

// Three agents keep what one of them is told, also when one ends in order, and say so when there is no quorum.
func TestClusterOfAgents(t *testing.T) {
	t.Parallel() // It mostly waits.
	if testing.Short() {
		t.Skip("it takes many seconds to elect leaders")
	}
	ca := newAuthority(t)
	a := newAgents(t, 3, func(c *config.Bus) {
		c.TLS.CA = ca.file
		c.TLS.Cert, c.TLS.Key = ca.issue(t, "127.0.0.1")
	})
	all := a.startAll()
	for _, b := range all {
		well(t, b)
		if b.Replicas() != 3 || b.Alone() || b.External() || b.Addr() != "" || b.Join().URL != "" {
			t.Errorf("replicas %d, alone %v, external %v, addr %q", b.Replicas(), b.Alone(), b.External(), b.Addr())
		}
	}
	js, err := jetstream.New(all[0].Conn())
	if err != nil {
		t.Fatal(err)
	}
	keepAll(t, js)
	stop, err := all[1].Handle("who", func(context.Context, []byte) ([]byte, error) { return []byte("1"), nil })
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	eventually(t, "an agent reaches another", func() bool {
		answer, err := all[2].Request(t.Context(), "who", nil)
		return err == nil && string(answer) == "1"
	})
	store(t, all[0], "all are there")
	if err := all[2].Close(); err != nil {
		t.Error(err)
	}
	store(t, all[0], "one has gone")
	store(t, all[1], "and is missed by nobody")
	well(t, all[0]) // Two of three are enough.
	if err := all[1].Close(); err != nil {
		t.Error(err)
	}
	eventually(t, "there is no quorum", func() bool { return strings.Contains(all[0].Problem(), "no quorum: 1 of the 3 agents") })

	again := a.start(1, "agent-1")
	well(t, again)
	well(t, all[0])
	store(t, again, "it is back")
	kept(t, js, 4)
}

// The first agent starts, says what it waits for, and is well when the others are there. NATS has them choose their very first leader
// when all are there, lest an empty majority forget what the others keep.
func TestFirstAgentWaits(t *testing.T) {
	t.Parallel() // It mostly waits.
	if testing.Short() {
		t.Skip("it takes many seconds to elect leaders")
	}
	a := newAgents(t, 3, nil)
	first := a.start(0, "agent-0")
	if p := first.Problem(); !strings.Contains(p, "no quorum: 1 of the 3 agents of the cluster (bus.cluster.peers) can be reached, 2 are needed") {
		t.Errorf("the problem is %q", p)
	}
	if err := first.Publish("a", nil); err != nil {
		t.Errorf("what is not stored needs no quorum: %v", err)
	}
	second := a.start(1, "agent-1")
	eventually(t, "they find each other", func() bool { return strings.Contains(first.Problem(), "at the very first start all must be there") })
	third := a.start(2, "agent-2")
	for _, b := range []*bus.Bus{first, second, third} {
		well(t, b)
	}
}

// Agents that must not be in a cluster are not, and the first says why, if it can know.
func TestStrangersInTheCluster(t *testing.T) {
	for name, test := range map[string]struct {
		set  func(c *config.Bus)
		node string
		want string
	}{
		"same name":       {func(*config.Bus) {}, "agent-0", "another agent of the cluster is called agent-0 too"},
		"another secret":  {func(c *config.Bus) { c.Cluster.Secret = "what strangers show each other" }, "agent-1", "no quorum: 1 of the 2"},
		"another cluster": {func(c *config.Bus) { c.Cluster.Name = "other" }, "agent-1", "no quorum: 1 of the 2"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAgents(t, 2, func(c *config.Bus) { c.Replicas = 1 })
			test.set(&a.conf[1])
			first := a.start(0, "agent-0")
			second := a.start(1, test.node)
			for _, b := range []*bus.Bus{first, second} {
				eventually(t, test.want, func() bool { return strings.Contains(b.Problem(), test.want) })
			}
		})
	}
}
