package plugins_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/zenconn/server/core/config"
	"github.com/zenconn/server/hooks"
	"github.com/zenconn/server/hooks/host"
)

// m is configuration as it comes from a file.
type m = map[string]any

// message is a schema with something of everything.
var message = m{
	"type": "object", "required": []any{"text", "room"}, "additionalProperties": false,
	"properties": m{
		"text": m{"type": "string", "minLength": 1, "maxLength": 5}, "room": m{"$ref": "#/$defs/name"},
		"tags":  m{"type": "array", "items": m{"$ref": "#/$defs/name"}, "maxItems": 2, "uniqueItems": true},
		"price": m{"type": "number", "multipleOf": 0.01, "minimum": 0, "exclusiveMaximum": 100}, "at": m{"format": "date-time"},
		"reply": m{"$ref": "#"}, "kind": m{"enum": []any{"a", 1, nil}},
	},
	"$defs": m{"name": m{"type": []any{"string", "null"}, "pattern": "^[a-z/]+$"}},
}

func TestJSONSchema(t *testing.T) {
	c := mustBundle(t, compiled, config.Plugin{Name: "json-schema", Config: m{"rules": []any{
		m{"channel": "chat:*", "schema": message},
		m{"channel": "*:strict", "schema": m{"required": []any{"a"}}, "code": 4000},
		m{"method": "add", "schema": m{"type": "array", "items": m{"type": "integer"}, "minItems": 1}, "code": 422},
		m{"channel": "alternatives", "schema": m{"oneOf": []any{m{"type": "integer"}, m{"minimum": 2}}, "not": m{"const": 7}}},
		m{"channel": "branches", "schema": m{"if": m{"required": []any{"card"}}, "then": m{"required": []any{"name"}},
			"dependentRequired": m{"zip": []any{"city"}}, "propertyNames": m{"maxLength": 4}}},
		m{"channel": "endless", "schema": m{"$ref": "#"}},
	}}}, host.Options{})
	const whole = "the whole "
	for _, tt := range []struct{ channel, data, want string }{
		{"chat:1", `{"text":"héllo","room":"a"}`, ""},
		{"chat:1", ` { "room" : null , "text" : "x", "price": 99.99, "tags": ["a","b"], "at": "2026-01-31T12:00:00Z", "kind": 1.0 } `, ""},
		{"chat:1", `{"text":"hello!","room":"a"}`, "/text must have 5 characters or fewer"},
		{"chat:1", `{"text":"","room":"a"}`, "/text must have 1 characters or more"},
		{"chat:1", `{"text":"x"}`, whole + "lacks the property room"},
		{"chat:1", `"text"`, whole + "must be of type object"},
		{"chat:1", `{"text":"x","room":"A"}`, "/room does not match the pattern ^[a-z/]+$"},
		{"chat:1", `{"text":"x","room":1}`, "/room must be of type null or string"},
		{"chat:1", `{"text":"x","room":"a","a/b":1}`, "/a~1b must not be there"},
		{"chat:1", `{"text":"x","room":"a","tags":["a",2]}`, "/tags/1 must be of type null or string"},
		{"chat:1", `{"text":"x","room":"a","tags":["a","a"]}`, "/tags has an item twice"},
		{"chat:1", `{"text":"x","room":"a","tags":["a","b","c"]}`, "/tags must have 2 items or fewer"},
		{"chat:1", `{"text":"x","room":"a","price":0.005}`, "/price must be a multiple of 0.01"},
		{"chat:1", `{"text":"x","room":"a","price":100}`, "/price must be less than 100"},
		{"chat:1", `{"text":"x","room":"a","at":"now"}`, "/at is no date-time"},
		{"chat:1", `{"text":"x","room":"a","kind":"1"}`, "/kind is none of the values that it may be"},
		{"chat:1", `{"text":"x","room":"a","reply":{"text":"x","room":"a","reply":{}}}`, "/reply/reply lacks the property text"},
		{"chat:1", `{"text":"x","text":"x","room":"a"}`, `an object has the name "text" twice`},
		{"chat:1", `{"text":"x",}`, "this is not JSON"},
		{"chat:1", "", "this is not JSON"},
		{"chat:1", strings.Repeat("[", 300), "this is nested too deep"},
		{"chat:1", `{"` + strings.Repeat("a", 300) + `":1,"text":"x","room":"a"}`, "/" + strings.Repeat("a", 199) + "… must not be there"},
		{"elsewhere", "not JSON", ""},
		{"chat:strict", `{"text":"x","room":"a"}`, whole + "lacks the property a"},
		{"strict", `1`, ""},
		{"alternatives", `1`, ""},
		{"alternatives", `2.5`, ""},
		{"alternatives", `3`, whole + "must be one of 2 alternatives, and is 2"},
		{"alternatives", `7`, whole + "must be one of 2 alternatives, and is 2"},
		{"branches", `{"card":1}`, whole + "lacks the property name"},
		{"branches", `{"card":1,"name":1}`, ""},
		{"branches", `{"zip":1}`, whole + "lacks the property city"},
		{"branches", `{"street":1}`, "/street is no name that is allowed"},
		{"endless", `1`, whole + "is nested too deep"},
	} {
		a := c.Publish(t.Context(), &hooks.Publish{Channel: tt.channel, Data: []byte(tt.data)})
		want := hooks.Answer{Verdict: hooks.Deny, Code: 107, Reason: tt.want}
		if tt.want == "" {
			want = hooks.Answer{Verdict: hooks.Pass}
		} else if strings.HasSuffix(tt.channel, ":strict") {
			want.Code = 4000
		}
		if a != want {
			t.Errorf("%s %.80s: %+v, want %+v", tt.channel, tt.data, a, want)
		}
	}
	for data, want := range map[string]hooks.Answer{
		`[1,2.0]`: {Verdict: hooks.Pass}, `[]`: {Verdict: hooks.Deny, Code: 422, Reason: whole + "must have 1 items or more"},
	} {
		if a := c.Call(t.Context(), &hooks.RPC{Method: "add", Input: []byte(data)}); a != want {
			t.Errorf("%s: %+v, want %+v", data, a, want)
		}
	}
	if a := c.Call(t.Context(), &hooks.RPC{Method: "chat:1"}); a.Verdict != hooks.Pass {
		t.Errorf("a method called like a channel: %+v", a)
	}
}

