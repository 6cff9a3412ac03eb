package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"
)

// YAML writes the configuration as a file that --config takes, with a comment on every key. Secrets are left out, with a comment
// that says so, unless they are asked for.
func (l *Loaded) YAML(secrets bool) []byte {
	w := yamlWriter{secrets: secrets, docs: true}
	w.section(reflect.ValueOf(l.Config), 0)
	return w.out.Bytes()
}

// yamlWriter writes sections by hand, because the YAML library can neither comment out a key nor keep lists on one line. The values
// themselves are left to the library.
type yamlWriter struct {
	out     bytes.Buffer
	secrets bool // Write them.
	docs    bool // Write the documentation of each key above it.
	sparse  bool // Leave out what is zero.
}

func (w *yamlWriter) line(indent int, format string, args ...any) {
	w.out.WriteString(strings.Repeat("  ", indent))
	fmt.Fprintf(&w.out, format+"\n", args...)
}

func (w *yamlWriter) section(section reflect.Value, indent int) {
	for i, f := range fields(section.Type()) {
		value := section.Field(f.index)
		if w.sparse && value.IsZero() {
			continue
		}
		if w.docs {
			if i > 0 && indent == 0 {
				w.out.WriteByte('\n')
			}
			w.comment(indent, f.doc)
		}
		w.field(f, value, indent)
	}
}

func (w *yamlWriter) field(f field, value reflect.Value, indent int) {
	entries := *w // Entries of maps and lists are many: they carry no documentation.
	entries.docs, entries.out = false, bytes.Buffer{}
	switch {
	case isSection(f.typ):
		w.line(indent, "%s:", f.name)
		w.section(value, indent+1)
	case isNamed(f.typ) && value.Len() > 0:
		w.line(indent, "%s:", f.name)
		for _, name := range sortedNames(value.Interface().(map[string]Namespace)) {
			entries.line(indent+1, "%s:", scalar(name))
			entries.section(value.MapIndex(reflect.ValueOf(name)), indent+2)
		}
		w.out.Write(entries.out.Bytes())
	case isList(f.typ) && value.Len() > 0:
		w.line(indent, "%s:", f.name)
		entries.sparse = true
		for i := range value.Len() {
			entries.element(value.Index(i), indent+1)
		}
		w.out.Write(entries.out.Bytes())
	default:
		w.value(f, value, indent)
	}
}

// element writes a section as an element of a list. A section without any value cannot be one: validation wants a name or a path.
func (w *yamlWriter) element(section reflect.Value, indent int) {
	start := w.out.Len()
	w.section(section, indent+1)
	w.out.Bytes()[start+2*indent] = '-'
}

func (w *yamlWriter) value(f field, value reflect.Value, indent int) {
	shown := plain(value)
	if f.secret != "" && !w.secrets && !isEmpty(value) {
		w.line(indent, "# %s: %s (a secret, not written)", f.name, scalar(masked(f, shown)))
		return
	}
	if w.docs && (isNamed(f.typ) || isList(f.typ)) {
		w.example(f.typ, indent)
	}
	w.line(indent, "%s: %s", f.name, scalar(shown))
}

// example shows in comments what an entry of an empty map or list can hold, with its defaults.
func (w *yamlWriter) example(t reflect.Type, indent int) {
	entry := yamlWriter{docs: true}
	if isNamed(t) {
		entry.line(1, "NAME:")
		entry.section(reflect.ValueOf(DefaultNamespace()), 2)
	} else {
		entry.element(reflect.New(t.Elem()).Elem(), 1)
	}
	w.line(indent, "# An entry, with the values it has when it says nothing:")
	for line := range strings.Lines(entry.out.String()) {
		w.line(indent, "#%s", strings.TrimRight(line, "\n"))
	}
}

func isEmpty(v reflect.Value) bool { return v.IsZero() || v.Kind() == reflect.Map && v.Len() == 0 }

// scalar writes a plain value on one line: JSON for lists and maps, which is YAML too.
func scalar(value any) string {
	if text, ok := value.(string); ok {
		if b, err := yaml.Marshal(text); err == nil && bytes.Count(b, []byte("\n")) == 1 {
			return strings.TrimSpace(string(b))
		}
	}
	b, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprint(value)
	}
	return string(b)
}

const commentWidth = 110

// comment writes text as comment lines that are not too long.
func (w *yamlWriter) comment(indent int, text string) {
	line := "#"
	for word := range strings.FieldsSeq(text) {
		if len(line)+1+len(word) > commentWidth && line != "#" {
			w.line(indent, "%s", line)
			line = "#"
		}
		line += " " + word
	}
	if line != "#" {
		w.line(indent, "%s", line)
	}
}
