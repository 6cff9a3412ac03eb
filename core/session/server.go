package session

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/channel"
	"github.com/zenconn/server/core/protocol"
)

// Server is what the server itself does to the sessions and channels of one worker, whatever clients may: no rule and no hook is
// asked. All methods may be called concurrently. An error that is a *core.Error is meant for who asked; any other is a fault.
type Server struct {
	node      *Node
	version   string // Of the program.
	published *once
}

// NewServer makes the Server of a node, which runs this version of the program.
func NewServer(n *Node, version string) *Server {
	return &Server{node: n, version: version, published: newOnce(IdempotencyTTL, IdempotencyKeys)}
}

// Target names the sessions something is done to: those that match all fields that are not empty. Either User or Client must be
// there. Sessions that have not connected yet are none.
type Target struct {
	User   string
	Client string   // A session's ID.
	Except []string // IDs of sessions it is not done to.
}

// find returns the sessions of a target.
func (s *Server) find(t Target) ([]*Session, error) {
	var found []*Session
	switch {
	case t.Client != "":
		id, err := core.ParseID(t.Client)
		if one := s.node.Registry.find(id); err == nil && one != nil {
			found = append(found, one)
		}
	case t.User != "":
		found = s.node.Registry.ofUser(t.User)
	default:
		return nil, core.ErrBadRequest.Saying("say whom it is for: user, client or session")
	}
	return slices.DeleteFunc(found, func(one *Session) bool {
		return one.connectedAt.Load() == 0 || t.User != "" && one.client.User != t.User || slices.Contains(t.Except, one.client.ID)
	}), nil
}

// Keeps reports whether the target is one session that is kept here, and so nowhere else.
func (s *Server) Keeps(t Target) bool {
	id, err := core.ParseID(t.Client)
	return err == nil && s.node.Registry.find(id) != nil
}

// each does something to all sessions of a target, until ctx ends, and returns what went wrong first. Sessions that end meanwhile are
// no error.
func (s *Server) each(ctx context.Context, t Target, do func(*Session) error) error {
	sessions, err := s.find(t)
	if err != nil {
		return err
	}
	var first error
	for _, one := range sessions {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := one.meanwhile(do); err != nil && first == nil {
			first = err
		}
	}
	return first
}

// meanwhile does something to a connected session from outside of its reading goroutine, so that the client hears of it in the
// order of what happened to its channels.
func (s *Session) meanwhile(do func(*Session) error) error {
	s.changing.Lock()
	defer s.changing.Unlock()
	if !s.answered {
		return nil
	}
	defer s.queue.Flush()
	return do(s)
}

// Subscription describes a subscription that the server makes.
type Subscription struct {
	core.SubscribeOptions
	PushJoinLeave *bool          // Tell the client who comes and goes; nil: as SubscribeOptions.JoinLeave says.
	Since         *core.Position // Also deliver what was published after it, if all of that is still there.
}

// Subscribe makes the target's sessions listen to a channel and tells the clients. Those that do already stay as they are.
func (s *Server) Subscribe(ctx context.Context, t Target, name string, sub Subscription) error {
	ns, bad := s.node.Namespaces.Resolve(name)
	if bad != nil {
		return bad
	}
	if sub.ExpireAt != 0 && sub.ExpireAt <= time.Now().Unix() {
		return core.ErrExpired.Saying("expire_at is in the past")
	}
	return s.each(ctx, t, func(one *Session) error { return one.subscribeByServer(ns, name, sub) })
}

func (s *Session) subscribeByServer(ns *channel.Namespace, name string, sub Subscription) error {
	if ns.Binary && s.format == protocol.JSON {
		return core.ErrNotAvailable.Saying("the channel is for Protobuf clients")
	}
	req := &protocol.SubscribeRequest{JoinLeave: sub.PushJoinLeave != nil && *sub.PushJoinLeave}
	if sub.Since != nil {
		req.Recover, req.Offset, req.Epoch = true, sub.Since.Offset, sub.Since.Epoch
	}
	j, result, err := s.join(ns, name, sub.SubscribeOptions, req, true)
	if errors.Is(err, core.ErrAlreadySubscribed) {
		return nil
	}
	if err != nil {
		return err
	}
	s.push(&protocol.Push{Channel: name, Subscribe: &protocol.Subscribe{
		Recoverable: result.Recoverable, Positioned: result.Positioned, Epoch: result.Epoch, Offset: result.Offset, Data: result.Data,
	}})
	for _, missed := range result.Publications {
		s.push(&protocol.Push{Channel: name, Pub: missed})
	}
	s.complete(j)
	return nil
}

// Unsubscribe ends the target's subscriptions to a channel and tells the clients.
func (s *Server) Unsubscribe(ctx context.Context, t Target, name string) error {
	if _, bad := s.node.Namespaces.Resolve(name); bad != nil {
		return bad
	}
	return s.each(ctx, t, func(one *Session) error {
		one.Unsubscribe(name, core.UnsubscribeServer)
		return nil
	})
}

// Disconnect ends the target's sessions.
func (s *Server) Disconnect(_ context.Context, t Target, d core.Disconnect) error {
	sessions, err := s.find(t)
	for _, one := range sessions {
		one.Dismiss(d)
	}
	return err
}

// Refresh gives the target's sessions a new time of expiry, in Unix seconds (0: never), and tells the clients. Sessions whose new
// time is in the past end.
func (s *Server) Refresh(ctx context.Context, t Target, expireAt int64) error {
	now := time.Now()
	if expireAt != 0 && expireAt <= now.Unix() {
		return s.Disconnect(ctx, t, core.DisconnectExpired)
	}
	return s.each(ctx, t, func(one *Session) error {
		one.mu.Lock()
		one.expireAt = expireAt
		one.mu.Unlock()
		push := &protocol.Refresh{}
		push.Expires, push.Ttl = ttl(expireAt, now)
		one.push(&protocol.Push{Refresh: push})
		one.node.Wheel.add(one, now)
		return nil
	})
}

// Send sends a message, which is JSON and belongs to no channel, to the target's sessions. It returns how many it was queued for.
func (s *Server) Send(ctx context.Context, t Target, data []byte) (sessions int, err error) {
	if !protocol.ValidJSON(data) {
		return 0, core.ErrBadRequest.Saying("data is not JSON")
	}
	err = s.each(ctx, t, func(one *Session) error {
		one.push(&protocol.Push{Message: &protocol.Message{Data: data}})
		if _, ended := one.queue.Ended(); !ended {
			sessions++
		}
		return nil
	})
	return sessions, err
}
