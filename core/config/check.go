package config

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/go-viper/mapstructure/v2"
)

// checker compares layers with the schema, before they are merged: what is wrong is then known with the place where it stands.
type checker struct {
	problems []Problem
	origins  map[string]Origin // Of every value that some layer above the defaults gave.
	refused  map[string]bool   // Keys whose value was wrong, so that nothing follows from what they hold now.
}

// add checks a layer and returns the part of its tree that is right, with values of the schema's types.
func (c *checker) add(l *layer) map[string]any {
	first := len(c.problems)
	tree := c.section(l, reflect.TypeFor[Config](), "", l.tree)
	slices.SortStableFunc(c.problems[first:], func(a, b Problem) int { return a.Origin.Line - b.Origin.Line })
	return tree
}

func (c *checker) refuse(l *layer, key, text string) {
	c.refused[key] = true
	c.problems = append(c.problems, Problem{Origin: l.at(key), Key: key, Text: text})
}

// section checks a section of known keys.
func (c *checker) section(l *layer, t reflect.Type, path string, raw any) map[string]any {
	tree := map[string]any{}
	for name, value := range c.entries(l, path, raw) {
		key := join(path, name)
		f, ok := findField(t, name)
		if !ok {
			text := "unknown key"
			if near := suggest(key, path, t); near != "" {
				text += ", did you mean " + near + "?"
			}
			c.refuse(l, key, text)
			continue
		}
		if checked, ok := c.value(l, f, key, value); ok {
			tree[name] = checked
		}
	}
	return tree
}

func (c *checker) value(l *layer, f field, key string, raw any) (any, bool) {
	switch {
	case isSection(f.typ):
		return c.section(l, f.typ, key, raw), true
	case isNamed(f.typ):
		tree := map[string]any{}
		for name, value := range c.entries(l, key, raw) {
			if !validName.MatchString(name) {
				c.refuse(l, join(key, name), fmt.Sprintf("%q cannot be a name: want letters, digits, - and _", name))
				continue
			}
			tree[name] = c.section(l, f.typ.Elem(), join(key, name), value)
		}
		return tree, true
	case isList(f.typ):
		return c.list(l, f, key, raw)
	}
	value, err := decodeValue(f, raw)
	if err != nil {
		c.refuse(l, key, err.Error())
		return nil, false
	}
	c.origins[key] = l.at(key)
	return value, true
}

// list checks a list of sections. A list replaces the one of the layers below.
func (c *checker) list(l *layer, f field, key string, raw any) (any, bool) {
	if raw == nil {
		raw = []any{}
	}
	items := reflect.ValueOf(raw) // TOML makes []map[string]any of some lists and []any of others.
	if items.Kind() != reflect.Slice {
		c.refuse(l, key, mismatch(f, raw).Error())
		return nil, false
	}
	maps.DeleteFunc(c.origins, func(k string, _ Origin) bool { return strings.HasPrefix(k, key+"[") })
	c.origins[key] = l.at(key)
	list := make([]any, items.Len())
	for i := range list {
		c.origins[element(key, i)] = l.at(element(key, i))
		list[i] = c.section(l, f.typ.Elem(), element(key, i), items.Index(i).Interface())
	}
	return list, true
}

var validName = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// entries goes over a section's keys in the order of their names. A section with nothing in it is nil in YAML.
func (c *checker) entries(l *layer, path string, raw any) func(func(string, any) bool) {
	section, err := asMap(raw)
	if err != nil {
		c.refuse(l, path, mismatch(field{typ: freeType}, raw).Error())
	}
	return func(yield func(string, any) bool) {
		for _, name := range slices.Sorted(maps.Keys(section)) {
			if !yield(name, section[name]) {
				return
			}
		}
	}
}

var errNoMap = errors.New("not a map")

// asMap makes the names of a YAML map texts, whatever they look like (true, 1).
func asMap(raw any) (map[string]any, error) {
	switch section := raw.(type) {
	case nil:
		return nil, nil
	case map[string]any:
		return section, nil
	case map[any]any:
		texts := make(map[string]any, len(section))
		for name, value := range section {
			texts[fmt.Sprint(name)] = value
		}
		return texts, nil
	}
	return nil, errNoMap
}

// decodeValue makes a value of the field's type, strictly: a text is no number, and a number without a unit is no duration.
func decodeValue(f field, raw any) (any, error) {
	if f.typ == freeType {
		if raw == nil {
			return map[string]any{}, nil // A section with nothing in it.
		}
		raw = textNames(raw)
	}
	target := reflect.New(f.typ)
	if err := decode(raw, target.Interface()); err != nil || raw == nil {
		return nil, mismatch(f, raw)
	}
	return target.Elem().Interface(), nil
}

// textNames applies asMap at every depth of a value that no schema describes.
func textNames(raw any) any {
	if list, ok := raw.([]any); ok {
		for i := range list {
			list[i] = textNames(list[i])
		}
		return list
	}
	section, err := asMap(raw)
	if err != nil || raw == nil {
		return raw
	}
	for name := range section {
		section[name] = textNames(section[name])
	}
	return section
}

// decode is the one way from raw values to typed ones.
func decode(raw, target any) error {
	decoder, err := mapstructure.NewDecoder(&mapstructure.DecoderConfig{
		Result:      target,
		TagName:     "koanf",
		ErrorUnused: true,
		DecodeHook: mapstructure.ComposeDecodeHookFunc(
			refuseLoss,
			mapstructure.StringToTimeDurationHookFunc(),
			mapstructure.TextUnmarshallerHookFunc(),
		),
	})
	if err != nil {
		return err
	}
	return decoder.Decode(raw)
}

var errLoss = errors.New("the value would change")

// refuseLoss is a mapstructure hook for conversions that mapstructure would make though they change the value.
func refuseLoss(from, to reflect.Value) (any, error) {
	raw := from.Interface()
	switch {
	case to.Type() == payloadType && from.Type() != payloadType:
		return payloadAlias(raw), nil
	case to.Type() == durationType && from.Type() != durationType && from.Kind() != reflect.String && !from.IsZero():
		return nil, errLoss // 25 would be 25 nanoseconds.
	case to.Type() == sizeType && from.Type() != sizeType && from.CanInt() && from.Int() < 0:
		return nil, errLoss
	case to.CanInt() && from.CanFloat():
		if n := from.Float(); n != math.Trunc(n) || math.Abs(n) > 1<<53 || to.Type() == sizeType && n < 0 {
			return nil, errLoss
		}
	case to.CanInt() && from.CanUint():
		return nil, errLoss // TOML and YAML make uint64 only of numbers beyond int64.
	}
	return raw, nil
}

// mismatch says what a value should have been. It does not repeat secrets.
func mismatch(f field, raw any) error {
	text := "want " + wanted(f.typ)
	if f.secret == "" {
		text += ", not " + describe(raw)
	}
	return errors.New(text)
}

func describe(raw any) string {
	switch v := reflect.ValueOf(raw); v.Kind() {
	case reflect.Invalid:
		return "nothing"
	case reflect.String:
		if v.Len() > 40 {
			return fmt.Sprintf("%q…", v.String()[:40])
		}
		return fmt.Sprintf("%q", v.String())
	case reflect.Slice:
		return "a list"
	case reflect.Map:
		return "a section"
	case reflect.Bool:
		return fmt.Sprint(raw)
	case reflect.Struct:
		return fmt.Sprintf("the date %v", raw)
	}
	return fmt.Sprintf("the number %v", raw)
}
