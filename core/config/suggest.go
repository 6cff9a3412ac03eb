package config

import (
	"reflect"
	"slices"
	"strings"
)

// suggest returns the key that was probably meant by an unknown one, or "". The unknown key stood in the section at path.
func suggest(unknown, path string, section reflect.Type) string {
	var candidates []string // Near ones first, so that they win a tie.
	for key := range keys(section, path) {
		candidates = append(candidates, key)
	}
	for key := range keys(reflect.TypeFor[Config](), "") {
		candidates = append(candidates, key)
	}
	return suggestAmong(candidates, unknown, path)
}

// SuggestFlag returns the flag (without dashes) that was probably meant by an unknown one, or "".
func SuggestFlag(unknown string) string {
	var candidates []string
	for key, f := range keys(reflect.TypeFor[Config](), "") {
		if !isSection(f.typ) {
			candidates = append(candidates, key)
		}
	}
	return suggestAmong(candidates, unknown, "")
}

func suggestAmong(candidates []string, unknown, path string) string {
	last := unknown[strings.LastIndexByte(unknown, '.')+1:]

	// Fewer typing mistakes than make another word.
	best, least := "", 1+max(1, len(last)/3)
	for _, key := range candidates {
		if d := distance(unknown, key); d < least {
			best, least = key, d
		}
	}
	if best != "" {
		return best
	}
	// Cut short or carried on: address for addr.
	for _, key := range candidates {
		if min(len(key)-len(path), len(last)) >= 3 && (strings.HasPrefix(key, unknown) || strings.HasPrefix(unknown, key)) && key != path {
			return key
		}
	}
	// The right name in the wrong section.
	for _, key := range candidates {
		if strings.HasSuffix(key, "."+last) {
			return key
		}
	}
	return ""
}

// suggestVariable returns the variable that was probably meant by one that sets no key.
func suggestVariable(path []string) string {
	for n := range slices.Backward(path) {
		f, ok := resolve(path[:n])
		if !ok {
			continue
		}
		known := strings.Join(path[:n], ".")
		if !isSection(f.typ) {
			return environmentName(known) // Below it everything is in the value.
		}
		if near := suggest(strings.Join(path, "."), known, f.typ); near != "" {
			return environmentName(near)
		}
		break
	}
	return ""
}

// distance is the number of bytes to insert, delete or replace to make b of a (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
