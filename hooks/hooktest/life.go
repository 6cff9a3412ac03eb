package hooktest

import (
	"maps"
	"testing"
	"time"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/hooks"
)

var internal = hooks.Answer{Verdict: hooks.Deny, Code: core.ErrInternal.Code, Reason: core.ErrInternal.Message}

func testRenew(t *testing.T, c *hooks.Chain, r *record) {
	for _, tt := range []struct {
		name, token, channel string
		want                 hooks.Answer
		expireAt             int64
		info                 string
		fault                bool
	}{
		{"session", "t", "", hooks.Answer{Verdict: hooks.Allow, Modified: true}, 1100, `{"at":"session"}`, false},
		{"subscription", "t", "room:1", hooks.Answer{Verdict: hooks.Allow, Modified: true}, 1100, `{"at":"room:1"}`, false},
		{"denied", "no", "", hooks.Answer{Verdict: hooks.Deny, Code: 3500, Reason: "invalid token"}, 1000, "", false},
		{"passed", "pass", "", hooks.Answer{Verdict: hooks.Pass}, 1000, "", false},
		{"not JSON", "bad", "", internal, 1000, "", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			*r = record{}
			e := &hooks.Refresh{Client: NewClient(), Token: tt.token, Channel: tt.channel, ExpireAt: 1000}
			if got := c.Refresh(t.Context(), e); got != tt.want || (r.last.Fault != nil) != tt.fault {
				t.Errorf("answer %+v, fault %v; want %+v", got, r.last.Fault, tt.want)
			}
			if e.ExpireAt != tt.expireAt || string(e.Info) != tt.info {
				t.Errorf("expires %d, info %s; want %d, %s", e.ExpireAt, e.Info, tt.expireAt, tt.info)
			}
		})
	}
}

func testDefine(t *testing.T, c *hooks.Chain, r *record) {
	namespace := hooks.ChannelOptions{Subscribe: "user", Publish: "nobody", SlowConsumer: "conflate"}
	written := hooks.ChannelOptions{
		Subscribe: "granted", Publish: "anyone", Presence: true, JoinLeave: true, HistorySize: 50, HistoryTTL: 90 * time.Second,
		Recovery: true, ExcludeSender: true, SlowConsumer: "disconnect",
	}
	for _, tt := range []struct {
		channel, namespace string
		want               hooks.Answer
		options            hooks.ChannelOptions
		fault              bool
	}{
		{"room:1", "room", hooks.Answer{Verdict: hooks.Pass, Modified: true}, written, false},
		{"x", "other", hooks.Answer{Verdict: hooks.Pass}, namespace, false},
		{"room:secret", "room", hooks.Answer{Verdict: hooks.Deny, Code: 103, Reason: "permission denied"}, namespace, false},
		{"room:bad", "room", internal, namespace, true},
		{"room:forever", "room", internal, namespace, true},
	} {
		t.Run(tt.channel, func(t *testing.T) {
			*r = record{}
			e := &hooks.Channel{Channel: tt.channel, Namespace: tt.namespace, Options: namespace}
			if got := c.Channel(t.Context(), e); got != tt.want || (r.last.Fault != nil) != tt.fault {
				t.Errorf("answer %+v, fault %v; want %+v", got, r.last.Fault, tt.want)
			}
			if e.Options != tt.options {
				t.Errorf("options %+v, want %+v", e.Options, tt.options)
			}
		})
	}
}

func testRoute(t *testing.T, c *hooks.Chain) {
	yes, no := true, false
	for what, want := range map[string]hooks.Publish{
		"redirect": {Redirect: "room:2"},
		"expire":   {ExpireAt: 1900000000},
		"skip":     {SkipHistory: true},
		"exclude":  {ExcludeSender: &yes},
		"include":  {ExcludeSender: &no},
	} {
		t.Run(what, func(t *testing.T) {
			a, e := publish(t, c, what)
			if a != (hooks.Answer{Verdict: hooks.Pass, Modified: true}) || string(e.Data) != what || e.Tags["a"] != "b" {
				t.Errorf("answer %+v, data %q, tags %v", a, e.Data, e.Tags)
			}
			if e.Channel != "room:1" || e.Redirect != want.Redirect || e.ExpireAt != want.ExpireAt || e.SkipHistory != want.SkipHistory {
				t.Errorf("channel %s, redirect %q, expires %d, skips %v", e.Channel, e.Redirect, e.ExpireAt, e.SkipHistory)
			}
			if got := e.ExcludeSender; (got == nil) != (want.ExcludeSender == nil) || got != nil && *got != *want.ExcludeSender {
				t.Errorf("exclude_sender %v, want %v", got, want.ExcludeSender)
			}
		})
	}
}

