package hooks_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/hooks"
)

// plugin answers with what its functions say. Its hooks are those named.
type plugin struct {
	name    string
	wants   []hooks.Hook
	connect func(*hooks.Connect) (hooks.Answer, error)
	publish func(context.Context, *hooks.Publish) (hooks.Answer, error)
	call    func(*hooks.RPC) (hooks.Answer, error)
	closed  func() error
}

func (p *plugin) Name() string        { return p.name }
func (p *plugin) Hash() string        { return "hash of " + p.name }
func (p *plugin) Hooks() []hooks.Hook { return p.wants }

func (p *plugin) Close() error {
	if p.closed == nil {
		return nil
	}
	return p.closed()
}

func (p *plugin) Connect(_ context.Context, e *hooks.Connect) (hooks.Answer, error) {
	return p.connect(e)
}
func (p *plugin) Publish(ctx context.Context, e *hooks.Publish) (hooks.Answer, error) {
	return p.publish(ctx, e)
}
func (p *plugin) Call(_ context.Context, e *hooks.RPC) (hooks.Answer, error) { return p.call(e) }

type decisions []hooks.Decision

func (d *decisions) Decided(one hooks.Decision) { *d = append(*d, one) }

// script makes a publisher per word: a verdict, "write:x" (writes x and passes), "write-allow:x", "fault", "panic", or a code to
// deny with. A "?" in front lets its faults pass.
func script(words ...string) []hooks.Link {
	links := make([]hooks.Link, len(words))
	for i, word := range words {
		word, open := strings.CutPrefix(word, "?")
		links[i] = hooks.Link{FailOpen: open, Plugin: &plugin{name: fmt.Sprintf("p%d", i), wants: []hooks.Hook{hooks.OnPublish},
			publish: func(_ context.Context, e *hooks.Publish) (hooks.Answer, error) { return act(word, e) }}}
	}
	return links
}

func act(word string, e *hooks.Publish) (hooks.Answer, error) {
	what, data, _ := strings.Cut(word, ":")
	switch what {
	case "allow":
		return hooks.Answer{Verdict: hooks.Allow}, nil
	case "pass":
		return hooks.Answer{Verdict: hooks.Pass}, nil
	case "drop":
		return hooks.Answer{Verdict: hooks.Drop}, nil
	case "write":
		e.Data = []byte(data)
		return hooks.Answer{Verdict: hooks.Pass, Modified: true}, nil
	case "write-allow":
		e.Data = []byte(data)
		return hooks.Answer{Verdict: hooks.Allow, Modified: true}, nil
	case "fault":
		e.Data, e.Tags = []byte("half"), nil
		return hooks.Answer{}, errors.New("broken inside")
	case "panic":
		e.Data = []byte("half")
		panic("boom")
	case "invalid":
		return hooks.Answer{Verdict: 9}, nil
	}
	code, err := strconv.Atoi(what)
	if err != nil {
		panic(err)
	}
	return hooks.Answer{Verdict: hooks.Deny, Code: uint32(code), Reason: data}, nil
}

