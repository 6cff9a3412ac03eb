package config

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// exported is a configuration on its way to a worker, as JSON.
type exported struct {
	Values map[string]any `json:"values"` // As in a file.
	Set    []string       `json:"set"`    // The keys whose value is not the default of the program that wrote this.
}

// Export writes what a worker needs of the configuration, for Import. Secrets of clients are in it; the agent's own are not.
func (c *Config) Export() ([]byte, error) {
	e := exported{Values: map[string]any{}, Set: []string{}}
	e.section(e.Values, "", reflect.ValueOf(*c), reflect.ValueOf(Default()))
	return json.Marshal(e)
}

// section adds a section's values to a tree. defaults is what the same section holds by default.
func (e *exported) section(tree map[string]any, path string, section, defaults reflect.Value) {
	for _, f := range fields(section.Type()) {
		if f.only != "" {
			continue
		}
		key, value := join(path, f.name), section.Field(f.index)
		switch {
		case isSection(f.typ):
			sub := map[string]any{}
			tree[f.name] = sub
			e.section(sub, key, value, defaults.Field(f.index))
		case isNamed(f.typ):
			entries := map[string]any{}
			tree[f.name] = entries
			named := value.Interface().(map[string]Namespace)
			for _, name := range sortedNames(named) { // The same configuration is always written as the same bytes.
				sub := map[string]any{}
				entries[name] = sub
				e.section(sub, join(key, name), reflect.ValueOf(named[name]), reflect.ValueOf(DefaultNamespace()))
			}
		default:
			tree[f.name] = plain(value)
			if !reflect.DeepEqual(plain(value), plain(defaults.Field(f.index))) {
				e.Set = append(e.Set, key)
			}
		}
	}
}

// Import reads and checks what Export wrote, perhaps in another version of the program: what only that version knows is left out if
// it has its default there, and a problem otherwise. source names the agent in problems, which are an *Error. What Export leaves out
// has the default, but there is no API.
func Import(source string, b []byte) (*Config, error) {
	origin := Origin{Layer: LayerFile, Source: source}
	var e exported
	if err := json.Unmarshal(b, &e); err != nil {
		return nil, &Error{Problems: []Problem{{Origin: origin, Text: err.Error()}}}
	}
	prune(e.Values, "", reflect.TypeFor[Config](), e.Set)

	check := &checker{origins: map[string]Origin{}, refused: map[string]bool{}}
	loaded, err := merge(check, []layer{{origin: origin, tree: e.Values}}, true)
	if err != nil {
		return nil, err
	}
	loaded.Config.API.Addr = ""
	refused := withheld()
	maps.Copy(refused, check.refused)
	if problems := append(check.problems, validate(loaded, refused)...); len(problems) > 0 {
		return nil, &Error{Problems: problems}
	}
	return &loaded.Config, nil
}

// prune removes from a tree the keys that the schema does not know and that nobody has set.
func prune(tree map[string]any, path string, section reflect.Type, set []string) {
	for name, value := range tree {
		key := join(path, name)
		f, known := findField(section, name)
		sub, _ := value.(map[string]any)
		switch {
		case !known:
			if !slices.ContainsFunc(set, func(s string) bool { return s == key || strings.HasPrefix(s, key+".") }) {
				delete(tree, name)
			}
		case isSection(f.typ):
			prune(sub, key, f.typ, set)
		case isNamed(f.typ):
			for entryName, entry := range sub {
				if fields, ok := entry.(map[string]any); ok {
					prune(fields, join(key, entryName), f.typ.Elem(), set)
				}
			}
		}
	}
}

// withheld is the keys that Export leaves out. Nothing can be said about values that depend on them.
func withheld() map[string]bool {
	all := map[string]bool{}
	for key, f := range keys(reflect.TypeFor[Config](), "") {
		if f.only == "" {
			continue
		}
		all[key] = true
		if isSection(f.typ) {
			for below := range keys(f.typ, key) {
				all[below] = true
			}
		}
	}
	return all
}
