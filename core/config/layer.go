package config

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
)

// layer is what one source says, not yet checked.
type layer struct {
	origin Origin
	tree   map[string]any
	lines  lines // Of a file.
}

// at is the origin of one of the layer's keys. A key whose line is not known, as in TOML's inline tables, has that of what it is in.
func (l *layer) at(key string) Origin {
	origin := l.origin
	for key != "" && l.lines[key] == 0 {
		key = key[:max(0, strings.LastIndexAny(key, ".["))]
	}
	origin.Line = l.lines[key]
	return origin
}

// environmentLayers makes a layer of each variable that is ours. Variables for the tests of this repository are not.
func environmentLayers(environ []string) (layers []layer, problems []Problem) {
	// A map first (ZENCONN_NAMESPACES), then the values inside it (ZENCONN_NAMESPACES__CHAT__PRESENCE).
	for _, variable := range slices.Sorted(slices.Values(environ)) {
		name, text, _ := strings.Cut(variable, "=")
		if !strings.HasPrefix(name, environmentPrefix) || strings.HasPrefix(name, environmentPrefix+"TEST_") {
			continue
		}
		origin := Origin{Layer: LayerEnvironment, Source: name}
		path := strings.Split(strings.ToLower(strings.TrimPrefix(name, environmentPrefix)), "__")
		f, ok := resolve(path)
		if !ok {
			problem := Problem{Origin: origin, Text: "unknown variable"}
			if near := suggestVariable(path); near != "" {
				problem.Text += ", did you mean " + near + "?"
			}
			problems = append(problems, problem)
			continue
		}
		l, err := textLayer(origin, path, f, text)
		if err != nil {
			problems = append(problems, Problem{Origin: origin, Key: strings.Join(path, "."), Text: err.Error()})
			continue
		}
		layers = append(layers, l)
	}
	return layers, problems
}

// textLayer makes the layer of one value that was given as text.
func textLayer(origin Origin, path []string, f field, texts ...string) (layer, error) {
	var value any
	for i, text := range texts {
		next, err := parseText(f, text)
		if err != nil {
			return layer{}, err
		}
		if i > 0 && f.typ.Kind() == reflect.Slice {
			next = append(value.([]any), next.([]any)...)
		}
		value = next
	}
	for _, name := range slices.Backward(path) {
		value = map[string]any{name: value}
	}
	return layer{origin: origin, tree: value.(map[string]any)}, nil
}

// parseText gives text the shape that it would have in a file: lists and maps are JSON, lists of texts may also be separated by
// commas.
func parseText(f field, text string) (any, error) {
	var value any
	var err error
	trimmed := strings.TrimSpace(text)
	switch f.typ.Kind() {
	case reflect.Struct, reflect.Map:
		var section map[string]any
		err = json.Unmarshal([]byte(text), &section)
		value = section
	case reflect.Slice:
		if f.typ == stringsType && !strings.HasPrefix(trimmed, "[") {
			return splitList(trimmed), nil
		}
		list := []any{}
		err = json.Unmarshal([]byte(text), &list)
		value = list
	case reflect.Bool:
		value, err = strconv.ParseBool(trimmed)
	case reflect.Int:
		value, err = strconv.Atoi(trimmed)
	case reflect.Float64:
		value, err = strconv.ParseFloat(trimmed, 64)
	default:
		return text, nil
	}
	if err == nil {
		return value, nil
	}
	switch f.typ.Kind() {
	case reflect.Struct, reflect.Map, reflect.Slice:
		return nil, fmt.Errorf("want %s as JSON: %w", wanted(f.typ), err)
	}
	return nil, mismatch(f, text)
}

func splitList(text string) []any {
	list := []any{}
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part != "" {
			list = append(list, part)
		}
	}
	return list
}

// AddFlags adds one flag for every key to the set. They are hidden from usage texts, which they would drown. What they hold is
// checked by Load, together with everything else.
func AddFlags(set *pflag.FlagSet) {
	for key, f := range keys(reflect.TypeFor[Config](), "") {
		if isSection(f.typ) {
			continue
		}
		flag := set.VarPF(&flagValue{field: f}, key, "", f.doc)
		flag.Hidden = true
		if f.typ.Kind() == reflect.Bool {
			flag.NoOptDefVal = "true"
		}
	}
}

// flagValue keeps what a flag was given, for Load to check.
type flagValue struct {
	field field
	texts []string
}

func (v *flagValue) Set(text string) error { v.texts = append(v.texts, text); return nil }
func (v *flagValue) String() string        { return strings.Join(v.texts, ",") }
func (v *flagValue) Type() string          { return typeName(v.field.typ) }

// flagLayers makes a layer of each configuration flag that was given.
func flagLayers(set *pflag.FlagSet) (layers []layer, problems []Problem) {
	if set == nil {
		return nil, nil
	}
	set.Visit(func(flag *pflag.Flag) {
		value, ok := flag.Value.(*flagValue)
		if !ok {
			return
		}
		origin := Origin{Layer: LayerFlag, Source: "--" + flag.Name}
		l, err := textLayer(origin, strings.Split(flag.Name, "."), value.field, value.texts...)
		if err != nil {
			problems = append(problems, Problem{Origin: origin, Key: flag.Name, Text: err.Error()})
			return
		}
		layers = append(layers, l)
	})
	return layers, problems
}
