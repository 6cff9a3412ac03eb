package plugins_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zenconn/server/core/config"
	"github.com/zenconn/server/hooks"
	"github.com/zenconn/server/hooks/host"
	"github.com/zenconn/server/plugins"
)

// limiting is a chain of the plugin alone, with these limits. Tests of it have a time of their own, in which only waiting takes any: in a real
// second tokens come back, and those that were taken in advance are lost.
func limiting(t testing.TB, cache string, o host.Options, limits ...any) *hooks.Chain {
	t.Helper()
	return mustBundle(t, cache, config.Plugin{Name: "rate-limit", Config: map[string]any{"limits": limits}, Allow: config.Allow{KV: true}}, o)
}

// limit is a limit of so many in an hour.
func limit(on, per string, rate int, more ...any) map[string]any {
	l := map[string]any{"on": on, "per": per, "rate": rate, "every": 3600}
	for i := 0; i < len(more); i += 2 {
		l[more[i].(string)] = more[i+1]
	}
	return l
}

func publication(user, client, address, channel string) *hooks.Publish {
	return &hooks.Publish{Client: hooks.Client{User: user, ID: client, RemoteAddr: address}, Channel: channel}
}

// passes counts how many of so many publications pass.
func passes(t testing.TB, c *hooks.Chain, e *hooks.Publish, times int) (passed int) {
	t.Helper()
	for range times {
		switch a := c.Publish(t.Context(), e); {
		case a.Verdict == hooks.Pass:
			passed++
		case a.Verdict != hooks.Deny || a.Code != 111:
			t.Fatalf("%+v", a)
		}
	}
	return passed
}

func TestRateLimitScopes(t *testing.T) {
	cache := compiled
	run := func(name string, test func(t *testing.T)) {
		t.Run(name, func(t *testing.T) { synctest.Test(t, test) })
	}
	for _, per := range []struct{ name, same, other string }{ // user/client/address/channel
		{"user", "alice/2/192.0.2.2/room:2", "bob/1/192.0.2.1/room:1"},
		{"session", "bob/1/192.0.2.2/room:2", "alice/2/192.0.2.1/room:1"},
		{"address", "bob/2/192.0.2.1/room:2", "alice/1/192.0.2.2/room:1"},
		{"channel", "bob/2/192.0.2.2/room:1", "alice/1/192.0.2.1/room:2"},
	} {
		run(per.name, func(t *testing.T) {
			c := limiting(t, cache, host.Options{}, limit("publish", per.name, 20))
			event := func(of string) *hooks.Publish {
				p := strings.Split(of, "/")
				return publication(p[0], p[1], p[2], p[3])
			}
			first, same, other := event("alice/1/192.0.2.1/room:1"), event(per.same), event(per.other)
			if n := passes(t, c, first, 15) + passes(t, c, same, 15); n != 20 {
				t.Errorf("%d of the same passed, want 20", n)
			}
			if n := passes(t, c, other, 30); n != 20 {
				t.Errorf("%d of another passed, want 20", n)
			}
		})
	}
	run("anonymous", func(t *testing.T) {
		c := limiting(t, cache, host.Options{}, limit("publish", "user", 5))
		if n := passes(t, c, publication("", "1", "192.0.2.1", "room"), 9) + passes(t, c, publication("", "2", "192.0.2.1", "room"), 9); n != 5 {
			t.Errorf("%d of an address without a user passed, want 5", n)
		}
		if n := passes(t, c, publication("192.0.2.1", "3", "192.0.2.3", "room"), 9); n != 5 {
			t.Errorf("%d of a user called like an address passed, want 5", n)
		}
		if n := passes(t, c, publication("", "", "", "room"), 9); n != 9 {
			t.Errorf("%d of nobody passed, want all", n)
		}
	})
	run("long names", func(t *testing.T) {
		c := limiting(t, cache, host.Options{}, limit("publish", "channel", 5))
		for _, end := range []string{"a", "b", strings.Repeat("c", 900)} {
			if n := passes(t, c, publication("alice", "1", "", strings.Repeat("long", 60)+end), 9); n != 5 {
				t.Errorf("%d passed, want 5", n)
			}
		}
	})
}

func TestRateLimitHooks(t *testing.T) { synctest.Test(t, testRateLimitHooks) }