func TestJSONSchemaConfiguration(t *testing.T) {
	schema := func(schema any) m { return m{"rules": []any{m{"channel": "*", "schema": schema}}} }
	const at = "config.rules[0].schema"
	testRefused(t, compiled, "json-schema", map[string]map[string]any{
		"config.rules is missing or empty":                                 {},
		"rules is all there is in config":                                  {"rules": []any{1}, "more": 1},
		"config.rules[0] is not an object":                                 {"rules": []any{1}},
		"config.rules[0] needs a channel or a method, and a schema":        {"rules": []any{m{"schema": true}}},
		"config.rules[0] has a channel and a method":                       {"rules": []any{m{"channel": "a", "method": "a", "schema": true}}},
		"config.rules[0].code must be from 100":                            {"rules": []any{m{"channel": "a", "code": 2500, "schema": true}}},
		"config.rules[0].chanel is unknown":                                {"rules": []any{m{"chanel": "a"}}},
		at + ": a schema is an object, true or false":                      schema(1),
		at + "/typ: there is no such keyword":                              schema(m{"typ": "object"}),
		at + "/properties/a~1b/type: want null, boolean":                   schema(m{"properties": m{"a/b": m{"type": "text"}}}),
		at + "/unevaluatedItems: this keyword cannot be checked here":      schema(m{"unevaluatedItems": false}),
		at + "/$ref: there is nothing at #/$defs/x":                        schema(m{"$ref": "#/$defs/x"}),
		at + "/$ref: want a reference within the schema":                   schema(m{"$ref": "https://example.com/schema"}),
		at + "/allOf/1/pattern: error parsing regexp":                      schema(m{"allOf": []any{true, m{"pattern": "("}}}),
		at + "/format: the formats that can be checked are date, date-tim": schema(m{"format": "phone"}),
		at + "/$defs/unused/minLength: want a whole number":                schema(m{"$defs": m{"unused": m{"minLength": -1}}}),
		at + ": then and else need if":                                     schema(m{"then": true}),
		at + "/$schema: only https://json-schema.org/draft/2020-12":        schema(m{"$schema": "http://json-schema.org/draft-07/schema#"}),
	})
}

// The parser's own tests are in its module.
func TestJSONSchemaModule(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "go", "test", ".")
	cmd.Dir = "json-schema"
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOPROXY=off", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func BenchmarkJSONSchema(b *testing.B) {
	c := mustBundle(b, b.TempDir(), config.Plugin{Name: "json-schema", Config: m{"rules": []any{m{"channel": "chat:*", "schema": message}}}}, host.Options{})
	for name, data := range map[string]string{
		"valid": `{"text":"hello","room":"lobby","tags":["a","b"],"price":12.5,"at":"2026-01-31T12:00:00Z"}`, "invalid": `{"text":"hello","room":5}`,
	} {
		b.Run(name, func(b *testing.B) {
			e, ctx := &hooks.Publish{Channel: "chat:1", Data: []byte(data)}, b.Context()
			b.ReportAllocs()
			for b.Loop() {
				c.Publish(ctx, e)
			}
		})
	}
	b.Run("other channel", func(b *testing.B) {
		e, ctx := &hooks.Publish{Channel: "game:1", Data: []byte(fmt.Sprint(1))}, b.Context()
		for b.Loop() {
			c.Publish(ctx, e)
		}
	})
}
