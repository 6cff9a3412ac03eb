package main

import (
	"encoding/json"
	"errors"
	"strconv"
	"unicode/utf8"
)

// kind is what a JSON value is. A number that is whole is also a number.
type kind uint8

const (
	null kind = 1 << iota
	boolean
	text
	number
	array
	object
	integer // Only in a schema's types.
)

var kindNames = []struct {
	kind kind
	name string
}{
	{null, "null"}, {boolean, "boolean"}, {text, "string"}, {number, "number"}, {integer, "integer"}, {array, "array"}, {object, "object"},
}

// value is a JSON value. Its parts point into what it was read from.
type value struct {
	kind    kind
	text    string  // Of a string, without quotes and escapes; of a number, as it was written; "true" or "false".
	items   []value // Of an array.
	members []member
}

// member is what an object has. Those of an object have different names and stand in the order of the text.
type member struct {
	name  string
	value value
}

func (v *value) get(name string) *value {
	for i := range v.members {
		if v.members[i].name == name {
			return &v.members[i].value
		}
	}
	return nil
}

// float is a number's value; one that is too large is infinite.
func (v *value) float() float64 {
	f, _ := strconv.ParseFloat(v.text, 64)
	return f
}

// equal compares as JSON Schema does: 1 and 1.0 are the same, the order of members makes no difference.
func (v *value) equal(w *value) bool {
	if v.kind != w.kind || len(v.items) != len(w.items) || len(v.members) != len(w.members) {
		return false
	}
	if v.kind == number {
		return v.text == w.text || v.float() == w.float()
	}
	if v.text != w.text {
		return false
	}
	for i := range v.items {
		if !v.items[i].equal(&w.items[i]) {
			return false
		}
	}
	for i := range v.members {
		other := w.get(v.members[i].name)
		if other == nil || !v.members[i].value.equal(other) {
			return false
		}
	}
	return true
}

// maxDepth is how deep values may be nested, which is more than clients of a server may send.
const maxDepth = 200

var (
	errNotJSON = errors.New("this is not JSON")
	errDeep    = errors.New("this is nested too deep")
)

// parse reads a JSON text (RFC 8259). Objects that have a name twice are refused: readers differ in which one they take.
func parse(b []byte) (value, error) {
	p := parser{b: b, s: string(b)}
	v, err := p.value(0)
	if err != nil {
		return v, err
	}
	if p.space(); p.at != len(b) {
		return v, errNotJSON
	}
	return v, nil
}

type parser struct {
	b  []byte
	s  string // The same, for parts to point into.
	at int
}

func (p *parser) space() {
	for p.at < len(p.s) && (p.s[p.at] == ' ' || p.s[p.at] == '\n' || p.s[p.at] == '\t' || p.s[p.at] == '\r') {
		p.at++
	}
}

// next is the next byte that is no space, or 0.
func (p *parser) next() byte {
	if p.space(); p.at < len(p.s) {
		return p.s[p.at]
	}
	return 0
}

func (p *parser) value(depth int) (v value, err error) {
	if depth > maxDepth {
		return v, errDeep
	}
	switch c := p.next(); c {
	case '{':
		return p.object(depth)
	case '[':
		return p.array(depth)
	case '"':
		v.kind = text
		v.text, err = p.string()
		return v, err
	case 'n':
		return p.word(null, "null")
	case 't':
		return p.word(boolean, "true")
	case 'f':
		return p.word(boolean, "false")
	}
	return p.number()
}

func (p *parser) word(k kind, word string) (value, error) {
	if len(p.s)-p.at < len(word) || p.s[p.at:p.at+len(word)] != word {
		return value{}, errNotJSON
	}
	p.at += len(word)
	return value{kind: k, text: word}, nil
}

func (p *parser) digits() bool {
	start := p.at
	for p.at < len(p.s) && p.s[p.at] >= '0' && p.s[p.at] <= '9' {
		p.at++
	}
	return p.at > start
}

func (p *parser) is(c byte) bool {
	if p.at < len(p.s) && p.s[p.at] == c {
		p.at++
		return true
	}
	return false
}

func (p *parser) number() (value, error) {
	start := p.at
	p.is('-')
	if !p.is('0') && !p.digits() {
		return value{}, errNotJSON
	}
	if p.is('.') && !p.digits() {
		return value{}, errNotJSON
	}
	if p.is('e') || p.is('E') {
		if !p.is('+') {
			p.is('-')
		}
		if !p.digits() {
			return value{}, errNotJSON
		}
	}
	return value{kind: number, text: p.s[start:p.at]}, nil
}

// string reads a string. One with escapes, or with bytes that are no UTF-8, is left to the library.
func (p *parser) string() (string, error) {
	start, plain := p.at, true
	for p.at++; p.at < len(p.s); p.at++ {
		switch c := p.s[p.at]; {
		case c == '\\':
			plain = false
			p.at++
		case c == '"':
			p.at++
			if whole := p.s[start+1 : p.at-1]; plain && utf8.ValidString(whole) {
				return whole, nil
			}
			var s string
			if json.Unmarshal(p.b[start:p.at], &s) != nil {
				return "", errNotJSON
			}
			return s, nil
		case c < ' ':
			return "", errNotJSON
		}
	}
	return "", errNotJSON
}

func (p *parser) array(depth int) (value, error) {
	v := value{kind: array}
	p.at++
	if p.next() == ']' {
		p.at++
		return v, nil
	}
	for {
		item, err := p.value(depth + 1)
		if err != nil {
			return v, err
		}
		v.items = append(v.items, item)
		switch p.next() {
		case ',':
			p.at++
		case ']':
			p.at++
			return v, nil
		default:
			return v, errNotJSON
		}
	}
}

// manyMembers is from where on a map finds a name faster than a look at all.
const manyMembers = 16

func (p *parser) object(depth int) (value, error) {
	v := value{kind: object}
	var names map[string]bool
	p.at++
	if p.next() == '}' {
		p.at++
		return v, nil
	}
	v.members = make([]member, 0, 4)
	for {
		if p.next() != '"' {
			return v, errNotJSON
		}
		name, err := p.string()
		if err != nil {
			return v, err
		}
		if p.next() != ':' {
			return v, errNotJSON
		}
		p.at++
		if len(v.members) == manyMembers {
			names = map[string]bool{}
			for i := range v.members {
				names[v.members[i].name] = true
			}
		}
		if names[name] || names == nil && v.get(name) != nil {
			return v, errors.New("an object has the name " + strconv.Quote(name) + " twice")
		}
		if names != nil {
			names[name] = true
		}
		item, err := p.value(depth + 1)
		if err != nil {
			return v, err
		}
		v.members = append(v.members, member{name, item})
		switch p.next() {
		case ',':
			p.at++
		case '}':
			p.at++
			return v, nil
		default:
			return v, errNotJSON
		}
	}
}
