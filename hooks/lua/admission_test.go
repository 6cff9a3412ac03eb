package lua_test

import (
	"strings"
	"testing"
	"time"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/hooks"
	"github.com/zenconn/server/hooks/lua"
)

func TestServerSideSubscriptions(t *testing.T) {
	p := loadScript(t, `
		function on_connect(ev)
			ev:subscribe("plain")
			ev:subscribe("full", {info = "1", data = "2", expire_at = 3, presence = true, join_leave = false})
			return true
		end`, lua.Options{})
	e := &hooks.Connect{}
	if a := hooks.NewChain([]hooks.Link{{Plugin: p, Deadline: time.Minute}}, failing{t}).Connect(t.Context(), e); a.Verdict != hooks.Allow {
		t.Fatalf("answer %+v", a)
	}
	full := e.Subs["full"]
	if string(full.Info) != "1" || string(full.Data) != "2" || full.ExpireAt != 3 || !*full.Presence || *full.JoinLeave || full.Recovery != nil {
		t.Errorf("full: %+v", full)
	}
	if plain, ok := e.Subs["plain"]; !ok || plain.Info != nil || plain.Presence != nil {
		t.Errorf("plain: %+v", plain)
	}
}

// Mistakes in what a hook writes name the field and what it takes.
func TestMistakesInNewFields(t *testing.T) {
	for _, tt := range []struct{ hook, body, want string }{
		{"connect", `ev:subscribe("x", {inf = "1"})`, `ev:subscribe has no option "inf" (did you mean info?)`},
		{"connect", `ev:subscribe("x", 1)`, `table expected, got number`},
		{"subscribe", `ev:grant{channels = {"x"}, allow = {"pub"}}`, `ev:grant is for the event's channel and needs allow only`},
		{"subscribe", `ev:grant{allow = {"root"}}`, `unknown permission "root"`},
		{"subscribe", `ev:grant{}`, `needs allow only`},
		{"subscribe", `ev:subscribe("x")`, `this event has no field "subscribe"`},
		{"publish", `ev.skip_history = 1`, `skip_history must be true or false, not a number`},
		{"publish", `ev.expire_at = 1.5`, `expire_at must be whole seconds since 1970`},
		{"publish", `ev.redirect = 5`, `redirect must be a string, not a number`},
		{"channel", `ev.history_size = -1`, `history_size must be a number from 0 to 2147483647, not -1`},
		{"channel", `ev.history_size = 1.5`, `history_size must be a whole number, not 1.5`},
		{"channel", `ev.history_ttl = 0/0`, `history_ttl must be a number from 0 to`},
		{"channel", `ev.presence = nil`, `presence must be true or false, not a nil`},
		{"channel", `ev.publish = "all"`, `publish is "all"; it must be one of nobody, granted, user, anyone`},
		{"channel", `ev.recovery = true`, `recovery needs a history`},
		{"channel", `return ev.user`, `this event has no field "user"`},
		{"channel", `return ev:header("x")`, `this event has no field "header"`},
		{"disconnect", `ev.reason = "x"`, `the field "reason" cannot be written: this event only tells`},
		{"audit", `ev.kind = "x"`, `the field "kind" cannot be written`},
		{"audit", `ev.remote_addr = "x"`, `unable to parse IP`},
	} {
		t.Run(tt.hook+" "+tt.body, func(t *testing.T) {
			p := loadScript(t, "function on_"+tt.hook+"(ev) "+tt.body+" end", lua.Options{})
			var told last
			c := hooks.NewChain([]hooks.Link{{Plugin: p, Deadline: time.Minute}}, &told)
			ask(t, c, hooks.Hook(tt.hook))
			if told.Fault == nil || !strings.Contains(told.Fault.Error(), tt.want) {
				t.Errorf("fault %v, want %s", told.Fault, tt.want)
			}
		})
	}
}

// last is the last decision.
type last struct{ hooks.Decision }

func (l *last) Decided(d hooks.Decision) { l.Decision = d }

func ask(t *testing.T, c *hooks.Chain, hook hooks.Hook) {
	switch hook {
	case hooks.OnConnect:
		c.Connect(t.Context(), &hooks.Connect{})
	case hooks.OnSubscribe:
		c.Subscribe(t.Context(), &hooks.Subscribe{Options: core.SubscribeOptions{}})
	case hooks.OnPublish:
		c.Publish(t.Context(), &hooks.Publish{})
	case hooks.OnChannel:
		c.Channel(t.Context(), &hooks.Channel{Options: hooks.ChannelOptions{Subscribe: "user", Publish: "user", SlowConsumer: "disconnect"}})
	case hooks.OnDisconnect:
		c.Disconnect(t.Context(), &hooks.Disconnect{})
	case hooks.OnAudit:
		c.Audit(t.Context(), &hooks.Audit{})
	default:
		t.Fatalf("no event for %s", hook)
	}
}
