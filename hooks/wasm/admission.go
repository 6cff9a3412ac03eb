package wasm

import (
	"fmt"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/hooks"
	"github.com/zenconn/server/hooks/host"
)

var errTooMany = fmt.Errorf("there are %d already", maxAdded)

// connectEvent is the event of on_connect.
type connectEvent struct {
	*hooks.Connect
	changes
	replied bool // Data was written: reads see it instead of what the client sent.
}

func (e *connectEvent) client() *hooks.Client { return &e.Client }
func (e *connectEvent) reset()                { *e = connectEvent{} }

func (e *connectEvent) get(in *instance, f host.Field) (value, bool) {
	switch f {
	case host.FieldUser:
		return value{text: e.User}, true
	case host.FieldInfo:
		return optional(e.Info), true
	case host.FieldToken:
		return value{text: e.Token}, true
	case host.FieldExpireAt:
		return in.integer(e.ExpireAt), true
	case host.FieldData:
		if e.replied {
			return optional(e.Data), true
		}
		return optional(e.Input), true
	}
	return value{}, false
}

func (e *connectEvent) set(f host.Field, b []byte) (err error) {
	switch f {
	case host.FieldUser:
		err = setText(&e.User, b)
	case host.FieldInfo:
		e.Info = bytesOf(b)
	case host.FieldExpireAt:
		err = setTime(&e.ExpireAt, b)
	case host.FieldData:
		e.Data, e.replied = bytesOf(b), true
	case host.FieldSubscription:
		var channel string
		var options core.SubscribeOptions
		if channel, options, err = subscriptionOf(b); err != nil {
			break
		}
		if len(e.Subs) >= maxAdded {
			return errTooMany
		}
		if e.Subs == nil {
			e.Subs = map[string]core.SubscribeOptions{}
		}
		e.Subs[channel] = options
	case host.FieldGrant:
		var grant core.Grant
		if grant, err = grantOf(b); err != nil {
			break
		}
		if len(e.Grants) >= maxAdded {
			return errTooMany
		}
		e.Grants = append(e.Grants, grant)
	default:
		return errNotWritable
	}
	e.changed = e.changed || err == nil
	return err
}

// refreshEvent is the event of on_refresh.
type refreshEvent struct {
	*hooks.Refresh
	changes
}

func (e *refreshEvent) client() *hooks.Client { return &e.Client }
func (e *refreshEvent) reset()                { *e = refreshEvent{} }

func (e *refreshEvent) get(in *instance, f host.Field) (value, bool) {
	switch f {
	case host.FieldChannel:
		return optionalText(e.Channel), true
	case host.FieldToken:
		return value{text: e.Token}, true
	case host.FieldExpireAt:
		return in.integer(e.ExpireAt), true
	case host.FieldInfo:
		if e.Info != nil {
			return optional(e.Info), true
		}
	}
	return value{}, false
}

func (e *refreshEvent) set(f host.Field, b []byte) (err error) {
	switch f {
	case host.FieldExpireAt:
		err = setTime(&e.ExpireAt, b)
	case host.FieldInfo:
		e.Info = bytesOf(b)
	default:
		return errNotWritable
	}
	e.changed = e.changed || err == nil
	return err
}

// subscribeEvent is the event of on_subscribe.
type subscribeEvent struct {
	*hooks.Subscribe
	changes
	replied bool // Options.Data was written: reads see it instead of what the client sent.
}

func (e *subscribeEvent) client() *hooks.Client { return &e.Client }
func (e *subscribeEvent) reset()                { *e = subscribeEvent{} }

func (e *subscribeEvent) get(in *instance, f host.Field) (value, bool) {
	switch f {
	case host.FieldChannel:
		return value{text: e.Channel}, true
	case host.FieldInfo:
		if e.Options.Info != nil {
			return optional(e.Options.Info), true
		}
	case host.FieldData:
		if e.replied {
			return optional(e.Options.Data), true
		}
		return optional(e.Input), true
	case host.FieldExpireAt:
		return in.integer(e.Options.ExpireAt), true
	case host.FieldPresence:
		return in.flag(e.Options.Presence), true
	case host.FieldJoinLeave:
		return in.flag(e.Options.JoinLeave), true
	case host.FieldRecovery:
		return in.flag(e.Options.Recovery), true
	}
	return value{}, false
}

func (e *subscribeEvent) set(f host.Field, b []byte) (err error) {
	switch f {
	case host.FieldInfo:
		e.Options.Info = bytesOf(b)
	case host.FieldData:
		e.Options.Data, e.replied = bytesOf(b), true
	case host.FieldExpireAt:
		err = setTime(&e.Options.ExpireAt, b)
	case host.FieldPresence:
		err = setFlag(&e.Options.Presence, b)
	case host.FieldJoinLeave:
		err = setFlag(&e.Options.JoinLeave, b)
	case host.FieldRecovery:
		err = setFlag(&e.Options.Recovery, b)
	case host.FieldGrant:
		var granted core.Permission
		if granted, err = permissionOf(b); err == nil {
			e.Options.Allow |= granted
		}
	default:
		return errNotWritable
	}
	e.changed = e.changed || err == nil
	return err
}
