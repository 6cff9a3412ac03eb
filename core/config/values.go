package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"
)

// Value is one value of a configuration, in a form that may be shown to anybody.
type Value struct {
	Key    string
	Value  any // bool, int, float64, string, []string or map[string]any; durations and sizes are strings; secrets are masked.
	Origin Origin
}

// Text returns the value as one line that is never empty.
func (v Value) Text() string {
	if text, ok := v.Value.(string); ok && text != "" && !strings.ContainsFunc(text, unicode.IsControl) {
		return text
	}
	b, err := json.Marshal(v.Value)
	if err != nil {
		return fmt.Sprint(v.Value)
	}
	return string(b)
}

// Values returns every value with its origin, in the order of the structure.
func (l *Loaded) Values() []Value {
	return l.values(nil, "", reflect.ValueOf(l.Config))
}

func (l *Loaded) values(list []Value, path string, section reflect.Value) []Value {
	for _, f := range fields(section.Type()) {
		key, value := join(path, f.name), section.Field(f.index)
		switch {
		case isSection(f.typ):
			list = l.values(list, key, value)
		case isNamed(f.typ) && value.Len() > 0:
			for _, name := range slices.Sorted(maps.Keys(value.Interface().(map[string]Namespace))) {
				list = l.values(list, join(key, name), value.MapIndex(reflect.ValueOf(name)))
			}
		case isList(f.typ) && value.Len() > 0:
			for i := range value.Len() {
				list = l.values(list, element(key, i), value.Index(i))
			}
		default:
			list = append(list, Value{Key: key, Value: masked(f, plain(value)), Origin: l.Origin(key)})
		}
	}
	return list
}

// plain returns a value in the form it has in a file.
func plain(v reflect.Value) any {
	switch value := v.Interface().(type) {
	case time.Duration:
		return durationText(value)
	case Size:
		if text := value.String(); text != fmt.Sprint(int64(value)) {
			return text
		}
		return int(value)
	}
	if isNamed(v.Type()) || v.Type() == freeType && v.Len() == 0 {
		return map[string]any{}
	}
	if v.Kind() == reflect.Slice && v.Len() == 0 {
		return []string{}
	}
	return v.Interface()
}

// durationText is time.Duration's text without the units that are zero: 10m, not 10m0s.
func durationText(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

const mask = "***"

// masked hides what is secret in a plain value. That nothing is set is no secret.
func masked(f field, value any) any {
	switch text, isText := value.(string); {
	case f.secret == "" || text == "" && isText:
		return value
	case f.secret == "password":
		return maskPassword(text)
	case isText:
		return mask
	}
	// Only a plugin knows which of its values are secret.
	hidden := map[string]any{}
	for name := range value.(map[string]any) {
		hidden[name] = mask
	}
	return hidden
}

// maskPassword hides the passwords in a URL, or all of a text that is none.
func maskPassword(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return mask
	}
	query := strings.Split(u.RawQuery, "&")
	for i, parameter := range query {
		if name, _, ok := strings.Cut(parameter, "="); ok && strings.Contains(strings.ToLower(name), "pass") {
			query[i] = name + "=" + mask
		}
	}
	u.RawQuery = strings.Join(query, "&")
	return strings.Replace(u.Redacted(), ":xxxxx@", ":"+mask+"@", 1)
}

func sortedNames[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
