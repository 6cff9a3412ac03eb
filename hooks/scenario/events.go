package scenario

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/hooks"
)

// standardClient is who causes events that do not say.
func standardClient() hooks.Client {
	return hooks.Client{
		ID: "01900000-0000-7000-8000-000000000001", Name: "scenario", Version: "1", RemoteAddr: "192.0.2.1", Transport: "websocket",
		Protocol: "json", UserAgent: "scenario",
	}
}

// newEvent makes an event in which nothing is said yet.
func newEvent(hook hooks.Hook) Event {
	c := standardClient()
	switch hook {
	case hooks.OnConnect:
		return &event[hooks.Connect]{hooks.Connect{Client: c}, hooks.Connect{}, (*hooks.Chain).Connect, connectFields()}
	case hooks.OnRefresh:
		return &event[hooks.Refresh]{hooks.Refresh{Client: c}, hooks.Refresh{}, (*hooks.Chain).Refresh, refreshFields()}
	case hooks.OnSubscribe:
		return &event[hooks.Subscribe]{hooks.Subscribe{Client: c}, hooks.Subscribe{}, (*hooks.Chain).Subscribe, subscribeFields()}
	case hooks.OnChannel:
		// As a namespace is whose options nobody has set.
		o := hooks.ChannelOptions{Subscribe: "granted", Publish: "granted", SlowConsumer: "disconnect"}
		return &event[hooks.Channel]{hooks.Channel{Options: o}, hooks.Channel{}, (*hooks.Chain).Channel, channelFields()}
	case hooks.OnPublish:
		id := core.ID{1, 0x90, 6: 0x70, 8: 0x80, 15: 2}
		return &event[hooks.Publish]{hooks.Publish{Client: c, Message: id}, hooks.Publish{}, (*hooks.Chain).Publish, publishFields()}
	case hooks.OnRPC:
		return &event[hooks.RPC]{hooks.RPC{Client: c}, hooks.RPC{}, (*hooks.Chain).Call, rpcFields()}
	case hooks.OnSend:
		return &event[hooks.Send]{hooks.Send{Client: c}, hooks.Send{}, (*hooks.Chain).Send, sendFields()}
	case hooks.OnUnsubscribe:
		return &event[hooks.Unsubscribe]{hooks.Unsubscribe{Client: c}, hooks.Unsubscribe{}, told((*hooks.Chain).Unsubscribe), unsubscribeFields()}
	case hooks.OnDisconnect:
		return &event[hooks.Disconnect]{hooks.Disconnect{Client: c}, hooks.Disconnect{}, told((*hooks.Chain).Disconnect), disconnectFields()}
	case hooks.OnAudit:
		return &event[hooks.Audit]{hooks.Audit{Kind: "message"}, hooks.Audit{}, (*hooks.Chain).Audit, auditFields()}
	}
	panic("scenario: no such hook: " + string(hook))
}

func connectFields() map[string]field[hooks.Connect] {
	type E = hooks.Connect
	data := givenBytes(func(e *E) *[]byte { return &e.Input })
	data.get = func(e *E) Value { return bytesValue(e.Data) }
	return clientFields(func(e *E) *hooks.Client { return &e.Client }, map[string]field[E]{
		"token":     given(func(e *E) *string { return &e.Token }),
		"data":      data,
		"user":      written(func(e *E) *string { return &e.User }),
		"info":      writtenBytes(func(e *E) *[]byte { return &e.Info }),
		"expire_at": writtenTime(func(e *E) *int64 { return &e.ExpireAt }),
		"subscription": {
			get:  func(e *E) Value { return subscriptions(e.Subs) },
			want: wantSubscriptions,
		},
		"grant": {
			get: func(e *E) Value {
				texts := make([]string, len(e.Grants))
				for i, g := range e.Grants {
					texts[i] = g.String()
				}
				return optional(strings.Join(texts, "; "))
			},
			want: wantGrants,
		},
	})
}

// subscriptions writes what a client was subscribed to, in the order of the channels.
func subscriptions(subs map[string]core.SubscribeOptions) Value {
	if len(subs) == 0 {
		return Value{Absent: true}
	}
	all := make([]subscription, 0, len(subs))
	for channel, o := range subs {
		all = append(all, subscription{
			channel, rawJSON(o.Info), rawJSON(o.Data), o.ExpireAt, o.Presence, o.JoinLeave, o.Recovery,
		})
	}
	return sorted(all)
}

