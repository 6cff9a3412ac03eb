package lua

import (
	"math"
	"time"

	lua "github.com/yuin/gopher-lua"

	"github.com/zenconn/server/hooks"
)

// channelEvent is the event of on_channel.
type channelEvent struct {
	*hooks.Channel
	changes
}

var channelOptions = []string{"subscribe", "publish", "presence", "join_leave", "history_size", "history_ttl", "recovery",
	"exclude_sender", "slow_consumer"}

func (*channelEvent) readable() []string {
	return append([]string{"channel", "namespace"}, channelOptions...)
}
func (*channelEvent) writable() []string    { return channelOptions }
func (*channelEvent) client() *hooks.Client { return nil }
func (e *channelEvent) reset()              { *e = channelEvent{} }

func (e *channelEvent) get(_ *instance, name string) (lua.LValue, bool) {
	o := &e.Options
	switch name {
	case "channel":
		return lua.LString(e.Channel.Channel), true
	case "namespace":
		return lua.LString(e.Namespace), true
	case "subscribe":
		return lua.LString(o.Subscribe), true
	case "publish":
		return lua.LString(o.Publish), true
	case "presence":
		return lua.LBool(o.Presence), true
	case "join_leave":
		return lua.LBool(o.JoinLeave), true
	case "history_size":
		return lua.LNumber(o.HistorySize), true
	case "history_ttl":
		return lua.LNumber(o.HistoryTTL.Seconds()), true
	case "recovery":
		return lua.LBool(o.Recovery), true
	case "exclude_sender":
		return lua.LBool(o.ExcludeSender), true
	case "slow_consumer":
		return lua.LString(o.SlowConsumer), true
	}
	return lua.LNil, false
}

func (e *channelEvent) set(in *instance, name string, value lua.LValue) bool {
	o := &e.Options
	switch name {
	case "subscribe":
		o.Subscribe = in.wantText(name, value)
	case "publish":
		o.Publish = in.wantText(name, value)
	case "presence":
		o.Presence = in.wantBool(name, value)
	case "join_leave":
		o.JoinLeave = in.wantBool(name, value)
	case "history_size":
		size := in.wantNumber(name, value, math.MaxInt32)
		if size != math.Trunc(size) {
			in.l.RaiseError("history_size must be a whole number, not %s", describe(value))
		}
		o.HistorySize = int(size)
	case "history_ttl":
		o.HistoryTTL = time.Duration(in.wantNumber(name, value, maxTTL) * float64(time.Second))
	case "recovery":
		o.Recovery = in.wantBool(name, value)
	case "exclude_sender":
		o.ExcludeSender = in.wantBool(name, value)
	case "slow_consumer":
		o.SlowConsumer = in.wantText(name, value)
	default:
		return false
	}
	e.changed = true
	return true
}

// maxTTL is the longest history_ttl, in seconds: a hundred years.
const maxTTL = 100 * 366 * 24 * 3600

func (in *instance) wantNumber(name string, value lua.LValue, most float64) float64 {
	n, ok := value.(lua.LNumber)
	if !ok || !(n >= 0 && float64(n) <= most) {
		in.l.RaiseError("%s must be a number from 0 to %.0f, not %s", name, most, describe(value))
	}
	return float64(n)
}

// auditEvent is the event of on_audit.
type auditEvent struct {
	*hooks.Audit
	changes
}

func (*auditEvent) readable() []string {
	return []string{"kind", "channel", "hook", "action", "user", "payload", "tags", "remote_addr", "reason"}
}

func (*auditEvent) writable() []string {
	return []string{"user", "payload", "tags", "remote_addr", "reason"}
}
func (*auditEvent) client() *hooks.Client { return nil }
func (e *auditEvent) reset()              { *e = auditEvent{} }

func (e *auditEvent) get(in *instance, name string) (lua.LValue, bool) {
	switch name {
	case "kind":
		return lua.LString(e.Kind), true
	case "channel":
		return lua.LString(e.Channel), true
	case "hook":
		return lua.LString(e.Hook), true
	case "action":
		return lua.LString(e.Action), true
	case "user":
		return lua.LString(e.User), true
	case "payload":
		return text(e.Payload), true
	case "tags":
		return in.tags(e.Tags), true
	case "remote_addr":
		return lua.LString(e.RemoteAddr), true
	case "reason":
		return lua.LString(e.Reason), true
	}
	return lua.LNil, false
}

func (e *auditEvent) set(in *instance, name string, value lua.LValue) bool {
	switch name {
	case "user":
		e.write(&e.User, in.wantText(name, value))
	case "payload":
		if value == lua.LNil {
			e.changed = e.changed || e.Payload != nil
			e.Payload = nil
		} else if s := in.wantBytes(name, value); e.Payload == nil || s != string(e.Payload) {
			e.Payload, e.changed = []byte(s), true
		}
	case "tags":
		e.Tags, e.changed = in.wantTags(value), true
	case "remote_addr":
		e.write(&e.RemoteAddr, in.wantText(name, value))
	case "reason":
		e.write(&e.Reason, in.wantText(name, value))
	default:
		return false
	}
	return true
}

// write sets a field. Writing back what was read is no change: most events have nothing to redact.
func (e *auditEvent) write(field *string, s string) {
	e.changed = e.changed || *field != s
	*field = s
}

func (in *instance) wantBytes(name string, value lua.LValue) string {
	s, ok := value.(lua.LString)
	if !ok {
		in.l.RaiseError("%s must be a string, not a %s; json.encode makes one of a table", name, value.Type())
	}
	return string(s)
}
