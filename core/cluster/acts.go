package cluster

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/history"
	"github.com/zenconn/server/core/session"
)

// Publish publishes in a channel, from this process: the hub carries it to the others. With an idempotency key the publication is
// made by the agent that keeps the key, so that whichever agents are asked, it happens once.
func (c *Calls) Publish(ctx context.Context, o session.Outgoing) (core.Position, error) {
	for o.IdempotencyKey != "" {
		p := c.keeper(o.Channel, o.IdempotencyKey)
		if p == nil {
			break
		}
		all := everyone(ctx, c, []contact{*p}, actPublish, o)
		if len(all) == 0 {
			continue // It has gone: another agent keeps the key now.
		}
		if _, refused := errors.AsType[*core.Error](all[0].err); all[0].err != nil && !refused {
			c.unanswered(actPublish.name, *p, all[0].err)
			return core.Position{}, core.ErrInternal.
				Saying("the agent that keeps the idempotency key did not answer; try again with the same key: " + p.Name).Because(all[0].err)
		}
		return all[0].got, all[0].err
	}
	return c.local.Publish(ctx, o)
}

// keeper returns the agent that keeps an idempotency key: of all that are ready the one for which a hash is the largest. Every agent
// comes to the same result, and when one comes or goes only its share of the keys moves. nil: this process keeps it.
func (c *Calls) keeper(channel, key string) (best *contact) {
	weight := func(uid string) uint64 {
		sum := sha256.Sum256([]byte(uid + "\x00" + channel + "\x00" + key))
		return binary.BigEndian.Uint64(sum[:])
	}
	var most uint64
	if self := c.members.Self(); self.Kind == Agent && self.State == Ready {
		most = weight(self.UID)
	}
	for _, p := range c.members.usable() {
		if p.Kind != Agent || p.State != Ready {
			continue
		}
		if w := weight(p.UID); w > most {
			best, most = &p, w
		}
	}
	return best
}

// Call has a plugin of this process answer.
func (c *Calls) Call(ctx context.Context, method string, input []byte) ([]byte, error) {
	return c.local.Call(ctx, method, input)
}

// Subscribe makes the target's sessions listen to a channel and tells the clients.
func (c *Calls) Subscribe(ctx context.Context, t session.Target, channel string, s session.Subscription) error {
	_, err := act(ctx, c, actSubscribe, c.local.Keeps(t), doing[subscribing]{t, subscribing{channel, s}})
	return err
}

// Unsubscribe ends the target's subscriptions to a channel and tells the clients.
func (c *Calls) Unsubscribe(ctx context.Context, t session.Target, channel string) error {
	_, err := act(ctx, c, actUnsubscribe, c.local.Keeps(t), doing[string]{t, channel})
	return err
}

// Disconnect ends the target's sessions.
func (c *Calls) Disconnect(ctx context.Context, t session.Target, d core.Disconnect) error {
	_, err := act(ctx, c, actDisconnect, c.local.Keeps(t), doing[core.Disconnect]{t, d})
	return err
}

// Refresh gives the target's sessions a new time of expiry.
func (c *Calls) Refresh(ctx context.Context, t session.Target, expireAt int64) error {
	_, err := act(ctx, c, actRefresh, c.local.Keeps(t), doing[int64]{t, expireAt})
	return err
}

// Send sends a message to the target's sessions. It returns how many it was queued for, also when it returns an error.
func (c *Calls) Send(ctx context.Context, t session.Target, data []byte) (sessions int, err error) {
	all, err := act(ctx, c, actSend, c.local.Keeps(t), doing[[]byte]{t, data})
	for _, n := range all {
		sessions += n
	}
	return sessions, err
}

// History returns a part of a channel's history, which all processes share.
func (c *Calls) History(ctx context.Context, channel string, q history.Query) ([]*core.Publication, core.Position, error) {
	return c.local.History(ctx, channel, q)
}

// RemoveHistory forgets a channel's publications.
func (c *Calls) RemoveHistory(ctx context.Context, channel string) error {
	return c.local.RemoveHistory(ctx, channel)
}
