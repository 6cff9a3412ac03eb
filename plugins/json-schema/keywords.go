package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"maps"
	"math"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

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
