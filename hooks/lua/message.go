package lua

import (
	lua "github.com/yuin/gopher-lua"

	"github.com/zenconn/server/hooks"
)

// subscribeEvent is the event of on_subscribe.
type subscribeEvent struct {
	*hooks.Subscribe
	changes
	replied bool // Options.Data was written: reads see it instead of what the client sent.
}

func (*subscribeEvent) readable() []string {
	return []string{"channel", "data", "expire_at", "presence", "join_leave", "recovery"}
}

func (*subscribeEvent) writable() []string {
	return []string{"info", "data", "expire_at", "presence", "join_leave", "recovery"}
}

func (e *subscribeEvent) reset() { *e = subscribeEvent{} }

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
	}
	return in.clientField(&e.Client, name)
}

func flag(b *bool) lua.LValue {
	if b == nil {
		return lua.LNil
	}
	return lua.LBool(*b)
}

func (e *subscribeEvent) set(in *instance, name string, value lua.LValue) bool {
	switch name {
	case "info":
		e.Options.Info = in.wantJSON(name, value)
	case "data":
		e.Options.Data, e.replied = in.wantJSON(name, value), true
	case "expire_at":
		e.Options.ExpireAt = in.wantTime(name, value)
	case "presence":
		e.Options.Presence = in.wantFlag(name, value)
	case "join_leave":
		e.Options.JoinLeave = in.wantFlag(name, value)
	case "recovery":
		e.Options.Recovery = in.wantFlag(name, value)
	default:
		return false
	}
	e.changed = true
	return true
}

// publishEvent is the event of on_publish.
type publishEvent struct {
	*hooks.Publish
	changes
}

func (*publishEvent) readable() []string { return []string{"channel", "data", "tags", "id"} }
func (*publishEvent) writable() []string { return []string{"data", "tags"} }
func (e *publishEvent) reset()           { *e = publishEvent{} }

func (e *publishEvent) get(in *instance, name string) (lua.LValue, bool) {
	switch name {
	case "channel":
		return lua.LString(e.Channel), true
	case "data":
		return lua.LString(e.Data), true
	case "id":
		return lua.LString(e.Message.String()), true
	case "tags":
		t := in.l.CreateTable(0, len(e.Tags))
		for key, value := range e.Tags {
			t.RawSetString(key, lua.LString(value))
		}
		return in.freeze(t, "ev.tags is replaced as a whole, as in ev.tags = {lang = \"en\"}"), true
	}
	return in.clientField(&e.Client, name)
}

func (e *publishEvent) set(in *instance, name string, value lua.LValue) bool {
	switch name {
	case "data":
		s, ok := value.(lua.LString)
		if !ok {
			in.l.RaiseError("data must be a string, not a %s; json.encode makes one of a table", value.Type())
		}
		if string(s) != string(e.Data) { // Writing back what was read is no change.
			e.Data, e.changed = []byte(s), true
		}
	case "tags":
		e.Tags, e.changed = in.wantTags(value), true
	default:
		return false
	}
	return true
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

func (*rpcEvent) readable() []string { return []string{"method", "data", "reply"} }
func (*rpcEvent) writable() []string { return []string{"reply"} }
func (e *rpcEvent) reset()           { *e = rpcEvent{} }

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
