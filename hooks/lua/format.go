package lua

import (
	"fmt"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// format is string.format with C's conversions. Width and precision have at most two digits, as in Lua.
func (in *instance) format(l *lua.LState) int {
	f := l.CheckString(1)
	var b strings.Builder
	next := 2
	for i := 0; i < len(f); i++ {
		if f[i] != '%' {
			b.WriteByte(f[i])
			continue
		}
		if i++; i < len(f) && f[i] == '%' {
			b.WriteByte('%')
			continue
		}
		start := i
		for i < len(f) && strings.IndexByte("-+ #0123456789.", f[i]) >= 0 {
			i++
		}
		if i == len(f) {
			l.RaiseError("invalid option at the end of the format")
		}
		options := f[start:i]
		checkFormat(l, options)
		in.formatOne(l, &b, options, f[i], next)
		next++
		in.meter.spend(4)
		if b.Len() > maxString {
			tooLong(l, "string.format")
		}
	}
	in.meter.spendBytes(b.Len())
	l.Push(lua.LString(b.String()))
	return 1
}

func checkFormat(l *lua.LState, options string) {
	digits := 0
	for i := range len(options) {
		if isDigit(options[i]) {
			digits++
		} else {
			digits = 0
		}
		if digits > 2 || len(options) > 10 {
			l.RaiseError("invalid format (width or precision longer than two digits)")
		}
	}
}

func (in *instance) formatOne(l *lua.LState, b *strings.Builder, options string, conversion byte, arg int) {
	switch conversion {
	case 'd', 'i':
		fmt.Fprintf(b, "%"+options+"d", int64(l.CheckNumber(arg)))
	case 'u', 'o', 'x', 'X':
		if conversion == 'u' {
			conversion = 'd'
		}
		fmt.Fprintf(b, "%"+options+string(conversion), uint64(int64(l.CheckNumber(arg))))
	case 'c':
		b.WriteByte(byte(l.CheckInt(arg)))
	case 'e', 'E', 'f', 'g', 'G':
		if !strings.Contains(options, ".") {
			options += ".6"
		}
		fmt.Fprintf(b, "%"+options+string(conversion), float64(l.CheckNumber(arg)))
	case 'q':
		fmt.Fprintf(b, "%q", l.CheckString(arg))
	case 's':
		s := lua.LVAsString(l.ToStringMeta(l.CheckAny(arg)))
		if b.Len()+len(s) > maxString {
			tooLong(l, "string.format")
		}
		fmt.Fprintf(b, "%"+options+"s", s)
	default:
		l.RaiseError("invalid option '%%%c' to 'format'", conversion)
	}
}
