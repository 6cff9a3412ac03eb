package auth_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/auth"
	"github.com/zenconn/server/core/config"
)

func TestConnectClaims(t *testing.T) {
	j := newJWT(t, config.JWT{HMACSecret: secret})
	yes, no := true, false
	for name, test := range map[string]struct {
		claims string
		want   core.Credentials
	}{
		"nothing":          {`{}`, core.Credentials{}},
		"user":             {`{"sub":"größe 日本"}`, core.Credentials{User: "größe 日本"}},
		"info":             {`{"info":{"name":"Alice"}}`, core.Credentials{Info: []byte(`{"name":"Alice"}`)}},
		"info: text":       {`{"info":"Alice"}`, core.Credentials{Info: []byte(`"Alice"`)}},
		"info: number":     {`{"info":12345678901234567890.10}`, core.Credentials{Info: []byte(`12345678901234567890.10`)}},
		"info: null":       {`{"info":null}`, core.Credentials{}},
		"info: one line":   {"{\"info\": {\n\t\"a\": \"<&> \\n\"\r\n} }", core.Credentials{Info: []byte(`{"a":"<&> \n"}`)}},
		"info in base64":   {`{"b64info":"` + b64(`{"a": 1}`) + `"}`, core.Credentials{Info: []byte(`{"a":1}`)}},
		"base64 outweighs": {`{"info":1,"b64info":"` + b64(`2`) + `"}`, core.Credentials{Info: []byte(`2`)}},
		"channels":         {`{"channels":["a","b:c"]}`, core.Credentials{Subs: map[string]core.SubscribeOptions{"a": {}, "b:c": {}}}},
		"subs": {
			`{"subs":{"a":{},"b":{"info":[1],"data":{"x": 1},"override":{"presence":{"value":true},"join_leave":{"value":false},
				"force_recovery":{"value":true},"force_push_join_leave":{"value":true},"force_positioning":{"value":true}}},
				"c":{"b64info":"` + b64(`1`) + `","b64data":"` + b64(`2`) + `","override":{"presence":{}}}}}`,
			core.Credentials{Subs: map[string]core.SubscribeOptions{
				"a": {},
				"b": {Info: []byte(`[1]`), Data: []byte(`{"x":1}`), Presence: &yes, JoinLeave: &no, Recovery: &yes},
				"c": {Info: []byte(`1`), Data: []byte(`2`), Presence: &no},
			}},
		},
		"channels and subs": {
			`{"channels":["a","b"],"subs":{"b":{"data":1},"c":{}}}`,
			core.Credentials{Subs: map[string]core.SubscribeOptions{"a": {}, "b": {Data: []byte(`1`)}, "c": {}}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := j.Connect(hs256(t, test.claims))
			if err != nil || !reflect.DeepEqual(got, test.want) {
				t.Errorf("got  %+v, %v\nwant %+v", got, err, test.want)
			}
		})
	}
}

