package wasm

import (
	"math"
	"time"

	"github.com/zenconn/server/hooks"
	"github.com/zenconn/server/hooks/host"
)

// channelEvent is the event of on_channel.
type channelEvent struct {
	*hooks.Channel
	changes
}

func (*channelEvent) client() *hooks.Client { return nil }
func (e *channelEvent) reset()              { *e = channelEvent{} }

func (e *channelEvent) get(in *instance, f host.Field) (value, bool) {
	o := &e.Options
	switch f {
	case host.FieldChannel:
		return value{text: e.Channel.Channel}, true
	case host.FieldNamespace:
		return value{text: e.Namespace}, true
	case host.FieldSubscribe:
		return value{text: o.Subscribe}, true
	case host.FieldPublish:
		return value{text: o.Publish}, true
	case host.FieldPresence:
		return in.boolean(o.Presence), true
	case host.FieldJoinLeave:
		return in.boolean(o.JoinLeave), true
	case host.FieldHistorySize:
		return in.integer(int64(o.HistorySize)), true
	case host.FieldHistoryTTL:
		return in.integer(o.HistoryTTL.Milliseconds()), true
	case host.FieldRecovery:
		return in.boolean(o.Recovery), true
	case host.FieldExcludeSender:
		return in.boolean(o.ExcludeSender), true
	case host.FieldSlowConsumer:
		return value{text: o.SlowConsumer}, true
	}
	return value{}, false
}

// maxTTL is the longest history_ttl, in milliseconds: a hundred years.
const maxTTL = 100 * 366 * 24 * 3600 * 1000

func (e *channelEvent) set(f host.Field, b []byte) (err error) {
	o := &e.Options
	switch f {
	case host.FieldSubscribe:
		err = setText(&o.Subscribe, b)
	case host.FieldPublish:
		err = setText(&o.Publish, b)
	case host.FieldPresence:
		err = setBool(&o.Presence, b)
	case host.FieldJoinLeave:
		err = setBool(&o.JoinLeave, b)
	case host.FieldHistorySize:
		var n int64
		if n, err = integerOf(b, math.MaxInt32); err == nil {
			o.HistorySize = int(n)
		}
	case host.FieldHistoryTTL:
		var n int64
		if n, err = integerOf(b, maxTTL); err == nil {
			o.HistoryTTL = time.Duration(n) * time.Millisecond
		}
	case host.FieldRecovery:
		err = setBool(&o.Recovery, b)
	case host.FieldExcludeSender:
		err = setBool(&o.ExcludeSender, b)
	case host.FieldSlowConsumer:
		err = setText(&o.SlowConsumer, b)
	default:
		return errNotWritable
	}
	e.changed = e.changed || err == nil
	return err
}

// auditEvent is the event of on_audit.
type auditEvent struct {
	*hooks.Audit
	changes
}

func (*auditEvent) client() *hooks.Client { return nil }
func (e *auditEvent) reset()              { *e = auditEvent{} }

func (e *auditEvent) get(_ *instance, f host.Field) (value, bool) {
	switch f {
	case host.FieldKind:
		return value{text: e.Kind}, true
	case host.FieldChannel:
		return value{text: e.Channel}, true
	case host.FieldHook:
		return value{text: e.Hook}, true
	case host.FieldAction:
		return value{text: e.Action}, true
	case host.FieldUser:
		return value{text: e.User}, true
	case host.FieldPayload:
		return optional(e.Payload), true
	case host.FieldTags:
		return tagsValue(e.Tags), true
	case host.FieldRemoteAddr:
		return value{text: e.RemoteAddr}, true
	case host.FieldReason:
		return value{text: e.Reason}, true
	}
	return value{}, false
}

func (e *auditEvent) set(f host.Field, b []byte) (err error) {
	switch f {
	case host.FieldUser:
		err = setText(&e.User, b)
	case host.FieldPayload:
		e.Payload = bytesOf(b)
	case host.FieldTags:
		err = setTags(&e.Tags, b)
	case host.FieldRemoteAddr:
		err = setText(&e.RemoteAddr, b)
	case host.FieldReason:
		err = setText(&e.Reason, b)
	default:
		return errNotWritable
	}
	e.changed = e.changed || err == nil
	return err
}
