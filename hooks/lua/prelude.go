package lua

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"time"

	lua "github.com/yuin/gopher-lua"
)

// maxFormat is the longest text that time.parse looks at.
const maxFormat = 64

// timeFunctions are the clock. A time is in milliseconds since 1970, as everywhere but in expire_at.
func (in *instance) timeFunctions() map[string]lua.LGFunction {
	return map[string]lua.LGFunction{
		"now": func(l *lua.LState) int {
			l.Push(lua.LNumber(time.Now().UnixMilli()))
			return 1
		},
		"seconds": func(l *lua.LState) int {
			l.Push(lua.LNumber(time.Now().Unix()))
			return 1
		},
		"format": func(l *lua.LState) int {
			const last = 253402300799999 // The end of the year 9999: what comes after has no such form.
			n := float64(l.CheckNumber(1))
			if !(n >= 0 && n <= last) {
				l.ArgError(1, "milliseconds since 1970 expected")
			}
			l.Push(lua.LString(time.UnixMilli(int64(n)).UTC().Format("2006-01-02T15:04:05.000Z")))
			return 1
		},
		"parse": func(l *lua.LState) int {
			text := l.CheckString(1)
			at, err := time.Parse(time.RFC3339Nano, text[:min(len(text), maxFormat)])
			if err != nil {
				l.Push(lua.LNil)
				return 1
			}
			l.Push(lua.LNumber(at.UnixMilli()))
			return 1
		},
	}
}

// textFunctions are what Lua's string library lacks. None of them knows patterns.
func (in *instance) textFunctions() map[string]lua.LGFunction {
	says := func(f func(text, part string) bool) lua.LGFunction {
		return func(l *lua.LState) int {
			text, part := l.CheckString(1), l.CheckString(2)
			in.meter.spendBytes(len(text) + len(part))
			l.Push(lua.LBool(f(text, part)))
			return 1
		}
	}
	makes := func(name string, grows int, f func(text string) (string, error)) lua.LGFunction {
		return func(l *lua.LState) int {
			text := l.CheckString(1)
			if len(text) > maxString/grows {
				tooLong(l, name)
			}
			in.meter.spendBytes(grows * len(text))
			made, err := f(text)
			if err != nil {
				l.Push(lua.LNil)
				return 1
			}
			l.Push(lua.LString(made))
			return 1
		}
	}
	return map[string]lua.LGFunction{
		"starts_with": says(strings.HasPrefix),
		"ends_with":   says(strings.HasSuffix),
		"contains":    says(strings.Contains),
		"split":       in.split,
		"trim":        makes("strings.trim", 1, func(s string) (string, error) { return strings.TrimSpace(s), nil }),
		"sha256": makes("strings.sha256", 1, func(s string) (string, error) {
			sum := sha256.Sum256([]byte(s))
			return hex.EncodeToString(sum[:]), nil
		}),
		"to_hex": makes("strings.to_hex", 2, func(s string) (string, error) { return hex.EncodeToString([]byte(s)), nil }),
		"from_hex": makes("strings.from_hex", 1, func(s string) (string, error) {
			b, err := hex.DecodeString(s)
			return string(b), err
		}),
		"to_base64": makes("strings.to_base64", 2, func(s string) (string, error) {
			return base64.StdEncoding.EncodeToString([]byte(s)), nil
		}),
		"from_base64": makes("strings.from_base64", 1, func(s string) (string, error) {
			b, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(strings.NewReplacer("-", "+", "_", "/").Replace(s), "="))
			return string(b), err
		}),
	}
}

// split cuts a text at every separator into a list.
func (in *instance) split(l *lua.LState) int {
	text, separator := l.CheckString(1), l.CheckString(2)
	if separator == "" {
		l.ArgError(2, "the separator is empty")
	}
	in.meter.spendBytes(len(text))
	list := l.CreateTable(8, 0)
	list.Metatable = in.arrayMeta
	for part := range strings.SplitSeq(text, separator) {
		in.meter.spend(1)
		appendTo(l, list, lua.LString(part))
	}
	l.Push(list)
	return 1
}
