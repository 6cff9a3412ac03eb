package wasm

import (
	"slices"
	"testing"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/hooks"
	"github.com/zenconn/server/hooks/host"
)

// The events have the fields that the table says, and let those be written that it says.
func TestEventsFollowTheTable(t *testing.T) {
	client := hooks.Client{Header: func(string) string { return "" }}
	yes, info := true, []byte("{}")
	for hook, ev := range map[hooks.Hook]event{
		hooks.OnConnect: &connectEvent{Connect: &hooks.Connect{Client: client, Info: info, Input: info}},
		hooks.OnRefresh: &refreshEvent{Refresh: &hooks.Refresh{Client: client, Channel: "c", Info: info}},
		hooks.OnSubscribe: &subscribeEvent{Subscribe: &hooks.Subscribe{Client: client, Input: info,
			Options: core.SubscribeOptions{Info: info, Presence: &yes, JoinLeave: &yes, Recovery: &yes}}},
		hooks.OnChannel:     &channelEvent{Channel: &hooks.Channel{}},
		hooks.OnPublish:     &publishEvent{Publish: &hooks.Publish{Client: client, Redirect: "c", ExcludeSender: &yes}},
		hooks.OnRPC:         &rpcEvent{RPC: &hooks.RPC{Client: client, Input: info, Reply: info}},
		hooks.OnSend:        &sendEvent{Send: &hooks.Send{Client: client, Input: info}},
		hooks.OnUnsubscribe: &unsubscribeEvent{Unsubscribe: &hooks.Unsubscribe{Client: client}},
		hooks.OnDisconnect:  &disconnectEvent{Disconnect: &hooks.Disconnect{Client: client}},
		hooks.OnAudit:       &auditEvent{Audit: &hooks.Audit{Payload: info}},
	} {
		in := &instance{event: ev, code: &code{config: info}}
		for _, f := range append(host.Fields(), host.Description{Field: 0}, host.Description{Field: 1000}) {
			access := f.Hooks[hook] | f.Hooks[host.Everywhere]
			v, known := in.value(f.Field)
			if want := access&host.Read != 0; known != want {
				t.Errorf("%s: reading %s: %v, want %v", hook, f.Name, known, want)
			}
			if n := len(v.text) + len(v.bytes); known && !v.absent && n != size(f.Type) && size(f.Type) > 0 {
				t.Errorf("%s: %s has %d bytes, want %d", hook, f.Name, n, size(f.Type))
			}
			writable := false
			for _, b := range [][]byte{make([]byte, 8), {1}, []byte(`{}`), []byte(`{"channel":"c"}`), []byte(`{"channels":["c"],"allow":["sub"]}`),
				[]byte(`{"allow":["sub"]}`)} {
				err := in.write(f.Field, b)
				writable = writable || err == nil
				if access&host.Write == 0 && err != errNotWritable { //nolint:errorlint // It is never wrapped.
					t.Errorf("%s: writing %s: %v", hook, f.Name, err)
				}
			}
			if want := access&host.Write != 0; writable != want {
				t.Errorf("%s: writing %s works: %v, want %v", hook, f.Name, writable, want)
			}
		}
	}
}

// size is how long values of a type are; 0: any.
func size(t host.Type) int {
	switch t {
	case host.Int:
		return 8
	case host.Bool, host.Flag:
		return 1
	}
	return 0
}

func TestMalformedValues(t *testing.T) {
	number := func(n byte) []byte { return []byte{n, 0, 0, 0, 0, 0, 0, n} }
	connect := func() event { return &connectEvent{Connect: &hooks.Connect{}} }
	subscribe := func() event { return &subscribeEvent{Subscribe: &hooks.Subscribe{}} }
	publish := func() event { return &publishEvent{Publish: &hooks.Publish{}} }
	channel := func() event { return &channelEvent{Channel: &hooks.Channel{}} }
	for _, tt := range []struct {
		name  string
		make  func() event
		field host.Field
		value []byte
	}{
		{"user not UTF-8", connect, host.FieldUser, []byte{0xff}},
		{"time too short", connect, host.FieldExpireAt, []byte{1}},
		{"time negative", connect, host.FieldExpireAt, number(0xff)},
		{"time too large", publish, host.FieldExpireAt, number(0x7f)},
		{"size too large", channel, host.FieldHistorySize, number(1)},
		{"TTL too long", channel, host.FieldHistoryTTL, number(1)},
		{"boolean of 2", channel, host.FieldPresence, []byte{2}},
		{"boolean absent", channel, host.FieldPresence, nil},
		{"flag of two bytes", subscribe, host.FieldPresence, []byte{1, 1}},
		{"tags of numbers", publish, host.FieldTags, []byte(`{"a":1}`)},
		{"tags twice", publish, host.FieldTags, []byte(`{} {}`)},
		{"tags not UTF-8", publish, host.FieldTags, []byte("{\"a\":\"\xff\"}")},
		{"tags too long", publish, host.FieldTags, append([]byte(`{}`), slices.Repeat([]byte(" "), maxJSON)...)},
		{"data too long", publish, host.FieldData, make([]byte, maxValue+1)},
		{"subscription without a channel", connect, host.FieldSubscription, []byte(`{}`)},
		{"subscription with a typing error", connect, host.FieldSubscription, []byte(`{"channel":"c","present":true}`)},
		{"grant without channels", connect, host.FieldGrant, []byte(`{"allow":["sub"]}`)},
		{"grant of nothing", connect, host.FieldGrant, []byte(`{"channels":["c"]}`)},
		{"grant of an unknown right", connect, host.FieldGrant, []byte(`{"channels":["c"],"allow":["all"]}`)},
		{"grant elsewhere", subscribe, host.FieldGrant, []byte(`{"channels":["c"],"allow":["sub"]}`)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ev := tt.make()
			in := &instance{event: ev}
			if err := in.write(tt.field, tt.value); err == nil || err == errNotWritable { //nolint:errorlint // It is never wrapped.
				t.Errorf("error %v", err)
			}
			if ev.modified() {
				t.Error("the event counts as written to")
			}
		})
	}
}

func TestSubscriptionsAndGrantsAreBounded(t *testing.T) {
	ev := &connectEvent{Connect: &hooks.Connect{}}
	in := &instance{event: ev}
	for i := range maxAdded + 5 {
		in.write(host.FieldGrant, []byte(`{"channels":["c"],"allow":["sub"]}`))                         //nolint:errcheck // The last ones are refused.
		in.write(host.FieldSubscription, []byte(`{"channel":"`+string(rune('a'+i))+`","expire_at":1}`)) //nolint:errcheck // The same.
	}
	if len(ev.Grants) != maxAdded || len(ev.Subs) != maxAdded {
		t.Errorf("%d grants, %d subscriptions", len(ev.Grants), len(ev.Subs))
	}
}
