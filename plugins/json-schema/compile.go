package main

import (
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// schema is a compiled JSON Schema, draft 2020-12. What is zero or nil asks for nothing; limits are -1 then.
type schema struct {
	never bool // The schema false.
	types kind // Any of these; 0: all.
	ref   *schema

	enum     []value
	constant *value

	minimum, maximum, above, below, multiple *float64

	minLength, maxLength int
	pattern              *regexp.Regexp
	format               string

	properties       map[string]*schema
	patterns         []patterned
	additional       *schema
	names            *schema
	required         []string
	dependent        map[string][]string
	dependentSchemas map[string]*schema
	minProperties    int
	maxProperties    int

	prefix                   []*schema
	items                    *schema
	contains                 *schema
	minContains, maxContains int
	minItems, maxItems       int
	unique                   bool

	all, some, one []*schema
	not            *schema
	when           *schema
	then, or       *schema
}

type patterned struct {
	pattern *regexp.Regexp
	schema  *schema
}

// compile makes a schema of what encoding/json reads. Nothing of it is ignored but remarks: a keyword that is not known, or
// cannot be checked here, is an error. An error begins with where it is, as a JSON pointer.
func compile(raw any) (*schema, error) {
	c := compiler{root: raw, done: map[string]*schema{}, anchors: map[string]string{}}
	c.findAnchors(raw, "")
	return c.compile(raw, "")
}

type compiler struct {
	root    any
	done    map[string]*schema // By their pointers. A schema is here before its parts are compiled, for those that refer to it.
	anchors map[string]string  // Pointers by anchors.
}

func (c *compiler) findAnchors(raw any, at string) {
	switch raw := raw.(type) {
	case map[string]any:
		if name, ok := raw["$anchor"].(string); ok {
			c.anchors[name] = at
		}
		for key, part := range raw {
			if key != "enum" && key != "const" {
				c.findAnchors(part, at+"/"+escape(key))
			}
		}
	case []any:
		for i, part := range raw {
			c.findAnchors(part, at+"/"+strconv.Itoa(i))
		}
	}
}

// escape writes a name as a part of a JSON pointer (RFC 6901).
func escape(name string) string {
	if !strings.ContainsAny(name, "~/") {
		return name
	}
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
}

func wrong(at, format string, args ...any) error {
	return fmt.Errorf("%s: %w", at, fmt.Errorf(format, args...))
}

func (c *compiler) compile(raw any, at string) (*schema, error) {
	if s := c.done[at]; s != nil {
		return s, nil
	}
	s := &schema{minLength: -1, maxLength: -1, minProperties: -1, maxProperties: -1, minContains: -1, maxContains: -1, minItems: -1, maxItems: -1}
	c.done[at] = s
	switch raw := raw.(type) {
	case bool:
		s.never = !raw
		return s, nil
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(raw)) {
			if err := c.keyword(s, key, raw[key], at+"/"+escape(key)); err != nil {
				return nil, err
			}
		}
		if s.contains == nil && (s.minContains >= 0 || s.maxContains >= 0) {
			return nil, wrong(at, "minContains and maxContains need contains")
		}
		if s.when == nil && (s.then != nil || s.or != nil) {
			return nil, wrong(at, "then and else need if")
		}
		return s, nil
	}
	return nil, wrong(at, "a schema is an object, true or false")
}

// remarks are keywords that ask for nothing.
var remarks = []string{
	"$comment", "$schema", "$defs", "$anchor", "title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly",
}

// keyword reads one keyword. Those that belong together are in functions of their own, each of which says whether it was one of its own.
func (c *compiler) keyword(s *schema, key string, raw any, at string) error {
	for _, read := range []func(*schema, string, any, string) (bool, error){
		c.general, c.aboutTexts, c.aboutNumbers, c.aboutObjects, c.aboutArrays, c.combining,
	} {
		if known, err := read(s, key, raw, at); known || err != nil {
			return err
		}
	}
	if key == "unevaluatedProperties" || key == "unevaluatedItems" || key == "$id" || key == "$dynamicRef" || strings.HasPrefix(key, "content") {
		return wrong(at, "this keyword cannot be checked here")
	}
	return wrong(at, "there is no such keyword in draft 2020-12")
}

// refer finds what $ref names, within the schema.
func (c *compiler) refer(raw any, at string) (*schema, error) {
	ref, ok := raw.(string)
	fragment, local := strings.CutPrefix(ref, "#")
	if !ok || !local {
		return nil, wrong(at, "want a reference within the schema, such as #/$defs/name")
	}
	fragment, err := url.PathUnescape(fragment)
	if err != nil {
		return nil, wrong(at, "%q is no reference", ref)
	}
	if fragment != "" && fragment[0] != '/' {
		if fragment, ok = c.anchors[fragment]; !ok {
			return nil, wrong(at, "nothing has the anchor %s", ref)
		}
	}
	target := c.root
	for _, part := range strings.Split(fragment, "/")[1:] {
		part = strings.NewReplacer("~1", "/", "~0", "~").Replace(part)
		switch in := target.(type) {
		case map[string]any:
			target, ok = in[part]
		case []any:
			i, err := strconv.Atoi(part)
			if ok = err == nil && i >= 0 && i < len(in); ok {
				target = in[i]
			}
		default:
			ok = false
		}
		if !ok {
			return nil, wrong(at, "there is nothing at %s", ref)
		}
	}
	return c.compile(target, fragment)
}

// compileAll compiles an object of schemas.
func (c *compiler) compileAll(raw any, at string) (map[string]*schema, error) {
	all, ok := raw.(map[string]any)
	if !ok {
		return nil, wrong(at, "want an object of schemas")
	}
	compiled := make(map[string]*schema, len(all))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		s, err := c.compile(all[name], at+"/"+escape(name))
		if err != nil {
			return nil, err
		}
		compiled[name] = s
	}
	return compiled, nil
}

// compileList compiles a list of schemas.
func (c *compiler) compileList(raw any, at string) (list []*schema, err error) {
	all, _ := raw.([]any)
	if len(all) == 0 {
		return nil, wrong(at, "want a list of schemas")
	}
	for i, one := range all {
		s, err := c.compile(one, at+"/"+strconv.Itoa(i))
		if err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	return list, nil
}
