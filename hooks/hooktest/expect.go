package hooktest

import (
	"context"
	"errors"
	"maps"
	"testing"
	"time"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/hooks"
)

func testVerdicts(t *testing.T, c *hooks.Chain, r *record) {
	for _, tt := range []struct {
		data  string
		want  hooks.Answer
		fault bool
	}{
		{data: "allow", want: hooks.Answer{Verdict: hooks.Allow}},
		{data: "pass", want: hooks.Answer{Verdict: hooks.Pass}},
		{data: "deny", want: hooks.Answer{Verdict: hooks.Deny, Code: 103, Reason: "permission denied"}},
		{data: "code", want: hooks.Answer{Verdict: hooks.Deny, Code: 106, Reason: "limit exceeded"}},
		{data: "disconnect", want: hooks.Answer{Verdict: hooks.Deny, Code: 3503, Reason: "force disconnect"}},
		{data: "reason", want: hooks.Answer{Verdict: hooks.Deny, Code: 103, Reason: "because"}},
		{data: "both", want: hooks.Answer{Verdict: hooks.Deny, Code: 403, Reason: "because"}},
		{data: "drop", want: hooks.Answer{Verdict: hooks.Drop}},
		{data: "fault", want: internal, fault: true},
		{data: "range", want: internal, fault: true},
		{data: "garbage", want: internal, fault: true},
		{data: "allow", want: hooks.Answer{Verdict: hooks.Allow}}, // Works as before after the faults.
	} {
		t.Run(tt.data, func(t *testing.T) {
			*r = record{}
			got, _ := publish(t, c, tt.data)
			if got != tt.want {
				t.Errorf("answer %+v, want %+v", got, tt.want)
			}
			if (r.last.Fault != nil) != tt.fault {
				t.Errorf("fault %v, want one: %v", r.last.Fault, tt.fault)
			}
			if decided := tt.want.Verdict != hooks.Pass; decided != (r.count == 1) {
				t.Errorf("%d decisions told", r.count)
			}
		})
	}
}

func testFields(t *testing.T, c *hooks.Chain) {
	answer, e := publish(t, c, "hi")
	want := `room:1|c1|alice|{"age":7}|js|5.4|192.0.2.1|websocket|json|Mozilla|header|00000000-0000-0000-0000-000000000001|hi|b`
	if string(e.Data) != want {
		t.Errorf("fields\n%s\nwant\n%s", e.Data, want)
	}
	if answer != (hooks.Answer{Verdict: hooks.Pass, Modified: true}) {
		t.Errorf("answer %+v, want a modified pass", answer)
	}
}

func testRewrite(t *testing.T, c *hooks.Chain) {
	for _, tt := range []struct {
		data, want string
		tags       map[string]string
		answer     hooks.Answer
	}{
		{"pass", "written", map[string]string{"lang": "en"}, hooks.Answer{Verdict: hooks.Pass, Modified: true}},
		{"allow", "written", map[string]string{"lang": "en"}, hooks.Answer{Verdict: hooks.Allow, Modified: true}},
		{"fault", "fault", map[string]string{"a": "b"},
			hooks.Answer{Verdict: hooks.Deny, Code: 100, Reason: core.ErrInternal.Message}},
	} {
		t.Run(tt.data, func(t *testing.T) {
			answer, e := publish(t, c, tt.data)
			if answer != tt.answer {
				t.Errorf("answer %+v, want %+v", answer, tt.answer)
			}
			if string(e.Data) != tt.want || !maps.Equal(e.Tags, tt.tags) {
				t.Errorf("data %q, tags %v; want %q, %v", e.Data, e.Tags, tt.want, tt.tags)
			}
		})
	}
}

