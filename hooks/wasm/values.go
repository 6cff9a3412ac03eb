package wasm

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/hooks"
	"github.com/zenconn/server/hooks/host"
)

// value is what a guest reads: text or bytes, whichever spares a copy.
type value struct {
	text   string
	bytes  []byte
	absent bool
}

// event is what a hook is about.
type event interface {
	get(in *instance, f host.Field) (v value, known bool)
	set(f host.Field, b []byte) error // errNotWritable, or what is wrong with the value. b is the guest's memory and must be copied.
	client() *hooks.Client            // nil when no client is the cause.
	modified() bool
	reset()
}

// changes says whether a call wrote to its event.
type changes struct{ changed bool }

func (c *changes) modified() bool { return c.changed }

// clientField reads what every event knows about its connection.
func (in *instance) clientField(c *hooks.Client, f host.Field) (value, bool) {
	switch f {
	case host.FieldClient:
		return value{text: c.ID}, true
	case host.FieldUser:
		return value{text: c.User}, true
	case host.FieldInfo:
		return optional(c.Info), true
	case host.FieldName:
		return value{text: c.Name}, true
	case host.FieldVersion:
		return value{text: c.Version}, true
	case host.FieldRemoteAddr:
		return value{text: c.RemoteAddr}, true
	case host.FieldTransport:
		return value{text: c.Transport}, true
	case host.FieldProtocol:
		return value{text: c.Protocol}, true
	case host.FieldUserAgent:
		return value{text: c.UserAgent}, true
	case host.FieldHeader:
		if c.Header == nil {
			return value{}, true
		}
		return value{text: c.Header(in.header)}, true
	}
	return value{}, false
}

func optional(b []byte) value     { return value{bytes: b, absent: b == nil} }
func optionalText(s string) value { return value{text: s, absent: s == ""} }

// integer is a number as the guest reads it. It is good until the next one.
func (in *instance) integer(n int64) value {
	binary.LittleEndian.PutUint64(in.scratch[:], uint64(n)) //nolint:gosec // The bits stay the same.
	return value{bytes: in.scratch[:]}
}

func (in *instance) boolean(b bool) value {
	in.scratch[0] = 0
	if b {
		in.scratch[0] = 1
	}
	return value{bytes: in.scratch[:1]}
}

func (in *instance) flag(b *bool) value {
	if b == nil {
		return value{absent: true}
	}
	return in.boolean(*b)
}

func tagsValue(tags map[string]string) value {
	if len(tags) == 0 {
		return value{text: "{}"}
	}
	b, _ := json.Marshal(tags) // A map of strings can always be written.
	return value{bytes: b}
}

// text takes a value that must be UTF-8.
func text(b []byte) (string, error) {
	if !utf8.Valid(b) {
		return "", errors.New("not UTF-8")
	}
	return string(b), nil
}

// bytesOf takes a value. No bytes are none at all.
func bytesOf(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	return bytes.Clone(b)
}

// setText, setTime, setNumber, setBool, setFlag and setTags write a value if it is one.
func setText(to *string, b []byte) error {
	s, err := text(b)
	if err == nil {
		*to = s
	}
	return err
}

func integerOf(b []byte, most int64) (int64, error) {
	if len(b) != 8 {
		return 0, fmt.Errorf("%d bytes; a number has eight", len(b))
	}
	n := int64(binary.LittleEndian.Uint64(b)) //nolint:gosec // The bits stay the same.
	if n < 0 || n > most {
		return 0, fmt.Errorf("%d; it must be from 0 to %d", n, most)
	}
	return n, nil
}

func setTime(to *int64, b []byte) error {
	n, err := integerOf(b, 1<<53)
	if err == nil {
		*to = n
	}
	return err
}

func setBool(to *bool, b []byte) error {
	if len(b) != 1 || b[0] > 1 {
		return errors.New("a boolean is one byte, 0 or 1")
	}
	*to = b[0] == 1
	return nil
}

func setFlag(to **bool, b []byte) error {
	if len(b) == 0 {
		*to = nil
		return nil
	}
	var flag bool
	if err := setBool(&flag, b); err != nil {
		return err
	}
	*to = &flag
	return nil
}

func setTags(to *map[string]string, b []byte) error {
	if len(b) == 0 {
		*to = nil
		return nil
	}
	tags, ok := flatTags(b)
	if !ok {
		if err := decode(b, &tags); err != nil {
			return err
		}
	}
	*to = tags
	return nil
}

// decode reads JSON strictly: a field that does not exist is a mistake.
func decode(b []byte, to any) error {
	switch {
	case len(b) > maxJSON:
		return fmt.Errorf("longer than %d bytes", maxJSON)
	case !utf8.Valid(b):
		return errors.New("not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(to); err != nil {
		return err
	}
	if d.More() {
		return errors.New("more than one JSON value")
	}
	return nil
}

// subscriptionOf reads what is written to the field subscription.
func subscriptionOf(b []byte) (channel string, o core.SubscribeOptions, err error) {
	var s struct {
		Channel   string          `json:"channel"`
		Info      json.RawMessage `json:"info"`
		Data      json.RawMessage `json:"data"`
		ExpireAt  int64           `json:"expire_at"`
		Presence  *bool           `json:"presence"`
		JoinLeave *bool           `json:"join_leave"`
		Recovery  *bool           `json:"recovery"`
	}
	if err := decode(b, &s); err != nil {
		return "", o, err
	}
	if s.Channel == "" || s.ExpireAt < 0 {
		return "", o, errors.New("it needs a channel, and expire_at must not be negative")
	}
	return s.Channel, core.SubscribeOptions{Info: s.Info, Data: s.Data, ExpireAt: s.ExpireAt, Presence: s.Presence,
		JoinLeave: s.JoinLeave, Recovery: s.Recovery}, nil
}

// rights is what is written to the field grant.
type rights struct {
	Channels []string `json:"channels"`
	Match    string   `json:"match"`
	Allow    []string `json:"allow"`
}

func grantOf(b []byte) (core.Grant, error) {
	var r rights
	if err := decode(b, &r); err != nil {
		return core.Grant{}, err
	}
	if len(r.Channels) == 0 || len(r.Allow) == 0 {
		return core.Grant{}, errors.New("it needs channels and allow")
	}
	return core.NewGrant(r.Channels, r.Match, r.Allow)
}

func permissionOf(b []byte) (core.Permission, error) {
	var r rights
	if err := decode(b, &r); err != nil {
		return 0, err
	}
	if len(r.Channels) > 0 || r.Match != "" || len(r.Allow) == 0 {
		return 0, errors.New("here it is for the event's channel, and needs allow only")
	}
	return core.ParsePermissions(r.Allow)
}
