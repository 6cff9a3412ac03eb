package session

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"time"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/channel"
	"github.com/zenconn/server/core/hub"
	"github.com/zenconn/server/core/protocol"
	"github.com/zenconn/server/hooks"
)

// storeTimeout is the usual Node.StoreTimeout.
const storeTimeout = 5 * time.Second

// patience bounds every wait for the history or the presence.
func (n *Node) patience() time.Duration { return cmp.Or(n.StoreTimeout, storeTimeout) }

// The bits of a subscribe request's flag.
const (
	flagCompactChannel    = 1 // Pushes shall name the channel by a number.
	flagRejectUnrecovered = 2 // Error 112 instead of a subscription that has lost messages.
)

func (s *Session) subscribe(cmd *protocol.Command) error {
	req := cmd.Subscribe
	ns, bad := s.node.Namespaces.Resolve(req.Channel)
	if bad != nil {
		return bad
	}
	if err := s.hasRoom(req.Channel); err != nil {
		return err
	}
	opts, err := s.mayJoin(ns, req)
	if err != nil {
		return err
	}
	s.changing.Lock()
	defer s.changing.Unlock()
	sub, result, err := s.join(ns, req.Channel, opts, req, false)
	if err != nil {
		return err
	}
	s.reply(&protocol.Reply{Id: cmd.Id, Subscribe: result})
	s.sendReplies()
	s.complete(sub)
	return nil
}

// hasRoom checks that the channel is new to the session and that it may have one more.
func (s *Session) hasRoom(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.subs.of(name) != nil {
		return core.ErrAlreadySubscribed
	}
	if len(s.subs) >= s.node.Client.Limits.Channels {
		return core.ErrLimitExceeded.Saying("too many channels")
	}
	return nil
}

// mayJoin decides about a subscription: by the namespace's rule, by a grant or a subscription token, and by the plugins, whose
// word outweighs the rule. A channel for nobody stays closed whoever asks, and about those reserved for the server no plugin is asked:
// one that lets everybody in everywhere does not mean them.
func (s *Session) mayJoin(ns *channel.Namespace, req *protocol.SubscribeRequest) (opts core.SubscribeOptions, err error) {
	if ns.Binary && s.format == protocol.JSON {
		return opts, core.ErrNotAvailable.Saying("the channel is for Protobuf clients")
	}
	allowed := s.permitted(ns.Subscribe, core.MaySubscribe, req.Channel)
	if req.Token != "" && s.node.Tokens != nil && ns.Subscribe != channel.Nobody {
		opts, err = s.node.Tokens.Subscribe(req.Token, s.client.User, s.client.ID, req.Channel)
		if err != nil {
			s.node.decided(s, hooks.OnSubscribe, req.Channel, "invalid subscription token")
			if errors.Is(err, core.ErrTokenExpired) {
				return opts, core.ErrTokenExpired
			}
			s.node.Log.Info("refused a subscription token", "session", s.id, "channel", req.Channel, "error", err)
			return opts, core.ErrPermissionDenied
		}
		allowed = true
	}
	if ns.Subscribe != channel.Nobody && !ns.Reserved && s.node.Hooks.Has(hooks.OnSubscribe) {
		event := &hooks.Subscribe{Client: s.client, Channel: req.Channel, Input: req.Data, Options: opts}
		answer := s.node.Hooks.Subscribe(context.Background(), event)
		switch answer.Verdict {
		case hooks.Deny, hooks.Drop:
			return opts, denial(answer)
		case hooks.Allow:
			allowed = true
		case hooks.Pass:
		}
		opts = event.Options
	}
	if !allowed {
		s.node.decided(s, hooks.OnSubscribe, req.Channel, "the namespace's rule does not let this client subscribe")
		return opts, core.ErrPermissionDenied
	}
	return opts, nil
}

// permitted applies a namespace's rule to the session.
func (s *Session) permitted(rule channel.Rule, p core.Permission, name string) bool {
	switch rule {
	case channel.Anyone:
		return true
	case channel.User:
		return s.client.User != "" || s.granted(p, name)
	case channel.Granted:
		return s.granted(p, name)
	case channel.Nobody:
	}
	return false
}

