package plugins_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/config"
	"github.com/zenconn/server/hooks"
	"github.com/zenconn/server/hooks/host"
	"github.com/zenconn/server/plugins"
)

// backend is a web server that answers with what the test says, and remembers what it was asked.
type backend struct {
	*httptest.Server

	mu      sync.Mutex // Guards all below.
	answer  string
	status  int
	asked   int
	last    map[string]any
	headers http.Header
}

func newBackend(t testing.TB) *backend {
	t.Helper()
	b := &backend{status: http.StatusOK}
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body) //nolint:errcheck // What is missing is seen in what was asked.
		b.mu.Lock()
		defer b.mu.Unlock()
		b.asked++
		b.last, b.headers = nil, r.Header
		json.Unmarshal(body, &b.last) //nolint:errcheck // The same.
		w.WriteHeader(b.status)
		io.WriteString(w, b.answer) //nolint:errcheck // The client finds out.
	}))
	t.Cleanup(b.Close)
	return b
}

func (b *backend) will(status int, answer string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.status, b.answer = status, answer
}

// question returns what it was asked last, and how often it was asked.
func (b *backend) question() (map[string]any, http.Header, int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.last, b.headers, b.asked
}

// webhooks is the plugin, asking b.
func (b *backend) webhooks(settings m) config.Plugin {
	settings["url"] = b.URL + "/auth"
	return config.Plugin{
		Name: "webhook-auth", Config: settings, Allow: config.Allow{KV: true, HTTP: []string{strings.TrimPrefix(b.URL, "http://")}},
	}
}

var visitor = hooks.Client{
	ID: "c1", User: "alice", Name: "js", Version: "1", Transport: "websocket", Protocol: "json", RemoteAddr: "192.0.2.1",
	Header: func(name string) string { return map[string]string{"cookie": "a=b"}[strings.ToLower(name)] },
}

func TestWebhookConnect(t *testing.T) {
	b := newBackend(t)
	c := mustBundle(t, "", b.webhooks(m{"connect": m{"headers": m{"X-Key": "k"}, "forward": []any{"Cookie", "X-Other"}}}), host.Options{})
	b.will(200, `{"result":{"user":"42","expire_at":1900000000,"info":{"name":"A"},"data":{"hi":[]},"channels":["news"],`+
		`"subs":{"own:42":{"info":{"seat":1},"override":{"presence":{"value":true}}}},"caps":[{"channels":["room:*"],"match":"wildcard","allow":["sub"]}]}}`)
	e := &hooks.Connect{Client: visitor, Token: "t", Input: []byte(`{"room":1}`)}
	if a := c.Connect(t.Context(), e); a.Verdict != hooks.Allow {
		t.Fatalf("%+v", a)
	}
	asked, headers, _ := b.question()
	want := map[string]any{"client": "c1", "transport": "websocket", "protocol": "json", "encoding": "json", "name": "js", "version": "1",
		"token": "t", "data": map[string]any{"room": 1.0}}
	if !reflect.DeepEqual(asked, want) || headers.Get("X-Key") != "k" || headers.Get("Cookie") != "a=b" || headers["X-Other"] != nil {
		t.Errorf("it asked %v with %v", asked, headers)
	}
	if e.User != "42" || e.ExpireAt != 1900000000 || string(e.Info) != `{"name":"A"}` || string(e.Data) != `{"hi":[]}` || len(e.Subs) != 2 {
		t.Errorf("%+v", e)
	}
	if o := e.Subs["own:42"]; string(o.Info) != `{"seat":1}` || o.Presence == nil || !*o.Presence {
		t.Errorf("%+v", o)
	}
	if !e.Grants.Allow(core.MaySubscribe, "room:7") || e.Grants.Allow(core.MayPublish, "room:7") {
		t.Error("the grants are others")
	}
	for answer, want := range map[string]hooks.Answer{
		`{"error":{"code":1000,"message":"no"}}`:        {Verdict: hooks.Deny, Code: 1000, Reason: "no"},
		`{"disconnect":{"code":4500,"reason":"never"}}`: {Verdict: hooks.Deny, Code: 4500, Reason: "never"},
		`{"error":{"code":101}}`:                        {Verdict: hooks.Deny, Code: 101, Reason: "unauthorized"},
		`{}`:                                            {Verdict: hooks.Pass},
	} {
		b.will(200, answer)
		if a := c.Connect(t.Context(), &hooks.Connect{Client: visitor}); a.Verdict != want.Verdict || a.Code != want.Code || want.Reason != "" && a.Reason != want.Reason {
			t.Errorf("%s: %+v, want %+v", answer, a, want)
		}
	}
}

