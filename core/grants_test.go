package core_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/zenconn/server/core"
)

func TestGrantMatch(t *testing.T) {
	for name, test := range map[string]struct {
		match    string
		channels []string
		yes, no  []string
	}{
		"exact": {
			"", []string{"news", "a.b", "c*"},
			[]string{"news", "a.b", "c*"}, []string{"", "new", "newss", "News", "axb", "cc", "news\n"},
		},
		"no channels": {"", nil, nil, []string{"", "news"}},
		"wildcard": {
			"wildcard", []string{"news:*", "room-*-chat", "a.b"},
			[]string{"news:", "news:a", "news:a:b", "news:\n", "news:größe", "room-1-chat", "room--chat", "a.b"},
			[]string{"", "news", "xnews:a", "x\nnews:a", "room-1-chats", "room-chat", "axb"},
		},
		"wildcard: everything":           {"wildcard", []string{"*"}, []string{"", "a", "a:b", "a\nb"}, nil},
		"wildcard: not the server's own": {"wildcard", []string{"*", "*:sessions"}, nil, []string{"$system:sessions", "$"}},
		"wildcard: the server's own":     {"wildcard", []string{"$system:*"}, []string{"$system:sessions"}, []string{"$system", "system:a"}},
		"exact: the server's own":        {"", []string{"$system:sessions"}, []string{"$system:sessions"}, []string{"$system:other"}},
		"regex: not the server's own":    {"regex", []string{`.*`, `(\$)?.*`}, []string{"a"}, []string{"$system:sessions"}},
		"regex: the server's own":        {"regex", []string{`^\$system:.*`, `\$a|b`}, []string{"$system:sessions", "$a", "b"}, []string{"$b"}},
		"wildcard: two stars":            {"wildcard", []string{"a**b"}, []string{"ab", "axyb"}, []string{"a", "b"}},
		"wildcard is no regex":           {"wildcard", []string{`a|b`, `[ab]+`, `\w`, `x(?:*)`}, []string{"a|b", "[ab]+", `\w`, "x(?:y)"}, []string{"a", "b", "ab", "w"}},
		"wildcard: no channels":          {"wildcard", nil, nil, []string{"", "a"}},
		"regex":                          {"regex", []string{`room-[0-9]+`}, []string{"room-1", "room-12"}, []string{"room-", "xroom-1", "room-1x", "room-1\n", "y\nroom-1"}},
		"regex: alternatives are whole":  {"regex", []string{`a|b`}, []string{"a", "b"}, []string{"ax", "xb", "ab"}},
		"regex: its own anchors":         {"regex", []string{`^a$`}, []string{"a"}, []string{"a\n", "b\na"}},
		"regex: a dot is any character":  {"regex", []string{`a.c`}, []string{"abc", "a\nc"}, []string{"ac"}},
		"regex: empty":                   {"regex", []string{``}, []string{""}, []string{"a"}},
	} {
		t.Run(name, func(t *testing.T) {
			g, err := core.NewGrant(test.channels, test.match, []string{"sub"})
			if err != nil {
				t.Fatal(err)
			}
			grants := core.Grants{g}
			for _, channel := range test.yes {
				if !grants.Allow(core.MaySubscribe, channel) {
					t.Errorf("%q does not match", channel)
				}
			}
			for _, channel := range test.no {
				if grants.Allow(core.MaySubscribe, channel) {
					t.Errorf("%q matches", channel)
				}
			}
		})
	}
}

func TestGrantsAllow(t *testing.T) {
	var grants core.Grants
	if err := json.Unmarshal([]byte(`[
		{"channels":["a"],"allow":["sub"]},
		{"channels":["a"],"allow":["pub"]},
		{"channels":["b"],"allow":["sub","pub","prs","hst","brd"]},
		{"channels":["c"],"allow":[]},
		{"channels":["*"],"match":"wildcard","allow":["prs"]}]`), &grants); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		permission core.Permission
		channel    string
		want       bool
	}{
		{core.MaySubscribe, "a", true},
		{core.MayPublish, "a", true},
		{core.MayHistory, "a", false},
		{core.MayPresence, "a", true},
		{core.MaySubscribe | core.MayPublish, "a", false}, // One grant must give all that is asked for at once.
		{core.MaySubscribe | core.MayPublish | core.MayPresence | core.MayHistory | core.MayBroadcast, "b", true},
		{core.MaySubscribe, "c", false},
		{core.MaySubscribe, "d", false},
		{core.MayPresence, "d", true},
		{core.MayBroadcast, "d", false},
	} {
		if got := grants.Allow(test.permission, test.channel); got != test.want {
			t.Errorf("permission %b in %q: %v", test.permission, test.channel, got)
		}
	}
	if (core.Grants)(nil).Allow(core.MaySubscribe, "a") || (core.Grants{{}}).Allow(core.MaySubscribe, "") {
		t.Error("nothing was granted, and something is allowed")
	}
}

// Each name stands for its own permission.
func TestPermissionNames(t *testing.T) {
	all := map[string]core.Permission{
		"sub": core.MaySubscribe, "pub": core.MayPublish, "prs": core.MayPresence, "hst": core.MayHistory, "brd": core.MayBroadcast,
	}
	for name := range all {
		g, err := core.NewGrant([]string{"a"}, "", []string{name})
		if err != nil {
			t.Fatal(err)
		}
		for other, permission := range all {
			if (core.Grants{g}).Allow(permission, "a") != (name == other) {
				t.Errorf("%s and %s", name, other)
			}
		}
	}
}

func TestGrantRefuses(t *testing.T) {
	for text, want := range map[string]string{
		`{"channels":["a"],"allow":["sub","root"]}`:                `unknown permission "root"`,
		`{"channels":["a"],"allow":["SUB"]}`:                       `unknown permission "SUB"`,
		`{"channels":["a"],"match":"glob","allow":["sub"]}`:        `unknown match "glob"`,
		`{"channels":["a","("],"match":"regex","allow":["sub"]}`:   `channel pattern "("`,
		`{"channels":["a)|(b"],"match":"regex","allow":["sub"]}`:   `channel pattern "a)|(b"`,
		`{"channels":["\\Qa"],"match":"regex","allow":["sub"]}`:    `channel pattern "\\Qa"`, // It would swallow the anchor.
		`{"channels":["(?=a)"],"match":"regex","allow":["sub"]}`:   `channel pattern "(?=a)"`,
		`{"channels":["a{1001}"],"match":"regex","allow":["sub"]}`: `channel pattern "a{1001}"`,
		`{"channels":"a","allow":["sub"]}`:                         `cannot unmarshal string`,
		`["a"]`:                                                    `cannot unmarshal array`,
	} {
		t.Run(text, func(t *testing.T) {
			g := core.Grant{}
			err := json.Unmarshal([]byte(text), &g)
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want %s", err, want)
			}
			if (core.Grants{g}).Allow(core.MaySubscribe, "a") {
				t.Error("refused, and yet it allows")
			}
		})
	}
}

func TestGrantsInWords(t *testing.T) {
	grant, err := core.NewGrant([]string{"room:*", "news"}, "wildcard", []string{"pub", "sub"})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := grant.String(), `sub,pub in (?s)\A(?:room:.*)\z (?s)\A(?:news)\z`; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	exact, err := core.NewGrant([]string{"a", "b"}, "", []string{"brd"})
	if err != nil {
		t.Fatal(err)
	}
	if got := exact.String(); got != "brd in a b" {
		t.Errorf("%q", got)
	}
}
