package session

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/protocol"
	"github.com/zenconn/server/hooks"
)

// connect answers the first command: who is it, may it come in, what does it get.
func (s *Session) connect(cmd *protocol.Command) error {
	req := cmd.Connect
	s.state = refused // Until the end is reached.
	s.client.Name, s.client.Version = req.Name, req.Version
	event, err := s.admit(req)
	s.client.Header = noHeader // The handshake's headers need not live as long as the session.
	s.peer.Header = nil
	if err != nil {
		return err
	}
	if !s.claim(event.User) {
		s.node.decided(s, hooks.OnConnect, "", "too many sessions of this user")
		return core.DisconnectConnectionLimit
	}
	s.changing.Lock()
	defer s.changing.Unlock()
	now := time.Now()
	s.client.User, s.client.Info, s.grants = event.User, event.Info, event.Grants
	user := event.User // By itself: it would keep the event in memory.
	s.named.Store(&user)
	s.mu.Lock()
	s.expireAt = event.ExpireAt
	s.mu.Unlock()
	s.connectedAt.Store(now.UnixNano())
	s.state = connected
	s.recordOpened()
	s.announceOpened()
	s.node.Metrics.SessionsOpened.WithLabelValues(s.peer.Transport, s.format.String()).Inc()

	result := &protocol.ConnectResult{
		Client: s.client.ID, Version: serverName, Data: event.Data,
		Ping: uint32(s.node.Client.Ping.Interval / time.Second), Pong: true,
	}
	result.Expires, result.Ttl = ttl(event.ExpireAt, now)
	joined, err := s.joinAll(event.Subs, req.Subs, result)
	if err != nil {
		s.state = refused
		return err
	}
	s.reply(&protocol.Reply{Id: cmd.Id, Connect: result})
	s.sendReplies()
	for _, sub := range joined {
		s.complete(sub)
	}
	s.answered = true
	s.node.Wheel.add(s, now)
	return nil
}

// claim takes a place among the user's sessions, of all nodes if there are others. It reports false when the user has too many. A place
// is taken before the others are counted: of two that come at the same time for the last one, both may be refused, and never too
// many let in.
func (s *Session) claim(user string) bool {
	limit := s.node.Client.Limits.SessionsPerUser
	if !s.node.Registry.claim(s, user) {
		return false
	}
	if s.node.Elsewhere == nil || limit == 0 || user == "" {
		return true
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.node.patience())
	defer cancel()
	if elsewhere := s.node.Elsewhere.SessionsOf(ctx, user); len(s.node.Registry.ofUser(user))+elsewhere <= limit {
		return true
	}
	s.node.Registry.release(s, user)
	return false
}

// serverName is all that clients learn about the server's build: versions and host names are nobody's business.
const serverName = "ZenConn"

func noHeader(string) string { return "" }

// ttl turns a time of expiry into what the protocol says about it.
func ttl(expireAt int64, now time.Time) (expires bool, seconds uint32) {
	if expireAt == 0 {
		return false, 0
	}
	return true, uint32(max(expireAt-now.Unix(), 1))
}

// admit decides about a connect. Admission takes one explicit yes: of the authentication type none, of a good token, or of a
// plugin; a plugin's no outweighs them.
func (s *Session) admit(req *protocol.ConnectRequest) (*hooks.Connect, error) {
	credentials, admitted, err := s.authenticate(req)
	if err != nil {
		return nil, err
	}
	event := &hooks.Connect{
		Client: s.client, Token: req.Token, Input: req.Data,
		User: credentials.User, Info: credentials.Info, ExpireAt: credentials.ExpireAt,
		Grants: credentials.Grants, Subs: credentials.Subs,
	}
	event.Client.User = credentials.User // So that a refusal's record says whom it hit.
	if len(req.Headers) > 0 {
		event.Client.Header = withHeaders(s.client.Header, req.Headers)
	}
	if s.node.Hooks.Has(hooks.OnConnect) {
		answer := s.node.Hooks.Connect(context.Background(), event)
		switch answer.Verdict {
		case hooks.Deny, hooks.Drop:
			return nil, denial(answer)
		case hooks.Allow:
			admitted = true
		case hooks.Pass:
		}
	}
	if !admitted {
		s.node.decided(s, hooks.OnConnect, "", "nobody admitted the client: no token, and no plugin allowed it")
		return nil, core.ErrUnauthorized
	}
	if event.ExpireAt != 0 && event.ExpireAt <= time.Now().Unix() {
		return nil, core.ErrExpired
	}
	return event, nil
}

// authenticate applies the configured authentication type.
func (s *Session) authenticate(req *protocol.ConnectRequest) (c core.Credentials, admitted bool, err error) {
	switch {
	case s.node.Auth.Type == "none":
		if s.node.Auth.User == "claimed" {
			c.User, err = claimedUser(req.Data)
		}
		return c, err == nil, err
	case s.node.Tokens != nil && req.Token != "":
		c, err = s.node.Tokens.Connect(req.Token)
		if errors.Is(err, core.ErrTokenExpired) {
			s.node.decided(s, hooks.OnConnect, "", "token expired")
			return c, false, core.ErrTokenExpired
		}
		if err != nil {
			s.node.Log.Info("refused a token", "session", s.id, "remote", s.peer.RemoteAddr, "error", err)
			s.node.decided(s, hooks.OnConnect, "", "invalid token")
			return c, false, core.DisconnectInvalidToken
		}
		return c, true, nil
	}
	return c, false, nil
}

// maxUserLength bounds user names that clients claim, in bytes.
const maxUserLength = 255

// claimedUser reads {"user": "name"} from the data of a connect command.
func claimedUser(data []byte) (string, error) {
	if len(data) == 0 {
		return "", nil
	}
	var claim struct {
		User string `json:"user"`
	}
	if err := json.Unmarshal(data, &claim); err != nil {
		return "", core.ErrBadRequest.Saying(`the connect data must be an object such as {"user":"alice"}`)
	}
	if len(claim.User) > maxUserLength {
		return "", core.ErrBadRequest.Saying(fmt.Sprintf("the user name is longer than %d bytes", maxUserLength))
	}
	return claim.User, nil
}

// withHeaders lets headers of the connect command stand in for those of the handshake that a browser cannot set.
func withHeaders(handshake func(string) string, command map[string]string) func(string) string {
	return func(name string) string {
		if v := handshake(name); v != "" {
			return v
		}
		return command[name]
	}
}

// denial turns a plugin's no into what the client is told.
func denial(a hooks.Answer) error {
	switch {
	case a.Code >= 3000:
		return core.Disconnect{Code: a.Code, Reason: a.Reason}
	case a.Code == 0 && a.Reason == "":
		return core.ErrPermissionDenied
	case a.Code == 0:
		return &core.Error{Code: core.ErrPermissionDenied.Code, Message: a.Reason}
	}
	temporary := a.Code == core.ErrInternal.Code || a.Code == core.ErrTooManyRequests.Code
	return &core.Error{Code: a.Code, Message: a.Reason, Temporary: temporary}
}
