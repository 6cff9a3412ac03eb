package wasm

import "github.com/zenconn/server/hooks"

// bind is the event of an instance that stands for e.
func (in *instance) bind(e any) event {
	switch e := e.(type) {
	case *hooks.Connect:
		in.connect.Connect = e
		return &in.connect
	case *hooks.Refresh:
		in.refresh.Refresh = e
		return &in.refresh
	case *hooks.Subscribe:
		in.subscription.Subscribe = e
		return &in.subscription
	case *hooks.Channel:
		in.channel.Channel = e
		return &in.channel
	case *hooks.Publish:
		in.publication.Publish = e
		return &in.publication
	case *hooks.RPC:
		in.procedure.RPC = e
		return &in.procedure
	case *hooks.Send:
		in.message.Send = e
		return &in.message
	case *hooks.Unsubscribe:
		in.left.Unsubscribe = e
		return &in.left
	case *hooks.Disconnect:
		in.gone.Disconnect = e
		return &in.gone
	case *hooks.Audit:
		in.record.Audit = e
		return &in.record
	}
	panic("no event of package hooks")
}
