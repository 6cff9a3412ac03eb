package scenario

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// Value is a value of an event, of a store or of a request, as a file writes it or a plugin has made it.
type Value struct {
	Text   string // As it is, or JSON.
	IsJSON bool   // Written as an object, list, number or truth: Text is JSON, and what counts is what it means, not how it is spelled.
	Absent bool   // null, or no value at all.

	line  int
	slack int64 // Of a wanted number: how far from it is near enough,
	late  int64 // and how much further above it.
}

func textValue(s string) Value { return Value{Text: s} }

// bytesValue is what a plugin has made; nil is none.
func bytesValue(b []byte) Value { return Value{Text: string(b), Absent: b == nil} }

// optional is a text that is absent when it is empty.
func optional(s string) Value { return Value{Text: s, Absent: s == ""} }

func intValue(n int64) Value { return Value{Text: strconv.FormatInt(n, 10), IsJSON: true} }

func boolValue(b bool) Value { return Value{Text: strconv.FormatBool(b), IsJSON: true} }

func flagValue(b *bool) Value {
	if b == nil {
		return Value{Absent: true}
	}
	return boolValue(*b)
}

// maxShown is how much of a value problems show, in bytes.
const maxShown = 2000

// String is the value as problems show it.
func (v Value) String() string {
	switch {
	case v.Absent:
		return "nothing"
	case len(v.Text) > maxShown:
		return fmt.Sprintf("%s… (%d bytes)", strings.ToValidUTF8(v.Text[:maxShown], ""), len(v.Text))
	}
	return v.Text
}

// matches says whether what a plugin has made is what a file wants: the same text, or JSON that means the same.
func (v Value) matches(made Value) bool {
	switch {
	case v.Absent || made.Absent:
		return v.Absent == made.Absent
	case v.Text == made.Text:
		return true
	case v.slack > 0:
		wanted, errWanted := strconv.ParseInt(v.Text, 10, 64)
		n, err := strconv.ParseInt(made.Text, 10, 64)
		return errWanted == nil && err == nil && n >= wanted-v.slack && n <= wanted+v.slack+v.late
	}
	return v.IsJSON && sameJSON(v.Text, made.Text)
}

func sameJSON(a, b string) bool {
	x, errX := readJSON(a)
	y, errY := readJSON(b)
	return errX == nil && errY == nil && reflect.DeepEqual(x, y)
}

// readJSON reads JSON so that equal numbers are equal, however they are written and however long they are.
func readJSON(text string) (any, error) {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if d.More() {
		return nil, errors.New("there is more than one value")
	}
	return normal(v), nil
}

// maxExponent keeps a number such as 1e999999999 from being written out.
const maxExponent = 400

func normal(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key, item := range v {
			v[key] = normal(item)
		}
	case []any:
		for i, item := range v {
			v[i] = normal(item)
		}
	case json.Number:
		if _, exponent, ok := strings.Cut(strings.ToLower(v.String()), "e"); ok {
			if n, err := strconv.Atoi(exponent); err != nil || n > maxExponent || n < -maxExponent {
				return v
			}
		}
		if r, ok := new(big.Rat).SetString(v.String()); ok {
			return "number " + r.RatString()
		}
	case string:
		return "text " + v
	}
	return v
}

// integer reads a whole number, or a time: now, or now with a duration added or taken away, in seconds since 1970.
func (v Value) integer(now time.Time) (int64, error) {
	if at, ok := strings.CutPrefix(v.Text, "now"); ok && !v.IsJSON {
		if at == "" {
			return now.Unix(), nil
		}
		d, err := time.ParseDuration(at)
		if err != nil || at[0] != '+' && at[0] != '-' {
			return 0, fmt.Errorf("%q is no time; want a number, or such as now+90s", v.Text)
		}
		return now.Add(d).Unix(), nil
	}
	n, err := strconv.ParseInt(v.Text, 10, 64)
	if err != nil || v.Absent {
		return 0, fmt.Errorf("want a whole number, not %s", v)
	}
	return n, nil
}

func (v Value) boolean() (bool, error) {
	if v.Text != "true" && v.Text != "false" {
		return false, fmt.Errorf("want true or false, not %s", v)
	}
	return v.Text == "true", nil
}

func (v Value) flag() (*bool, error) {
	if v.Absent {
		return nil, nil
	}
	b, err := v.boolean()
	return &b, err
}

// duration reads a duration such as 90s, or a number of milliseconds.
func (v Value) duration() (time.Duration, error) {
	if n, err := strconv.ParseInt(v.Text, 10, 32); err == nil {
		return time.Duration(n) * time.Millisecond, nil
	}
	d, err := time.ParseDuration(v.Text)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("want a duration such as 500ms or 90s, not %s", v)
	}
	return d, nil
}

// bytes is the value as a plugin is given it; nil when there is none.
func (v Value) bytes() []byte {
	if v.Absent {
		return nil
	}
	return []byte(v.Text)
}

// texts reads an object of texts.
func (v Value) texts() (map[string]string, error) {
	if v.Absent {
		return nil, nil
	}
	var m map[string]string
	if !v.IsJSON || json.Unmarshal([]byte(v.Text), &m) != nil {
		return nil, fmt.Errorf("want names with texts, such as {lang: en}, not %s", v)
	}
	return m, nil
}

// expand puts in what is known only when the scenario runs.
func (v Value) expand(r *strings.Replacer) Value {
	v.Text = r.Replace(v.Text)
	return v
}

// expandAll is expand for a configuration.
func expandAll(v any, r *strings.Replacer) any {
	switch v := v.(type) {
	case string:
		return r.Replace(v)
	case map[string]any:
		m := make(map[string]any, len(v))
		for key, item := range v {
			m[key] = expandAll(item, r)
		}
		return m
	case []any:
		list := make([]any, len(v))
		for i, item := range v {
			list[i] = expandAll(item, r)
		}
		return list
	}
	return v
}

// toJSON writes a value that can always be written, and leaves <, > and & as they are.
func toJSON(v any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return fmt.Sprint(v)
	}
	return strings.TrimSuffix(b.String(), "\n")
}
