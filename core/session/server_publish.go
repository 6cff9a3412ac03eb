package session

import (
	"context"
	"fmt"
	"time"

	"github.com/zenconn/server/audit"
	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/channel"
	"github.com/zenconn/server/core/protocol"
	"github.com/zenconn/server/hooks"
)

// What is remembered of publications with an idempotency key.
const (
	IdempotencyTTL  = 5 * time.Minute
	IdempotencyKeys = 65_536 // Some 20 MiB at most.
)

// maxIdempotencyKey bounds the length of a key, in bytes.
const maxIdempotencyKey = 255

// Outgoing is a publication that the server makes.
type Outgoing struct {
	Channel        string
	Data           []byte // Owned by the publication from then on.
	Tags           map[string]string
	SkipHistory    bool   // Only deliver it.
	IdempotencyKey string // Repeated within IdempotencyTTL in the same channel, nothing is published again; empty: none.
}

// Publish publishes in a channel. It returns the position, the zero one in a channel without history.
func (s *Server) Publish(ctx context.Context, o Outgoing) (core.Position, error) {
	ns, bad := s.node.Namespaces.Resolve(o.Channel)
	switch {
	case bad != nil:
		return core.Position{}, bad
	case ns.Reserved:
		return core.Position{}, core.ErrPermissionDenied.Saying("only the server itself publishes in this channel")
	case len(o.Data) == 0:
		return core.Position{}, core.ErrBadRequest.Saying("data is empty")
	case !ns.Binary && !protocol.ValidJSON(o.Data):
		return core.Position{}, core.ErrBadRequest.Saying("data is not JSON")
	case len(o.IdempotencyKey) > maxIdempotencyKey:
		return core.Position{}, core.ErrBadRequest.Saying(fmt.Sprintf("an idempotency key has at most %d bytes", maxIdempotencyKey))
	case o.IdempotencyKey == "":
		return s.publish(ctx, ns, &o)
	}
	return s.published.do(ctx, keyOf(o.Channel, o.IdempotencyKey), func() (core.Position, error) { return s.publish(ctx, ns, &o) })
}

func (s *Server) publish(ctx context.Context, ns *channel.Namespace, o *Outgoing) (core.Position, error) {
	pub := &core.Publication{ID: core.NewID(), Channel: o.Channel, Data: o.Data, Tags: o.Tags, Time: time.Now().UnixMilli()}
	route := ns
	if o.SkipHistory {
		route = fleeting(ns)
	}
	ctx, cancel := context.WithTimeout(ctx, s.node.patience())
	defer cancel()
	if err := s.node.admit(ctx); err != nil {
		return core.Position{}, err
	}
	out, err := s.node.Hub.Publish(ctx, route, pub, core.ID{})
	if err != nil {
		return core.Position{}, err
	}
	s.node.Metrics.Published(ns.Name, out.Deliveries)
	if err := s.node.recordMessage(ctx, s.node.message(ns, pub, audit.MessageAllow, out.Deliveries)); err != nil {
		return core.Position{}, err
	}
	return out.Position, nil
}

// Call has a plugin answer a call of the server's owner, which comes from no client: its user is empty and its transport "api".
func (s *Server) Call(ctx context.Context, method string, input []byte) (reply []byte, err error) {
	event := &hooks.RPC{
		Client: hooks.Client{Transport: "api", Protocol: protocol.JSON.String(), Header: noHeader}, Method: method, Input: input,
	}
	answer := s.node.Hooks.Call(ctx, event)
	switch answer.Verdict {
	case hooks.Allow:
		return event.Reply, nil
	case hooks.Deny, hooks.Drop:
		return nil, denial(answer)
	case hooks.Pass:
	}
	return nil, core.ErrMethodNotFound
}
