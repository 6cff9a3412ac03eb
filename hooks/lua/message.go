package lua

import (
	lua "github.com/yuin/gopher-lua"

	"github.com/zenconn/server/hooks"
)

// publishEvent is the event of on_publish.
type publishEvent struct {
	*hooks.Publish
	changes
}

func (*publishEvent) readable() []string {
	return []string{"channel", "data", "tags", "id", "redirect", "expire_at", "skip_history", "exclude_sender"}
}

func (*publishEvent) writable() []string {
	return []string{"data", "tags", "redirect", "expire_at", "skip_history", "exclude_sender"}
}

func (e *publishEvent) client() *hooks.Client { return &e.Client }
func (e *publishEvent) reset()                { *e = publishEvent{} }

func (e *publishEvent) get(in *instance, name string) (lua.LValue, bool) {
	switch name {
	case "channel":
		return lua.LString(e.Channel), true
	case "data":
		return lua.LString(e.Data), true
	case "id":
		return lua.LString(e.Message.String()), true
	case "tags":
		return in.tags(e.Tags), true
	case "redirect":
		if e.Redirect == "" {
			return lua.LNil, true
		}
		return lua.LString(e.Redirect), true
	case "expire_at":
		return lua.LNumber(e.ExpireAt), true
	case "skip_history":
		return lua.LBool(e.SkipHistory), true
	case "exclude_sender":
		return flag(e.ExcludeSender), true
	}
	return in.clientField(&e.Client, name)
}

func (e *publishEvent) set(in *instance, name string, value lua.LValue) bool {
	switch name {
	case "data":
		s := in.wantBytes(name, value)
		if s != string(e.Data) { // Writing back what was read is no change.
			e.Data, e.changed = []byte(s), true
		}
	case "tags":
		e.Tags, e.changed = in.wantTags(value), true
	case "redirect":
		e.Redirect, e.changed = in.wantChannel(name, value), true
	case "expire_at":
		e.ExpireAt, e.changed = in.wantTime(name, value), true
	case "skip_history":
		e.SkipHistory, e.changed = in.wantBool(name, value), true
	case "exclude_sender":
		e.ExcludeSender, e.changed = in.wantFlag(name, value), true
	default:
		return false
	}
	return true
}

// tags is a table that says how to write it.
func (in *instance) tags(tags map[string]string) lua.LValue {
	t := in.l.CreateTable(0, len(tags))
	for key, value := range tags {
		t.RawSetString(key, lua.LString(value))
	}
	return in.freeze(t, "ev.tags is replaced as a whole, as in ev.tags = {lang = \"en\"}")
}

// wantChannel takes a channel's name, or nil for none.
func (in *instance) wantChannel(name string, value lua.LValue) string {
	if value == lua.LNil {
		return ""
	}
	return in.wantText(name, value)
}

func (in *instance) wantTags(value lua.LValue) map[string]string {
	if value == lua.LNil {
		return nil
	}
	t, ok := value.(*lua.LTable)
	if !ok {
		in.l.RaiseError("tags must be a table, not a %s", value.Type())
	}
	tags := map[string]string{}
	content(t).ForEach(func(key, value lua.LValue) {
		tags[in.wantText("a tag's name", key)] = in.wantText("a tag's value", value)
	})
	return tags
}

// rpcEvent is the event of on_rpc.
type rpcEvent struct {
	*hooks.RPC
	changes
}

func (*rpcEvent) readable() []string      { return []string{"method", "data", "reply"} }
func (*rpcEvent) writable() []string      { return []string{"reply"} }
func (e *rpcEvent) client() *hooks.Client { return &e.Client }
func (e *rpcEvent) reset()                { *e = rpcEvent{} }

func (e *rpcEvent) get(in *instance, name string) (lua.LValue, bool) {
	switch name {
	case "method":
		return lua.LString(e.Method), true
	case "data":
		return text(e.Input), true
	case "reply":
		return text(e.Reply), true
	}
	return in.clientField(&e.Client, name)
}

func (e *rpcEvent) set(in *instance, name string, value lua.LValue) bool {
	if name != "reply" {
		return false
	}
	e.Reply, e.changed = in.wantJSON(name, value), true
	return true
}

// sendEvent is the event of on_send.
type sendEvent struct {
	*hooks.Send
	changes
}

func (*sendEvent) readable() []string                     { return []string{"data"} }
func (*sendEvent) writable() []string                     { return nil }
func (*sendEvent) set(*instance, string, lua.LValue) bool { return false }
func (e *sendEvent) client() *hooks.Client                { return &e.Client }
func (e *sendEvent) reset()                               { *e = sendEvent{} }

func (e *sendEvent) get(in *instance, name string) (lua.LValue, bool) {
	if name == "data" {
		return text(e.Input), true
	}
	return in.clientField(&e.Client, name)
}