func TestPublishChain(t *testing.T) {
	denied := func(code uint32, reason string) hooks.Answer {
		return hooks.Answer{Verdict: hooks.Deny, Code: code, Reason: reason}
	}
	internal := denied(100, "internal server error")
	for _, tt := range []struct {
		plugins string
		want    hooks.Answer
		data    string
		told    string // The decisions: plugin=verdict, with ! for a fault.
	}{
		{"", hooks.Answer{Verdict: hooks.Pass}, "old", ""},
		{"pass ?pass", hooks.Answer{Verdict: hooks.Pass}, "old", ""},
		{"allow pass", hooks.Answer{Verdict: hooks.Allow}, "old", "p0=allow"},
		{"pass allow ?allow", hooks.Answer{Verdict: hooks.Allow}, "old", "p1=allow p2=allow"},
		{"allow 103", denied(103, "permission denied"), "old", "p0=allow p1=deny"},
		{"0 allow", denied(103, "permission denied"), "old", "p0=deny"},
		{"111", denied(111, "too many requests"), "old", "p0=deny"},
		{"3507", denied(3507, "permission denied"), "old", "p0=deny"},
		{"3012:silent", denied(3012, "silent"), "old", "p0=deny"},
		{"4321", denied(4321, "permission denied"), "old", "p0=deny"},
		{"1999:own", denied(1999, "own"), "old", "p0=deny"},
		{"2000:x", internal, "old", "p0=deny!"},
		{"5000:x", internal, "old", "p0=deny!"},
		{"allow drop allow", hooks.Answer{Verdict: hooks.Drop}, "old", "p0=allow p1=drop"},
		{"write:new", hooks.Answer{Verdict: hooks.Pass, Modified: true}, "new", "p0=pass"},
		{"write:one allow write:two", hooks.Answer{Verdict: hooks.Allow, Modified: true}, "two", "p0=pass p1=allow p2=pass"},
		{"write-allow:one pass", hooks.Answer{Verdict: hooks.Allow, Modified: true}, "one", "p0=allow"},
		{"write:one fault allow", internal, "one", "p0=pass p1=deny!"},
		{"write:one ?fault allow", hooks.Answer{Verdict: hooks.Allow, Modified: true}, "one", "p0=pass p1=pass! p2=allow"},
		{"panic", internal, "old", "p0=deny!"},
		{"?panic", hooks.Answer{Verdict: hooks.Pass}, "old", "p0=pass!"},
		{"invalid", internal, "old", "p0=deny!"},
	} {
		t.Run(tt.plugins, func(t *testing.T) {
			var told decisions
			c := hooks.NewChain(script(strings.Fields(tt.plugins)...), &told)
			e := &hooks.Publish{Channel: "c", Message: core.ID{1}, Data: []byte("old"), Tags: map[string]string{"a": "b"}}
			if got := c.Publish(t.Context(), e); got != tt.want {
				t.Errorf("answer %+v, want %+v", got, tt.want)
			}
			if string(e.Data) != tt.data || e.Tags["a"] != "b" {
				t.Errorf("data %q, tags %v; want %q", e.Data, e.Tags, tt.data)
			}
			var words []string
			for _, d := range told {
				word := d.Plugin + "=" + d.Verdict.String()
				if d.Fault != nil {
					word += "!"
					if !strings.HasPrefix(d.Fault.Error(), "plugin "+d.Plugin+": on_publish: ") {
						t.Errorf("fault %q does not name its plugin and hook", d.Fault)
					}
				}
				words = append(words, word)
				if d.Hook != hooks.OnPublish || d.Hash != "hash of "+d.Plugin || d.Client != &e.Client || d.Channel != "c" ||
					d.Message != e.Message || d.Duration < 0 {
					t.Errorf("decision %+v", d)
				}
			}
			if got := strings.Join(words, " "); got != tt.told {
				t.Errorf("told %q, want %q", got, tt.told)
			}
		})
	}
}

func TestPanicKeepsItsStack(t *testing.T) {
	var told decisions
	hooks.NewChain(script("panic"), &told).Publish(t.Context(), &hooks.Publish{})
	p, ok := errors.AsType[*hooks.PanicError](told[0].Fault)
	if !ok || p.Value != "boom" || !strings.Contains(string(p.Stack), "chain_test.go") {
		t.Errorf("fault %v", told[0].Fault)
	}
}

func TestConnectFaultIsUndone(t *testing.T) {
	grant, err := core.NewGrant([]string{"a"}, "", []string{"sub"})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name  string
		write func(*hooks.Connect) error
	}{
		{"error", func(*hooks.Connect) error { return errors.New("broken") }},
		{"info that is not JSON", func(e *hooks.Connect) error { e.Info = []byte("{"); return nil }},
		{"data that is not JSON", func(e *hooks.Connect) error { e.Data = []byte("nope"); return nil }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := &plugin{name: "p", wants: []hooks.Hook{hooks.OnConnect}, connect: func(e *hooks.Connect) (hooks.Answer, error) {
				e.User, e.Subs["other"] = "root", core.SubscribeOptions{}
				e.Grants[0] = core.Grant{}
				return hooks.Answer{Verdict: hooks.Allow, Modified: true}, tt.write(e)
			}}
			var told decisions
			c := hooks.NewChain([]hooks.Link{{Plugin: p, FailOpen: true}}, &told)
			e := &hooks.Connect{User: "alice", Subs: map[string]core.SubscribeOptions{"own": {}}, Grants: core.Grants{grant}}
			if a := c.Connect(t.Context(), e); a != (hooks.Answer{Verdict: hooks.Pass}) || len(told) != 1 || told[0].Fault == nil {
				t.Errorf("answer %+v, decisions %+v", a, told)
			}
			if e.User != "alice" || len(e.Subs) != 1 || e.Info != nil || e.Data != nil || !e.Grants.Allow(core.MaySubscribe, "a") {
				t.Errorf("left behind: %+v", e)
			}
		})
	}
}