func b64(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

func TestCapabilities(t *testing.T) {
	j := newJWT(t, config.JWT{HMACSecret: secret})
	got, err := j.Connect(hs256(t, `{"caps":[
		{"channels":["news"],"allow":["sub","hst"]},
		{"channels":["team-*"],"match":"wildcard","allow":["sub","pub"]},
		{"channels":["room-[0-9]"],"match":"regex","allow":["prs"]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		permission core.Permission
		channel    string
		want       bool
	}{
		{core.MaySubscribe | core.MayHistory, "news", true},
		{core.MayPublish, "news", false},
		{core.MaySubscribe, "news2", false},
		{core.MayPublish, "team-a", true},
		{core.MayPublish, "my-team-a", false},
		{core.MayPresence, "room-1", true},
		{core.MayPresence, "room-12", false},
		{core.MaySubscribe, "elsewhere", false},
	} {
		if got.Grants.Allow(test.permission, test.channel) != test.want {
			t.Errorf("permission %b in %s: got %v", test.permission, test.channel, !test.want)
		}
	}
}

func TestSubscribe(t *testing.T) {
	j := newJWT(t, config.JWT{HMACSecret: secret, Audience: "game"})
	yes := true
	for name, test := range map[string]struct {
		claims string
		user   string
		want   core.SubscribeOptions
		err    error
	}{
		"user":           {`{"sub":"alice","channel":"a","aud":"game"}`, "alice", core.SubscribeOptions{}, nil},
		"anonymous":      {`{"channel":"a","aud":"game"}`, "", core.SubscribeOptions{}, nil},
		"this client":    {`{"sub":"alice","channel":"a","client":"1","aud":"game"}`, "alice", core.SubscribeOptions{}, nil},
		"another client": {`{"sub":"alice","channel":"a","client":"2","aud":"game"}`, "alice", core.SubscribeOptions{}, auth.ErrInvalidToken},
		"options": {
			`{"channel":"a","aud":"game","info":{"x": 1},"b64data":"` + b64(`[ 1 ]`) + `","override":{"presence":{"value":true}}}`, "",
			core.SubscribeOptions{Info: []byte(`{"x":1}`), Data: []byte(`[1]`), Presence: &yes}, nil,
		},
		"another channel":          {`{"sub":"alice","channel":"b","aud":"game"}`, "alice", core.SubscribeOptions{}, auth.ErrInvalidToken},
		"channel in other case":    {`{"sub":"alice","channel":"A","aud":"game"}`, "alice", core.SubscribeOptions{}, auth.ErrInvalidToken},
		"connection token":         {`{"sub":"alice","aud":"game"}`, "alice", core.SubscribeOptions{}, auth.ErrInvalidToken},
		"another user":             {`{"sub":"bob","channel":"a","aud":"game"}`, "alice", core.SubscribeOptions{}, auth.ErrInvalidToken},
		"anonymous for a user":     {`{"channel":"a","aud":"game"}`, "alice", core.SubscribeOptions{}, auth.ErrInvalidToken},
		"a user for anonymous":     {`{"sub":"alice","channel":"a","aud":"game"}`, "", core.SubscribeOptions{}, auth.ErrInvalidToken},
		"wrong audience":           {`{"channel":"a","aud":"shop"}`, "", core.SubscribeOptions{}, auth.ErrInvalidToken},
		"expired":                  {`{"channel":"a","aud":"game","exp":1}`, "", core.SubscribeOptions{}, core.ErrTokenExpired},
		"expired, another channel": {`{"channel":"b","aud":"game","exp":1}`, "", core.SubscribeOptions{}, auth.ErrInvalidToken},
		"info is no JSON":          {`{"channel":"a","aud":"game","b64info":"` + b64(`x`) + `"}`, "", core.SubscribeOptions{}, auth.ErrInvalidToken},
		"data is no base64":        {`{"channel":"a","aud":"game","b64data":"!"}`, "", core.SubscribeOptions{}, auth.ErrInvalidToken},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := j.Subscribe(hs256(t, test.claims), test.user, "1", "a")
			if !errors.Is(err, test.err) || !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %+v, %v\nwant %+v, %v", got, err, test.want, test.err)
			}
		})
	}
	forged := sign(t, "HS256", []byte("another secret of the right size"), `{"channel":"a","aud":"game"}`)
	for name, token := range map[string]string{"empty": "", "forged": forged} {
		if _, err := j.Subscribe(token, "", "1", "a"); !errors.Is(err, auth.ErrInvalidToken) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := j.Subscribe(hs256(t, `{"aud":"game"}`), "", "1", ""); !errors.Is(err, auth.ErrInvalidToken) {
		t.Errorf("a connection token for the empty channel: %v", err)
	}
}

// What Sign makes, a server with the same configuration accepts.
func TestSign(t *testing.T) { synctest.Test(t, signAndVerify) } // The clock of a bubble stands still.

func signAndVerify(t *testing.T) {
	cfg := config.JWT{HMACSecret: secret, Audience: "game", Issuer: "shop", RequireExpiry: true}
	j := newJWT(t, cfg)

	connect := &auth.ConnectClaims{
		Info: auth.Info{Info: json.RawMessage(`{"name":"Alice"}`)}, Channels: []string{"news"},
		Caps: []auth.Capability{{Channels: []string{"chat:*"}, Match: "wildcard", Allow: []string{"sub"}}},
	}
	connect.Subject = "alice"
	token, err := auth.Sign(cfg, connect, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	got, err := j.Connect(token)
	if err != nil || got.User != "alice" || string(got.Info) != `{"name":"Alice"}` || len(got.Subs) != 1 ||
		!got.Grants.Allow(core.MaySubscribe, "chat:a") || got.ExpireAt != in(60) {
		t.Errorf("got %+v, %v", got, err)
	}

	subscribe := &auth.SubscribeClaims{Channel: "chat:a", SubClaims: auth.SubClaims{Data: json.RawMessage(`1`)}}
	subscribe.Subject = "alice"
	if token, err = auth.Sign(cfg, subscribe, time.Minute); err != nil {
		t.Fatal(err)
	}
	if opts, err := j.Subscribe(token, "alice", "1", "chat:a"); err != nil || string(opts.Data) != "1" {
		t.Errorf("got %+v, %v", opts, err)
	}

	cfg.RequireExpiry = false
	if token, err = auth.Sign(cfg, &auth.ConnectClaims{}, 0); err != nil {
		t.Fatal(err)
	}
	if got, err := newJWT(t, cfg).Connect(token); err != nil || !reflect.DeepEqual(got, core.Credentials{}) {
		t.Errorf("got %+v, %v", got, err)
	}

	if _, err := auth.Sign(config.JWT{PublicKey: "x"}, &auth.ConnectClaims{}, 0); !errors.Is(err, auth.ErrNoSecret) {
		t.Errorf("signed without a secret: %v", err)
	}
	if _, err := auth.Sign(config.JWT{HMACSecret: publicPEM(t, ed25519Key(t))}, &auth.ConnectClaims{}, 0); err == nil {
		t.Error("signed with a public key")
	}
}

func BenchmarkConnect(b *testing.B) {
	j, err := auth.NewJWT(config.JWT{HMACSecret: secret})
	if err != nil {
		b.Fatal(err)
	}
	claims := &auth.ConnectClaims{Info: auth.Info{Info: json.RawMessage(`{"name":"Alice"}`)}}
	claims.Subject = "alice"
	token, err := auth.Sign(config.JWT{HMACSecret: secret}, claims, time.Hour)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := j.Connect(token); err != nil {
			b.Fatal(err)
		}
	}
}
