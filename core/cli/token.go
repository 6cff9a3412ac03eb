package cli

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/auth"
	"github.com/zenconn/server/core/config"
)

// tokenRequest is what the flags of zenconn token say.
type tokenRequest struct {
	user      string
	ttl       time.Duration
	channel   string
	info      string
	grants    []string
	subscribe []string
}

func newTokenCommand(env *environment) *cobra.Command {
	var r tokenRequest
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Make a token for development",
		Long: `Makes a token that a server with the same configuration accepts, and prints it and nothing else. It is signed with
auth.jwt.hmac_secret. In production tokens are made by whoever knows the users: your backend.

A connection token says who a client is, and what is granted to it. With --channel it is a subscription token instead: it opens
that one channel to that one user.`,
		Example: `  zenconn token --config zenconn.yaml --user alice
  zenconn token --config zenconn.yaml --user alice --info '{"name":"Alice"}' --subscribe news --grant 'chat:*=sub,pub,hst'
  zenconn token --config zenconn.yaml --user alice --channel private:diary --ttl 10m`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			claims, err := r.claims()
			if err != nil {
				return err
			}
			loaded, err := env.load(cmd)
			if err != nil {
				return err
			}
			token, err := r.sign(&loaded.Config.Auth, claims)
			if err != nil {
				return err
			}
			if kind := loaded.Config.Auth.Type; kind != "jwt" {
				fmt.Fprintf(env.stderr, "zenconn: note: a server with this configuration asks for no tokens: auth.type is %s, not jwt\n", kind)
			}
			_, err = fmt.Fprintln(env.stdout, token)
			return err
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&r.user, "user", "", "`NAME` of the user; none: anonymous")
	flags.DurationVar(&r.ttl, "ttl", time.Hour, "`TIME` until it expires; 0: never")
	flags.StringVar(&r.info, "info", "", "what others see of the client: any `JSON`")
	flags.StringArrayVar(&r.subscribe, "subscribe", nil, "`CHANNEL` that the server subscribes the client to; repeatable")
	flags.StringArrayVar(&r.grants, "grant", nil,
		"permissions in channels, such as `news:*=sub,hst`, in which * stands for anything: sub, pub, prs, hst, brd; repeatable")
	flags.StringVar(&r.channel, "channel", "", "make a subscription token for the `CHANNEL`")
	return cmd
}

// claims checks the flags and turns them into claims.
func (r *tokenRequest) claims() (auth.Claims, error) {
	if r.ttl < 0 {
		return nil, usageError("--ttl: want 0 or more, not " + r.ttl.String())
	}
	if r.info != "" && !json.Valid([]byte(r.info)) {
		return nil, usageError(`--info: want JSON, such as '{"name":"Alice"}' or '"Alice"'`)
	}
	info := auth.Info{Info: json.RawMessage(r.info)}
	if r.channel != "" {
		if len(r.grants)+len(r.subscribe) > 0 {
			return nil, usageError("--channel makes a subscription token, which knows no --grant and no --subscribe")
		}
		claims := &auth.SubscribeClaims{Channel: r.channel, SubClaims: auth.SubClaims{Info: info}}
		claims.Subject = r.user
		return claims, nil
	}
	claims := &auth.ConnectClaims{Info: info, Channels: r.subscribe}
	claims.Subject = r.user
	for _, text := range r.grants {
		capability, err := parseGrant(text)
		if err != nil {
			return nil, err
		}
		claims.Caps = append(claims.Caps, capability)
	}
	return claims, nil
}

// parseGrant reads CHANNEL=PERMISSION,… A channel with a * is a pattern.
func parseGrant(text string) (auth.Capability, error) {
	at := strings.LastIndexByte(text, '=')
	if at <= 0 {
		return auth.Capability{}, usageError(fmt.Sprintf("--grant %q: want channels and permissions, such as 'news:*=sub,hst'", text))
	}
	c := auth.Capability{Channels: []string{text[:at]}, Allow: strings.Split(text[at+1:], ",")}
	if strings.Contains(text[:at], "*") {
		c.Match = "wildcard"
	}
	if _, err := core.NewGrant(c.Channels, c.Match, c.Allow); err != nil {
		return auth.Capability{}, usageError(fmt.Sprintf("--grant %q: %v", text, err))
	}
	return c, nil
}

// sign makes the token and tries it, as the server will.
func (r *tokenRequest) sign(cfg *config.Auth, claims auth.Claims) (string, error) {
	keys := cfg.JWT
	keys.PublicKey = "" // Not needed; its file may be on another machine.
	if keys.HMACSecret == "" {
		return "", &config.Error{Problems: []config.Problem{{
			Key: "auth.jwt.hmac_secret",
			Text: "there is no secret to sign with: set it to at least 32 random bytes that the server knows too, for example\n" +
				"    export ZENCONN_AUTH__JWT__HMAC_SECRET=$(openssl rand -hex 32)",
		}}}
	}
	if keys.RequireExpiry && r.ttl == 0 {
		return "", usageError("--ttl 0: the configuration refuses tokens that never expire (auth.jwt.require_expiry)")
	}
	token, err := auth.Sign(keys, claims, r.ttl)
	if err != nil {
		return "", err
	}
	verifier, err := auth.NewJWT(keys)
	if err != nil {
		return "", err
	}
	if r.channel != "" {
		_, err = verifier.Subscribe(token, r.user, "", r.channel)
	} else {
		_, err = verifier.Connect(token)
	}
	if err != nil {
		return "", fmt.Errorf("the server would refuse this token: %w", err)
	}
	return token, nil
}