func testAdmit(t *testing.T, c *hooks.Chain, r *record) {
	e := &hooks.Connect{Client: NewClient(), Token: "t1", User: "before"}
	if a := c.Connect(t.Context(), e); a != (hooks.Answer{Verdict: hooks.Allow, Modified: true}) {
		t.Errorf("answer %+v, fault %v", a, r.last.Fault)
	}
	if e.User != "u:t1" || string(e.Info) != `{"vip":true}` || e.ExpireAt != 1900000000 || string(e.Data) != `{"hello":1}` {
		t.Errorf("user %q, info %s, expires %d, data %s", e.User, e.Info, e.ExpireAt, e.Data)
	}
	if _, ok := e.Subs["news"]; !ok || len(e.Subs) != 1 {
		t.Errorf("subscriptions %v", e.Subs)
	}
	if !e.Grants.Allow(core.MaySubscribe|core.MayPublish, "room:9") || e.Grants.Allow(core.MayHistory, "room:9") {
		t.Errorf("grants %v", e.Grants)
	}
	bad := &hooks.Connect{Client: NewClient(), Token: "badjson", User: "before", Subs: map[string]core.SubscribeOptions{"own": {}}}
	a := c.Connect(t.Context(), bad)
	if a.Verdict != hooks.Deny || a.Code != 100 || r.last.Fault == nil {
		t.Errorf("info that is not JSON: answer %+v, fault %v", a, r.last.Fault)
	}
	if _, own := bad.Subs["own"]; bad.User != "before" || bad.Info != nil || len(bad.Grants) != 0 || len(bad.Subs) != 1 || !own {
		t.Errorf("a fault left its traces: %+v", bad)
	}
}

func testJoin(t *testing.T, c *hooks.Chain) {
	e := &hooks.Subscribe{Client: NewClient(), Channel: "room:1"}
	if a := c.Subscribe(t.Context(), e); a != (hooks.Answer{Verdict: hooks.Allow, Modified: true}) {
		t.Errorf("answer %+v", a)
	}
	o := e.Options
	if o.Allow != core.MayPublish {
		t.Errorf("granted %b, want pub", o.Allow)
	}
	if string(o.Info) != `{"seat":1}` || string(o.Data) != `{"welcome":"room:1"}` || o.ExpireAt != 1900000000 {
		t.Errorf("info %s, data %s, expires %d", o.Info, o.Data, o.ExpireAt)
	}
	if o.Presence == nil || !*o.Presence || o.JoinLeave == nil || *o.JoinLeave || o.Recovery != nil {
		t.Errorf("presence %v, join_leave %v, recovery %v", o.Presence, o.JoinLeave, o.Recovery)
	}
}

func testCall(t *testing.T, c *hooks.Chain, r *record) {
	for _, tt := range []struct {
		name, method, protocol, reply string
		want                          hooks.Answer
	}{
		{"answered", "echo", "json", `{"x":1}`, hooks.Answer{Verdict: hooks.Allow, Modified: true}},
		{"unknown", "other", "json", "", hooks.Answer{Verdict: hooks.Pass}},
		{"refused", "refuse", "json", "", hooks.Answer{Verdict: hooks.Deny, Code: 404, Reason: "no such thing"}},
		{"allowed without a reply", "empty", "json", "", hooks.Answer{Verdict: hooks.Allow}},
		{"not JSON for JSON", "bad", "json", "", hooks.Answer{Verdict: hooks.Deny, Code: 100, Reason: core.ErrInternal.Message}},
		{"not JSON for Protobuf", "bad", "protobuf", "not json", hooks.Answer{Verdict: hooks.Allow, Modified: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := &hooks.RPC{Client: NewClient(), Method: tt.method, Input: []byte(`{"x":1}`)}
			e.Client.Protocol = tt.protocol
			if got := c.Call(t.Context(), e); got != tt.want || string(e.Reply) != tt.reply {
				t.Errorf("answer %+v, reply %q, fault %v; want %+v, %q", got, e.Reply, r.last.Fault, tt.want, tt.reply)
			}
		})
	}
}

func testSpin(t *testing.T, p hooks.Plugin) {
	r := &record{}
	c := hooks.NewChain([]hooks.Link{{Plugin: p, Deadline: 20 * time.Millisecond}}, r)
	defer c.Close() //nolint:errcheck // Nothing is asserted about it here.
	for range 3 {
		if a, _ := publish(t, c, "spin"); a.Verdict != hooks.Deny || !errors.Is(r.last.Fault, context.DeadlineExceeded) {
			t.Fatalf("answer %+v, fault %v; want one that wraps context.DeadlineExceeded", a, r.last.Fault)
		}
	}
	// The first call after a kill waits for a new instance, which may take a while on a busy machine.
	if err := c.Replace([]hooks.Link{{Plugin: p, Deadline: enough}})(); err != nil {
		t.Fatal(err)
	}
	if a, _ := publish(t, c, "go on"); a.Verdict != hooks.Allow {
		t.Errorf("the plugin does not recover: %+v, %v", a, r.last.Fault)
	}
}
