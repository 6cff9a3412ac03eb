package session

import (
	"context"
	"errors"
	"time"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/protocol"
	"github.com/zenconn/server/hooks"
)

// refresh gives the session a new time of expiry: with a new token of the same user, if the server takes tokens, and with the plugins'
// consent; without tokens on their explicit word only.
func (s *Session) refresh(cmd *protocol.Command) error {
	event := &hooks.Refresh{Client: s.client, Token: cmd.Refresh.Token}
	proven := false
	if s.node.Tokens != nil {
		c, err := s.node.Tokens.Connect(event.Token)
		if err != nil {
			return s.badToken(err, core.DisconnectInvalidToken)
		}
		if c.User != s.client.User {
			return core.DisconnectInvalidToken.Saying("it belongs to another user")
		}
		event.ExpireAt, proven = c.ExpireAt, true
	} else {
		s.mu.Lock()
		event.ExpireAt = s.expireAt
		s.mu.Unlock()
	}
	if err := s.mayRefresh(event, proven); err != nil {
		return s.refuseRefresh(cmd.Id, err)
	}
	s.mu.Lock()
	s.expireAt = event.ExpireAt
	if event.Info != nil {
		s.client.Info = event.Info
		s.listener = nil // Members of channels are shown as they joined.
	}
	s.mu.Unlock()
	now := time.Now()
	s.node.Wheel.add(s, now)
	result := &protocol.RefreshResult{Client: s.client.ID, Version: serverName}
	result.Expires, result.Ttl = ttl(event.ExpireAt, now)
	s.reply(&protocol.Reply{Id: cmd.Id, Refresh: result})
	return nil
}

// refuseRefresh ends a session that may not live on. A client that is told an error that is not temporary leaves by itself; the others
// are made to.
func (s *Session) refuseRefresh(id uint32, err error) error {
	coded, ok := errors.AsType[*core.Error](err)
	if !ok || coded.Temporary || errors.Is(err, core.ErrNotAvailable) {
		return err
	}
	s.refuse(id, "refresh", err)
	s.sendReplies()
	return core.Disconnect{Code: core.DisconnectPermissionDenied.Code, Reason: coded.Message}
}

// subRefresh gives a subscription a new time of expiry, as refresh does a session.
func (s *Session) subRefresh(cmd *protocol.Command) error {
	req := cmd.SubRefresh
	if s.subscription(req.Channel) == nil {
		return core.ErrBadRequest.Saying("not subscribed to this channel")
	}
	event := &hooks.Refresh{Client: s.client, Channel: req.Channel, Token: req.Token}
	proven := false
	if s.node.Tokens != nil {
		opts, err := s.node.Tokens.Subscribe(req.Token, s.client.User, s.client.ID, req.Channel)
		if err != nil {
			return s.badToken(err, core.ErrPermissionDenied)
		}
		event.ExpireAt, proven = opts.ExpireAt, true
	} else {
		s.mu.Lock()
		if sub := s.subs.of(req.Channel); sub != nil {
			event.ExpireAt = sub.expireAt()
		}
		s.mu.Unlock()
	}
	if err := s.mayRefresh(event, proven); err != nil {
		return s.refuseSubRefresh(cmd, err)
	}
	s.mu.Lock()
	if sub := s.subs.of(req.Channel); sub != nil {
		changed := terms{expireAt: event.ExpireAt, info: event.Info}
		if changed.info == nil {
			changed.info = sub.info()
		}
		sub.terms = &changed
	}
	s.mu.Unlock()
	now := time.Now()
	s.node.Wheel.add(s, now)
	result := &protocol.SubRefreshResult{}
	result.Expires, result.Ttl = ttl(event.ExpireAt, now)
	s.reply(&protocol.Reply{Id: cmd.Id, SubRefresh: result})
	return nil
}

// refuseSubRefresh ends a subscription that may not live on. It has answered the command when it returns nil.
func (s *Session) refuseSubRefresh(cmd *protocol.Command, err error) error {
	coded, ok := errors.AsType[*core.Error](err)
	if !ok || coded.Temporary || errors.Is(err, core.ErrNotAvailable) {
		return err
	}
	s.refuse(cmd.Id, "sub_refresh", err)
	s.sendReplies()
	s.changing.Lock()
	s.Unsubscribe(cmd.SubRefresh.Channel, core.Unsubscribe{Code: core.UnsubscribeServer.Code, Reason: coded.Message})
	s.changing.Unlock()
	return nil
}

// mayRefresh asks the plugins. A verified token is a yes that they may overrule; without one their yes is needed.
func (s *Session) mayRefresh(event *hooks.Refresh, proven bool) error {
	if !s.node.Hooks.Has(hooks.OnRefresh) {
		if proven {
			return nil
		}
		return core.ErrNotAvailable.Saying("the server takes no tokens")
	}
	answer := s.node.Hooks.Refresh(context.Background(), event)
	switch {
	case answer.Verdict == hooks.Deny:
		return denial(answer)
	case answer.Verdict == hooks.Pass && !proven:
		s.node.decided(s, hooks.OnRefresh, event.Channel, "nobody allowed the refresh: no token, and no plugin allowed it")
		return core.ErrUnauthorized
	case event.ExpireAt != 0 && event.ExpireAt <= time.Now().Unix():
		return core.ErrExpired
	}
	return nil
}

// badToken turns the failed check of a token into what the client is told: 109 when it is only too old, otherwise what the
// command says.
func (s *Session) badToken(err, otherwise error) error {
	if errors.Is(err, core.ErrTokenExpired) {
		return core.ErrTokenExpired
	}
	s.node.Log.Info("refused a token", "session", s.id, "user", s.client.User, "error", err)
	return otherwise
}