// granted reports whether the session's grants, or its subscription to the channel, give a permission.
func (s *Session) granted(p core.Permission, name string) bool {
	if s.grants.Allow(p, name) {
		return true
	}
	sub := s.subscription(name)
	return sub != nil && sub.allow&p == p
}

// joined is a subscription whose reply has not been queued yet.
type joined struct {
	name    string
	sub     *subscription
	known   core.Position // Up to where the reply tells.
	expires bool
}

// join makes the session a member of a channel and says what the reply must tell. Publications are kept back until complete. The
// caller holds changing.
func (s *Session) join(ns *channel.Namespace, name string, opts core.SubscribeOptions, req *protocol.SubscribeRequest, byServer bool) (
	joined, *protocol.SubscribeResult, error,
) {
	if err := s.hasRoom(name); err != nil {
		return joined{}, nil, err
	}
	now := time.Now()
	joinLeave := option(opts.JoinLeave, ns.JoinLeave)
	recovery := option(opts.Recovery, ns.Recovery) && !ns.Batch.Latest // Which leaves publications out.
	ctx, cancel := context.WithTimeout(context.Background(), s.node.patience())
	defer cancel()
	member := s.node.Hub.Join(ns, name, s.asListener(), hub.MemberOptions{
		ChanInfo: opts.Info, Presence: option(opts.Presence, ns.Presence),
		JoinLeave:  joinLeave && (req.JoinLeave || opts.JoinLeave != nil),
		Numbered:   ns.Numbers && !byServer && req.Flag&flagCompactChannel != 0 && s.knowsNumbers(),
		Positioned: ns.HistorySize > 0 && recovery,
	})
	result := &protocol.SubscribeResult{Data: opts.Data, Id: member.Number()}
	result.Expires, result.Ttl = ttl(opts.ExpireAt, now)
	if ns.HistorySize <= 0 {
		s.node.Hub.Await(ctx, member)
	} else if err := s.position(ctx, member, recovery, req, result); err != nil {
		s.node.Hub.Leave(member)
		return joined{}, nil, err
	}
	sub := &subscription{ns: ns, member: member, announce: joinLeave, byServer: byServer, allow: opts.Allow}
	if opts.ExpireAt != 0 || opts.Info != nil {
		sub.terms = &terms{expireAt: opts.ExpireAt, info: opts.Info}
	}
	s.mu.Lock()
	s.subs.add(sub)
	s.mu.Unlock()
	return joined{name: name, sub: sub, known: core.Position{Offset: result.Offset, Epoch: result.Epoch}, expires: opts.ExpireAt != 0}, result, nil
}

// knowsNumbers says whether the client finds a subscription by the number of its channel. (No SDK finds one that the server has made.) The
// JavaScript SDK 5.8.0 asks for numbers, and in Protobuf it takes two that are equal for different ones: it would get nothing. It is told
// by the name it gives itself unless it is given another, and by the browser it runs in.
func (s *Session) knowsNumbers() bool {
	return s.format == protocol.JSON || s.client.Name != "js" && !strings.HasPrefix(s.peer.UserAgent, "Mozilla/")
}

func option(override *bool, namespace bool) bool {
	if override != nil {
		return *override
	}
	return namespace
}

// position finds where in the history the subscription begins, and what the client missed when it asks to recover.
func (s *Session) position(ctx context.Context, member *hub.Member, recovery bool, req *protocol.SubscribeRequest,
	result *protocol.SubscribeResult,
) error {
	result.Recoverable, result.Positioned = recovery, recovery
	var at core.Position
	var err error
	if req.Recover && recovery {
		result.WasRecovering = true
		var missed []*core.Publication
		missed, at, result.Recovered, err = s.node.Hub.Recover(ctx, member, core.Position{Offset: req.Offset, Epoch: req.Epoch})
		for _, pub := range missed {
			result.Publications = append(result.Publications, protocol.FromPublication(pub))
		}
	} else {
		at, err = s.node.Hub.Position(ctx, member)
	}
	if err != nil {
		return err
	}
	if result.WasRecovering && !result.Recovered && req.Flag&flagRejectUnrecovered != 0 {
		return core.ErrUnrecoverablePosition
	}
	result.Offset, result.Epoch = at.Offset, at.Epoch
	return nil
}

