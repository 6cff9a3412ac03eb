package lua

import (
	lua "github.com/yuin/gopher-lua"

	"github.com/zenconn/server/hooks"
)

// refreshEvent is the event of on_refresh.
type refreshEvent struct {
	*hooks.Refresh
	changes
}

func (*refreshEvent) readable() []string      { return []string{"channel", "token", "expire_at"} }
func (*refreshEvent) writable() []string      { return []string{"expire_at", "info"} }
func (e *refreshEvent) client() *hooks.Client { return &e.Client }
func (e *refreshEvent) reset()                { *e = refreshEvent{} }

func (e *refreshEvent) get(in *instance, name string) (lua.LValue, bool) {
	switch name {
	case "channel":
		if e.Channel == "" {
			return lua.LNil, true
		}
		return lua.LString(e.Channel), true
	case "token":
		return lua.LString(e.Token), true
	case "expire_at":
		return lua.LNumber(e.ExpireAt), true
	case "info":
		if e.Info != nil {
			return text(e.Info), true
		}
	}
	return in.clientField(&e.Client, name)
}

func (e *refreshEvent) set(in *instance, name string, value lua.LValue) bool {
	switch name {
	case "expire_at":
		e.ExpireAt = in.wantTime(name, value)
	case "info":
		e.Info = in.wantJSON(name, value)
	default:
		return false
	}
	e.changed = true
	return true
}

// unsubscribeEvent is the event of on_unsubscribe.
type unsubscribeEvent struct {
	*hooks.Unsubscribe
	changes
}

func (*unsubscribeEvent) readable() []string                     { return []string{"channel", "code", "reason"} }
func (*unsubscribeEvent) writable() []string                     { return nil }
func (*unsubscribeEvent) set(*instance, string, lua.LValue) bool { return false }
func (e *unsubscribeEvent) client() *hooks.Client                { return &e.Client }
func (e *unsubscribeEvent) reset()                               { *e = unsubscribeEvent{} }

func (e *unsubscribeEvent) get(in *instance, name string) (lua.LValue, bool) {
	switch name {
	case "channel":
		return lua.LString(e.Channel), true
	case "code":
		return lua.LNumber(e.Code), true
	case "reason":
		return lua.LString(e.Reason), true
	}
	return in.clientField(&e.Client, name)
}

// disconnectEvent is the event of on_disconnect.
type disconnectEvent struct {
	*hooks.Disconnect
	changes
}

func (*disconnectEvent) readable() []string                     { return []string{"code", "reason"} }
func (*disconnectEvent) writable() []string                     { return nil }
func (*disconnectEvent) set(*instance, string, lua.LValue) bool { return false }
func (e *disconnectEvent) client() *hooks.Client                { return &e.Client }
func (e *disconnectEvent) reset()                               { *e = disconnectEvent{} }

func (e *disconnectEvent) get(in *instance, name string) (lua.LValue, bool) {
	switch name {
	case "code":
		return lua.LNumber(e.Code), true
	case "reason":
		return lua.LString(e.Reason), true
	}
	return in.clientField(&e.Client, name)
}
