package lua

import (
	"log/slog"
	"math/rand/v2"
	"sort"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// frozen marks the metatable of a read-only table. A script cannot make or see one.
type frozen struct{ content *lua.LTable }

const frozenKey = "\x00frozen"

// freeze returns a read-only view of t: an empty table that looks everything up in t. why ends the error a write raises.
func (in *instance) freeze(t *lua.LTable, why string) *lua.LTable {
	mark := in.l.NewUserData()
	mark.Value = &frozen{t}
	meta := in.l.CreateTable(0, 5)
	meta.RawSetString(frozenKey, mark)
	meta.RawSetString("__index", t)
	meta.RawSetString("__newindex", in.l.NewFunction(func(l *lua.LState) int {
		l.RaiseError("cannot set %q: %s", l.Get(2).String(), why)
		return 0
	}))
	meta.RawSetString("__len", in.l.NewFunction(func(l *lua.LState) int {
		l.Push(lua.LNumber(t.Len()))
		return 1
	}))
	meta.RawSetString("__metatable", lua.LFalse)
	view := in.l.CreateTable(0, 0)
	view.Metatable = meta
	return view
}

// content is what a table holds: t itself, or what it is a view of.
func content(t *lua.LTable) *lua.LTable {
	if f := frozenIn(t); f != nil {
		return f.content
	}
	return t
}

func frozenIn(t *lua.LTable) *frozen {
	meta, ok := t.Metatable.(*lua.LTable)
	if !ok {
		return nil
	}
	mark, ok := meta.RawGetString(frozenKey).(*lua.LUserData)
	if !ok {
		return nil
	}
	return mark.Value.(*frozen)
}

// readable is argument n, a table, seen through freeze.
func readable(l *lua.LState, n int) *lua.LTable { return content(l.CheckTable(n)) }

// writable is argument n, a table that is not frozen.
func writable(l *lua.LState, n int) *lua.LTable {
	t := l.CheckTable(n)
	if frozenIn(t) != nil {
		l.ArgError(n, "the table is read-only")
	}
	return t
}

// baseFunctions replace those of the machine that would break a frozen table or another value's metatable.
func (in *instance) baseFunctions() map[string]lua.LGFunction {
	step := in.l.NewFunction(nextPair)
	indexed := in.l.NewFunction(nextIndexed)
	return map[string]lua.LGFunction{
		"next": nextPair,
		"pairs": func(l *lua.LState) int {
			l.CheckTable(1)
			l.Push(step)
			l.Push(l.Get(1)) // Not its content, which would let the script write to a frozen table.
			l.Push(lua.LNil)
			return 3
		},
		"ipairs": func(l *lua.LState) int {
			l.CheckTable(1)
			l.Push(indexed)
			l.Push(l.Get(1))
			l.Push(lua.LNumber(0))
			return 3
		},
		"rawget": func(l *lua.LState) int {
			l.Push(l.RawGet(readable(l, 1), l.CheckAny(2)))
			return 1
		},
		"rawset": func(l *lua.LState) int {
			l.RawSet(writable(l, 1), l.CheckAny(2), l.CheckAny(3))
			l.SetTop(1)
			return 1
		},
		"setmetatable": setMetatable,
		"unpack":       in.unpack,
		"print": func(l *lua.LState) int {
			words := make([]string, l.GetTop())
			for i := range words {
				words[i] = l.ToStringMeta(l.Get(i + 1)).String()
			}
			in.log.Write(slog.LevelInfo, strings.Join(words, " "))
			return 0
		},
	}
}

func nextPair(l *lua.LState) int {
	key, value := readable(l, 1).Next(l.Get(2))
	if key == lua.LNil {
		l.Push(lua.LNil)
		return 1
	}
	l.Push(key)
	l.Push(value)
	return 2
}

func nextIndexed(l *lua.LState) int {
	i := l.CheckInt(2) + 1
	value := readable(l, 1).RawGetInt(i)
	if value == lua.LNil {
		return 0
	}
	l.Push(lua.LNumber(i))
	l.Push(value)
	return 2
}

func setMetatable(l *lua.LState) int {
	t := l.CheckTable(1)
	l.CheckTypes(2, lua.LTNil, lua.LTTable)
	if meta, ok := t.Metatable.(*lua.LTable); ok && meta.RawGetString("__metatable") != lua.LNil {
		l.RaiseError("cannot change a protected metatable")
	}
	t.Metatable = l.Get(2)
	l.SetTop(1)
	return 1
}

func (in *instance) unpack(l *lua.LState) int {
	t := readable(l, 1)
	first, last := l.OptInt(2, 1), l.OptInt(3, t.Len())
	if first > last {
		return 0
	}
	if last-first >= maxUnpacked || last-first < 0 {
		l.RaiseError("too many results to unpack")
	}
	in.meter.spend((last - first) / 16)
	for i := first; i <= last; i++ {
		l.Push(t.RawGetInt(i))
	}
	return last - first + 1
}

// tableFunctions are Lua's table library with bounded work.
func (in *instance) tableFunctions() map[string]lua.LGFunction {
	return map[string]lua.LGFunction{
		"concat": in.concatTable,
		"sort":   in.sortTable,
		"insert": in.insert,
		"remove": func(l *lua.LState) int {
			t := writable(l, 1)
			in.meter.spend(1 + t.Len()/256)
			if l.GetTop() == 1 {
				l.Push(t.Remove(-1))
			} else {
				l.Push(t.Remove(l.CheckInt(2)))
			}
			return 1
		},
		"maxn": func(l *lua.LState) int {
			l.Push(lua.LNumber(readable(l, 1).MaxN()))
			return 1
		},
		"getn": func(l *lua.LState) int {
			l.Push(lua.LNumber(readable(l, 1).Len()))
			return 1
		},
	}
}

func (in *instance) insert(l *lua.LState) int {
	t := writable(l, 1)
	switch l.GetTop() {
	case 2:
		appendTo(l, t, l.Get(2))
	case 3:
		checkRoom(l, t)
		in.meter.spend(1 + t.Len()/256)
		t.Insert(l.CheckInt(2), l.Get(3))
	default:
		l.RaiseError("wrong number of arguments to 'insert'")
	}
	return 0
}

func appendTo(l *lua.LState, t *lua.LTable, v lua.LValue) {
	checkRoom(l, t)
	t.Append(v)
}

func checkRoom(l *lua.LState, t *lua.LTable) {
	if t.Len() >= maxElements-1 {
		l.RaiseError("a list has at most %d elements", maxElements-1)
	}
}

func (in *instance) concatTable(l *lua.LState) int {
	t, separator := readable(l, 1), l.OptString(2, "")
	first, last := l.OptInt(3, 1), l.OptInt(4, t.Len())
	var b strings.Builder
	for i := first; i <= last; i++ {
		v := t.RawGetInt(i)
		if !lua.LVCanConvToString(v) {
			l.RaiseError("invalid value (a %s) at index %d in table for 'concat'", v.Type(), i)
		}
		s := lua.LVAsString(v)
		if b.Len()+len(s)+len(separator) > maxString {
			tooLong(l, "table.concat")
		}
		in.meter.spendBytes(len(s) + len(separator))
		b.WriteString(s)
		if i < last {
			b.WriteString(separator)
		}
	}
	l.Push(lua.LString(b.String()))
	return 1
}

// sortTable sorts a copy and writes it back, so that a comparison that changes the table cannot confuse the sort.
func (in *instance) sortTable(l *lua.LState) int {
	t := writable(l, 1)
	s := sorter{in: in, l: l, values: make([]lua.LValue, t.Len())}
	if l.GetTop() > 1 {
		s.less = l.CheckFunction(2)
	}
	for i := range s.values {
		s.values[i] = t.RawGetInt(i + 1)
	}
	sort.Sort(&s)
	for i, v := range s.values {
		t.RawSetInt(i+1, v)
	}
	return 0
}

type sorter struct {
	in     *instance
	l      *lua.LState
	less   *lua.LFunction
	values []lua.LValue
}

func (s *sorter) Len() int      { return len(s.values) }
func (s *sorter) Swap(i, j int) { s.values[i], s.values[j] = s.values[j], s.values[i] }

func (s *sorter) Less(i, j int) bool {
	a, b := s.values[i], s.values[j]
	if s.less != nil {
		s.l.Push(s.less)
		s.l.Push(a)
		s.l.Push(b)
		s.l.Call(2, 1)
		result := lua.LVAsBool(s.l.Get(-1))
		s.l.Pop(1)
		return result
	}
	if text, ok := a.(lua.LString); ok {
		s.in.meter.spendBytes(len(text))
		if other, ok := b.(lua.LString); ok {
			return text < other
		}
	}
	s.in.meter.spend(1)
	return s.l.LessThan(a, b)
}

// random is math.random: [0,1), or a whole number from 1 to m, or from m to n. Like Lua's, it is not for secrets.
func random(l *lua.LState) int {
	if l.GetTop() == 0 {
		l.Push(lua.LNumber(rand.Float64())) //nolint:gosec // What a script calls math.random is no source of secrets.
		return 1
	}
	low, high := int64(1), l.CheckInt64(1)
	if l.GetTop() > 1 {
		low, high = high, l.CheckInt64(2)
	}
	if low > high || high-low < 0 || high-low+1 <= 0 {
		l.ArgError(l.GetTop(), "interval is empty or too large")
	}
	l.Push(lua.LNumber(low + rand.Int64N(high-low+1))) //nolint:gosec // See above.
	return 1
}
