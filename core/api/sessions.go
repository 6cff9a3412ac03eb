package api

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/session"
)

// empty is the result of a method that has nothing to say.
type empty struct{}

// target says whom a request is for. A session has one ID here, which both client and session mean.
type target struct {
	User    string `json:"user,omitempty"`
	Client  string `json:"client,omitempty"`
	Session string `json:"session,omitempty"`
}

func (t *target) target() (session.Target, error) {
	found := session.Target{User: t.User, Client: t.Client}
	switch {
	case t.Client == "":
		found.Client = t.Session
	case t.Session != "" && t.Session != t.Client:
		return found, core.ErrBadRequest.Saying("client and session name different sessions")
	}
	return found, nil
}

// String returns the target for the audit.
func (t *target) String() string {
	switch {
	case t.User != "":
		return t.User
	case t.Client != "":
		return t.Client
	}
	return t.Session
}

type subscribeRequest struct {
	target
	Channel      string          `json:"channel"`
	ExpireAt     int64           `json:"expire_at,omitempty"`
	Info         json.RawMessage `json:"info,omitempty"`
	B64Info      string          `json:"b64info,omitempty"`
	Data         json.RawMessage `json:"data,omitempty"`
	B64Data      string          `json:"b64data,omitempty"`
	RecoverSince *position       `json:"recover_since,omitempty"`
	Override     *override       `json:"override,omitempty"`
}

type position struct {
	Offset uint64 `json:"offset,omitempty"`
	Epoch  string `json:"epoch,omitempty"`
}

// override holds options that differ from the namespace's.
type override struct {
	Presence           *flag `json:"presence,omitempty"`
	JoinLeave          *flag `json:"join_leave,omitempty"`
	ForceRecovery      *flag `json:"force_recovery,omitempty"`
	ForcePositioning   *flag `json:"force_positioning,omitempty"`
	ForcePushJoinLeave *flag `json:"force_push_join_leave,omitempty"`
}

type flag struct {
	Value bool `json:"value"`
}

func (f *flag) pointer() *bool {
	if f == nil {
		return nil
	}
	return &f.Value
}

func (r *subscribeRequest) about() (string, any) {
	shown := *r
	shown.Info, shown.B64Info, shown.Data, shown.B64Data = nil, "", nil, ""
	return r.Channel, shown
}

func (r *subscribeRequest) run(ctx context.Context, c *Commands) (any, error) {
	t, err := r.target.target()
	if err != nil {
		return nil, err
	}
	sub, err := r.subscription()
	if err != nil {
		return nil, err
	}
	return empty{}, c.cluster.Subscribe(ctx, t, r.Channel, sub)
}

func (r *subscribeRequest) subscription() (sub session.Subscription, err error) {
	sub.ExpireAt = r.ExpireAt
	if sub.Info, err = jsonOf("info", r.Info, r.B64Info); err != nil {
		return sub, err
	}
	if sub.Data, err = jsonOf("data", r.Data, r.B64Data); err != nil {
		return sub, err
	}
	if r.RecoverSince != nil {
		sub.Since = &core.Position{Offset: r.RecoverSince.Offset, Epoch: r.RecoverSince.Epoch}
	}
	if o := r.Override; o != nil {
		if o.ForcePositioning != nil {
			return sub, core.ErrNotAvailable.Saying("positions are tracked where recovery is on: use override.force_recovery")
		}
		sub.Presence, sub.JoinLeave, sub.Recovery = o.Presence.pointer(), o.JoinLeave.pointer(), o.ForceRecovery.pointer()
		sub.PushJoinLeave = o.ForcePushJoinLeave.pointer()
	}
	return sub, nil
}

// jsonOf is oneOf for what clients of the JSON protocol are shown too.
func jsonOf(name string, raw json.RawMessage, encoded string) ([]byte, error) {
	data, err := oneOf(name, raw, encoded)
	if err == nil && encoded != "" && !json.Valid(data) {
		return nil, core.ErrBadRequest.Saying("b64" + name + " does not hold JSON")
	}
	return data, err
}

type unsubscribeRequest struct {
	target
	Channel string `json:"channel"`
}

