package lua

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	lua "github.com/yuin/gopher-lua"
)

// maxJSONDepth is the deepest nesting json.decode and json.encode take; a table that contains itself ends there.
const maxJSONDepth = 64

// jsonLibrary is json.decode, json.encode, json.array and json.null. Decoding keeps the order of an object's fields, and
// what was an array stays one when it is empty.
func (in *instance) jsonLibrary() *lua.LTable {
	in.arrayMeta = in.l.CreateTable(0, 1)
	in.arrayMeta.RawSetString("__metatable", lua.LFalse)
	in.null = in.l.NewUserData()
	in.null.Metatable = in.l.CreateTable(0, 2)
	meta := in.null.Metatable.(*lua.LTable)
	meta.RawSetString("__metatable", lua.LFalse)
	meta.RawSetString("__tostring", in.l.NewFunction(func(l *lua.LState) int {
		l.Push(lua.LString("null"))
		return 1
	}))
	t := in.l.CreateTable(0, 4)
	t.RawSetString("null", in.null)
	t.RawSetString("array", in.l.NewFunction(in.array))
	t.RawSetString("decode", in.l.NewFunction(in.decode))
	t.RawSetString("encode", in.l.NewFunction(in.encode))
	return t
}

func (in *instance) array(l *lua.LState) int {
	if l.GetTop() == 0 {
		l.Push(l.CreateTable(0, 0))
	}
	t := writable(l, 1)
	if t.Metatable != lua.LNil && t.Metatable != in.arrayMeta {
		l.ArgError(1, "the table has a metatable")
	}
	t.Metatable = in.arrayMeta
	l.SetTop(1)
	return 1
}

func (in *instance) decode(l *lua.LState) int {
	text := l.CheckString(1)
	in.meter.spendBytes(8 * len(text))
	if !json.Valid([]byte(text)) {
		l.RaiseError("json.decode: not valid JSON: %s", strconv.Quote(text[:min(len(text), 60)]))
	}
	r := jsonReader{in: in, text: text}
	l.Push(r.value(0))
	return 1
}

// jsonReader builds Lua values from text that is known to be valid JSON.
type jsonReader struct {
	in   *instance
	text string
	at   int
}

// next skips white space and returns the character there.
func (r *jsonReader) next() byte {
	for strings.IndexByte(" \t\r\n", r.text[r.at]) >= 0 {
		r.at++
	}
	return r.text[r.at]
}

func (r *jsonReader) value(depth int) lua.LValue {
	if depth > maxJSONDepth {
		r.in.l.RaiseError("json.decode: nested deeper than %d", maxJSONDepth)
	}
	r.in.meter.spend(1)
	switch r.next() {
	case '{':
		return r.object(depth)
	case '[':
		return r.list(depth)
	case '"':
		return lua.LString(r.quoted())
	case 't':
		r.at += len("true")
		return lua.LTrue
	case 'f':
		r.at += len("false")
		return lua.LFalse
	case 'n':
		r.at += len("null")
		return r.in.null
	}
	start := r.at
	for r.at < len(r.text) && strings.IndexByte("+-.eE0123456789", r.text[r.at]) >= 0 {
		r.at++
	}
	n, err := strconv.ParseFloat(r.text[start:r.at], 64)
	if err != nil {
		r.in.l.RaiseError("json.decode: the number %.40s is out of range", r.text[start:r.at])
	}
	return lua.LNumber(n)
}

func (r *jsonReader) object(depth int) lua.LValue {
	t := r.in.l.CreateTable(0, 8)
	r.at++
	for r.next() != '}' {
		if r.text[r.at] == ',' {
			r.at++
			r.next()
		}
		name := r.quoted()
		r.next()
		r.at++ // The colon.
		t.RawSetString(name, r.value(depth+1))
	}
	r.at++
	return t
}

func (r *jsonReader) list(depth int) lua.LValue {
	t := r.in.l.CreateTable(8, 0)
	t.Metatable = r.in.arrayMeta
	r.at++
	for r.next() != ']' {
		if r.text[r.at] == ',' {
			r.at++
		}
		appendTo(r.in.l, t, r.value(depth+1))
	}
	r.at++
	return t
}

func (r *jsonReader) quoted() string {
	start := r.at
	escaped := false
	for r.at++; r.text[r.at] != '"'; r.at++ {
		if r.text[r.at] == '\\' {
			escaped = true
			r.at++
		}
	}
	r.at++
	if !escaped {
		return strings.ToValidUTF8(r.text[start+1:r.at-1], "\ufffd")
	}
	var s string
	if err := json.Unmarshal([]byte(r.text[start:r.at]), &s); err != nil {
		r.in.l.RaiseError("json.decode: %s", err.Error())
	}
	return s
}

