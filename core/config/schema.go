package config

import (
	"fmt"
	"iter"
	"reflect"
	"strings"
	"time"
)

// What a key holds follows from the Go type of its field: a struct is a section, a map of structs is a section whose names the owner
// chooses, a slice of structs is a list of sections, and everything else is a value.
var (
	durationType = reflect.TypeFor[time.Duration]()
	sizeType     = reflect.TypeFor[Size]()
	payloadType  = reflect.TypeFor[PayloadPolicy]()
	stringsType  = reflect.TypeFor[[]string]()
	freeType     = reflect.TypeFor[map[string]any]()
)

func isSection(t reflect.Type) bool { return t.Kind() == reflect.Struct }
func isNamed(t reflect.Type) bool   { return t.Kind() == reflect.Map && isSection(t.Elem()) }
func isList(t reflect.Type) bool    { return t.Kind() == reflect.Slice && isSection(t.Elem()) }

// typeName is the type's name in the documentation and in flags.
func typeName(t reflect.Type) string {
	switch {
	case t == durationType:
		return "duration"
	case t == sizeType:
		return "size"
	case t.Kind() == reflect.Slice:
		return "list"
	case t.Kind() == reflect.Map, t.Kind() == reflect.Struct:
		return "map"
	case t.Kind() == reflect.Float64:
		return "number"
	case t.Kind() == reflect.String:
		return "text"
	}
	return t.Kind().String() // bool, int
}

// wanted completes the sentence "want …".
func wanted(t reflect.Type) string {
	switch typeName(t) {
	case "duration":
		return "a duration such as 500ms, 25s or 10m"
	case "size":
		return "a size such as 65536 or 64KiB"
	case "list":
		if isList(t) {
			return "a list of sections"
		}
		return "a list of texts"
	case "map":
		return "a section of keys"
	case "number":
		return "a number"
	case "text":
		return "text"
	case "bool":
		return "true or false"
	}
	return "a whole number"
}

// field is one key inside a section.
type field struct {
	name   string
	index  int
	typ    reflect.Type
	doc    string
	secret string // "true": masked whole; "password": masked inside a URL; empty: shown.
	only   string // "agent": workers do not get it.
}

func fields(section reflect.Type) []field {
	all := make([]field, section.NumField())
	for i := range all {
		f := section.Field(i)
		all[i] = field{f.Tag.Get("koanf"), i, f.Type, f.Tag.Get("doc"), f.Tag.Get("secret"), f.Tag.Get("only")}
	}
	return all
}

func findField(section reflect.Type, name string) (field, bool) {
	for _, f := range fields(section) {
		if f.name == name {
			return f, true
		}
	}
	return field{}, false
}

// join puts a path together: join("client", "addr") is client.addr.
func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func element(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }

// keys goes over the fields of a section and, depth first, those of the sections in it. It does not enter maps and lists, whose
// names the schema does not know.
func keys(section reflect.Type, path string) iter.Seq2[string, field] {
	return func(yield func(string, field) bool) {
		for _, f := range fields(section) {
			if !yield(join(path, f.name), f) {
				return
			}
			if isSection(f.typ) {
				for p, sub := range keys(f.typ, join(path, f.name)) {
					if !yield(p, sub) {
						return
					}
				}
			}
		}
	}
}

// resolve follows a path of names to the field it ends in.
func resolve(names []string) (field, bool) {
	f := field{typ: reflect.TypeFor[Config]()}
	for _, name := range names {
		switch {
		case isSection(f.typ):
			var ok bool
			if f, ok = findField(f.typ, name); !ok {
				return field{}, false
			}
		case isNamed(f.typ) && name != "":
			f = field{name: name, typ: f.typ.Elem()}
		default:
			return field{}, false
		}
	}
	return f, true
}

const environmentPrefix = "ZENCONN_"

// environmentName is the variable that sets a key.
func environmentName(key string) string {
	return environmentPrefix + strings.ToUpper(strings.ReplaceAll(key, ".", "__"))
}