func TestFirstAllowAnswersCall(t *testing.T) {
	link := func(name, method string) hooks.Link {
		return hooks.Link{Plugin: &plugin{name: name, wants: []hooks.Hook{hooks.OnRPC}, call: func(e *hooks.RPC) (hooks.Answer, error) {
			if e.Method != method {
				return hooks.Answer{Verdict: hooks.Pass}, nil
			}
			e.Reply = []byte(`"` + name + `"`)
			return hooks.Answer{Verdict: hooks.Allow, Modified: true}, nil
		}}}
	}
	c := hooks.NewChain([]hooks.Link{link("one", "a"), link("two", "b"), link("three", "b")}, nil)
	e := &hooks.RPC{Method: "b"}
	if a := c.Call(t.Context(), e); a.Verdict != hooks.Allow || string(e.Reply) != `"two"` {
		t.Errorf("answer %+v, reply %s; want that of two", a, e.Reply)
	}
	if a := c.Call(t.Context(), &hooks.RPC{Method: "c"}); a.Verdict != hooks.Pass {
		t.Errorf("answer %+v to a method nobody knows", a)
	}
}

func TestDropIsForPublicationsOnly(t *testing.T) {
	p := &plugin{name: "p", wants: []hooks.Hook{hooks.OnRPC}, call: func(*hooks.RPC) (hooks.Answer, error) {
		return hooks.Answer{Verdict: hooks.Drop}, nil
	}}
	if a := hooks.NewChain([]hooks.Link{{Plugin: p}}, nil).Call(t.Context(), &hooks.RPC{}); a.Verdict != hooks.Deny || a.Code != 100 {
		t.Errorf("answer %+v, want a fault", a)
	}
}

// In the test's own time: on a busy machine the default deadline may be over before the plugin looks at it.
func TestContextOfACall(t *testing.T) { synctest.Test(t, testContextOfACall) }

func testContextOfACall(t *testing.T) {
	type key struct{}
	parent, cancel := context.WithTimeout(context.WithValue(t.Context(), key{}, "value"), time.Hour)
	defer cancel()
	check := func(deadline time.Duration, test func(ctx context.Context) error) {
		t.Helper()
		p := &plugin{name: "p", wants: []hooks.Hook{hooks.OnPublish}, publish: func(ctx context.Context, _ *hooks.Publish) (hooks.Answer, error) {
			return hooks.Answer{Verdict: hooks.Allow}, test(ctx)
		}}
		var told decisions
		hooks.NewChain([]hooks.Link{{Plugin: p, Deadline: deadline}}, &told).Publish(parent, &hooks.Publish{})
		if told[0].Fault != nil {
			t.Error(told[0].Fault)
		}
	}
	check(0, func(ctx context.Context) error {
		at, ok := ctx.Deadline()
		if left := time.Until(at); !ok || left != hooks.DefaultDeadline || ctx.Err() != nil || ctx.Value(key{}) != "value" {
			return fmt.Errorf("deadline in %v (%v), err %w", left, ok, ctx.Err())
		}
		<-ctx.Done()
		if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return fmt.Errorf("err after Done: %w", ctx.Err())
		}
		return nil
	})
	check(time.Nanosecond, func(ctx context.Context) error {
		<-time.After(time.Nanosecond)
		if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return fmt.Errorf("err without Done: %w", ctx.Err())
		}
		return nil
	})
	check(2*time.Hour, func(ctx context.Context) error {
		if at, _ := ctx.Deadline(); time.Until(at) > time.Hour {
			return errors.New("outlives its parent")
		}
		cancel()
		<-ctx.Done()
		if !errors.Is(ctx.Err(), context.Canceled) {
			return fmt.Errorf("err after the parent's end: %w", ctx.Err())
		}
		return nil
	})
}

