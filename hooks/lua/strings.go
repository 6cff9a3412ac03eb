package lua

import (
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// maxString is the longest string, in bytes, that a script may make. Longer ones may come in with an event.
const maxString = 1 << 20

// stringFunctions are the functions of Lua's string library whose work or result could be without bound. The others are the
// machine's own.
func (in *instance) stringFunctions() map[string]lua.LGFunction {
	return map[string]lua.LGFunction{
		"byte":    bytesOf,
		"find":    in.find,
		"match":   in.matchString,
		"gmatch":  in.gmatch,
		"gsub":    in.gsub,
		"format":  in.format,
		"rep":     in.repeatString,
		"lower":   in.eachByte(strings.ToLower),
		"upper":   in.eachByte(strings.ToUpper),
		"reverse": in.eachByte(reverse),
	}
}

// bytesOf is string.byte.
func bytesOf(l *lua.LState) int {
	s, first := l.CheckString(1), l.OptInt(2, 1)
	last := l.OptInt(3, first)
	if last < 0 {
		last += len(s) + 1
	}
	start, end := startOffset(s, first), min(last, len(s))
	if end-start > maxUnpacked {
		l.RaiseError("string.byte: more than %d results", maxUnpacked)
	}
	for i := start; i < end; i++ {
		l.Push(lua.LNumber(s[i]))
	}
	return max(end-start, 0)
}

func reverse(s string) string {
	b := make([]byte, len(s))
	for i := range len(s) {
		b[len(s)-1-i] = s[i]
	}
	return string(b)
}

func (in *instance) eachByte(f func(string) string) lua.LGFunction {
	return func(l *lua.LState) int {
		s := l.CheckString(1)
		in.meter.spendBytes(len(s))
		l.Push(lua.LString(f(s)))
		return 1
	}
}

func tooLong(l *lua.LState, what string) {
	l.RaiseError("%s: the result would be longer than %d bytes", what, maxString)
}

func (in *instance) repeatString(l *lua.LState) int {
	s, n := l.CheckString(1), max(l.CheckInt(2), 0)
	if len(s) > 0 && n > maxString/len(s) {
		tooLong(l, "string.rep")
	}
	in.meter.spendBytes(n * len(s))
	l.Push(lua.LString(strings.Repeat(s, n)))
	return 1
}

// join is what a concatenation calls. Like Lua's, it goes from right to left and asks __concat about what is no string.
func (in *instance) join(l *lua.LState) int {
	n := l.GetTop()
	length := 0
	for i := 1; i <= n; i++ {
		switch v := l.Get(i).(type) {
		case lua.LString:
			length += len(v)
		case lua.LNumber:
			length += 24
		default:
			return in.joinOthers(l, n)
		}
		if length > maxString {
			tooLong(l, "..")
		}
	}
	in.meter.spendBytes(length)
	if n == 2 {
		l.Push(lua.LString(lua.LVAsString(l.Get(1)) + lua.LVAsString(l.Get(2))))
		return 1
	}
	var b strings.Builder
	b.Grow(length)
	for i := 1; i <= n; i++ {
		b.WriteString(lua.LVAsString(l.Get(i)))
	}
	l.Push(lua.LString(b.String()))
	return 1
}

func (in *instance) joinOthers(l *lua.LState, n int) int {
	right := l.Get(n)
	for i := n - 1; i >= 1; i-- {
		left := l.Get(i)
		if lua.LVCanConvToString(left) && lua.LVCanConvToString(right) {
			a, b := lua.LVAsString(left), lua.LVAsString(right)
			if len(a)+len(b) > maxString {
				tooLong(l, "..")
			}
			in.meter.spendBytes(len(a) + len(b))
			right = lua.LString(a + b)
			continue
		}
		handler := l.GetMetaField(left, "__concat")
		if handler == lua.LNil {
			handler = l.GetMetaField(right, "__concat")
		}
		if handler == lua.LNil {
			culprit := right
			if !lua.LVCanConvToString(left) {
				culprit = left
			}
			l.RaiseError("attempt to concatenate a %s value", culprit.Type())
		}
		l.Push(handler)
		l.Push(left)
		l.Push(right)
		l.Call(2, 1)
		right = l.Get(-1)
		l.Pop(1)
	}
	l.Push(right)
	return 1
}

// startOffset turns Lua's position, which may be negative, into a byte offset of s.
func startOffset(s string, position int) int {
	switch {
	case position > 0:
		return position - 1
	case position < 0:
		return max(len(s)+position, 0)
	}
	return 0
}

func (in *instance) matcher(l *lua.LState, text, pattern string) *matcher {
	return &matcher{text: text, pattern: pattern, plain: isPlain(pattern), step: in.meter.spend,
		fail: func(message string) { l.RaiseError("%s", message) }}
}

// seek finds the first match from offset on; first < 0 means none.
func (m *matcher) seek(offset int, anchored bool) (first, end int) {
	if m.plain {
		return m.seekPlain(offset)
	}
	p := 0
	if anchored {
		p = 1
	}
	for s := offset; s <= len(m.text); s++ {
		m.captured, m.depth = 0, 0
		if end := m.match(s, p); end >= 0 {
			return s, end
		}
		if anchored {
			break
		}
	}
	return -1, -1
}

func (m *matcher) seekPlain(offset int) (first, end int) {
	if offset > len(m.text) {
		return -1, -1
	}
	at := strings.Index(m.text[offset:], m.pattern)
	if at < 0 {
		m.step(1 + (len(m.text)-offset)/256)
		return -1, -1
	}
	m.step(1 + at/256)
	return offset + at, offset + at + len(m.pattern)
}

// value is capture i of a match that goes from first to end. Without captures, the whole match is capture 0.
func (m *matcher) value(i, first, end int) lua.LValue {
	if i >= m.captured {
		if i != 0 {
			m.fail("invalid capture index")
		}
		return lua.LString(m.text[first:end])
	}
	switch c := m.captures[i]; c.length {
	case capturePosition:
		return lua.LNumber(c.start + 1)
	case captureOpen:
		m.fail("unfinished capture")
		return lua.LNil
	default:
		return lua.LString(m.text[c.start : c.start+c.length])
	}
}

// pushCaptures pushes all captures, or the whole match when there are none.
func (m *matcher) pushCaptures(l *lua.LState, first, end int) int {
	n := max(m.captured, 1)
	for i := range n {
		l.Push(m.value(i, first, end))
	}
	return n
}

func (in *instance) find(l *lua.LState) int {
	text, pattern := l.CheckString(1), l.CheckString(2)
	offset := startOffset(text, l.OptInt(3, 1))
	if offset > len(text) {
		l.Push(lua.LNil)
		return 1
	}
	m := in.matcher(l, text, pattern)
	m.plain = m.plain || lua.LVAsBool(l.Get(4))
	first, end := m.seek(offset, strings.HasPrefix(pattern, "^"))
	if first < 0 {
		l.Push(lua.LNil)
		return 1
	}
	l.Push(lua.LNumber(first + 1))
	l.Push(lua.LNumber(end))
	if m.captured == 0 {
		return 2
	}
	return 2 + m.pushCaptures(l, first, end)
}

func (in *instance) matchString(l *lua.LState) int {
	text, pattern := l.CheckString(1), l.CheckString(2)
	m := in.matcher(l, text, pattern)
	first, end := m.seek(startOffset(text, l.OptInt(3, 1)), strings.HasPrefix(pattern, "^"))
	if first < 0 {
		l.Push(lua.LNil)
		return 1
	}
	return m.pushCaptures(l, first, end)
}

func (in *instance) gmatch(l *lua.LState) int {
	m := in.matcher(l, l.CheckString(1), l.CheckString(2))
	offset := 0
	l.Push(l.NewFunction(func(l *lua.LState) int {
		m.fail = func(message string) { l.RaiseError("%s", message) }
		first, end := m.seek(offset, false)
		if first < 0 {
			offset = len(m.text) + 1
			l.Push(lua.LNil)
			return 1
		}
		offset = end
		if end == first {
			offset++
		}
		return m.pushCaptures(l, first, end)
	}))
	return 1
}

func (in *instance) gsub(l *lua.LState) int {
	text, pattern := l.CheckString(1), l.CheckString(2)
	l.CheckTypes(3, lua.LTString, lua.LTNumber, lua.LTTable, lua.LTFunction)
	limit := l.OptInt(4, len(text)+1)
	replacement := l.Get(3)
	anchored := strings.HasPrefix(pattern, "^")
	m := in.matcher(l, text, pattern)
	var b strings.Builder
	count, offset := 0, 0
	for count < limit {
		first, end := m.seek(offset, anchored)
		if first < 0 {
			break
		}
		count++
		b.WriteString(text[offset:first])
		in.replace(l, m, &b, replacement, first, end)
		offset = end
		if end == first {
			if first < len(text) {
				b.WriteByte(text[first])
			}
			offset++
		}
		if b.Len() > maxString {
			tooLong(l, "string.gsub")
		}
		if anchored || offset > len(text) {
			break
		}
	}
	if offset < len(text) {
		b.WriteString(text[offset:])
	}
	in.meter.spendBytes(b.Len())
	l.Push(lua.LString(b.String()))
	l.Push(lua.LNumber(count))
	return 2
}

// replace writes what takes the place of one match.
func (in *instance) replace(l *lua.LState, m *matcher, b *strings.Builder, replacement lua.LValue, first, end int) {
	var value lua.LValue
	switch r := replacement.(type) {
	case *lua.LTable:
		value = l.GetTable(r, m.value(0, first, end))
	case *lua.LFunction:
		captured, captures := m.captured, m.captures // The function may match, but never with this matcher.
		l.Push(r)
		l.Call(m.pushCaptures(l, first, end), 1)
		m.captured, m.captures = captured, captures
		value = l.Get(-1)
		l.Pop(1)
	default:
		in.expand(l, m, b, lua.LVAsString(r), first, end)
		return
	}
	switch {
	case !lua.LVAsBool(value):
		b.WriteString(m.text[first:end])
	case lua.LVCanConvToString(value):
		b.WriteString(lua.LVAsString(value))
	default:
		l.RaiseError("invalid replacement value (a %s)", value.Type())
	}
}

// expand writes a replacement string, in which %0 to %9 stand for captures.
func (in *instance) expand(l *lua.LState, m *matcher, b *strings.Builder, r string, first, end int) {
	if b.Len()+len(r) > maxString {
		tooLong(l, "string.gsub")
	}
	in.meter.spendBytes(len(r))
	for i := 0; i < len(r); i++ {
		if r[i] != '%' || i+1 == len(r) {
			b.WriteByte(r[i])
			continue
		}
		i++
		switch c := r[i]; {
		case c == '0':
			b.WriteString(m.text[first:end])
		case isDigit(c):
			b.WriteString(lua.LVAsString(m.value(int(c-'1'), first, end)))
		default:
			b.WriteByte(c)
		}
		if b.Len() > maxString {
			tooLong(l, "string.gsub")
		}
	}
}
