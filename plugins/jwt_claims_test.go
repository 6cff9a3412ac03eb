package plugins_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/config"
	"github.com/zenconn/server/hooks"
	"github.com/zenconn/server/hooks/host"
)

const tokenSecret = "a secret of thirty-two bytes, more"

// token signs claims, given as name, value, name, value….
func token(t testing.TB, claims ...any) string {
	t.Helper()
	c := jwt.MapClaims{}
	for i := 0; i < len(claims); i += 2 {
		c[claims[i].(string)] = claims[i+1]
	}
	signed, err := jwt.NewWithClaims(jwt.SigningMethodHS256, c).SignedString([]byte(tokenSecret))
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func claimsPlugin(settings m) config.Plugin {
	return config.Plugin{
		Name: "jwt-claims", Config: settings, Allow: config.Allow{JWT: true}, Keys: []config.Key{{Name: "main", Secret: tokenSecret}},
	}
}

func TestJWTClaims(t *testing.T) {
	c := mustBundle(t, "", claimsPlugin(m{
		"user": "id", "info": m{"name": "profile.name", "admin": "admin"}, "require": m{"aud": "chat"},
		"grants": []any{
			m{"channels": []any{"room:{rooms}", "own:{id}"}, "allow": []any{"sub", "pub"}},
			m{"channels": []any{"team:{teams}:*"}, "match": "wildcard", "allow": []any{"sub"}},
			m{"channels": []any{"admin:*"}, "match": "wildcard", "allow": []any{"sub"}, "when": m{"profile.roles": "admin"}},
		},
		"subscribe": []any{m{"channels": []any{"news", "own:{id}"}, "presence": false}, m{"channels": []any{"vip"}, "when": m{"admin": true}}},
	}), host.Options{})
	exp := time.Now().Add(time.Hour).Unix()
	e := &hooks.Connect{Token: token(t, "id", 42, "aud", []any{"game", "chat"}, "exp", exp, "rooms", []any{"a", "{id}", 7}, "teams", []any{"red", "*"},
		"profile", m{"name": "Alice", "roles": []any{"user"}})}
	if a := c.Connect(t.Context(), e); a.Verdict != hooks.Allow {
		t.Fatalf("%+v", a)
	}
	if e.User != "42" || string(e.Info) != `{"name":"Alice"}` || e.ExpireAt != exp {
		t.Errorf("user %q, info %s, expires %d", e.User, e.Info, e.ExpireAt)
	}
	for channel, want := range map[string]bool{
		"room:a": true, "room:7": true, "room:{id}": true, "room:42": false, "own:42": true, "own:1": false, "team:red:1": true,
		"team:blue:1": false, "admin:1": false, "news": false,
	} {
		if got := e.Grants.Allow(core.MaySubscribe, channel); got != want {
			t.Errorf("may subscribe to %s: %v", channel, got)
		}
	}
	if got := slices.Sorted(maps.Keys(e.Subs)); !slices.Equal(got, []string{"news", "own:42"}) {
		t.Errorf("subscribed to %q", got)
	}
	if p := e.Subs["news"].Presence; p == nil || *p {
		t.Errorf("presence of the subscription: %v", p)
	}
	for name, tt := range map[string]struct {
		token string
		want  string
	}{
		"none":             {"", "3500 a token is needed"},
		"garbage":          {"x.y.z", "3500 invalid token"},
		"forged":           {token(t, "id", 1, "aud", "chat") + "x", "3500 invalid token"},
		"expired":          {token(t, "id", 1, "aud", "chat", "exp", 1), "109 token expired"},
		"another audience": {token(t, "id", 1, "aud", "game"), "3500 this token is not for this server"},
		"no user":          {token(t, "aud", "chat"), "3500 this token is not for this server"},
	} {
		a := c.Connect(t.Context(), &hooks.Connect{Token: tt.token})
		if got := fmt.Sprintf("%d %s", a.Code, a.Reason); a.Verdict != hooks.Deny || got != tt.want {
			t.Errorf("%s: %+v, want %s", name, a, tt.want)
		}
	}
	refresh := func(token, channel string) (hooks.Answer, *hooks.Refresh) {
		e := &hooks.Refresh{Client: hooks.Client{User: "42"}, Channel: channel, Token: token, ExpireAt: 5}
		return c.Refresh(t.Context(), e), e
	}
	if a, e := refresh(token(t, "id", "42", "aud", "chat", "exp", exp, "admin", true), ""); a.Verdict != hooks.Allow || e.ExpireAt != exp || string(e.Info) != `{"admin":true}` {
		t.Errorf("%+v, %+v", a, e)
	}
	if a, _ := refresh(token(t, "id", "43", "aud", "chat", "exp", exp), ""); a.Code != 3500 {
		t.Errorf("with another user's token: %+v", a)
	}
	if a, _ := refresh("", "room:1"); a.Verdict != hooks.Pass {
		t.Errorf("a subscription: %+v", a)
	}
}

func TestJWTClaimsDefaults(t *testing.T) {
	c := mustBundle(t, "", claimsPlugin(m{"anonymous": true}), host.Options{})
	for _, tt := range []struct{ token, user string }{{"", ""}, {token(t, "sub", "alice"), "alice"}} {
		e := &hooks.Connect{Token: tt.token}
		if a := c.Connect(t.Context(), e); a.Verdict != hooks.Allow || e.User != tt.user || e.ExpireAt != 0 || e.Info != nil {
			t.Errorf("%+v, %+v", a, e)
		}
	}
	// A key that is not there is a fault, not a bad token: the operator's mistake is not told to clients.
	wrong := claimsPlugin(m{"key": "other"})
	if a := mustBundle(t, "", wrong, host.Options{}).Connect(t.Context(), &hooks.Connect{Token: token(t, "sub", "alice")}); a.Verdict != hooks.Deny || a.Code != 100 {
		t.Errorf("%+v", a)
	}
}

func TestJWTClaimsConfiguration(t *testing.T) {
	grant := func(g m) m { return m{"grants": []any{g}} }
	testRefused(t, "", "jwt-claims", map[string]map[string]any{
		"config.usr is unknown":                   {"usr": "sub"},
		"config.info must be names of claims":     {"info": "name"},
		"config.grants[0].channels must be":       grant(m{"allow": []any{"sub"}}),
		"config.grants[0].allow must be a list":   grant(m{"channels": []any{"a"}}),
		"config.grants[0].allow has read":         grant(m{"channels": []any{"a"}, "allow": []any{"read"}}),
		"config.grants[0].match is wildcard":      grant(m{"channels": []any{"a"}, "allow": []any{"sub"}, "match": "regex"}),
		"config.subscribe[0].history is unknown":  {"subscribe": []any{m{"channels": []any{"a"}, "history": true}}},
		"config.subscribe[0].when must be an obj": {"subscribe": []any{m{"channels": []any{"a"}, "when": "admin"}}},
	})
}

func BenchmarkJWTClaims(b *testing.B) {
	c := mustBundle(b, "", claimsPlugin(m{
		"info": m{"name": "name"}, "grants": []any{m{"channels": []any{"room:{rooms}"}, "allow": []any{"sub", "pub"}}},
		"subscribe": []any{m{"channels": []any{"own:{sub}"}}},
	}), host.Options{})
	signed, ctx := token(b, "sub", "alice", "name", "Alice", "exp", 4000000000, "rooms", strings.Split("a,b,c", ",")), b.Context()
	b.ReportAllocs()
	for b.Loop() {
		if a := c.Connect(ctx, &hooks.Connect{Token: signed}); a.Verdict != hooks.Allow {
			b.Fatal(a)
		}
	}
}
