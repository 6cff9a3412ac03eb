package cluster

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/presence"
	"github.com/zenconn/server/core/session"
)

// verb is one thing that processes ask each other: Q is the question and A the answer.
type verb[Q, A any] struct {
	name string
	act  bool // It changes something; else it only looks.
	do   func(ctx context.Context, s *session.Server, q Q) (A, error)
}

// doing is what an act needs besides its target.
type doing[T any] struct {
	Target session.Target
	What   T
}

type subscribing struct {
	Channel      string
	Subscription session.Subscription
}

type listing[F any] struct {
	Filter F
	Page   session.Page
}

type none struct{}

// counted is presence.Count as it travels: the hashes are 8 bytes each.
type counted struct {
	Clients int    `json:"clients"`
	Users   int    `json:"users"`
	Hashes  []byte `json:"hashes,omitempty"`
}

func countedOf(c presence.Count) counted {
	wire := counted{Clients: c.Clients, Users: c.Users}
	for _, h := range c.Hashes {
		wire.Hashes = binary.BigEndian.AppendUint64(wire.Hashes, h)
	}
	return wire
}

func (c counted) count() (presence.Count, error) {
	count := presence.Count{Clients: c.Clients, Users: c.Users}
	if len(c.Hashes) > 0 && len(c.Hashes) != 8*c.Users {
		return count, errTruncated
	}
	for b := c.Hashes; len(b) > 0; b = b[8:] {
		count.Hashes = append(count.Hashes, binary.BigEndian.Uint64(b))
	}
	return count, nil
}

// The verbs.
var (
	lookPresence = verb[string, []core.ClientInfo]{name: "presence", do: func(_ context.Context, s *session.Server, name string) ([]core.ClientInfo, error) {
		return s.LocalPresence(name), nil
	}}
	lookCounts = verb[string, counted]{name: "presence_stats", do: func(_ context.Context, s *session.Server, name string) (counted, error) {
		return countedOf(s.LocalCount(name)), nil
	}}
	lookChannels = verb[string, map[string]int]{name: "channels", do: func(ctx context.Context, s *session.Server, pattern string) (map[string]int, error) {
		return s.Channels(ctx, pattern)
	}}
	lookUsers = verb[session.Page, []session.UserInfo]{name: "users", do: func(ctx context.Context, s *session.Server, p session.Page) ([]session.UserInfo, error) {
		return s.Users(ctx, p)
	}}
	lookOnline = verb[[]string, map[string]int]{name: "online", do: func(ctx context.Context, s *session.Server, users []string) (map[string]int, error) {
		return s.Online(ctx, users)
	}}
	lookSessions = verb[listing[session.Filter], []session.Info]{name: "sessions", do: func(ctx context.Context, s *session.Server, l listing[session.Filter]) ([]session.Info, error) {
		return s.Sessions(ctx, l.Filter, l.Page)
	}}

	actSubscribe = verb[doing[subscribing], none]{name: "subscribe", act: true, do: func(ctx context.Context, s *session.Server, d doing[subscribing]) (none, error) {
		return none{}, s.Subscribe(ctx, d.Target, d.What.Channel, d.What.Subscription)
	}}
	actUnsubscribe = verb[doing[string], none]{name: "unsubscribe", act: true, do: func(ctx context.Context, s *session.Server, d doing[string]) (none, error) {
		return none{}, s.Unsubscribe(ctx, d.Target, d.What)
	}}
	actDisconnect = verb[doing[core.Disconnect], none]{name: "disconnect", act: true, do: func(ctx context.Context, s *session.Server, d doing[core.Disconnect]) (none, error) {
		return none{}, s.Disconnect(ctx, d.Target, d.What)
	}}
	actRefresh = verb[doing[int64], none]{name: "refresh", act: true, do: func(ctx context.Context, s *session.Server, d doing[int64]) (none, error) {
		return none{}, s.Refresh(ctx, d.Target, d.What)
	}}
	actSend = verb[doing[[]byte], int]{name: "send", act: true, do: func(ctx context.Context, s *session.Server, d doing[[]byte]) (int, error) {
		return s.Send(ctx, d.Target, d.What)
	}}
	actPublish = verb[session.Outgoing, core.Position]{name: "publish", act: true, do: func(ctx context.Context, s *session.Server, o session.Outgoing) (core.Position, error) {
		return s.Publish(ctx, o)
	}}
)

// question makes the message that asks.
func (v verb[Q, A]) question(q Q) ([]byte, error) {
	with, err := json.Marshal(q)
	if err != nil {
		return nil, err
	}
	return json.Marshal(question{Verb: v.name, With: with})
}

// answerer answers one verb.
type answerer func(ctx context.Context, s *session.Server, with json.RawMessage) (any, error)

func (v verb[Q, A]) answer(ctx context.Context, s *session.Server, with json.RawMessage) (any, error) {
	var q Q
	if err := json.Unmarshal(with, &q); err != nil {
		return nil, fmt.Errorf("%s: the question cannot be read: %w", v.name, err)
	}
	return v.do(ctx, s, q)
}

// answerers are all verbs this process answers, by class: acts may take long, and looks must not wait for them.
func answerers() (looks, acts map[string]answerer) {
	looks = map[string]answerer{
		lookPresence.name: lookPresence.answer, lookCounts.name: lookCounts.answer, lookChannels.name: lookChannels.answer,
		lookUsers.name: lookUsers.answer, lookOnline.name: lookOnline.answer, lookSessions.name: lookSessions.answer,
	}
	acts = map[string]answerer{
		actSubscribe.name: actSubscribe.answer, actUnsubscribe.name: actUnsubscribe.answer, actDisconnect.name: actDisconnect.answer,
		actRefresh.name: actRefresh.answer, actSend.name: actSend.answer, actPublish.name: actPublish.answer,
	}
	return looks, acts
}
