package cli_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/auth"
	"github.com/zenconn/server/core/config"
)

const tokenSecret = "0123456789abcdef0123456789abcdef"

// inTokenFolder makes the test run where zenconn.yaml configures a server that takes tokens.
func inTokenFolder(t *testing.T) {
	t.Helper()
	inFolder(t, "zenconn.yaml", "auth:\n  type: jwt\n  jwt:\n    hmac_secret: "+tokenSecret+"\n    audience: game\n    issuer: shop\n")
}

// made runs zenconn token with the configuration and returns what it printed: one token on one line, and nothing else anywhere.
func made(t *testing.T, args ...string) string {
	t.Helper()
	got := typed(t, nil, append([]string{"token", "--config", "zenconn.yaml"}, args...)...)
	if got.code != 0 || got.stderr != "" || !regexp.MustCompile(`^[\w-]+\.[\w-]+\.[\w-]+\n$`).MatchString(got.stdout) {
		t.Fatalf("%+v", got)
	}
	return strings.TrimSpace(got.stdout)
}

func tokenVerifier(t *testing.T) *auth.JWT {
	t.Helper()
	j, err := auth.NewJWT(config.JWT{HMACSecret: tokenSecret, Audience: "game", Issuer: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func TestTokenConnect(t *testing.T) {
	inTokenFolder(t)
	j := tokenVerifier(t)
	got, err := j.Connect(made(t, "--user", "alice", "--info", `{"name": "Alice"}`, "--subscribe", "news", "--subscribe", "a,b",
		"--grant", "chat:*=sub,pub", "--grant", "x=y=hst"))
	if err != nil || got.User != "alice" || string(got.Info) != `{"name":"Alice"}` || len(got.Subs) != 2 {
		t.Fatalf("got %+v, %v", got, err)
	}
	if hour := time.Now().Add(time.Hour).Unix(); got.ExpireAt > hour || got.ExpireAt < hour-60 {
		t.Errorf("expires at %d, want %d", got.ExpireAt, hour)
	}
	for _, name := range []string{"news", "a,b"} {
		if _, ok := got.Subs[name]; !ok {
			t.Errorf("no subscription to %s", name)
		}
	}
	for _, test := range []struct {
		permission core.Permission
		channel    string
		want       bool
	}{
		{core.MaySubscribe | core.MayPublish, "chat:a", true},
		{core.MayHistory, "chat:a", false},
		{core.MayHistory, "x=y", true},
		{core.MaySubscribe, "news", false},
	} {
		if got.Grants.Allow(test.permission, test.channel) != test.want {
			t.Errorf("permission %b in %s is %v", test.permission, test.channel, !test.want)
		}
	}
	if got, err := j.Connect(made(t, "--ttl", "0")); err != nil || got.User != "" || got.ExpireAt != 0 {
		t.Errorf("anonymous for ever: got %+v, %v", got, err)
	}
}

func TestTokenSubscribe(t *testing.T) {
	inTokenFolder(t)
	j := tokenVerifier(t)
	token := made(t, "--user", "alice", "--channel", "private:diary", "--info", "1", "--ttl", "10m")
	opts, err := j.Subscribe(token, "alice", "1", "private:diary")
	if minutes := time.Now().Add(10 * time.Minute).Unix(); err != nil || string(opts.Info) != "1" || opts.ExpireAt > minutes || opts.ExpireAt < minutes-60 {
		t.Errorf("got %+v, %v", opts, err)
	}
	if _, err := j.Connect(token); !errors.Is(err, auth.ErrInvalidToken) {
		t.Errorf("it connects: %v", err)
	}
}

// The token is as small as can be: claims nobody asked for are not in it.
func TestTokenClaims(t *testing.T) {
	inTokenFolder(t)
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(made(t, "--user", "alice"), ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"sub", "exp", "iat", "aud", "iss"} {
		if claims[name] == nil {
			t.Errorf("no %s in %s", name, payload)
		}
		delete(claims, name)
	}
	if len(claims) > 0 {
		t.Errorf("too much: %v", claims)
	}
}

func TestTokenRefusals(t *testing.T) {
	inTokenFolder(t)
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"argument":              {[]string{"alice"}, `unknown command "alice" for "zenconn token"`},
		"info is no JSON":       {[]string{"--info", "Alice"}, `--info: want JSON, such as '{"name":"Alice"}' or '"Alice"'`},
		"negative ttl":          {[]string{"--ttl=-1h"}, "--ttl: want 0 or more, not -1h0m0s"},
		"ttl without unit":      {[]string{"--ttl=60"}, `--ttl: "60" is not a length of time such as 30s or 5m`},
		"grant without =":       {[]string{"--grant", "news"}, `--grant "news": want channels and permissions, such as 'news:*=sub,hst'`},
		"grant without channel": {[]string{"--grant", "=sub"}, `--grant "=sub": want channels and permissions, such as 'news:*=sub,hst'`},
		"unknown permission":    {[]string{"--grant", "a=sub,x"}, `--grant "a=sub,x": unknown permission "x", want one of sub, pub, prs, hst, brd`},
		"no permission":         {[]string{"--grant", "a="}, `--grant "a=": unknown permission "", want one of sub, pub, prs, hst, brd`},
		"grant for a channel":   {[]string{"--channel", "a", "--grant", "a=sub"}, "--channel makes a subscription token, which knows no --grant and no --subscribe"},
		"two ways to subscribe": {[]string{"--channel", "a", "--subscribe", "b"}, "--channel makes a subscription token, which knows no --grant and no --subscribe"},
		"never, where forbidden": {
			[]string{"--ttl=0", "--auth.jwt.require_expiry"},
			"--ttl 0: the configuration refuses tokens that never expire (auth.jwt.require_expiry)",
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := typed(t, nil, append([]string{"token", "--config", "zenconn.yaml"}, test.args...)...)
			if want := (command{2, "", "zenconn: " + test.want + "\nrun 'zenconn token --help'\n"}); got != want {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		})
	}
	t.Run("too long", func(t *testing.T) {
		got := typed(t, nil, "token", "--config", "zenconn.yaml", "--user", strings.Repeat("x", 16<<10))
		want := command{1, "", "zenconn: the server would refuse this token: invalid token: longer than 16384 bytes\n"}
		if got != want {
			t.Errorf("got %+v", got)
		}
	})
}

func TestTokenWithoutSecret(t *testing.T) {
	inFolder(t)
	got := typed(t, nil, "token", "--user", "alice")
	want := command{2, "", `zenconn: the configuration is wrong:
  auth.jwt.hmac_secret: there is no secret to sign with: set it to at least 32 random bytes that the server knows too, for example
    export ZENCONN_AUTH__JWT__HMAC_SECRET=$(openssl rand -hex 32)
`}
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// The token is printed, and a word of warning beside it, when the server would not look at it.
func TestTokenNobodyAsksFor(t *testing.T) {
	inFolder(t)
	got := typed(t, []string{"ZENCONN_AUTH__JWT__HMAC_SECRET=" + tokenSecret}, "token", "--user", "alice")
	warning := "zenconn: note: a server with this configuration asks for no tokens: auth.type is hook, not jwt\n"
	if got.code != 0 || got.stderr != warning || strings.Count(got.stdout, ".") != 2 {
		t.Errorf("got %+v", got)
	}
}

// Signing takes the secret alone: the file of the public key may be on the server only.
func TestTokenBesidePublicKey(t *testing.T) {
	inTokenFolder(t)
	token := made(t, "--user", "alice", "--auth.jwt.public_key", "/nowhere/public.pem")
	if got, err := tokenVerifier(t).Connect(token); err != nil || got.User != "alice" {
		t.Errorf("got %+v, %v", got, err)
	}
}
