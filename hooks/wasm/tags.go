package wasm

import (
	"strings"
	"unicode/utf8"
)

// flatTags reads a JSON object of texts that needs nothing more than cutting: no escapes, no other values. It reports false for
// everything else, right or wrong, which is the general decoder's. Plugins write tags with every message they let through, and this takes
// two allocations instead of eleven.
func flatTags(b []byte) (map[string]string, bool) {
	if !utf8.Valid(b) {
		return nil, false
	}
	rest := skipSpace(string(b))
	if !strings.HasPrefix(rest, "{") {
		return nil, false
	}
	rest = skipSpace(rest[1:])
	tags := make(map[string]string, strings.Count(rest, ":"))
	if rest == "}" {
		return tags, true
	}
	for {
		name, after, ok := plainText(rest)
		if !ok || !strings.HasPrefix(after, ":") {
			return nil, false
		}
		value, after, ok := plainText(skipSpace(after[1:]))
		if !ok || after == "" {
			return nil, false
		}
		tags[name] = value
		switch after[0] {
		case ',':
			rest = skipSpace(after[1:])
		case '}':
			return tags, skipSpace(after[1:]) == ""
		default:
			return nil, false
		}
	}
}

// plainText cuts a JSON text without escapes off, and the space behind it.
func plainText(s string) (text, after string, ok bool) {
	if !strings.HasPrefix(s, `"`) {
		return "", "", false
	}
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return s[1:i], skipSpace(s[i+1:]), true
		case c == '\\' || c < ' ':
			return "", "", false
		}
	}
	return "", "", false
}

func skipSpace(s string) string { return strings.TrimLeft(s, " \t\r\n") }
