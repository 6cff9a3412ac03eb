package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
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

func (c *compiler) general(s *schema, key string, raw any, at string) (known bool, err error) {
	switch key {
	case "$schema":
		if raw != "https://json-schema.org/draft/2020-12/schema" {
			err = wrong(at, "only https://json-schema.org/draft/2020-12/schema is known")
		}
	case "$defs":
		_, err = c.compileAll(raw, at) // What is wrong in there is said even if nobody refers to it.
	case "$ref":
		s.ref, err = c.refer(raw, at)
	case "type":
		s.types, err = readTypes(raw, at)
	case "enum":
		list, ok := raw.([]any)
		if !ok || len(list) == 0 {
			return true, wrong(at, "want a list of values")
		}
		for _, v := range list {
			s.enum = append(s.enum, *literal(v))
		}
	case "const":
		s.constant = literal(raw)
	default:
		return slices.Contains(remarks, key), nil
	}
	return true, err
}

// literal is a value that stands in the schema.
func literal(raw any) *value {
	b, err := json.Marshal(raw)
	if err != nil {
		panic(err) // It was read from JSON.
	}
	v, err := parse(b)
	if err != nil {
		panic(err)
	}
	return &v
}

func readTypes(raw any, at string) (types kind, err error) {
	list, ok := raw.([]any)
	if !ok {
		list = []any{raw}
	}
	for _, name := range list {
		known := false
		for _, k := range kindNames {
			if k.name == name {
				types, known = types|k.kind, true
			}
		}
		if !known {
			return 0, wrong(at, "want null, boolean, string, number, integer, array or object, or a list of them")
		}
	}
	if types == 0 {
		return 0, wrong(at, "the list is empty")
	}
	return types, nil
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

func (c *compiler) aboutTexts(s *schema, key string, raw any, at string) (known bool, err error) {
	switch key {
	case "minLength":
		s.minLength, err = count(raw, at)
	case "maxLength":
		s.maxLength, err = count(raw, at)
	case "pattern":
		s.pattern, err = expression(raw, at)
	case "format":
		name, _ := raw.(string)
		if formats[name] == nil {
			return true, wrong(at, "the formats that can be checked are %s", strings.Join(slices.Sorted(maps.Keys(formats)), ", "))
		}
		s.format = name
	default:
		return false, nil
	}
	return true, err
}

var uuid = regexp.MustCompile(`^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$`)

// formats are those that are checked, in contrast to the draft, which leaves it open.
var formats = map[string]func(string) bool{
	"date-time": func(s string) bool { _, err := time.Parse(time.RFC3339, strings.ToUpper(s)); return err == nil },
	"date":      func(s string) bool { _, err := time.Parse(time.DateOnly, s); return err == nil },
	"email": func(s string) bool {
		local, domain, ok := strings.Cut(s, "@")
		return ok && local != "" && domain != "" && !strings.ContainsAny(s, " \t\r\n") && !strings.Contains(domain, "@")
	},
	"uuid": uuid.MatchString,
	"ipv4": func(s string) bool { a, err := netip.ParseAddr(s); return err == nil && a.Is4() },
	"ipv6": func(s string) bool { a, err := netip.ParseAddr(s); return err == nil && a.Is6() && a.Zone() == "" },
	"uri":  func(s string) bool { u, err := url.Parse(s); return err == nil && u.IsAbs() },
}

func (c *compiler) aboutNumbers(s *schema, key string, raw any, at string) (known bool, err error) {
	limits := map[string]**float64{
		"minimum": &s.minimum, "maximum": &s.maximum, "exclusiveMinimum": &s.above, "exclusiveMaximum": &s.below, "multipleOf": &s.multiple,
	}
	limit, known := limits[key]
	if !known {
		return false, nil
	}
	f, ok := raw.(float64)
	if !ok || key == "multipleOf" && f <= 0 {
		return true, wrong(at, "want a number, for multipleOf a positive one")
	}
	*limit = &f
	return true, nil
}

func count(raw any, at string) (int, error) {
	f, ok := raw.(float64)
	if !ok || f < 0 || f != math.Trunc(f) || f > 1<<31 {
		return 0, wrong(at, "want a whole number that is not negative")
	}
	return int(f), nil
}

func expression(raw any, at string) (*regexp.Regexp, error) {
	s, ok := raw.(string)
	if !ok {
		return nil, wrong(at, "want a regular expression")
	}
	re, err := regexp.Compile(s)
	if err != nil {
		return nil, wrong(at, "%w", err)
	}
	return re, nil
}

func texts(raw any, at string) (list []string, err error) {
	all, ok := raw.([]any)
	for _, one := range all {
		s, is := one.(string)
		ok = ok && is
		list = append(list, s)
	}
	if !ok {
		return nil, wrong(at, "want a list of names")
	}
	return list, nil
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

func (c *compiler) aboutObjects(s *schema, key string, raw any, at string) (known bool, err error) {
	switch key {
	case "properties":
		s.properties, err = c.compileAll(raw, at)
	case "patternProperties":
		var all map[string]*schema
		all, err = c.compileAll(raw, at)
		for _, pattern := range slices.Sorted(maps.Keys(all)) {
			re, wrong := expression(pattern, at+"/"+escape(pattern))
			err = cmp.Or(err, wrong)
			s.patterns = append(s.patterns, patterned{re, all[pattern]})
		}
	case "additionalProperties":
		s.additional, err = c.compile(raw, at)
	case "propertyNames":
		s.names, err = c.compile(raw, at)
	case "required":
		s.required, err = texts(raw, at)
	case "dependentSchemas":
		s.dependentSchemas, err = c.compileAll(raw, at)
	case "dependentRequired":
		all, ok := raw.(map[string]any)
		if !ok {
			return true, wrong(at, "want an object of lists of names")
		}
		s.dependent = map[string][]string{}
		for name, list := range all {
			var one error
			s.dependent[name], one = texts(list, at+"/"+escape(name))
			err = errors.Join(err, one)
		}
	case "minProperties":
		s.minProperties, err = count(raw, at)
	case "maxProperties":
		s.maxProperties, err = count(raw, at)
	default:
		return false, nil
	}
	return true, err
}

func (c *compiler) aboutArrays(s *schema, key string, raw any, at string) (known bool, err error) {
	switch key {
	case "prefixItems":
		s.prefix, err = c.compileList(raw, at)
	case "items":
		s.items, err = c.compile(raw, at)
	case "contains":
		s.contains, err = c.compile(raw, at)
	case "minContains":
		s.minContains, err = count(raw, at)
	case "maxContains":
		s.maxContains, err = count(raw, at)
	case "minItems":
		s.minItems, err = count(raw, at)
	case "maxItems":
		s.maxItems, err = count(raw, at)
	case "uniqueItems":
		var ok bool
		if s.unique, ok = raw.(bool); !ok {
			err = wrong(at, "want true or false")
		}
	default:
		return false, nil
	}
	return true, err
}

func (c *compiler) combining(s *schema, key string, raw any, at string) (known bool, err error) {
	switch key {
	case "allOf":
		s.all, err = c.compileList(raw, at)
	case "anyOf":
		s.some, err = c.compileList(raw, at)
	case "oneOf":
		s.one, err = c.compileList(raw, at)
	case "not":
		s.not, err = c.compile(raw, at)
	case "if":
		s.when, err = c.compile(raw, at)
	case "then":
		s.then, err = c.compile(raw, at)
	case "else":
		s.or, err = c.compile(raw, at)
	default:
		return false, nil
	}
	return true, err
}