func TestHasAndPlugins(t *testing.T) {
	c := hooks.NewChain([]hooks.Link{
		{Plugin: &plugin{name: "a", wants: []hooks.Hook{hooks.OnPublish, hooks.OnConnect}}},
		{Plugin: &plugin{name: "b", wants: []hooks.Hook{hooks.OnSubscribe}}}, // Wanted, but there is no method for it.
	}, nil)
	for hook, want := range map[hooks.Hook]bool{hooks.OnConnect: true, hooks.OnPublish: true, hooks.OnSubscribe: false, hooks.OnRPC: false} {
		if c.Has(hook) != want {
			t.Errorf("Has(%s) is %v", hook, !want)
		}
	}
	infos := c.Plugins()
	if len(infos) != 2 || infos[0].Name != "a" || infos[1].Hash != "hash of b" ||
		!slices.Equal(infos[0].Hooks, []hooks.Hook{hooks.OnConnect, hooks.OnPublish}) || len(infos[1].Hooks) != 0 {
		t.Errorf("plugins %+v", infos)
	}
	if a := c.Subscribe(t.Context(), &hooks.Subscribe{}); a != (hooks.Answer{Verdict: hooks.Pass}) {
		t.Errorf("nobody asked, answer %+v", a)
	}
}

func TestCloseClosesAllOnce(t *testing.T) {
	var order []string
	failed := errors.New("stuck")
	link := func(name string, err error) hooks.Link {
		return hooks.Link{Plugin: &plugin{name: name, closed: func() error { order = append(order, name); return err }}}
	}
	c := hooks.NewChain([]hooks.Link{link("a", nil), link("b", failed), link("c", nil)}, nil)
	for range 2 {
		if err := c.Close(); !errors.Is(err, failed) || !strings.Contains(err.Error(), "plugin b") {
			t.Errorf("close: %v", err)
		}
	}
	if !slices.Equal(order, []string{"c", "b", "a"}) {
		t.Errorf("closed in the order %v", order)
	}
}

// counter is an observer that allocates nothing.
type counter struct {
	decided int
	calls   map[string]int // By plugin and hook.
}

func (c *counter) Decided(hooks.Decision) { c.decided++ }

func (c *counter) Calls(plugin string, hook hooks.Hook) func(took time.Duration) {
	if c.calls == nil {
		c.calls = map[string]int{}
	}
	key := plugin + " " + string(hook)
	c.calls[key] = 0
	return func(took time.Duration) {
		if took >= 0 {
			c.calls[key]++
		}
	}
}

// Every call is measured, whatever comes of it, and nothing that was not asked.
func TestChainMeasuresCalls(t *testing.T) {
	count := &counter{}
	c := hooks.NewChain(script("pass", "?fault", "?panic", "write:x", "103", "allow"), count)
	c.Publish(t.Context(), &hooks.Publish{Data: []byte("x")})
	want := map[string]int{"p0 publish": 1, "p1 publish": 1, "p2 publish": 1, "p3 publish": 1, "p4 publish": 1, "p5 publish": 0}
	if !maps.Equal(count.calls, want) {
		t.Errorf("measured %v, want %v", count.calls, want)
	}
}

func TestChainAllocatesNothing(t *testing.T) {
	count := &counter{}
	c := hooks.NewChain(script("allow", "pass", "allow"), count)
	e := &hooks.Publish{Data: []byte("x")}
	ctx := t.Context()
	if n := testing.AllocsPerRun(1000, func() { c.Publish(ctx, e) }); n != 0 {
		t.Errorf("%v allocations per publication", n)
	}
	if count.decided == 0 {
		t.Error("the observer was told nothing")
	}
}

func BenchmarkChain(b *testing.B) {
	c := hooks.NewChain(script("allow"), &counter{})
	e := &hooks.Publish{Data: []byte("x")}
	b.ReportAllocs()
	for b.Loop() {
		c.Publish(b.Context(), e)
	}
}

func BenchmarkChainParallel(b *testing.B) {
	c := hooks.NewChain(script("allow"), nil)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		e := &hooks.Publish{Data: []byte("x")}
		for pb.Next() {
			c.Publish(b.Context(), e)
		}
	})
}