func (r *unsubscribeRequest) about() (string, any) { return r.Channel, r }

func (r *unsubscribeRequest) run(ctx context.Context, c *Commands) (any, error) {
	t, err := r.target.target()
	if err != nil {
		return nil, err
	}
	return empty{}, c.cluster.Unsubscribe(ctx, t, r.Channel)
}

type disconnectRequest struct {
	target
	Whitelist  []string    `json:"whitelist,omitempty"` // Sessions that stay.
	Disconnect *disconnect `json:"disconnect,omitempty"`
}

type disconnect struct {
	Code   uint32 `json:"code,omitempty"`
	Reason string `json:"reason,omitempty"`
}

// maxReason is what reaches a WebSocket client, in bytes (RFC 6455 §5.5).
const maxReason = 123

func (r *disconnectRequest) about() (string, any) { return r.String(), r }

func (r *disconnectRequest) run(ctx context.Context, c *Commands) (any, error) {
	t, err := r.target.target()
	if err != nil {
		return nil, err
	}
	t.Except = r.Whitelist
	d := core.DisconnectForceNoReconnect
	if r.Disconnect != nil && *r.Disconnect != (disconnect{}) {
		d = core.Disconnect{Code: r.Disconnect.Code, Reason: r.Disconnect.Reason}
		if d.Code == 0 {
			d.Code = core.DisconnectForceNoReconnect.Code
		}
	}
	switch {
	case d.Code < 3000 || d.Code > 4999:
		return nil, core.ErrBadRequest.Saying("a disconnect code lies between 3000 and 4999")
	case len(d.Reason) > maxReason:
		return nil, core.ErrBadRequest.Saying(fmt.Sprintf("a disconnect reason has at most %d bytes", maxReason))
	}
	return empty{}, c.cluster.Disconnect(ctx, t, d)
}

type refreshRequest struct {
	target
	Expired  bool            `json:"expired,omitempty"` // End the sessions as expired.
	ExpireAt int64           `json:"expire_at,omitempty"`
	Info     json.RawMessage `json:"info,omitempty"`
}

func (r *refreshRequest) about() (string, any) {
	shown := *r
	shown.Info = nil
	return r.String(), shown
}

func (r *refreshRequest) run(ctx context.Context, c *Commands) (any, error) {
	t, err := r.target.target()
	switch {
	case err != nil:
		return nil, err
	case r.Info != nil:
		return nil, core.ErrNotAvailable.Saying("the server API does not change the info of a session")
	case r.ExpireAt < 0:
		return nil, core.ErrBadRequest.Saying("expire_at is a Unix time in seconds, or 0 for never")
	case r.Expired:
		return empty{}, c.cluster.Disconnect(ctx, t, core.DisconnectExpired)
	}
	return empty{}, c.cluster.Refresh(ctx, t, r.ExpireAt)
}

type sendRequest struct {
	target
	Data json.RawMessage `json:"data,omitempty"`
}

type sendResult struct {
	Sessions int `json:"sessions"`
}

func (r *sendRequest) about() (string, any) {
	shown := *r
	shown.Data = nil
	return r.String(), shown
}

func (r *sendRequest) run(ctx context.Context, c *Commands) (any, error) {
	t, err := r.target.target()
	if err != nil {
		return nil, err
	}
	if r.Data == nil {
		return nil, core.ErrBadRequest.Saying("data is missing")
	}
	n, err := c.cluster.Send(ctx, t, r.Data)
	return sendResult{n}, err
}

type rpcRequest struct {
	Method string          `json:"method"`
	Params json.RawMessage `json:"params,omitempty"`
}

type rpcResult struct {
	Data json.RawMessage `json:"data,omitempty"`
}

func (r *rpcRequest) about() (string, any) { return r.Method, rpcRequest{Method: r.Method} }

func (r *rpcRequest) run(ctx context.Context, c *Commands) (any, error) {
	if r.Method == "" {
		return nil, core.ErrBadRequest.Saying("method is missing")
	}
	data, err := c.cluster.Call(ctx, r.Method, r.Params)
	return rpcResult{data}, err
}
