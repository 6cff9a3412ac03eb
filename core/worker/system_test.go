package worker_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/auth"
	"github.com/zenconn/server/core/session"
)

// Who has the grant hears in $system:sessions who comes and goes; nobody else may listen, whatever plugins and grants for everything say,
// and nobody may publish there.
func TestSystemSessions(t *testing.T) {
	c := open()
	c.Auth.Type, c.Auth.JWT.HMACSecret = "jwt", strings.Repeat("s", 32)
	r := start(t, c, script(t, `function on_subscribe(ev) return true end function on_publish(ev) return true end`))
	login := func(user string, caps ...auth.Capability) *client {
		t.Helper()
		token, err := auth.Sign(c.Auth.JWT, &auth.ConnectClaims{RegisteredClaims: jwt.RegisteredClaims{Subject: user}, Caps: caps}, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		one := r.dial("")
		one.send(fmt.Sprintf(`{"id":1,"connect":{"token":%q}}`, token))
		one.expect(`"connect":{`)
		return one
	}
	const subscribe, publish = `"subscribe":{"channel":"$system:sessions"}`, `"publish":{"channel":"$system:sessions","data":{}}`
	operator := login("operator", auth.Capability{Channels: []string{"$system:*"}, Match: "wildcard", Allow: []string{"sub", "pub", "hst", "prs"}})
	stranger := login("mallory", auth.Capability{Channels: []string{"*"}, Match: "wildcard", Allow: []string{"sub", "pub", "hst", "prs"}})
	for _, tc := range []struct {
		who     *client
		command string
		error   uint32
	}{
		{stranger, subscribe, 103},
		{stranger, publish, 103},
		{stranger, `"subscribe":{"channel":"other"}`, 0},
		{operator, subscribe, 0},
		{operator, publish, 103},
		{operator, `"history":{"channel":"$system:sessions"}`, 108},
		{operator, `"presence":{"channel":"$system:sessions"}`, 108},
		{operator, `"subscribe":{"channel":"$system:other"}`, 102},
		{operator, `"subscribe":{"channel":"$mine:sessions"}`, 102},
	} {
		if got := errorCode(tc.who.ask(10, tc.command)); got != tc.error {
			t.Errorf("%s: error %d, want %d", tc.command, got, tc.error)
		}
	}
	for heard := false; !heard; { // What has just happened may still be told.
		var told struct {
			Push struct{ Pub struct{ Data notice } }
		}
		alice := login("alice")
		decode(t, operator.expect(`"event":"opened"`), &told)
		opened := told.Push.Pub.Data
		heard = opened.User == "alice"
		if heard && (opened.Node != "test" || opened.Transport != "websocket" || opened.RemoteAddr != "127.0.0.1" || opened.Time == 0) {
			t.Errorf("heard %+v", opened)
		}
		alice.conn.WriteClose(1000, nil) //nolint:errcheck // It is the end.
		decode(t, operator.expect(`"event":"closed"`), &told)
		if closed := told.Push.Pub.Data; heard && (closed.Session != opened.Session || closed.User != "alice" || closed.Code != 1000) {
			t.Errorf("heard %+v", closed)
		}
	}
	_, err := r.worker.Server().Publish(t.Context(), session.Outgoing{Channel: "$system:sessions", Data: []byte(`{}`)})
	if refused, ok := err.(*core.Error); !ok || refused.Code != core.ErrPermissionDenied.Code { //nolint:errorlint // It is not wrapped.
		t.Errorf("the server API's publication: %v", err)
	}
}

type notice struct {
	Event, Session, User, Node, Transport string
	RemoteAddr                            string `json:"remote_addr"`
	Time                                  int64
	Code                                  uint32
}

func decode(t *testing.T, text []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatal(err)
	}
}