// subscription is one as plugins write it.
type subscription struct {
	Channel   string          `json:"channel"`
	Info      json.RawMessage `json:"info,omitempty"`
	Data      json.RawMessage `json:"data,omitempty"`
	ExpireAt  int64           `json:"expire_at,omitempty"`
	Presence  *bool           `json:"presence,omitempty"`
	JoinLeave *bool           `json:"join_leave,omitempty"`
	Recovery  *bool           `json:"recovery,omitempty"`
}

// rawJSON is JSON as it is; what is none becomes a text, to be seen in a problem.
func rawJSON(b []byte) json.RawMessage {
	if len(b) > 0 && !json.Valid(b) {
		return json.RawMessage(toJSON(string(b)))
	}
	return b
}

func sorted(all []subscription) Value {
	slices.SortFunc(all, func(a, b subscription) int { return strings.Compare(a.Channel, b.Channel) })
	return Value{Text: toJSON(all), IsJSON: true}
}

// wantSubscriptions reads one subscription, or a list of them.
func wantSubscriptions(v Value, _ time.Time) (Value, error) {
	if v.Absent {
		return v, nil
	}
	all, err := oneOrMore[subscription](v)
	if err != nil {
		return Value{}, errors.New("want a list such as [{channel: news, presence: true}]")
	}
	return sorted(all), nil
}

func oneOrMore[T any](v Value) ([]T, error) {
	text := v.Text
	if !strings.HasPrefix(text, "[") {
		text = "[" + text + "]"
	}
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	var all []T
	return all, d.Decode(&all)
}

// wantGrants reads one grant, or a list of them.
func wantGrants(v Value, _ time.Time) (Value, error) {
	if v.Absent {
		return v, nil
	}
	all, err := oneOrMore[core.Grant](v)
	if err != nil {
		return Value{}, fmt.Errorf("want a list such as [{channels: [\"room:*\"], match: wildcard, allow: [sub, pub]}]: %w", err)
	}
	texts := make([]string, len(all))
	for i, g := range all {
		texts[i] = g.String()
	}
	return textValue(strings.Join(texts, "; ")), nil
}

func refreshFields() map[string]field[hooks.Refresh] {
	type E = hooks.Refresh
	info := givenBytes(func(e *E) *[]byte { return &e.Client.Info })
	info.get = func(e *E) Value { return bytesValue(e.Info) }
	return clientFields(func(e *E) *hooks.Client { return &e.Client }, map[string]field[E]{
		"channel":   given(func(e *E) *string { return &e.Channel }),
		"token":     given(func(e *E) *string { return &e.Token }),
		"expire_at": writtenTime(func(e *E) *int64 { return &e.ExpireAt }),
		"info":      info,
	})
}

func subscribeFields() map[string]field[hooks.Subscribe] {
	type E = hooks.Subscribe
	info := givenBytes(func(e *E) *[]byte { return &e.Client.Info })
	info.get = func(e *E) Value { return bytesValue(e.Options.Info) }
	data := givenBytes(func(e *E) *[]byte { return &e.Input })
	data.get = func(e *E) Value { return bytesValue(e.Options.Data) }
	return clientFields(func(e *E) *hooks.Client { return &e.Client }, map[string]field[E]{
		"channel":    given(func(e *E) *string { return &e.Channel }),
		"info":       info,
		"data":       data,
		"expire_at":  writtenTime(func(e *E) *int64 { return &e.Options.ExpireAt }),
		"presence":   writtenFlag(func(e *E) **bool { return &e.Options.Presence }),
		"join_leave": writtenFlag(func(e *E) **bool { return &e.Options.JoinLeave }),
		"recovery":   writtenFlag(func(e *E) **bool { return &e.Options.Recovery }),
		"grant": {
			get:  func(e *E) Value { return optional(e.Options.Allow.String()) },
			want: wantPermissions,
		},
	})
}

// wantPermissions reads what is granted in a subscription's channel.
func wantPermissions(v Value, _ time.Time) (Value, error) {
	if v.Absent {
		return v, nil
	}
	all, err := oneOrMore[struct {
		Allow []string `json:"allow"`
	}](v)
	var allow core.Permission
	for _, g := range all {
		more, unknown := core.ParsePermissions(g.Allow)
		allow |= more
		err = errors.Join(err, unknown)
	}
	if err != nil {
		return Value{}, fmt.Errorf("want rights such as {allow: [pub]}: %w", err)
	}
	return textValue(allow.String()), nil
}