func TestWebhookOthers(t *testing.T) {
	b := newBackend(t)
	c := mustBundle(t, "", b.webhooks(m{
		"subscribe": m{"only": []any{"room:*"}}, "publish": m{"only": []any{"a.b*"}}, "rpc": true, "refresh": true}), host.Options{})
	if c.Has(hooks.OnConnect) {
		t.Error("it has a hook that is not configured")
	}
	b.will(200, `{"result":{"info":{"x":1},"data":{"y":2},"expire_at":1900000000,"override":{"join_leave":{"value":false}},"allow":["pub"]}}`)
	sub := &hooks.Subscribe{Client: visitor, Channel: "room:1", Input: []byte(`[1]`)}
	if a := c.Subscribe(t.Context(), sub); a.Verdict != hooks.Allow || string(sub.Options.Info) != `{"x":1}` || string(sub.Options.Data) != `{"y":2}` ||
		sub.Options.ExpireAt != 1900000000 || sub.Options.JoinLeave == nil || *sub.Options.JoinLeave {
		t.Errorf("%+v, %+v", a, sub.Options)
	}
	if q, _, _ := b.question(); q["user"] != "alice" || q["channel"] != "room:1" || !reflect.DeepEqual(q["data"], []any{1.0}) {
		t.Errorf("it asked %v", q)
	}
	b.will(200, `{"result":{"data":{"clean":true},"skip_history":true}}`)
	pub := &hooks.Publish{Client: visitor, Channel: "a.b:1", Data: []byte("\xff\x00")}
	if a := c.Publish(t.Context(), pub); a.Verdict != hooks.Allow || string(pub.Data) != `{"clean":true}` || !pub.SkipHistory {
		t.Errorf("%+v, %+v", a, pub)
	}
	if q, _, _ := b.question(); q["encoding"] != "binary" || q["b64data"] != "/wA=" || q["data"] != nil {
		t.Errorf("it asked %v", q)
	}
	rpc := &hooks.RPC{Client: visitor, Method: "add", Input: []byte(`{"a":null}`)}
	if a := c.Call(t.Context(), rpc); a.Verdict != hooks.Allow || string(rpc.Reply) != `{"clean":true}` {
		t.Errorf("%+v, %s", a, rpc.Reply)
	}
	_, _, before := b.question()
	if a := c.Subscribe(t.Context(), &hooks.Subscribe{Client: visitor, Channel: "lobby"}); a.Verdict != hooks.Pass {
		t.Errorf("%+v", a)
	}
	if a := c.Publish(t.Context(), &hooks.Publish{Client: visitor, Channel: "aXb"}); a.Verdict != hooks.Pass {
		t.Errorf("%+v", a)
	}
	if _, _, after := b.question(); after != before {
		t.Error("it asked about others")
	}
	for answer, want := range map[string]hooks.Verdict{`{"result":{"expire_at":1900000001}}`: hooks.Allow, `{"result":{"expired":true}}`: hooks.Deny} {
		b.will(200, answer)
		e := &hooks.Refresh{Client: visitor, ExpireAt: 5}
		if a := c.Refresh(t.Context(), e); a.Verdict != want || want == hooks.Allow && e.ExpireAt != 1900000001 || want == hooks.Deny && a.Code != 3005 {
			t.Errorf("%s: %+v, %+v", answer, a, e)
		}
	}
}

