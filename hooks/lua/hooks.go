package lua

import (
	"context"

	"github.com/zenconn/server/hooks"
)

// Every hook takes an instance, has it answer, and gives it back. Each spells it out: handing over a function instead would cost the
// message path an allocation.

// Connect implements hooks.Connector.
func (p *Plugin) Connect(ctx context.Context, e *hooks.Connect) (hooks.Answer, error) {
	in, err := p.pool.Take(ctx)
	if err != nil {
		return hooks.Answer{}, err
	}
	defer p.pool.Put(in)
	in.connect.Connect = e
	return in.answer(ctx, seatConnect, &in.connect)
}

// Refresh implements hooks.Refresher.
func (p *Plugin) Refresh(ctx context.Context, e *hooks.Refresh) (hooks.Answer, error) {
	in, err := p.pool.Take(ctx)
	if err != nil {
		return hooks.Answer{}, err
	}
	defer p.pool.Put(in)
	in.refresh.Refresh = e
	return in.answer(ctx, seatRefresh, &in.refresh)
}

// Subscribe implements hooks.Subscriber.
func (p *Plugin) Subscribe(ctx context.Context, e *hooks.Subscribe) (hooks.Answer, error) {
	in, err := p.pool.Take(ctx)
	if err != nil {
		return hooks.Answer{}, err
	}
	defer p.pool.Put(in)
	in.subscription.Subscribe = e
	return in.answer(ctx, seatSubscribe, &in.subscription)
}

// Channel implements hooks.Definer.
func (p *Plugin) Channel(ctx context.Context, e *hooks.Channel) (hooks.Answer, error) {
	in, err := p.pool.Take(ctx)
	if err != nil {
		return hooks.Answer{}, err
	}
	defer p.pool.Put(in)
	in.channel.Channel = e
	return in.answer(ctx, seatChannel, &in.channel)
}

// Publish implements hooks.Publisher.
func (p *Plugin) Publish(ctx context.Context, e *hooks.Publish) (hooks.Answer, error) {
	in, err := p.pool.Take(ctx)
	if err != nil {
		return hooks.Answer{}, err
	}
	defer p.pool.Put(in)
	in.publication.Publish = e
	return in.answer(ctx, seatPublish, &in.publication)
}

// Call implements hooks.Caller.
func (p *Plugin) Call(ctx context.Context, e *hooks.RPC) (hooks.Answer, error) {
	in, err := p.pool.Take(ctx)
	if err != nil {
		return hooks.Answer{}, err
	}
	defer p.pool.Put(in)
	in.procedure.RPC = e
	return in.answer(ctx, seatRPC, &in.procedure)
}

// Send implements hooks.Receiver.
func (p *Plugin) Send(ctx context.Context, e *hooks.Send) (hooks.Answer, error) {
	in, err := p.pool.Take(ctx)
	if err != nil {
		return hooks.Answer{}, err
	}
	defer p.pool.Put(in)
	in.message.Send = e
	return in.answer(ctx, seatSend, &in.message)
}

// Unsubscribe implements hooks.Unsubscriber.
func (p *Plugin) Unsubscribe(ctx context.Context, e *hooks.Unsubscribe) (hooks.Answer, error) {
	in, err := p.pool.Take(ctx)
	if err != nil {
		return hooks.Answer{}, err
	}
	defer p.pool.Put(in)
	in.left.Unsubscribe = e
	return in.answer(ctx, seatUnsubscribe, &in.left)
}

// Disconnect implements hooks.Disconnector.
func (p *Plugin) Disconnect(ctx context.Context, e *hooks.Disconnect) (hooks.Answer, error) {
	in, err := p.pool.Take(ctx)
	if err != nil {
		return hooks.Answer{}, err
	}
	defer p.pool.Put(in)
	in.gone.Disconnect = e
	return in.answer(ctx, seatDisconnect, &in.gone)
}

// Audit implements hooks.Redactor.
func (p *Plugin) Audit(ctx context.Context, e *hooks.Audit) (hooks.Answer, error) {
	in, err := p.pool.Take(ctx)
	if err != nil {
		return hooks.Answer{}, err
	}
	defer p.pool.Put(in)
	in.record.Audit = e
	return in.answer(ctx, seatAudit, &in.record)
}
