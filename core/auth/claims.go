package auth

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"

	"github.com/zenconn/server/core"
)

// ConnectClaims are the claims of a connection token. Claims that are not listed are ignored.
type ConnectClaims struct {
	jwt.RegisteredClaims // sub is the user; none: anonymous.
	Info

	// Channels are subscribed to by the server as soon as the client is connected. Subs are the same with options.
	Channels []string             `json:"channels,omitempty"`
	Subs     map[string]SubClaims `json:"subs,omitempty"`

	Caps     []Capability `json:"caps,omitempty"`
	ExpireAt *int64       `json:"expire_at,omitempty"` // Unix seconds at which the connection expires; 0 or less: never; nil: as exp.
	Channel  string       `json:"channel,omitempty"`   // Makes it a subscription token: always empty here.
}

// SubscribeClaims are the claims of a subscription token. Claims that are not listed are ignored.
type SubscribeClaims struct {
	jwt.RegisteredClaims // sub is the user the token is for; none: anonymous.
	SubClaims

	Channel  string `json:"channel"`
	Client   string `json:"client,omitempty"`    // The session the token is for; empty: any of the user's.
	ExpireAt *int64 `json:"expire_at,omitempty"` // Unix seconds at which the subscription expires; 0 or less: never; nil: as exp.
}

// SubClaims are the options of one subscription.
type SubClaims struct {
	Info
	Data     json.RawMessage `json:"data,omitempty"`    // Any JSON, handed to the subscriber.
	B64Data  string          `json:"b64data,omitempty"` // The same in base64; outweighs Data.
	Override *Override       `json:"override,omitempty"`
}

// Info is what others see of a client. It must be JSON either way.
type Info struct {
	Info    json.RawMessage `json:"info,omitempty"`
	B64Info string          `json:"b64info,omitempty"` // The same in base64; outweighs Info.
}

// Override replaces options of the namespace. force_push_join_leave and force_positioning mean nothing to this server: whoever may
// hear of joins hears them, and every subscription with history has its position.
type Override struct {
	Presence  *Flag `json:"presence,omitempty"`
	JoinLeave *Flag `json:"join_leave,omitempty"`
	Recovery  *Flag `json:"force_recovery,omitempty"`
}

// Flag is an overridden option.
type Flag struct {
	Value bool `json:"value"`
}

// Capability gives permissions in channels; see core.NewGrant.
type Capability struct {
	Channels []string `json:"channels"`
	Match    string   `json:"match,omitempty"`
	Allow    []string `json:"allow"`
}

// Claims are those of either token: *ConnectClaims or *SubscribeClaims.
type Claims interface {
	jwt.Claims
	registered() *jwt.RegisteredClaims
}

func (c *ConnectClaims) registered() *jwt.RegisteredClaims   { return &c.RegisteredClaims }
func (c *SubscribeClaims) registered() *jwt.RegisteredClaims { return &c.RegisteredClaims }

// credentials returns what a connection token says, without its expiry.
func (c *ConnectClaims) credentials() (core.Credentials, error) {
	creds := core.Credentials{User: c.Subject}
	if c.Channel != "" {
		return creds, errors.New("a subscription token (it has a channel claim) cannot connect")
	}
	var err error
	if creds.Info, err = c.Info.bytes(); err != nil {
		return creds, err
	}
	for i, capability := range c.Caps {
		grant, err := core.NewGrant(capability.Channels, capability.Match, capability.Allow)
		if err != nil {
			return creds, fmt.Errorf("caps[%d]: %w", i, err)
		}
		creds.Grants = append(creds.Grants, grant)
	}
	if len(c.Channels)+len(c.Subs) > 0 {
		creds.Subs = make(map[string]core.SubscribeOptions, len(c.Channels)+len(c.Subs))
	}
	for _, name := range c.Channels {
		creds.Subs[name] = core.SubscribeOptions{}
	}
	for name, sub := range c.Subs {
		if creds.Subs[name], err = sub.options(); err != nil {
			return creds, fmt.Errorf("subs[%q]: %w", name, err)
		}
	}
	return creds, nil
}

// isFor checks that a subscription token is meant for who brings it.
func (c *SubscribeClaims) isFor(user, client, channel string) error {
	switch {
	case c.Channel == "":
		return errors.New("a connection token (it has no channel claim) opens no channel")
	case c.Channel != channel:
		return errors.New("for another channel")
	case c.Subject != user:
		return errors.New("for another user")
	case c.Client != "" && c.Client != client:
		return errors.New("for another client")
	}
	return nil
}

// options returns what the claims say, without the expiry.
func (c *SubClaims) options() (core.SubscribeOptions, error) {
	var opts core.SubscribeOptions
	var err error
	if opts.Info, err = c.Info.bytes(); err != nil {
		return opts, err
	}
	if opts.Data, err = passable("data", c.Data, c.B64Data); err != nil {
		return opts, err
	}
	if o := c.Override; o != nil {
		opts.Presence, opts.JoinLeave, opts.Recovery = o.Presence.value(), o.JoinLeave.value(), o.Recovery.value()
	}
	return opts, nil
}

func (f *Flag) value() *bool {
	if f == nil {
		return nil
	}
	return &f.Value
}

func (i *Info) bytes() ([]byte, error) { return passable("info", i.Info, i.B64Info) }

// passable returns JSON that can go into any client's frame as it is: one line, valid UTF-8. A null is nothing.
func passable(claim string, raw json.RawMessage, b64 string) ([]byte, error) {
	if b64 != "" {
		claim = "b64" + claim
		decoded, err := base64.StdEncoding.DecodeString(b64)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", claim, err)
		}
		raw = decoded
	}
	if len(raw) == 0 || string(raw) == "null" {
		return nil, nil
	}
	var line bytes.Buffer
	if err := json.Compact(&line, raw); err != nil {
		return nil, fmt.Errorf("%s is not JSON: %w", claim, err)
	}
	if !utf8.Valid(line.Bytes()) {
		return nil, fmt.Errorf("%s is not valid UTF-8", claim)
	}
	return line.Bytes(), nil
}
