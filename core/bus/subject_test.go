package bus_test

import (
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/zenconn/server/core/bus"
)

func TestToken(t *testing.T) {
	for name, want := range map[string]string{
		"chat:lobby":             "chat:lobby",
		"room.1":                 "room%2E1",
		"a b*>%":                 "a%20b%2A%3E%25",
		"канал/🙂":                "канал/🙂",
		"del\x7f\t":              "del%7F%09",
		strings.Repeat(".", 255): strings.Repeat("%2E", 255),
	} {
		got, err := bus.Token(name)
		if err != nil || got != want {
			t.Errorf("%.20q: %.40q, %v", name, got, err)
		}
		if back, err := bus.Name(got); err != nil || back != name {
			t.Errorf("%.20q comes back as %.20q, %v", name, back, err)
		}
	}
	for _, name := range []string{"", strings.Repeat("x", 256)} {
		if got, err := bus.Token(name); err == nil {
			t.Errorf("%.20q became %.20q", name, got)
		}
	}
	for _, token := range []string{"", "a.b", "a b", "%", "%2", "%2e", "%GG", "%41", "*", ">", strings.Repeat("x", 256)} {
		if got, err := bus.Name(token); err == nil {
			t.Errorf("the token %.20q became %.20q", token, got)
		}
	}
}

func FuzzToken(f *testing.F) {
	for _, name := range []string{"a", "room.1", "канал >*", "a%2Eb", "\x00\xff\x7f", strings.Repeat(".", 255)} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if decoded, err := bus.Name(name); err == nil { // As a token.
			if again, err := bus.Token(decoded); err != nil || again != name {
				t.Fatalf("the token %q is that of %q, whose token is %q, %v", name, decoded, again, err)
			}
		}
		token, err := bus.Token(name)
		if err != nil {
			if name != "" && len(name) <= 255 {
				t.Fatalf("%q: %v", name, err)
			}
			return
		}
		if back, err := bus.Name(token); err != nil || back != name {
			t.Fatalf("%q became %q and then %q, %v", name, token, back, err)
		}
		if subject := "h.ns." + token + ".1"; !server.IsValidLiteralSubject(subject) || strings.Count(subject, ".") != 3 {
			t.Fatalf("%q is not one token of a subject", token)
		}
	})
}
