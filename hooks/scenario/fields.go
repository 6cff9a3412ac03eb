package scenario

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"time"

	"github.com/zenconn/server/hooks"
)

// told is for hooks whose answers mean nothing.
func told[E any](tell func(*hooks.Chain, context.Context, *E)) func(*hooks.Chain, context.Context, *E) hooks.Answer {
	return func(c *hooks.Chain, ctx context.Context, e *E) hooks.Answer {
		tell(c, ctx, e)
		return hooks.Answer{Verdict: hooks.Pass}
	}
}

// clientFields are the fields of events that a client is the cause of, with a hook's own ones.
func clientFields[E any](client func(*E) *hooks.Client, own map[string]field[E]) map[string]field[E] {
	fields := map[string]field[E]{
		"client":      given(func(e *E) *string { return &client(e).ID }),
		"user":        given(func(e *E) *string { return &client(e).User }),
		"info":        givenBytes(func(e *E) *[]byte { return &client(e).Info }),
		"name":        given(func(e *E) *string { return &client(e).Name }),
		"version":     given(func(e *E) *string { return &client(e).Version }),
		"remote_addr": given(func(e *E) *string { return &client(e).RemoteAddr }),
		"transport":   given(func(e *E) *string { return &client(e).Transport }),
		"protocol":    given(func(e *E) *string { return &client(e).Protocol }),
		"user_agent":  given(func(e *E) *string { return &client(e).UserAgent }),
		"header": {set: func(e *E, v Value, _ time.Time) error {
			headers, err := v.texts()
			all := http.Header{}
			for name, value := range headers {
				all.Set(name, value)
			}
			client(e).Header = all.Get
			return err
		}},
	}
	maps.Copy(fields, own)
	return fields
}

// given is a text that plugins read only; written, one that they write, too.
func given[E any](at func(*E) *string) field[E] {
	return field[E]{set: func(e *E, v Value, _ time.Time) error {
		if v.IsJSON && strings.HasPrefix(v.Text, "{") || strings.HasPrefix(v.Text, "[") && v.IsJSON {
			return fmt.Errorf("want a text, not %s", v)
		}
		*at(e) = v.Text
		return nil
	}}
}

func written[E any](at func(*E) *string) field[E] {
	f := given(at)
	f.get = func(e *E) Value { return textValue(*at(e)) }
	return f
}

func givenBytes[E any](at func(*E) *[]byte) field[E] {
	return field[E]{set: func(e *E, v Value, _ time.Time) error { *at(e) = v.bytes(); return nil }}
}

func writtenBytes[E any](at func(*E) *[]byte) field[E] {
	f := givenBytes(at)
	f.get = func(e *E) Value { return bytesValue(*at(e)) }
	return f
}

func writtenBool[E any](at func(*E) *bool) field[E] {
	return field[E]{
		set: func(e *E, v Value, _ time.Time) (err error) { *at(e), err = v.boolean(); return err },
		get: func(e *E) Value { return boolValue(*at(e)) },
	}
}

func writtenFlag[E any](at func(*E) **bool) field[E] {
	return field[E]{
		set: func(e *E, v Value, _ time.Time) (err error) { *at(e), err = v.flag(); return err },
		get: func(e *E) Value { return flagValue(*at(e)) },
	}
}

// tolerance is how many seconds a time that a plugin has made may differ from what a file wants: both have looked at a clock.
const tolerance = 2

func writtenTime[E any](at func(*E) *int64) field[E] {
	return field[E]{
		set: func(e *E, v Value, now time.Time) (err error) { *at(e), err = v.integer(now); return err },
		get: func(e *E) Value { return intValue(*at(e)) },
		want: func(v Value, now time.Time) (Value, error) {
			n, err := v.integer(now)
			wanted := intValue(n)
			if !v.IsJSON {
				wanted.slack = tolerance
			}
			return wanted, err
		},
	}
}

func writtenTags[E any](at func(*E) *map[string]string) field[E] {
	return field[E]{
		set: func(e *E, v Value, _ time.Time) (err error) { *at(e), err = v.texts(); return err },
		get: func(e *E) Value {
			if len(*at(e)) == 0 {
				return Value{Absent: true}
			}
			return Value{Text: toJSON(*at(e)), IsJSON: true}
		},
	}
}

func givenCode[E any](at func(*E) *uint32) field[E] {
	return field[E]{set: func(e *E, v Value, now time.Time) error {
		n, err := v.integer(now)
		if err == nil && (n < 0 || n > 4999) {
			err = fmt.Errorf("want a code from 0 to 4999, not %d", n)
		}
		*at(e) = uint32(n) //nolint:gosec // From 0 to 4999, or an error.
		return err
	}}
}
