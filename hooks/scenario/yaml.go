package scenario

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/zenconn/server/hooks/host"
)

// lineError is a mistake in a file.
type lineError struct {
	line int
	text string
}

func (e *lineError) Error() string { return fmt.Sprintf("%d: %s", e.line, e.text) }

func wrong(n *yaml.Node, format string, args ...any) error {
	return &lineError{n.Line, fmt.Sprintf(format, args...)}
}

// at puts a line before an error that has none.
func at(line int, err error) error {
	if _, ok := errors.AsType[*lineError](err); err == nil || ok {
		return err
	}
	return &lineError{line, err.Error()}
}

// keys are what an object may have, each with what reads its value.
type keys map[string]func(*yaml.Node) error

// object reads an object. A key that it does not have, or has twice, is an error that names those it has.
func object(n *yaml.Node, what string, known keys) error {
	seen := map[string]bool{}
	return each(n, what, func(key, value *yaml.Node) error {
		read, ok := known[key.Value]
		if !ok {
			names := make([]string, 0, len(known))
			for name := range known {
				names = append(names, name)
			}
			slices.Sort(names)
			return wrong(key, "%s has no key %q%s; it has %s", what, key.Value, host.DidYouMean(key.Value, names), strings.Join(names, ", "))
		}
		if seen[key.Value] {
			return wrong(key, "%s has the key %q twice", what, key.Value)
		}
		seen[key.Value] = true
		return at(value.Line, read(value))
	})
}

// each goes through the keys of an object.
func each(n *yaml.Node, what string, do func(key, value *yaml.Node) error) error {
	if n.Kind != yaml.MappingNode {
		return wrong(n, "%s must be keys with values, not %s", what, kindOf(n))
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Kind != yaml.ScalarNode || key.Tag == "!!merge" {
			return wrong(key, "a key of %s must be a plain word", what)
		}
		if err := do(key, value); err != nil {
			return err
		}
	}
	return nil
}

// list reads a list of at most most items.
func list(n *yaml.Node, what string, most int, do func(i int, n *yaml.Node) error) error {
	if n.Kind != yaml.SequenceNode {
		return wrong(n, "%s must be a list, not %s", what, kindOf(n))
	}
	if len(n.Content) > most {
		return wrong(n, "%s has %d items; at most %d make sense", what, len(n.Content), most)
	}
	for i, item := range n.Content {
		if err := do(i, item); err != nil {
			return at(item.Line, err)
		}
	}
	return nil
}

func kindOf(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "keys with values"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Tag == "!!null":
		return "nothing"
	case n.Kind == yaml.ScalarNode:
		return strconv.Quote(n.Value)
	}
	return "this"
}

// readText, readInt, readBool and readDuration read one value.
func readText(to *string) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		if n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
			return wrong(n, "want a text, not %s", kindOf(n))
		}
		*to = n.Value
		return nil
	}
}

func readInt(to *int, least, most int) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		i, err := strconv.Atoi(n.Value)
		if n.Kind != yaml.ScalarNode || err != nil || i < least || i > most {
			return wrong(n, "want a whole number from %d to %d, not %s", least, most, kindOf(n))
		}
		*to = i
		return nil
	}
}

func readBool(to *bool) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		if n.Tag != "!!bool" || n.Decode(to) != nil {
			return wrong(n, "want true or false, not %s", kindOf(n))
		}
		return nil
	}
}

func readDuration(to *time.Duration, most time.Duration) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		d, err := time.ParseDuration(n.Value)
		if n.Kind != yaml.ScalarNode || err != nil || d <= 0 || d > most {
			return wrong(n, "want a duration such as 500ms, at most %v, not %s", most, kindOf(n))
		}
		*to = d
		return nil
	}
}

func readTexts(to *[]string) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		return list(n, "this", 1000, func(_ int, n *yaml.Node) error {
			var s string
			err := readText(&s)(n)
			*to = append(*to, s)
			return err
		})
	}
}

// readValue reads a value of any kind.
func readValue(to *Value) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		switch {
		case n.Tag == "!!null":
			*to = Value{Absent: true, line: n.Line}
			return nil
		case n.Kind == yaml.ScalarNode && !slices.Contains([]string{"!!int", "!!float", "!!bool"}, n.Tag):
			*to = Value{Text: n.Value, line: n.Line}
			return nil
		}
		var b strings.Builder
		if err := writeJSON(&b, n); err != nil {
			return err
		}
		*to = Value{Text: b.String(), IsJSON: true, line: n.Line}
		return nil
	}
}

// readValues reads names with values.
func readValues(to map[string]Value) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		return each(n, "this", func(key, value *yaml.Node) error {
			var v Value
			if _, twice := to[key.Value]; twice {
				return wrong(key, "the key %q is there twice", key.Value)
			}
			err := readValue(&v)(value)
			to[key.Value] = v
			return err
		})
	}
}

