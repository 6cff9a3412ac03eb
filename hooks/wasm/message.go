package wasm

import (
	"bytes"

	"github.com/zenconn/server/hooks"
	"github.com/zenconn/server/hooks/host"
)

// publishEvent is the event of on_publish.
type publishEvent struct {
	*hooks.Publish
	changes
}

func (e *publishEvent) client() *hooks.Client { return &e.Client }
func (e *publishEvent) reset()                { *e = publishEvent{} }

func (e *publishEvent) get(in *instance, f host.Field) (value, bool) {
	switch f {
	case host.FieldChannel:
		return value{text: e.Channel}, true
	case host.FieldData:
		return value{bytes: e.Data}, true
	case host.FieldID:
		return value{text: e.Message.String()}, true
	case host.FieldTags:
		return tagsValue(e.Tags), true
	case host.FieldRedirect:
		return optionalText(e.Redirect), true
	case host.FieldExpireAt:
		return in.integer(e.ExpireAt), true
	case host.FieldSkipHistory:
		return in.boolean(e.SkipHistory), true
	case host.FieldExcludeSender:
		return in.flag(e.ExcludeSender), true
	}
	return value{}, false
}

func (e *publishEvent) set(f host.Field, b []byte) (err error) {
	switch f {
	case host.FieldData:
		if bytes.Equal(b, e.Data) { // Writing back what was read is no change.
			return nil
		}
		e.Data = append(make([]byte, 0, len(b)), b...)
	case host.FieldTags:
		err = setTags(&e.Tags, b)
	case host.FieldRedirect:
		err = setText(&e.Redirect, b)
	case host.FieldExpireAt:
		err = setTime(&e.ExpireAt, b)
	case host.FieldSkipHistory:
		err = setBool(&e.SkipHistory, b)
	case host.FieldExcludeSender:
		err = setFlag(&e.ExcludeSender, b)
	default:
		return errNotWritable
	}
	e.changed = e.changed || err == nil
	return err
}

// rpcEvent is the event of on_rpc.
type rpcEvent struct {
	*hooks.RPC
	changes
}

func (e *rpcEvent) client() *hooks.Client { return &e.Client }
func (e *rpcEvent) reset()                { *e = rpcEvent{} }

func (e *rpcEvent) get(_ *instance, f host.Field) (value, bool) {
	switch f {
	case host.FieldMethod:
		return value{text: e.Method}, true
	case host.FieldData:
		return optional(e.Input), true
	case host.FieldReply:
		return optional(e.Reply), true
	}
	return value{}, false
}

func (e *rpcEvent) set(f host.Field, b []byte) error {
	if f != host.FieldReply {
		return errNotWritable
	}
	e.Reply, e.changed = bytesOf(b), true
	return nil
}

// sendEvent is the event of on_send.
type sendEvent struct {
	*hooks.Send
	changes
}

func (e *sendEvent) client() *hooks.Client      { return &e.Client }
func (e *sendEvent) reset()                     { *e = sendEvent{} }
func (*sendEvent) set(host.Field, []byte) error { return errNotWritable }

func (e *sendEvent) get(_ *instance, f host.Field) (value, bool) {
	if f == host.FieldData {
		return optional(e.Input), true
	}
	return value{}, false
}

// unsubscribeEvent is the event of on_unsubscribe.
type unsubscribeEvent struct {
	*hooks.Unsubscribe
	changes
}

func (e *unsubscribeEvent) client() *hooks.Client      { return &e.Client }
func (e *unsubscribeEvent) reset()                     { *e = unsubscribeEvent{} }
func (*unsubscribeEvent) set(host.Field, []byte) error { return errNotWritable }

func (e *unsubscribeEvent) get(in *instance, f host.Field) (value, bool) {
	switch f {
	case host.FieldChannel:
		return value{text: e.Channel}, true
	case host.FieldCode:
		return in.integer(int64(e.Code)), true
	case host.FieldReason:
		return value{text: e.Reason}, true
	}
	return value{}, false
}

// disconnectEvent is the event of on_disconnect.
type disconnectEvent struct {
	*hooks.Disconnect
	changes
}

func (e *disconnectEvent) client() *hooks.Client      { return &e.Client }
func (e *disconnectEvent) reset()                     { *e = disconnectEvent{} }
func (*disconnectEvent) set(host.Field, []byte) error { return errNotWritable }

func (e *disconnectEvent) get(in *instance, f host.Field) (value, bool) {
	switch f {
	case host.FieldCode:
		return in.integer(int64(e.Code)), true
	case host.FieldReason:
		return value{text: e.Reason}, true
	}
	return value{}, false
}
