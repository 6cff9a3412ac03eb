package main

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// violation is the first thing that is not as the schema says.
type violation struct {
	path []string // Where, from the inside to the outside.
	what string
}

// maxPath is what of a path is told to a client, in bytes.
const maxPath = 200

// Error is a sentence for the client. It says what should be there and not what is.
func (v *violation) Error() string {
	var b strings.Builder
	for i := len(v.path) - 1; i >= 0; i-- {
		b.WriteByte('/')
		b.WriteString(escape(v.path[i]))
	}
	at := b.String()
	switch {
	case at == "":
		at = "the whole"
	case len(at) > maxPath:
		at = strings.ToValidUTF8(at[:maxPath], "") + "…"
	}
	return at + " " + v.what
}

func violates(what ...string) *violation { return &violation{what: strings.Join(what, "")} }

// in says that it is further inside.
func (v *violation) in(name string) *violation {
	if v != nil {
		v.path = append(v.path, name)
	}
	return v
}

// maxSteps is how deep schemas may be nested when they are checked. One that refers to itself without going on is endless.
const maxSteps = 1000

// check returns what is wrong first: in the order of the keywords below, and within objects in the order of the text.
func (s *schema) check(v *value, depth int) *violation {
	if depth++; depth > maxSteps {
		return violates("is nested too deep")
	}
	if s.never {
		return violates("must not be there")
	}
	if s.types != 0 && s.types&v.kind == 0 && (s.types&integer == 0 || v.kind != number || !whole(v.float())) {
		return violates("must be ", typeNames(s.types))
	}
	if e := s.checkLiteral(v); e != nil {
		return e
	}
	var e *violation
	switch v.kind {
	case text:
		e = s.checkText(v.text)
	case number:
		e = s.checkNumber(v)
	case object:
		e = s.checkObject(v, depth)
	case array:
		e = s.checkArray(v, depth)
	}
	if e != nil {
		return e
	}
	return s.checkCombined(v, depth)
}

func whole(f float64) bool { return f == math.Trunc(f) && !math.IsInf(f, 0) }

func typeNames(types kind) string {
	var names []string
	for _, k := range kindNames {
		if types&k.kind != 0 {
			names = append(names, k.name)
		}
	}
	return "of type " + strings.Join(names, " or ")
}

func (s *schema) checkLiteral(v *value) *violation {
	if s.constant != nil && !s.constant.equal(v) {
		return violates("is not the value that it must be")
	}
	if s.enum == nil {
		return nil
	}
	for i := range s.enum {
		if s.enum[i].equal(v) {
			return nil
		}
	}
	return violates("is none of the values that it may be")
}

func (s *schema) checkText(t string) *violation {
	if s.minLength >= 0 || s.maxLength >= 0 {
		n := utf8.RuneCountInString(t)
		if n < s.minLength {
			return violates("must have ", strconv.Itoa(s.minLength), " characters or more")
		}
		if s.maxLength >= 0 && n > s.maxLength {
			return violates("must have ", strconv.Itoa(s.maxLength), " characters or fewer")
		}
	}
	if s.pattern != nil && !s.pattern.MatchString(t) {
		return violates("does not match the pattern ", s.pattern.String())
	}
	if s.format != "" && !formats[s.format](t) {
		return violates("is no ", s.format)
	}
	return nil
}

func (s *schema) checkNumber(v *value) *violation {
	if s.minimum == nil && s.maximum == nil && s.above == nil && s.below == nil && s.multiple == nil {
		return nil
	}
	n := v.float()
	switch {
	case s.minimum != nil && n < *s.minimum:
		return violates("must be ", decimal(*s.minimum), " or more")
	case s.maximum != nil && n > *s.maximum:
		return violates("must be ", decimal(*s.maximum), " or less")
	case s.above != nil && n <= *s.above:
		return violates("must be more than ", decimal(*s.above))
	case s.below != nil && n >= *s.below:
		return violates("must be less than ", decimal(*s.below))
	case s.multiple != nil && !isMultiple(n, *s.multiple):
		return violates("must be a multiple of ", decimal(*s.multiple))
	}
	return nil
}

func decimal(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }

// isMultiple forgives what binary numbers make of decimal ones: 0.07 is a multiple of 0.01.
func isMultiple(n, of float64) bool {
	times := n / of
	return !math.IsInf(times, 0) && math.Abs(times-math.Round(times)) <= 1e-9*max(1, math.Abs(times)*1e-6)
}