// writeJSON writes a value as JSON, its keys in the order in which they are in the file: a plugin may look at the text.
func writeJSON(b *strings.Builder, n *yaml.Node) error {
	switch n.Kind {
	case yaml.MappingNode:
		b.WriteByte('{')
		first := true
		err := each(n, "this", func(key, value *yaml.Node) error {
			if !first {
				b.WriteByte(',')
			}
			first = false
			b.WriteString(toJSON(key.Value) + ":")
			return writeJSON(b, value)
		})
		b.WriteByte('}')
		return err
	case yaml.SequenceNode:
		b.WriteByte('[')
		for i, item := range n.Content {
			if i > 0 {
				b.WriteByte(',')
			}
			if err := writeJSON(b, item); err != nil {
				return err
			}
		}
		b.WriteByte(']')
		return nil
	}
	v, err := scalar(n)
	if err == nil {
		b.WriteString(toJSON(v))
	}
	return err
}

// plain reads a value as a configuration would have it.
func plain(n *yaml.Node) (any, error) {
	switch n.Kind {
	case yaml.MappingNode:
		m := map[string]any{}
		err := each(n, "this", func(key, value *yaml.Node) (err error) {
			m[key.Value], err = plain(value)
			return err
		})
		return m, err
	case yaml.SequenceNode:
		all := make([]any, len(n.Content))
		for i, item := range n.Content {
			var err error
			if all[i], err = plain(item); err != nil {
				return nil, err
			}
		}
		return all, nil
	}
	return scalar(n)
}

// scalar reads what is neither an object nor a list. What looks like a date stays the text that it is.
func scalar(n *yaml.Node) (any, error) {
	switch n.Tag {
	case "!!null":
		return nil, nil
	case "!!bool":
		var b bool
		err := n.Decode(&b)
		return b, err
	case "!!int":
		var i int64
		if n.Decode(&i) != nil {
			return nil, wrong(n, "%s is too long a number; in quotes it is a text", n.Value)
		}
		return i, nil
	case "!!float":
		var f float64
		if n.Decode(&f) != nil || f-f != 0 {
			return nil, wrong(n, "%s is no number that JSON has; in quotes it is a text", n.Value)
		}
		return f, nil
	case "!!str", "!!timestamp":
		return n.Value, nil
	}
	return nil, wrong(n, "a value of the kind %s has no meaning here; in quotes it is a text", n.Tag)
}

// Settings reads a plugin's configuration from a command line: words such as limit=5, words=[a, b] or api.url=http://localhost, whose values
// are YAML.
func Settings(pairs []string) (map[string]any, error) {
	settings := map[string]any{}
	for _, pair := range pairs {
		name, text, ok := strings.Cut(pair, "=")
		if !ok || name == "" || strings.Contains("."+name+".", "..") {
			return nil, fmt.Errorf("%q: want a name and a value, such as limit=5 or words=[darn, heck]", pair)
		}
		var value any = ""
		if strings.TrimSpace(text) != "" {
			n, err := document([]byte(text))
			if err == nil {
				value, err = plain(n)
			}
			if err != nil {
				return nil, fmt.Errorf("%q: the value cannot be read; a text with signs in it wants quotes", pair)
			}
		}
		into := settings
		path := strings.Split(name, ".")
		for _, key := range path[:len(path)-1] {
			below, ok := into[key].(map[string]any)
			if !ok {
				below = map[string]any{}
				into[key] = below
			}
			into = below
		}
		into[path[len(path)-1]] = value
	}
	return settings, nil
}

// maxDepth is how deep values may be nested.
const maxDepth = 100

// document reads YAML into its tree, without what stands for something else: a few lines of it could stand for gigabytes.
func document(text []byte) (*yaml.Node, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, yamlError(err)
	}
	if len(doc.Content) == 0 {
		return nil, &lineError{1, "the file is empty"}
	}
	return doc.Content[0], sound(doc.Content[0], 0)
}

func sound(n *yaml.Node, depth int) error {
	switch {
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		return wrong(n, "anchors and aliases (& and *) have no meaning here; a text that begins with one wants quotes")
	case depth > maxDepth:
		return wrong(n, "this is nested too deep")
	}
	n.Tag = n.ShortTag()
	for _, inner := range n.Content {
		if err := sound(inner, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// yamlError gives what the YAML library says the form of all errors.
func yamlError(err error) error {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	if rest, ok := strings.CutPrefix(text, "line "); ok {
		number, what, _ := strings.Cut(rest, ": ")
		if line, err := strconv.Atoi(number); err == nil {
			return &lineError{line, "this is no YAML: " + what}
		}
	}
	return &lineError{1, "this is no YAML: " + text}
}
