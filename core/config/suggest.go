package config

import (
	"reflect"
	"strings"
)

// suggest returns the key that was probably meant by an unknown one, or "". The section is where the unknown key stood.
func suggest(unknown, path string, section reflect.Type) string {
	var candidates []string
	if section != nil {
		for key := range keys(section, path) {
			candidates = append(candidates, key)
		}
	}
	for key := range keys(reflect.TypeFor[Config](), "") {
		candidates = append(candidates, key)
	}
	if near := nearest(unknown, candidates); near != "" {
		return near
	}
	// The right name in the wrong section; candidates are sorted from the near sections to the far ones.
	last := unknown[strings.LastIndexByte(unknown, '.')+1:]
	for _, key := range candidates {
		if strings.HasSuffix(key, "."+last) {
			return key
		}
	}
	return ""
}

// SuggestFlag returns the flag (without dashes) that was probably meant by an unknown one, or "".
func SuggestFlag(unknown string) string { return suggest(unknown, "", nil) }

func suggestVariable(unknown string) string {
	var candidates []string
	for key := range keys(reflect.TypeFor[Config](), "") {
		candidates = append(candidates, environmentName(key))
	}
	return nearest(strings.ToUpper(unknown), candidates)
}

// nearest returns the candidate that fewest typing mistakes lead to, if they are few enough to be mistakes.
func nearest(text string, candidates []string) string {
	best, least := "", 1+min(3, len(text)/4)
	for _, c := range candidates {
		if d := distance(text, c); d < least {
			best, least = c, d
		}
	}
	return best
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