func (s *schema) checkObject(v *value, depth int) *violation {
	if len(v.members) < s.minProperties {
		return violates("must have ", strconv.Itoa(s.minProperties), " properties or more")
	}
	if s.maxProperties >= 0 && len(v.members) > s.maxProperties {
		return violates("must have ", strconv.Itoa(s.maxProperties), " properties or fewer")
	}
	if e := lacks(v, s.required); e != nil {
		return e
	}
	for i := range v.members {
		m := &v.members[i]
		if e := s.checkMember(m, depth); e != nil {
			return e.in(m.name)
		}
		if s.dependent != nil {
			if e := lacks(v, s.dependent[m.name]); e != nil {
				return e
			}
		}
		if dependent := s.dependentSchemas[m.name]; dependent != nil {
			if e := dependent.check(v, depth); e != nil {
				return e
			}
		}
	}
	return nil
}

func lacks(v *value, names []string) *violation {
	for _, name := range names {
		if v.get(name) == nil {
			return violates("lacks the property ", name)
		}
	}
	return nil
}

func (s *schema) checkMember(m *member, depth int) *violation {
	if s.names != nil && s.names.check(&value{kind: text, text: m.name}, depth) != nil {
		return violates("is no name that is allowed")
	}
	property := s.properties[m.name]
	known := property != nil
	if known {
		if e := property.check(&m.value, depth); e != nil {
			return e
		}
	}
	for _, p := range s.patterns {
		if p.pattern.MatchString(m.name) {
			known = true
			if e := p.schema.check(&m.value, depth); e != nil {
				return e
			}
		}
	}
	if known || s.additional == nil {
		return nil
	}
	return s.additional.check(&m.value, depth)
}

func (s *schema) checkArray(v *value, depth int) *violation {
	if len(v.items) < s.minItems {
		return violates("must have ", strconv.Itoa(s.minItems), " items or more")
	}
	if s.maxItems >= 0 && len(v.items) > s.maxItems {
		return violates("must have ", strconv.Itoa(s.maxItems), " items or fewer")
	}
	found := 0
	for i := range v.items {
		item := s.items
		if i < len(s.prefix) {
			item = s.prefix[i]
		}
		if item != nil {
			if e := item.check(&v.items[i], depth); e != nil {
				return e.in(strconv.Itoa(i))
			}
		}
		if s.contains != nil && s.contains.check(&v.items[i], depth) == nil {
			found++
		}
	}
	if s.contains != nil {
		if least := max(s.minContains, 0); found < least || s.minContains < 0 && found < 1 {
			return violates("has too few of the items that it must contain")
		}
		if s.maxContains >= 0 && found > s.maxContains {
			return violates("has too many of the items that it must contain")
		}
	}
	if s.unique && hasTwins(v.items) {
		return violates("has an item twice")
	}
	return nil
}

// hasTwins compares texts and numbers by a map, and only objects and arrays each with each.
func hasTwins(items []value) bool {
	type simple struct {
		kind kind
		text string
		n    float64
	}
	seen := make(map[simple]bool, len(items))
	var nested []*value
	for i := range items {
		v := &items[i]
		if v.kind == array || v.kind == object {
			nested = append(nested, v)
			continue
		}
		key := simple{kind: v.kind, text: v.text}
		if v.kind == number {
			key.text, key.n = "", v.float()
		}
		if seen[key] {
			return true
		}
		seen[key] = true
	}
	for i, v := range nested {
		for _, w := range nested[:i] {
			if v.equal(w) {
				return true
			}
		}
	}
	return false
}

func (s *schema) checkCombined(v *value, depth int) *violation {
	if s.ref != nil {
		if e := s.ref.check(v, depth); e != nil {
			return e
		}
	}
	for _, all := range s.all {
		if e := all.check(v, depth); e != nil {
			return e
		}
	}
	if s.some != nil {
		if e := s.checkSome(v, depth); e != nil {
			return e
		}
	}
	if s.one != nil {
		right := 0
		for _, one := range s.one {
			if one.check(v, depth) == nil {
				right++
			}
		}
		if right != 1 {
			return violates("must be one of ", strconv.Itoa(len(s.one)), " alternatives, and is ", strconv.Itoa(right))
		}
	}
	if s.not != nil && s.not.check(v, depth) == nil {
		return violates("is what it must not be")
	}
	if s.when == nil {
		return nil
	}
	branch := s.or
	if s.when.check(v, depth) == nil {
		branch = s.then
	}
	if branch == nil {
		return nil
	}
	return branch.check(v, depth)
}

// checkSome is for anyOf. When there is only one alternative, its violation says more.
func (s *schema) checkSome(v *value, depth int) (e *violation) {
	for _, some := range s.some {
		if e = some.check(v, depth); e == nil {
			return nil
		}
	}
	if len(s.some) == 1 {
		return e
	}
	return violates("is none of ", strconv.Itoa(len(s.some)), " alternatives")
}
