package session

import (
	"errors"
	"time"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/protocol"
)

// refresh gives the session a new time of expiry, with a new token of the same user.
func (s *Session) refresh(cmd *protocol.Command) error {
	if s.node.Tokens == nil {
		return core.ErrNotAvailable.Saying("the server takes no tokens")
	}
	c, err := s.node.Tokens.Connect(cmd.Refresh.Token)
	if err != nil {
		return s.badToken(err, core.DisconnectInvalidToken)
	}
	if c.User != s.client.User {
		return core.DisconnectInvalidToken.Saying("it belongs to another user")
	}
	s.mu.Lock()
	s.expireAt = c.ExpireAt
	s.mu.Unlock()
	result := &protocol.RefreshResult{Client: s.client.ID, Version: serverName}
	result.Expires, result.Ttl = ttl(c.ExpireAt, time.Now())
	s.reply(&protocol.Reply{Id: cmd.Id, Refresh: result})
	return nil
}

// subRefresh gives a subscription a new time of expiry, with a new subscription token.
func (s *Session) subRefresh(cmd *protocol.Command) error {
	req := cmd.SubRefresh
	if s.node.Tokens == nil {
		return core.ErrNotAvailable.Saying("the server takes no tokens")
	}
	if s.subscription(req.Channel) == nil {
		return core.ErrBadRequest.Saying("not subscribed to this channel")
	}
	opts, err := s.node.Tokens.Subscribe(req.Token, s.client.User, s.client.ID, req.Channel)
	if err != nil {
		return s.badToken(err, core.ErrPermissionDenied)
	}
	s.mu.Lock()
	if sub := s.subs[req.Channel]; sub != nil {
		sub.expireAt = opts.ExpireAt
	}
	s.mu.Unlock()
	result := &protocol.SubRefreshResult{}
	result.Expires, result.Ttl = ttl(opts.ExpireAt, time.Now())
	s.reply(&protocol.Reply{Id: cmd.Id, SubRefresh: result})
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
