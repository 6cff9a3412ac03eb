package lua

import (
	"strings"
	"unicode/utf8"

	lua "github.com/yuin/gopher-lua"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/hooks"
	"github.com/zenconn/server/hooks/host"
)

// connectEvent is the event of on_connect.
type connectEvent struct {
	*hooks.Connect
	changes
	replied bool // Data was written: reads see it instead of what the client sent.
}

func (*connectEvent) readable() []string {
	return []string{"token", "data", "expire_at", "subscribe", "grant"}
}
func (*connectEvent) writable() []string      { return []string{"user", "info", "expire_at", "data"} }
func (e *connectEvent) client() *hooks.Client { return &e.Client }
func (e *connectEvent) reset()                { *e = connectEvent{} }

func (e *connectEvent) get(in *instance, name string) (lua.LValue, bool) {
	switch name {
	case "user":
		return lua.LString(e.User), true
	case "info":
		return text(e.Info), true
	case "token":
		return lua.LString(e.Token), true
	case "expire_at":
		return lua.LNumber(e.ExpireAt), true
	case "subscribe", "grant":
		return in.methods[name], true
	case "data":
		if e.replied {
			return text(e.Data), true
		}
		return text(e.Input), true
	}
	return in.clientField(&e.Client, name)
}

func (e *connectEvent) set(in *instance, name string, value lua.LValue) bool {
	switch name {
	case "user":
		e.User = in.wantText(name, value)
	case "info":
		e.Info = in.wantJSON(name, value)
	case "expire_at":
		e.ExpireAt = in.wantTime(name, value)
	case "data":
		e.Data, e.replied = in.wantJSON(name, value), true
	default:
		return false
	}
	e.changed = true
	return true
}

// subscribeEvent is the event of on_subscribe.
type subscribeEvent struct {
	*hooks.Subscribe
	changes
	replied bool // Options.Data was written: reads see it instead of what the client sent.
}

func (*subscribeEvent) readable() []string {
	return []string{"channel", "data", "expire_at", "presence", "join_leave", "recovery", "grant"}
}

// optionNames are the options of a subscription.
var optionNames = []string{"info", "data", "expire_at", "presence", "join_leave", "recovery"}

func (*subscribeEvent) writable() []string      { return optionNames }
func (e *subscribeEvent) client() *hooks.Client { return &e.Client }
func (e *subscribeEvent) reset()                { *e = subscribeEvent{} }

func (e *subscribeEvent) get(in *instance, name string) (lua.LValue, bool) {
	switch name {
	case "channel":
		return lua.LString(e.Channel), true
	case "info":
		if e.Options.Info != nil {
			return text(e.Options.Info), true
		}
	case "data":
		if e.replied {
			return text(e.Options.Data), true
		}
		return text(e.Input), true
	case "expire_at":
		return lua.LNumber(e.Options.ExpireAt), true
	case "presence":
		return flag(e.Options.Presence), true
	case "join_leave":
		return flag(e.Options.JoinLeave), true
	case "recovery":
		return flag(e.Options.Recovery), true
	case "grant":
		return in.methods[name], true
	}
	return in.clientField(&e.Client, name)
}

func (e *subscribeEvent) set(in *instance, name string, value lua.LValue) bool {
	if !in.option(&e.Options, name, value) {
		return false
	}
	e.changed, e.replied = true, e.replied || name == "data"
	return true
}

// option writes one option of a subscription. It reports false when there is none of that name.
func (in *instance) option(o *core.SubscribeOptions, name string, value lua.LValue) bool {
	switch name {
	case "info":
		o.Info = in.wantJSON(name, value)
	case "data":
		o.Data = in.wantJSON(name, value)
	case "expire_at":
		o.ExpireAt = in.wantTime(name, value)
	case "presence":
		o.Presence = in.wantFlag(name, value)
	case "join_leave":
		o.JoinLeave = in.wantFlag(name, value)
	case "recovery":
		o.Recovery = in.wantFlag(name, value)
	default:
		return false
	}
	return true
}

func flag(b *bool) lua.LValue {
	if b == nil {
		return lua.LNil
	}
	return lua.LBool(*b)
}

// subscribe is ev:subscribe(channel [, options]), a server-side subscription made at connect. Calling it again replaces the options.
func (in *instance) subscribe(l *lua.LState) int {
	e, ok := in.current(l).(*connectEvent)
	if !ok {
		l.RaiseError("ev:subscribe is for on_connect")
	}
	channel := l.CheckString(2)
	if channel == "" || !utf8.ValidString(channel) {
		l.ArgError(2, "a channel's name must be UTF-8 and not empty")
	}
	var options core.SubscribeOptions
	if l.Get(3) != lua.LNil {
		readable(l, 3).ForEach(func(key, value lua.LValue) {
			if !in.option(&options, key.String(), value) {
				l.RaiseError("ev:subscribe has no option %q%s; it has %s", key.String(), host.DidYouMean(key.String(), optionNames),
					strings.Join(optionNames, ", "))
			}
		})
	}
	if e.Subs == nil {
		e.Subs = map[string]core.SubscribeOptions{}
	}
	e.Subs[channel] = options
	e.changed = true
	return 0
}

// grant is ev:grant{channels = {...}, match = "wildcard", allow = {"sub"}}. In on_subscribe the channel is known: ev:grant{allow = {"pub"}}.
func (in *instance) grant(l *lua.LState) int {
	ev := in.current(l)
	var channels, allow []string
	var match string
	readable(l, 2).ForEach(func(key, value lua.LValue) {
		switch key.String() {
		case "channels":
			channels = in.wantList("channels", value)
		case "allow":
			allow = in.wantList("allow", value)
		case "match":
			match = in.wantText("match", value)
		default:
			l.RaiseError("ev:grant has no field %q; it has channels, match, allow", key.String())
		}
	})
	switch e := ev.(type) {
	case *connectEvent:
		if len(channels) == 0 || len(allow) == 0 {
			l.RaiseError("ev:grant needs channels and allow, as in ev:grant{channels = {\"news:*\"}, match = \"wildcard\", allow = {\"sub\"}}")
		}
		granted, err := core.NewGrant(channels, match, allow)
		if err != nil {
			l.RaiseError("ev:grant: %s", err.Error())
		}
		e.Grants, e.changed = append(e.Grants, granted), true
	case *subscribeEvent:
		if len(channels) > 0 || match != "" || len(allow) == 0 {
			l.RaiseError("in on_subscribe, ev:grant is for the event's channel and needs allow only, as in ev:grant{allow = {\"pub\"}}")
		}
		granted, err := core.ParsePermissions(allow)
		if err != nil {
			l.RaiseError("ev:grant: %s", err.Error())
		}
		e.Options.Allow, e.changed = e.Options.Allow|granted, true
	default:
		l.RaiseError("ev:grant is for on_connect and on_subscribe")
	}
	return 0
}
