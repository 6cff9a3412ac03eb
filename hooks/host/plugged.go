package host

import (
	"context"

	"github.com/zenconn/server/hooks"
)

// The seats of hooks: what a runtime finds a plugin's functions by, without a search.
const (
	SeatConnect = iota
	SeatRefresh
	SeatSubscribe
	SeatChannel
	SeatPublish
	SeatRPC
	SeatSend
	SeatUnsubscribe
	SeatDisconnect
	SeatAudit
	Seats // How many there are.
)

// Seat is a hook, and the function of a plugin that answers it.
type Seat struct {
	Hook     hooks.Hook
	Function string
}

// Seating lists all hooks, each at its seat.
var Seating = [Seats]Seat{
	SeatConnect:     {hooks.OnConnect, "on_connect"},
	SeatRefresh:     {hooks.OnRefresh, "on_refresh"},
	SeatSubscribe:   {hooks.OnSubscribe, "on_subscribe"},
	SeatChannel:     {hooks.OnChannel, "on_channel"},
	SeatPublish:     {hooks.OnPublish, "on_publish"},
	SeatRPC:         {hooks.OnRPC, "on_rpc"},
	SeatSend:        {hooks.OnSend, "on_send"},
	SeatUnsubscribe: {hooks.OnUnsubscribe, "on_unsubscribe"},
	SeatDisconnect:  {hooks.OnDisconnect, "on_disconnect"},
	SeatAudit:       {hooks.OnAudit, "on_audit"},
}

// Answering is an instance that can be asked. The event is a pointer to one of the event types of package hooks, and belongs to the
// instance during the call.
type Answering interface {
	Instance
	Answer(ctx context.Context, seat int, event any) (hooks.Answer, error)
}

// Plugged is the part of a loaded plugin that every runtime shares: it implements every hook of package hooks by asking an instance
// of the pool. The runtime embeds it.
type Plugged[I Answering] struct {
	name  string
	hash  string
	hooks []hooks.Hook
	pool  *Pool[I]
}

// Plug makes the shared part. wanted says by seat which hooks the plugin's code defines.
func Plug[I Answering](name, hash string, wanted [Seats]bool, pool *Pool[I]) Plugged[I] {
	p := Plugged[I]{name: name, hash: hash, pool: pool}
	for seat, s := range Seating {
		if wanted[seat] {
			p.hooks = append(p.hooks, s.Hook)
		}
	}
	return p
}

// ask takes an instance, has it answer, and gives it back.
func (p *Plugged[I]) ask(ctx context.Context, seat int, event any) (hooks.Answer, error) {
	in, err := p.pool.Take(ctx)
	if err != nil {
		return hooks.Answer{}, err
	}
	defer p.pool.Put(in)
	return in.Answer(ctx, seat, event)
}

// Name implements hooks.Plugin.
func (p *Plugged[I]) Name() string { return p.name }

// Hash implements hooks.Plugin: the SHA-256 of the file.
func (p *Plugged[I]) Hash() string { return p.hash }

// Hooks implements hooks.Selective: the hooks the file defines.
func (p *Plugged[I]) Hooks() []hooks.Hook { return p.hooks }

// Instances is how many instances exist or are being made.
func (p *Plugged[I]) Instances() int { return p.pool.Made() }

// Connect implements hooks.Connector.
func (p *Plugged[I]) Connect(ctx context.Context, e *hooks.Connect) (hooks.Answer, error) {
	return p.ask(ctx, SeatConnect, e)
}

// Refresh implements hooks.Refresher.
func (p *Plugged[I]) Refresh(ctx context.Context, e *hooks.Refresh) (hooks.Answer, error) {
	return p.ask(ctx, SeatRefresh, e)
}

// Subscribe implements hooks.Subscriber.
func (p *Plugged[I]) Subscribe(ctx context.Context, e *hooks.Subscribe) (hooks.Answer, error) {
	return p.ask(ctx, SeatSubscribe, e)
}

// Channel implements hooks.Definer.
func (p *Plugged[I]) Channel(ctx context.Context, e *hooks.Channel) (hooks.Answer, error) {
	return p.ask(ctx, SeatChannel, e)
}

// Publish implements hooks.Publisher.
func (p *Plugged[I]) Publish(ctx context.Context, e *hooks.Publish) (hooks.Answer, error) {
	return p.ask(ctx, SeatPublish, e)
}

// Call implements hooks.Caller.
func (p *Plugged[I]) Call(ctx context.Context, e *hooks.RPC) (hooks.Answer, error) {
	return p.ask(ctx, SeatRPC, e)
}

// Send implements hooks.Receiver.
func (p *Plugged[I]) Send(ctx context.Context, e *hooks.Send) (hooks.Answer, error) {
	return p.ask(ctx, SeatSend, e)
}

// Unsubscribe implements hooks.Unsubscriber.
func (p *Plugged[I]) Unsubscribe(ctx context.Context, e *hooks.Unsubscribe) (hooks.Answer, error) {
	return p.ask(ctx, SeatUnsubscribe, e)
}

// Disconnect implements hooks.Disconnector.
func (p *Plugged[I]) Disconnect(ctx context.Context, e *hooks.Disconnect) (hooks.Answer, error) {
	return p.ask(ctx, SeatDisconnect, e)
}

// Audit implements hooks.Redactor.
func (p *Plugged[I]) Audit(ctx context.Context, e *hooks.Audit) (hooks.Answer, error) {
	return p.ask(ctx, SeatAudit, e)
}
