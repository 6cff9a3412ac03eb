package lua

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	lua "github.com/yuin/gopher-lua"

	"github.com/zenconn/server/hooks"
	"github.com/zenconn/server/hooks/host"
)

// event is what a script sees as ev: fields that are made into Lua values when they are read.
type event interface {
	get(in *instance, name string) (value lua.LValue, known bool)
	set(in *instance, name string, value lua.LValue) (writable bool)
	client() *hooks.Client // nil when no client is the cause.
	readable() []string    // Besides the fields of the client.
	writable() []string
	reset()
	modified() bool
}

// clientFields are readable in every hook that has a client. header is a method.
var clientFields = []string{"client", "user", "info", "name", "version", "remote_addr", "transport", "protocol", "user_agent", "header"}

func (in *instance) makeEventMeta() {
	in.methods = map[string]*lua.LFunction{
		"header":    in.l.NewFunction(in.header),
		"subscribe": in.l.NewFunction(in.subscribe),
		"grant":     in.l.NewFunction(in.grant),
	}
	in.eventMeta = in.l.CreateTable(0, 4)
	in.eventMeta.RawSetString("__metatable", lua.LFalse)
	in.eventMeta.RawSetString("__index", in.l.NewFunction(in.readField))
	in.eventMeta.RawSetString("__newindex", in.l.NewFunction(in.writeField))
	in.eventMeta.RawSetString("__tostring", in.l.NewFunction(func(l *lua.LState) int {
		l.Push(lua.LString("event"))
		return 1
	}))
}

// current is argument 1, the event of the running call.
func (in *instance) current(l *lua.LState) event {
	u, ok := l.Get(1).(*lua.LUserData)
	if !ok {
		l.RaiseError("call the event's methods with a colon, as in ev:header(\"X\")")
	}
	ev, ok := u.Value.(event)
	if !ok {
		l.RaiseError("the event is over: ev may be used only during the call it was given to")
	}
	return ev
}

func (in *instance) readField(l *lua.LState) int {
	ev, name := in.current(l), l.CheckString(2)
	value, known := ev.get(in, name)
	if !known {
		fields := ev.readable()
		if ev.client() != nil {
			fields = slices.Concat(fields, clientFields)
		}
		l.RaiseError("this event has no field %q%s; it has %s", name, host.DidYouMean(name, fields), strings.Join(fields, ", "))
	}
	l.Push(value)
	return 1
}

func (in *instance) writeField(l *lua.LState) int {
	ev, name := in.current(l), l.CheckString(2)
	if !ev.set(in, name, l.Get(3)) {
		if len(ev.writable()) == 0 {
			l.RaiseError("the field %q cannot be written: this event only tells", name)
		}
		l.RaiseError("the field %q cannot be written%s; writable here: %s", name, host.DidYouMean(name, ev.writable()),
			strings.Join(ev.writable(), ", "))
	}
	return 0
}

func (in *instance) header(l *lua.LState) int {
	ev, name := in.current(l), l.CheckString(2)
	value := ""
	if c := ev.client(); c != nil && c.Header != nil {
		value = c.Header(name)
	}
	l.Push(lua.LString(value))
	return 1
}

// clientField reads what every event knows about its connection.
func (in *instance) clientField(c *hooks.Client, name string) (lua.LValue, bool) {
	switch name {
	case "user":
		return lua.LString(c.User), true
	case "client":
		return lua.LString(c.ID), true
	case "info":
		return text(c.Info), true
	case "name":
		return lua.LString(c.Name), true
	case "version":
		return lua.LString(c.Version), true
	case "remote_addr":
		return lua.LString(c.RemoteAddr), true
	case "transport":
		return lua.LString(c.Transport), true
	case "protocol":
		return lua.LString(c.Protocol), true
	case "user_agent":
		return lua.LString(c.UserAgent), true
	case "header":
		return in.methods["header"], true
	}
	return lua.LNil, false
}

// text is bytes as a Lua string; nil is nil.
func text(b []byte) lua.LValue {
	if b == nil {
		return lua.LNil
	}
	return lua.LString(b)
}

// changes says whether a call wrote to its event.
type changes struct{ changed bool }

func (c *changes) modified() bool { return c.changed }

// wantText, wantJSON, wantTime, wantBool, wantFlag and wantList check a value written to a field.
func (in *instance) wantText(name string, value lua.LValue) string {
	s, ok := value.(lua.LString)
	if !ok {
		in.l.RaiseError("%s must be a string, not a %s", name, value.Type())
	}
	if !utf8.ValidString(string(s)) {
		in.l.RaiseError("%s is not valid UTF-8", name)
	}
	return string(s)
}

func (in *instance) wantJSON(name string, value lua.LValue) []byte {
	switch v := value.(type) {
	case lua.LString:
		return []byte(v)
	case *lua.LNilType:
		return nil
	}
	in.l.RaiseError("%s must be a string that holds JSON, not a %s; json.encode makes one", name, value.Type())
	return nil
}

func (in *instance) wantTime(name string, value lua.LValue) int64 {
	n, ok := value.(lua.LNumber)
	if value == lua.LNil {
		return 0
	}
	if !ok || float64(n) != math.Trunc(float64(n)) || n < 0 || n > 1<<53 {
		in.l.RaiseError("%s must be whole seconds since 1970, or 0 for never, not %s", name, fmt.Sprintf("%.40s", value.String()))
	}
	return int64(n)
}

func (in *instance) wantBool(name string, value lua.LValue) bool {
	b, ok := value.(lua.LBool)
	if !ok {
		in.l.RaiseError("%s must be true or false, not a %s", name, value.Type())
	}
	return bool(b)
}

func (in *instance) wantFlag(name string, value lua.LValue) *bool {
	switch v := value.(type) {
	case lua.LBool:
		flag := bool(v)
		return &flag
	case *lua.LNilType:
		return nil
	}
	in.l.RaiseError("%s must be true, false, or nil for the namespace's option, not a %s", name, value.Type())
	return nil
}

func (in *instance) wantList(name string, value lua.LValue) []string {
	t, ok := value.(*lua.LTable)
	if !ok {
		in.l.RaiseError("%s must be a list of strings, not a %s", name, value.Type())
	}
	t = content(t)
	list := make([]string, t.Len())
	for i := range list {
		list[i] = in.wantText(name, t.RawGetInt(i+1))
	}
	return list
}