func testRateLimitHooks(t *testing.T) {
	c := limiting(t, compiled, host.Options{}, limit("connect", "address", 1), limit("subscribe", "user", 2, "channel", "room:*"),
		limit("rpc", "user", 3, "method", "*.write", "reason", "slow \"down\""), limit("rpc", "session", 4))
	client := hooks.Client{ID: "1", User: "alice", RemoteAddr: "192.0.2.1"}
	denied := func(reason string) hooks.Answer { return hooks.Answer{Verdict: hooks.Deny, Code: 111, Reason: reason} }
	pass := hooks.Answer{Verdict: hooks.Pass}
	subscribe := func(channel string) hooks.Answer {
		return c.Subscribe(t.Context(), &hooks.Subscribe{Client: client, Channel: channel})
	}
	rpc := func(method string) hooks.Answer {
		return c.Call(t.Context(), &hooks.RPC{Client: client, Method: method})
	}
	connect := func() hooks.Answer { return c.Connect(t.Context(), &hooks.Connect{Client: client}) }
	for i, tt := range []struct{ got, want hooks.Answer }{
		{connect(), pass}, {connect(), denied("too many requests: try again in 3600 s")},
		{subscribe("room:1"), pass}, {subscribe("room:2"), pass}, {subscribe("lobby"), pass},
		{subscribe("room:3"), denied("too many requests: try again in 1800 s")}, {subscribe("lobby"), pass},
		{rpc("a.write"), pass}, {rpc("b.write"), pass}, {rpc("c.write"), pass},
		{rpc("d.write"), denied(`slow "down": try again in 1200 s`)}, {rpc("read"), pass}, {rpc("read"), denied("too many requests: try again in 900 s")},
	} {
		if tt.got != tt.want {
			t.Errorf("%d: %+v, want %+v", i, tt.got, tt.want)
		}
	}
}

// Tokens come back one by one, and no more than the burst.
func TestRateLimitRefills(t *testing.T) {
	cache := compiled
	synctest.Test(t, func(t *testing.T) {
		c := limiting(t, cache, host.Options{KV: host.NewMemory()}, map[string]any{"on": "publish", "rate": 10, "burst": 30})
		e := publication("alice", "1", "192.0.2.1", "room")
		if n := passes(t, c, e, 100); n != 30 {
			t.Errorf("%d passed at once, want 30", n)
		}
		for range 10 {
			<-time.After(100 * time.Millisecond)
			if n := passes(t, c, e, 3); n != 1 {
				t.Errorf("%d passed after a tenth of a second, want 1", n)
			}
		}
		<-time.After(time.Hour)
		if n := passes(t, c, e, 100); n != 30 {
			t.Errorf("%d passed after an hour, want 30", n)
		}
	})
}

// countingKV counts what the store is asked.
type countingKV struct {
	host.KV
	reads atomic.Int64
}

func (k *countingKV) Get(ctx context.Context, plugin, key string) ([]byte, uint64, error) {
	k.reads.Add(1)
	return k.KV.Get(ctx, plugin, key)
}

// Neither one who is far from the limit nor one who is beyond it keeps the store busy.
func TestRateLimitSparesTheStore(t *testing.T) { synctest.Test(t, testRateLimitSparesTheStore) }

func testRateLimitSparesTheStore(t *testing.T) {
	kv := &countingKV{KV: host.NewMemory()}
	c := limiting(t, compiled, host.Options{KV: kv}, limit("publish", "user", 1000))
	if n := passes(t, c, publication("alice", "1", "", "room"), 5000); n != 1000 {
		t.Errorf("%d passed, want 1000", n)
	}
	if n := kv.reads.Load(); n > 40 { // It takes about 22.
		t.Errorf("the store was asked %d times for 5000 publications", n)
	}
}

// Two nodes, each with several instances, share what there is: never more passes.
func TestRateLimitIsOneForAllNodes(t *testing.T) { synctest.Test(t, testRateLimitIsOneForAllNodes) }