func (in *instance) encode(l *lua.LState) int {
	w := jsonWriter{in: in}
	w.value(l.CheckAny(1), 0)
	l.Push(lua.LString(w.out))
	return 1
}

type jsonWriter struct {
	in  *instance
	out []byte
}

func (w *jsonWriter) fail(format string, args ...any) {
	w.in.l.RaiseError("json.encode: "+format, args...)
}

func (w *jsonWriter) value(v lua.LValue, depth int) {
	if depth > maxJSONDepth {
		w.fail("nested deeper than %d", maxJSONDepth)
	}
	if len(w.out) > maxString {
		tooLong(w.in.l, "json.encode")
	}
	w.in.meter.spend(1)
	switch v := v.(type) {
	case lua.LBool:
		w.out = strconv.AppendBool(w.out, bool(v))
	case lua.LNumber:
		w.number(float64(v))
	case lua.LString:
		w.string(string(v))
	case *lua.LTable:
		w.table(v, depth)
	default:
		if v != lua.LNil && v != w.in.null {
			w.fail("a %s has no JSON form", v.Type())
		}
		w.out = append(w.out, "null"...)
	}
}

func (w *jsonWriter) number(n float64) {
	switch {
	case math.IsNaN(n) || math.IsInf(n, 0):
		w.fail("%v has no JSON form", n)
	case n == math.Trunc(n) && math.Abs(n) < 1<<53:
		w.out = strconv.AppendInt(w.out, int64(n), 10)
	default:
		w.out = strconv.AppendFloat(w.out, n, 'g', -1, 64)
	}
}

func (w *jsonWriter) string(s string) {
	w.in.meter.spendBytes(len(s))
	if len(w.out)+len(s) > maxString {
		tooLong(w.in.l, "json.encode")
	}
	w.out = append(w.out, '"')
	for _, r := range s { // Invalid UTF-8 becomes U+FFFD.
		switch {
		case r == '"' || r == '\\':
			w.out = append(w.out, '\\', byte(r))
		case r == '\n':
			w.out = append(w.out, '\\', 'n')
		case r < 0x20:
			const hex = "0123456789abcdef"
			w.out = append(w.out, '\\', 'u', '0', '0', hex[r>>4], hex[r&15])
		default:
			w.out = utf8.AppendRune(w.out, r)
		}
	}
	w.out = append(w.out, '"')
}

// table writes a table as an array when it was decoded from one or marked as one, or when it has elements; else as an object.
func (w *jsonWriter) table(t *lua.LTable, depth int) {
	t = content(t)
	n := t.Len()
	if t.Metatable == w.in.arrayMeta || n > 0 {
		w.array(t, n, depth)
		return
	}
	w.fields(t, depth)
}

// object writes a table as an object, an empty one too.
func (w *jsonWriter) object(t *lua.LTable) { w.fields(content(t), 0) }

func (w *jsonWriter) fields(t *lua.LTable, depth int) {
	w.out = append(w.out, '{')
	first := true
	for key, value := t.Next(lua.LNil); key != lua.LNil; key, value = t.Next(key) {
		name, ok := key.(lua.LString)
		if !ok {
			w.fail("the table has a %s as a key; use strings, or a list without holes", key.Type())
		}
		if !first {
			w.out = append(w.out, ',')
		}
		first = false
		w.string(string(name))
		w.out = append(w.out, ':')
		w.value(value, depth+1)
	}
	w.out = append(w.out, '}')
}

func (w *jsonWriter) array(t *lua.LTable, n, depth int) {
	elements := 0
	for key, _ := t.Next(lua.LNil); key != lua.LNil; key, _ = t.Next(key) {
		if _, ok := key.(lua.LNumber); !ok {
			w.fail("the table is both a list and an object (key %q)", key.String())
		}
		elements++
		w.in.meter.spend(1)
	}
	if elements > n {
		w.fail("the list is too long or has keys that are not 1 to %d", n)
	}
	w.out = append(w.out, '[')
	for i := 1; i <= n; i++ {
		if i > 1 {
			w.out = append(w.out, ',')
		}
		w.value(t.RawGetInt(i), depth+1)
	}
	w.out = append(w.out, ']')
}