func TestWebhookCache(t *testing.T) {
	b := newBackend(t)
	kv := host.NewMemory()
	entry := b.webhooks(m{"subscribe": m{"cache": 600, "deny_cache": 600}, "publish": m{"cache": 600, "cache_by": []any{"data"}}, "connect": m{"cache": 600}, "rpc": m{"cache": 1}})
	c := mustBundle(t, "", entry, host.Options{KV: kv})
	subscribe := func(user, channel string, want hooks.Verdict) {
		t.Helper()
		client := visitor
		client.User = user
		if a := c.Subscribe(t.Context(), &hooks.Subscribe{Client: client, Channel: channel}); a.Verdict != want {
			t.Errorf("%s in %s: %+v, want %v", user, channel, a, want)
		}
	}
	expect := func(what string, want int) {
		t.Helper()
		if _, _, n := b.question(); n != want {
			t.Errorf("%s: it asked %d times, want %d", what, n, want)
		}
	}
	b.will(200, `{"result":{}}`)
	subscribe("a", "bc", hooks.Allow)
	subscribe("a", "bc", hooks.Allow)
	expect("the same", 1)
	b.will(200, `{"error":{"code":403}}`)
	subscribe("ab", "c", hooks.Deny)
	subscribe("ab", "c", hooks.Deny)
	subscribe("a", "bc", hooks.Allow)
	expect("another", 2)
	b.will(500, `{"result":{}}`)
	subscribe("x", "y", hooks.Deny)
	subscribe("x", "y", hooks.Deny)
	expect("failures are not kept", 4)
	b.will(200, `{"result":{}}`)
	for _, data := range []string{"1", "1", "2", "1"} {
		c.Publish(t.Context(), &hooks.Publish{Client: visitor, Channel: "c", Data: []byte(data)})
	}
	expect("publications by data", 6)
	for _, token := range []string{"secret-1", "secret-1", "secret-2"} {
		c.Connect(t.Context(), &hooks.Connect{Client: visitor, Token: token})
	}
	expect("connects by token", 8)
	// What is kept for a second only is asked about again.
	for deadline := time.Now().Add(time.Minute); ; <-time.After(20 * time.Millisecond) {
		c.Call(t.Context(), &hooks.RPC{Client: visitor, Method: "m"})
		if _, _, n := b.question(); n > 9 {
			break
		} else if time.Now().After(deadline) {
			t.Fatal("an answer is kept for ever")
		}
	}
}

func TestWebhookFailures(t *testing.T) {
	b := newBackend(t)
	c := mustBundle(t, "", b.webhooks(m{"subscribe": true, "publish": m{"fail_open": true}}), host.Options{})
	for _, failure := range []struct {
		status int
		answer string
	}{{500, `{"result":{}}`}, {200, "hello"}, {200, "[}"}, {302, ""}} {
		b.will(failure.status, failure.answer)
		if a := c.Subscribe(t.Context(), &hooks.Subscribe{Client: visitor, Channel: "c"}); a.Verdict != hooks.Deny || a.Code != 100 {
			t.Errorf("%v, closed: %+v", failure, a)
		}
		if a := c.Publish(t.Context(), &hooks.Publish{Client: visitor, Channel: "c"}); a.Verdict != hooks.Pass {
			t.Errorf("%v, open: %+v", failure, a)
		}
	}
	// Whoever does not answer in time is as one who is not there.
	enough := make(chan struct{})
	silent := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-enough }))
	defer silent.Close()
	defer close(enough)
	links, err := plugins.Load(t.Context(), config.Plugins{Load: []config.Plugin{{
		Name: "webhook-auth", Config: m{"url": silent.URL, "subscribe": true}, Deadline: 50 * time.Millisecond, OnError: "allow",
		Allow: config.Allow{HTTP: []string{strings.TrimPrefix(silent.URL, "http://")}},
	}}}, plugins.Bundled(), plugins.Options{Services: host.New(host.Options{}), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	slow := hooks.NewChain(links, nil)
	defer slow.Close() //nolint:errcheck // Nothing is asserted about it here.
	if a := slow.Subscribe(t.Context(), &hooks.Subscribe{Client: visitor, Channel: "c"}); a.Verdict != hooks.Pass {
		t.Errorf("%+v", a)
	}
}

func TestWebhookConfiguration(t *testing.T) {
	testRefused(t, "", "webhook-auth", map[string]map[string]any{
		"config has none of connect":          {"url": "https://example.com"},
		"config.conect is unknown":            {"conect": true},
		"config.connect.ulr is unknown":       {"connect": m{"ulr": "x"}},
		"config.connect.url must be an addre": {"connect": m{"url": "example.com"}},
		"config.connect must be true, or an":  {"connect": 5},
		"config.rpc.cache and deny_cache are": {"rpc": m{"cache": "1m"}, "url": "https://example.com"},
	})
}

// A question that goes out, to a server on the same machine, and one that the store answers.
func BenchmarkWebhookAuth(b *testing.B) {
	for name, cache := range map[string]int{"asked": 0, "cached": 600} {
		b.Run(name, func(b *testing.B) {
			backend := newBackend(b)
			backend.will(200, `{"result":{"info":{"x":1}}}`)
			c := mustBundle(b, "", backend.webhooks(m{"subscribe": m{"cache": cache}}), host.Options{})
			ctx := b.Context()
			b.ReportAllocs()
			for b.Loop() {
				if a := c.Subscribe(ctx, &hooks.Subscribe{Client: visitor, Channel: "room:1"}); a.Verdict != hooks.Allow {
					b.Fatal(a)
				}
			}
		})
	}
}
