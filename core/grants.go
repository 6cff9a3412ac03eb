package core

import (
	"encoding/json"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
)

// Permission is a set of things a session may do in a channel.
type Permission uint8

// The permissions, with the names they have in tokens.
const (
	MaySubscribe Permission = 1 << iota // sub
	MayPublish                          // pub
	MayPresence                         // prs
	MayHistory                          // hst
	MayBroadcast                        // brd
)

var permissionNames = map[string]Permission{
	"sub": MaySubscribe, "pub": MayPublish, "prs": MayPresence, "hst": MayHistory, "brd": MayBroadcast,
}

// ParsePermissions makes a set of names from sub, pub, prs, hst, brd.
func ParsePermissions(names []string) (Permission, error) {
	var all Permission
	for _, name := range names {
		p, ok := permissionNames[name]
		if !ok {
			return 0, fmt.Errorf("unknown permission %q, want one of sub, pub, prs, hst, brd", name)
		}
		all |= p
	}
	return all, nil
}

// String names the permissions, such as sub,pub.
func (p Permission) String() string {
	var names []string
	for bit, name := range []string{"sub", "pub", "prs", "hst", "brd"} {
		if p>>bit&1 == 1 {
			names = append(names, name)
		}
	}
	return strings.Join(names, ",")
}

// Grant gives permissions in the channels that match.
type Grant struct {
	allow    Permission
	channels []string // Exact names, when patterns is nil.
	patterns []pattern
}

// pattern is what several channels match.
type pattern struct {
	*regexp.Regexp      // Anchored.
	reserved       bool // It begins with the $ of the server's own channels: only then it matches them.
}

// Grants is all that was granted to a session. Whatever no grant gives is denied.
type Grants []Grant

// Allow reports whether some grant gives every permission in p for the channel.
func (g Grants) Allow(p Permission, channel string) bool {
	for i := range g {
		if g[i].allow&p == p && g[i].matches(channel) {
			return true
		}
	}
	return false
}

func (g *Grant) matches(channel string) bool {
	if slices.Contains(g.channels, channel) {
		return true
	}
	reserved := strings.HasPrefix(channel, "$")
	for _, pattern := range g.patterns {
		if (pattern.reserved || !reserved) && pattern.MatchString(channel) {
			return true
		}
	}
	return false
}

// NewGrant makes a grant. match is "" for exact names, "wildcard" for patterns in which * stands for any run of characters, or
// "regex" for RE2 expressions that must match the whole name. allow holds names from sub, pub, prs, hst, brd. The server's own channels,
// which begin with $, are matched only by patterns that begin with $ (in an expression \$) too: who is granted "*" does not get them.
func NewGrant(channels []string, match string, allow []string) (Grant, error) {
	var g Grant
	var err error
	if g.allow, err = ParsePermissions(allow); err != nil {
		return Grant{}, err
	}
	switch match {
	case "":
		g.channels = channels
		return g, nil
	case "wildcard", "regex":
	default:
		return Grant{}, fmt.Errorf("unknown match %q, want nothing, wildcard or regex", match)
	}
	for _, c := range channels {
		reserved := strings.HasPrefix(c, "$")
		if match == "regex" {
			reserved = strings.HasPrefix(strings.TrimPrefix(c, "^"), `\$`)
		} else {
			c = strings.ReplaceAll(regexp.QuoteMeta(c), `\*`, `.*`)
		}
		// Alone first: a)|(b makes sense only within the parentheses, and there escapes the anchors.
		_, err := syntax.Parse(c, syntax.Perl)
		if err != nil {
			return Grant{}, fmt.Errorf("channel pattern %q: %w", c, err)
		}
		re, err := regexp.Compile(`(?s)\A(?:` + c + `)\z`)
		if err != nil {
			return Grant{}, fmt.Errorf("channel pattern %q: %w", c, err)
		}
		g.patterns = append(g.patterns, pattern{re, reserved})
	}
	return g, nil
}

// String says what the grant gives, and where: channels by their names, patterns as the expressions they have become. Grants that give the
// same in the same words have the same text.
func (g Grant) String() string {
	where := slices.Clone(g.channels)
	for _, p := range g.patterns {
		where = append(where, p.Regexp.String())
	}
	return g.allow.String() + " in " + strings.Join(where, " ")
}

// UnmarshalJSON reads the form grants have in tokens and hook answers:
// {"channels":["news:*"],"match":"wildcard","allow":["sub","hst"]}.
func (g *Grant) UnmarshalJSON(b []byte) error {
	var raw struct {
		Channels []string `json:"channels"`
		Match    string   `json:"match"`
		Allow    []string `json:"allow"`
	}
	if err := json.Unmarshal(b, &raw); err != nil {
		return err
	}
	grant, err := NewGrant(raw.Channels, raw.Match, raw.Allow)
	if err != nil {
		return err
	}
	*g = grant
	return nil
}
