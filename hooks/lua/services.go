package lua

import (
	"errors"
	"math"
	"time"

	lua "github.com/yuin/gopher-lua"

	"github.com/zenconn/server/hooks/host"
)

// addServices puts the functions of the server into the libraries they belong to.
func (in *instance) addServices(libraries map[string]*lua.LTable) {
	for _, f := range host.Functions() {
		library, name := f.Library()
		if libraries[library] == nil {
			libraries[library] = in.l.CreateTable(0, 4)
		}
		libraries[library].RawSetString(name, in.l.NewFunction(func(l *lua.LState) int { return in.serve(l, f) }))
	}
}

// serve calls a function of the server. The script gets its results; nil when there is none; or nil and why it could not be done.
func (in *instance) serve(l *lua.LState, f *host.Function) int {
	in.meter.check() // It may wait, and what it costs nobody has counted.
	c := &in.call
	c.Hook, c.Deadline = in.hook, in.meter.deadline
	for i, p := range f.Params {
		c.Args[i] = in.argument(l, i+1, p)
	}
	err := in.host.Call(f, c)
	results := c.Results
	c.Args, c.Results = [host.MaxParams]host.Value{}, [host.MaxResults]host.Value{} // They may be long.
	why, isFailure := errors.AsType[host.Failure](err)
	switch {
	case err == nil:
	case errors.Is(err, host.ErrAbsent):
		l.Push(lua.LNil)
		return 1
	case isFailure:
		l.Push(lua.LNil)
		l.Push(lua.LString(why))
		return 2
	default:
		in.meter.abort(err)
	}
	for i, p := range f.Results {
		l.Push(in.result(results[i], p.Type))
	}
	if len(f.Results) == 0 {
		l.Push(lua.LTrue)
		return 1
	}
	return len(f.Results)
}

// argument reads a parameter, and refuses what is none.
func (in *instance) argument(l *lua.LState, at int, p host.Param) host.Value {
	v := l.Get(at)
	if p.Optional && v == lua.LNil {
		return host.Value{}
	}
	switch p.Type {
	case host.JSON:
		if _, ok := v.(*lua.LTable); !ok {
			l.TypeError(at, lua.LTTable)
		}
		w := jsonWriter{in: in}
		w.object(v.(*lua.LTable))
		return host.Value{Text: string(w.out)}
	case host.Int:
		n := float64(l.CheckNumber(at))
		if n != math.Trunc(n) || math.Abs(n) > 1<<53 {
			l.ArgError(at, "whole number expected")
		}
		return host.Value{Int: int64(n)}
	case host.Duration:
		n := math.Ceil(float64(l.CheckNumber(at)) * 1000)
		if !(math.Abs(n) < 1<<53) {
			l.ArgError(at, "number of seconds expected")
		}
		return host.Value{Int: int64(n)}
	case host.Bool:
		if l.CheckBool(at) {
			return host.Value{Int: 1}
		}
		return host.Value{}
	}
	text := l.CheckString(at)
	in.meter.spendBytes(len(text))
	return host.Value{Text: text}
}

func (in *instance) result(v host.Value, t host.Type) lua.LValue {
	switch t {
	case host.Int:
		return lua.LNumber(v.Int)
	case host.Duration:
		return lua.LNumber(time.Duration(v.Int * int64(time.Millisecond)).Seconds())
	case host.Bool:
		return lua.LBool(v.Int != 0)
	case host.JSON:
		in.meter.spendBytes(8 * len(v.Text))
		r := jsonReader{in: in, text: v.Text}
		return r.value(0)
	}
	in.meter.spendBytes(len(v.Text))
	return lua.LString(v.Text)
}