func channelFields() map[string]field[hooks.Channel] {
	type E = hooks.Channel
	return map[string]field[E]{
		"channel":        given(func(e *E) *string { return &e.Channel }),
		"namespace":      given(func(e *E) *string { return &e.Namespace }),
		"subscribe":      written(func(e *E) *string { return &e.Options.Subscribe }),
		"publish":        written(func(e *E) *string { return &e.Options.Publish }),
		"slow_consumer":  written(func(e *E) *string { return &e.Options.SlowConsumer }),
		"presence":       writtenBool(func(e *E) *bool { return &e.Options.Presence }),
		"join_leave":     writtenBool(func(e *E) *bool { return &e.Options.JoinLeave }),
		"recovery":       writtenBool(func(e *E) *bool { return &e.Options.Recovery }),
		"exclude_sender": writtenBool(func(e *E) *bool { return &e.Options.ExcludeSender }),
		"history_size": {
			set: func(e *E, v Value, now time.Time) error {
				n, err := v.integer(now)
				e.Options.HistorySize = int(n)
				return err
			},
			get: func(e *E) Value { return intValue(int64(e.Options.HistorySize)) },
		},
		"history_ttl": {
			set: func(e *E, v Value, _ time.Time) (err error) { e.Options.HistoryTTL, err = v.duration(); return err },
			get: func(e *E) Value { return textValue(e.Options.HistoryTTL.String()) },
			want: func(v Value, _ time.Time) (Value, error) {
				d, err := v.duration()
				return textValue(d.String()), err
			},
		},
	}
}

func publishFields() map[string]field[hooks.Publish] {
	type E = hooks.Publish
	redirect := given(func(e *E) *string { return &e.Redirect })
	redirect.get = func(e *E) Value { return optional(e.Redirect) }
	return clientFields(func(e *E) *hooks.Client { return &e.Client }, map[string]field[E]{
		"channel": given(func(e *E) *string { return &e.Channel }),
		"id": {set: func(e *E, v Value, _ time.Time) (err error) {
			e.Message, err = core.ParseID(v.Text)
			return err
		}},
		"data":           writtenBytes(func(e *E) *[]byte { return &e.Data }),
		"tags":           writtenTags(func(e *E) *map[string]string { return &e.Tags }),
		"redirect":       redirect,
		"expire_at":      writtenTime(func(e *E) *int64 { return &e.ExpireAt }),
		"skip_history":   writtenBool(func(e *E) *bool { return &e.SkipHistory }),
		"exclude_sender": writtenFlag(func(e *E) **bool { return &e.ExcludeSender }),
	})
}

func rpcFields() map[string]field[hooks.RPC] {
	type E = hooks.RPC
	return clientFields(func(e *E) *hooks.Client { return &e.Client }, map[string]field[E]{
		"method": given(func(e *E) *string { return &e.Method }),
		"data":   givenBytes(func(e *E) *[]byte { return &e.Input }),
		"reply":  writtenBytes(func(e *E) *[]byte { return &e.Reply }),
	})
}

func sendFields() map[string]field[hooks.Send] {
	type E = hooks.Send
	return clientFields(func(e *E) *hooks.Client { return &e.Client }, map[string]field[E]{
		"data": givenBytes(func(e *E) *[]byte { return &e.Input }),
	})
}

func unsubscribeFields() map[string]field[hooks.Unsubscribe] {
	type E = hooks.Unsubscribe
	return clientFields(func(e *E) *hooks.Client { return &e.Client }, map[string]field[E]{
		"channel": given(func(e *E) *string { return &e.Channel }),
		"code":    givenCode(func(e *E) *uint32 { return &e.Code }),
		"reason":  given(func(e *E) *string { return &e.Reason }),
	})
}

func disconnectFields() map[string]field[hooks.Disconnect] {
	type E = hooks.Disconnect
	return clientFields(func(e *E) *hooks.Client { return &e.Client }, map[string]field[E]{
		"code":   givenCode(func(e *E) *uint32 { return &e.Code }),
		"reason": given(func(e *E) *string { return &e.Reason }),
	})
}

func auditFields() map[string]field[hooks.Audit] {
	type E = hooks.Audit
	return map[string]field[E]{
		"kind":        given(func(e *E) *string { return &e.Kind }),
		"channel":     given(func(e *E) *string { return &e.Channel }),
		"hook":        given(func(e *E) *string { return &e.Hook }),
		"action":      given(func(e *E) *string { return &e.Action }),
		"user":        written(func(e *E) *string { return &e.User }),
		"payload":     writtenBytes(func(e *E) *[]byte { return &e.Payload }),
		"tags":        writtenTags(func(e *E) *map[string]string { return &e.Tags }),
		"remote_addr": written(func(e *E) *string { return &e.RemoteAddr }),
		"reason":      written(func(e *E) *string { return &e.Reason }),
	}
}
