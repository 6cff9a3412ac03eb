package api

import (
	"maps"
	"reflect"
	"slices"
	"strings"
)

// Methods names the methods.
func Methods() []string { return slices.Sorted(maps.Keys(methods)) }

// Fields names the fields of a method's request in JSON.
func Fields(method string) []string { return fieldsOf(reflect.TypeOf(methods[method]()).Elem()) }

func fieldsOf(t reflect.Type) (names []string) {
	for f := range t.Fields() {
		if f.Anonymous {
			names = append(names, fieldsOf(f.Type)...)
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
