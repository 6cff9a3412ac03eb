package session_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/channel"
	"github.com/zenconn/server/core/config"
	"github.com/zenconn/server/core/session"
	"github.com/zenconn/server/hooks"
)

// definer counts how often it is asked, and answers what its function says.
type definer struct {
	mu     sync.Mutex
	asked  map[string]int
	answer func(*hooks.Channel) (hooks.Answer, error)
	chain  *hooks.Chain
}

// reload replaces the plugins, by themselves.
func (d *definer) reload(t *testing.T) {
	t.Helper()
	if err := d.chain.Replace(d.links())(); err != nil {
		t.Error(err)
	}
}

func (d *definer) links() []hooks.Link { return []hooks.Link{{Plugin: d, Deadline: time.Hour}} }

func (d *definer) Name() string { return "definer" }
func (d *definer) Hash() string { return "0" }
func (d *definer) Close() error { return nil }

func (d *definer) Channel(_ context.Context, e *hooks.Channel) (hooks.Answer, error) {
	d.mu.Lock()
	d.asked[e.Channel]++
	d.mu.Unlock()
	return d.answer(e)
}

func newChannels(t testing.TB, answer func(*hooks.Channel) (hooks.Answer, error)) (*session.Channels, *definer) {
	t.Helper()
	durable := config.DefaultNamespace()
	durable.HistorySize, durable.HistoryTTL, durable.HistoryStorage = 7, time.Hour, "file"
	base, err := channel.New(map[string]config.Namespace{"default": config.DefaultNamespace(), "durable": durable}, 255)
	if err != nil {
		t.Fatal(err)
	}
	d := &definer{asked: map[string]int{}, answer: answer}
	d.chain = hooks.NewChain(d.links(), nil)
	return session.NewChannels(base, d.chain), d
}

func history(e *hooks.Channel) (hooks.Answer, error) {
	e.Options.HistorySize, e.Options.HistoryTTL = 3, time.Minute
	return hooks.Answer{Verdict: hooks.Pass, Modified: true}, nil
}

func TestChannelsAreRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, d := newChannels(t, history)
		resolve := func(name string, asked int) {
			t.Helper()
			ns, bad := c.Resolve(name)
			if bad != nil || ns.HistorySize != 3 || ns.Name != "default" {
				t.Fatalf("%+v, %v", ns, bad)
			}
			if d.asked[name] != asked {
				t.Errorf("asked about %s %d times, want %d", name, d.asked[name], asked)
			}
		}
		resolve("a", 1)
		resolve("a", 1)
		resolve("b", 1)
		<-time.After(5 * time.Minute)
		resolve("a", 2)
		resolve("a", 2)
		d.reload(t)
		resolve("a", 3)
		resolve("a", 3)
	})
}

func TestRefusalsAreRememberedFaultsAreNot(t *testing.T) {
	c, d := newChannels(t, func(e *hooks.Channel) (hooks.Answer, error) {
		if e.Channel == "broken" {
			return hooks.Answer{}, errors.New("broken")
		}
		return hooks.Answer{Verdict: hooks.Deny, Code: 4000, Reason: "no"}, nil
	})
	for range 3 {
		if _, bad := c.Resolve("refused"); !errors.Is(bad, core.ErrUnknownChannel) || bad.Message != "no" {
			t.Errorf("refused: %v", bad)
		}
		if _, bad := c.Resolve("broken"); !errors.Is(bad, core.ErrInternal) {
			t.Errorf("broken: %v", bad)
		}
		if _, bad := c.Resolve("none:x"); !errors.Is(bad, core.ErrUnknownChannel) {
			t.Errorf("no namespace: %v", bad)
		}
	}
	if d.asked["refused"] != 1 || d.asked["broken"] != 3 || d.asked["none:x"] != 0 {
		t.Errorf("asked %v", d.asked)
	}
}

// A history in files has its namespace's size: a channel has it or not.
func TestDurableHistoryIsTheNamespaces(t *testing.T) {
	c, _ := newChannels(t, history)
	if ns, bad := c.Resolve("durable:x"); bad != nil || ns.HistorySize != 7 || ns.HistoryTTL != time.Hour {
		t.Errorf("%+v, %v", ns, bad)
	}
	c, _ = newChannels(t, func(e *hooks.Channel) (hooks.Answer, error) {
		e.Options.HistorySize = 0
		return hooks.Answer{Verdict: hooks.Pass, Modified: true}, nil
	})
	if ns, bad := c.Resolve("durable:x"); bad != nil || ns.HistorySize != 0 {
		t.Errorf("%+v, %v", ns, bad)
	}
}

// The memory of names is bounded, and those in use outlive a flood of others. However long that takes, in a bubble no name grows too old.
func TestChannelsAreBounded(t *testing.T) { synctest.Test(t, channelsAreBounded) }

func channelsAreBounded(t *testing.T) {
	c, d := newChannels(t, history)
	const flood = 80_000
	for i := range flood {
		for _, name := range []string{fmt.Sprint("flood", i), "busy"} {
			if _, bad := c.Resolve(name); bad != nil {
				t.Fatal(bad)
			}
		}
	}
	if d.asked["busy"] > 3 {
		t.Errorf("asked about a busy channel %d times", d.asked["busy"])
	}
	remembered := 0
	for i := range flood {
		name := fmt.Sprint("flood", i)
		before := d.asked[name]
		if _, bad := c.Resolve(name); bad != nil {
			t.Fatal(bad)
		}
		if d.asked[name] == before {
			remembered++
		}
	}
	if remembered > 1<<16 {
		t.Errorf("%d names are remembered", remembered)
	}
}

func TestChannelsAtOnce(t *testing.T) {
	c, d := newChannels(t, history)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 20_000 {
				if ns, bad := c.Resolve(fmt.Sprint("x", i*(g+1)%9000)); bad != nil || ns.HistorySize != 3 {
					t.Errorf("%+v, %v", ns, bad)
					return
				}
				if i%5000 == 0 {
					d.reload(t)
				}
			}
		})
	}
	wg.Wait()
}

func TestKnownChannelDoesNotAllocate(t *testing.T) {
	c, _ := newChannels(t, history)
	if allocs := testing.AllocsPerRun(100, func() {
		if _, bad := c.Resolve("lobby"); bad != nil {
			t.Fatal(bad)
		}
	}); allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

func BenchmarkKnownChannel(b *testing.B) {
	c, _ := newChannels(b, history)
	b.ReportAllocs()
	for b.Loop() {
		if _, bad := c.Resolve("lobby"); bad != nil {
			b.Fatal(bad)
		}
	}
}

// Plugins that have an opinion on channels may come and go.
func TestChannelsFollowThePlugins(t *testing.T) {
	c, d := newChannels(t, history)
	for _, want := range []int{3, 0, 3} {
		if ns, bad := c.Resolve("lobby"); bad != nil || ns.HistorySize != want {
			t.Errorf("%+v, %v; want a history of %d", ns, bad, want)
		}
		links := d.links()
		if want == 3 {
			links = nil
		}
		if err := d.chain.Replace(links)(); err != nil {
			t.Error(err)
		}
	}
	if d.asked["lobby"] != 2 {
		t.Errorf("asked %d times", d.asked["lobby"])
	}
}