func testRateLimitIsOneForAllNodes(t *testing.T) {
	cache, kv := compiled, host.NewMemory()
	nodes := []*hooks.Chain{
		limiting(t, cache, host.Options{KV: kv}, limit("publish", "user", 500)), limiting(t, cache, host.Options{KV: kv}, limit("publish", "user", 500)),
	}
	var passed atomic.Int64
	var publishers sync.WaitGroup
	for i := range 8 {
		publishers.Go(func() {
			for range 500 {
				if nodes[i%2].Publish(t.Context(), publication("alice", "1", "", "room")).Verdict == hooks.Pass {
					passed.Add(1)
				}
			}
		})
	}
	publishers.Wait()
	if n := passed.Load(); n > 500 || n == 0 { // Instances that are rarely asked are left with tokens that they took in advance.
		t.Errorf("%d passed, want at most 500", n)
	}
	n := 0
	for range 500 { // One after the other, the same instance of a node answers them all.
		n += passes(t, nodes[0], publication("bob", "1", "", "room"), 1) + passes(t, nodes[1], publication("bob", "1", "", "room"), 1)
	}
	if n != 500 {
		t.Errorf("%d passed one after the other, want 500", n)
	}
}

type brokenKV struct{ host.KV }

func (brokenKV) Get(context.Context, string, string) ([]byte, uint64, error) {
	return nil, 0, errors.New("out of order")
}

// Without a store, or without the right to use it, nobody passes unless the operator says so.
func TestRateLimitWithoutStore(t *testing.T) {
	cache := compiled
	for _, tt := range []struct {
		onError string
		allow   bool
		want    hooks.Verdict
	}{{"", true, hooks.Deny}, {"", false, hooks.Deny}, {"allow", true, hooks.Pass}} {
		links, err := plugins.Load(t.Context(), config.Plugins{Load: []config.Plugin{{
			Name: "rate-limit", Config: map[string]any{"limits": []any{limit("publish", "user", 5)}}, Allow: config.Allow{KV: tt.allow},
			OnError: tt.onError, Deadline: time.Minute,
		}}, MaxSize: 16 << 20, Memory: 16 << 20}, plugins.Bundled(), plugins.Options{
			Cache: cache, Services: host.New(host.Options{KV: brokenKV{}}), Log: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		c := hooks.NewChain(links, nil)
		if a := c.Publish(t.Context(), publication("alice", "1", "", "room")); a.Verdict != tt.want || a.Code == 111 {
			t.Errorf("%+v: %+v", tt, a)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestRateLimitConfiguration(t *testing.T) {
	one := func(more ...any) map[string]any {
		return map[string]any{"limits": []any{limit("publish", "user", 5, more...)}}
	}
	testRefused(t, compiled, "rate-limit", map[string]map[string]any{
		"config.limits is missing or empty":                              {},
		"config.limits must be a list, and is all there is":              {"limits": 5},
		"config.limits is all there is in it":                            {"limits": []any{limit("publish", "user", 5)}, "more": 1},
		"config.limits[0].on is not one of connect, subscribe, publish":  one("on", "presence"),
		"config.limits[0].per is not one of user, session, address":      one("per", "planet"),
		"config.limits[0].rate is not from 1 to 1000000":                 one("rate", 0),
		"config.limits[0].rate is not a whole number":                    one("rate", 1.5),
		"config.limits[0].burst is not a whole number":                   one("burst", "many"),
		"config.limits[0].speed is unknown":                              one("speed", 1),
		"config.limits[0].method is for rpc":                             one("method", "x"),
		"config.limits[0] is about channels":                             one("on", "rpc", "channel", "x"),
		"config.limits[0].reason is too long":                            one("reason", strings.Repeat("x", 101)),
		"config.limits[0].per: a session connects once":                  one("on", "connect", "per", "session"),
		"config.limits[1].rate is missing":                               {"limits": []any{limit("publish", "user", 5), map[string]any{"on": "rpc"}}},
		"config.limits[0].on is missing: connect, subscribe, publish or": {"limits": []any{map[string]any{"rate": 5}}},
	})
}

// What most publications cost: a token that the instance has already; and one for each publication from the store.
func BenchmarkRateLimit(b *testing.B) {
	for name, rate := range map[string]int{"allowed": 1000000, "refused": 1} {
		b.Run(name, func(b *testing.B) {
			c := limiting(b, b.TempDir(), host.Options{}, map[string]any{"on": "publish", "rate": rate})
			e, ctx := publication("alice", "1", "192.0.2.1", "room:1"), b.Context()
			c.Publish(ctx, e)
			b.ReportAllocs()
			for b.Loop() {
				c.Publish(ctx, e)
			}
		})
	}
}