// complete lets publications flow once the reply is queued, and tells the others.
func (s *Session) complete(j joined) {
	if !j.sub.member.Release(j.known) {
		s.insufficient(j.sub)
		return
	}
	if j.sub.announce {
		s.node.Hub.AnnounceJoin(j.name, j.sub.member.Info())
	}
	if j.expires {
		s.node.Wheel.add(s, time.Now())
	}
}

// Lost implements hub.Owner: the member misses publications. Nobody is called after a later subscription to the channel.
func (s *Session) Lost(m *hub.Member) {
	s.mu.Lock()
	sub := s.subs.of(m.Channel())
	s.mu.Unlock()
	if sub != nil && sub.member == m {
		s.insufficient(sub)
	}
}

// insufficient ends a subscription that misses publications, so that the client begins anew and recovers them. Clients subscribe
// again to what they have subscribed to; what the server has subscribed them to comes back only with a new connection.
func (s *Session) insufficient(sub *subscription) {
	name := sub.member.Channel()
	s.mu.Lock()
	mine := s.subs.of(name) == sub
	if mine {
		s.subs.drop(name)
	}
	s.mu.Unlock()
	if !mine {
		return
	}
	s.leave(sub)
	why := core.UnsubscribeInsufficient
	s.node.Notices.unsubscribed(s, name, why.Code, why.Reason)
	if sub.byServer {
		s.Disconnect(core.DisconnectInsufficientState)
		return
	}
	s.push(&protocol.Push{Channel: name, Unsubscribe: &protocol.Unsubscribe{Code: why.Code, Reason: why.Reason}})
	s.queue.Flush()
}

// joinAll makes the server-side subscriptions of a connect. When one channel cannot be joined the connect fails, because its
// owner's token or plugin promised it, and none stays joined.
func (s *Session) joinAll(subs map[string]core.SubscribeOptions, positions map[string]*protocol.SubscribeRequest,
	result *protocol.ConnectResult,
) (all []joined, err error) {
	defer func() {
		if err != nil {
			for _, j := range all {
				s.drop(j.name)
			}
		}
	}()
	if len(subs) == 0 {
		return nil, nil
	}
	if len(subs) > s.node.Client.Limits.Channels {
		return nil, core.DisconnectChannelLimit
	}
	result.Subs = make(map[string]*protocol.SubscribeResult, len(subs))
	for name, opts := range subs {
		ns, bad := s.node.Namespaces.Resolve(name)
		if bad != nil {
			return all, bad
		}
		req := positions[name]
		if req == nil {
			req = &protocol.SubscribeRequest{}
		}
		j, r, err := s.join(ns, name, opts, req, true)
		if err != nil {
			return all, err
		}
		result.Subs[name] = r
		all = append(all, j)
	}
	return all, nil
}

func (s *Session) unsubscribe(cmd *protocol.Command) error {
	if _, bad := s.node.Namespaces.Resolve(cmd.Unsubscribe.Channel); bad != nil {
		return bad
	}
	s.changing.Lock()
	defer s.changing.Unlock()
	if s.drop(cmd.Unsubscribe.Channel) {
		s.node.Notices.unsubscribed(s, cmd.Unsubscribe.Channel, hooks.LeftByClient, "the client unsubscribed")
	}
	s.reply(&protocol.Reply{Id: cmd.Id, Unsubscribe: &protocol.UnsubscribeResult{}})
	s.sendReplies()
	return nil
}

// drop ends one subscription. It reports false when there is none.
func (s *Session) drop(name string) bool {
	s.mu.Lock()
	sub := s.subs.drop(name)
	s.mu.Unlock()
	if sub == nil {
		return false
	}
	s.leave(sub)
	return true
}

func (s *Session) leave(sub *subscription) {
	if s.node.Hub.Leave(sub.member) && sub.announce {
		s.node.Hub.AnnounceLeave(sub.member.Channel(), sub.member.Info())
	}
}

// subscription returns the session's subscription to a channel, or nil.
func (s *Session) subscription(name string) *subscription {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.subs.of(name)
}