func testTake(t *testing.T, c *hooks.Chain) {
	for data, want := range map[string]hooks.Answer{
		"ok":   {Verdict: hooks.Allow},
		"no":   {Verdict: hooks.Deny, Code: 3503, Reason: "force disconnect"},
		"what": {Verdict: hooks.Pass},
	} {
		if got := c.Send(t.Context(), &hooks.Send{Client: NewClient(), Input: []byte(data)}); got != want {
			t.Errorf("%s: answer %+v, want %+v", data, got, want)
		}
	}
}

func testTold(t *testing.T, c *hooks.Chain, r *record) {
	for _, tt := range []struct {
		channel, reason string
		code            uint32
		fault           bool
	}{
		{"room:1", "insufficient state", 2500, false},
		{"room:1", "insufficient state", hooks.LeftByClient, true},
		{"room:1", "", 2500, true},
	} {
		for hook, tell := range map[hooks.Hook]func(){
			hooks.OnUnsubscribe: func() {
				c.Unsubscribe(t.Context(), &hooks.Unsubscribe{Client: NewClient(), Channel: tt.channel, Code: tt.code, Reason: tt.reason})
			},
			hooks.OnDisconnect: func() {
				c.Disconnect(t.Context(), &hooks.Disconnect{Client: NewClient(), Code: tt.code, Reason: tt.reason})
			},
		} {
			*r = record{}
			tell()
			if told := r.count; tt.fault != (r.last.Fault != nil) || tt.fault != (told == 1) {
				t.Errorf("%s of %+v: %d decisions, fault %v; a denial here means nothing, a fault is told", hook, tt, told, r.last.Fault)
			}
		}
	}
}

func testRedact(t *testing.T, c *hooks.Chain, r *record) {
	for _, tt := range []struct {
		name  string
		event hooks.Audit
		want  hooks.Answer
		fault bool
	}{
		{"rewritten", hooks.Audit{Kind: "message", Channel: "room:1"}, hooks.Answer{Verdict: hooks.Pass, Modified: true}, false},
		{"dropped", hooks.Audit{Kind: "session"}, hooks.Answer{Verdict: hooks.Drop}, false},
		{"withheld", hooks.Audit{Kind: "decision", Hook: "publish"},
			hooks.Answer{Verdict: hooks.Deny, Code: 103, Reason: "permission denied"}, false},
		{"failed", hooks.Audit{Kind: "action", Action: "start"}, internal, true},
		{"no address", hooks.Audit{Kind: "action", Action: "stop"}, internal, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			*r = record{}
			e := tt.event
			e.User, e.Payload, e.Tags, e.RemoteAddr = "alice", []byte("secret"), map[string]string{"a": "b"}, "192.0.2.77"
			before := e
			if got := c.Audit(t.Context(), &e); got != tt.want || (r.last.Fault != nil) != tt.fault {
				t.Errorf("answer %+v, fault %v; want %+v", got, r.last.Fault, tt.want)
			}
			want := before
			if tt.want.Modified {
				want.User, want.Payload, want.Tags, want.RemoteAddr, want.Reason = "someone", []byte("gone"),
					map[string]string{"a": "x"}, "192.0.2.0", "why"
			}
			if e.Kind != want.Kind || e.User != want.User || string(e.Payload) != string(want.Payload) || !maps.Equal(e.Tags, want.Tags) ||
				e.RemoteAddr != want.RemoteAddr || e.Reason != want.Reason {
				t.Errorf("event %+v, want %+v", e, want)
			}
			if before.Tags["a"] != "b" || string(before.Payload) != "secret" {
				t.Error("written in place")
			}
		})
	}
}
