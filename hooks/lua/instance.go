package lua

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	lua "github.com/yuin/gopher-lua"

	"github.com/zenconn/server/hooks"
	"github.com/zenconn/server/hooks/host"
)

// The limits of an instance. Memory as a whole has none.
const (
	maxElements  = 1 << 16         // A list's positions end below it; positions beyond are ordinary keys.
	maxUnpacked  = 8000            // Values that unpack returns.
	maxDepth     = 200             // Calls within calls.
	minRegisters = 1024            // Values on the stack at first, 16 bytes each,
	maxRegisters = 64 * 1024       // and at most.
	topDeadline  = 1 * time.Second // For running a file from the top, and for calls whose context has no deadline; standstills do not count.
)

// limitArrays bounds what t[67108863] = 1 costs: the machine fills the positions below. The limit is one for the process.
var limitArrays = sync.OnceFunc(func() { lua.MaxArrayIndex = maxElements })

// instance is one Lua state that has run the plugin's file. It answers one call at a time.
type instance struct {
	l         *lua.LState
	meter     meter
	log       *host.Log
	host      *host.Plugin
	hook      hooks.Hook // Of the running call; empty: the file is being run from the top.
	call      host.Call  // Of a function of the server.
	eventMeta *lua.LTable
	arrayMeta *lua.LTable
	null      *lua.LUserData
	methods   map[string]*lua.LFunction  // Of the event.
	hooks     [host.Seats]*lua.LFunction // As they were after the file had run; nil: not defined.

	connect      connectEvent
	refresh      refreshEvent
	subscription subscribeEvent
	channel      channelEvent
	publication  publishEvent
	procedure    rpcEvent
	message      sendEvent
	left         unsubscribeEvent
	gone         disconnectEvent
	record       auditEvent
}

// newInstance makes a state and runs the file in it.
func newInstance(p *program, h *host.Plugin, log *host.Log, config map[string]any) (*instance, error) {
	limitArrays()
	in := &instance{log: log, host: h}
	in.l = lua.NewState(lua.Options{SkipOpenLibs: true, CallStackSize: maxDepth, RegistrySize: minRegisters,
		RegistryMaxSize: maxRegisters, RegistryGrowStep: 8 * minRegisters})
	in.meter.state = in.l
	in.l.SetContext(&in.meter)
	in.meter.startUnhurried()
	if err := in.furnish(config); err != nil {
		return nil, err
	}
	in.l.Push(in.l.NewFunctionFromProto(p.proto))
	in.l.Push(in.l.NewFunction(in.join))
	if err := in.run(1, 0); err != nil {
		in.l.Close()
		return nil, err
	}
	for seat, s := range host.Seating {
		in.hooks[seat], _ = in.l.GetGlobal(s.Function).(*lua.LFunction)
	}
	h.Instances(+1)
	return in, nil
}

// globals are the names of the global variables, sorted.
func (in *instance) globals() []string {
	var names []string
	in.l.G.Global.ForEach(func(key, _ lua.LValue) {
		if name, ok := key.(lua.LString); ok {
			names = append(names, string(name))
		}
	})
	slices.Sort(names)
	return names
}

// furnish puts into the state what a script may use, and nothing else.
func (in *instance) furnish(config map[string]any) error {
	in.l.Push(in.l.NewFunction(lua.OpenBase))
	in.l.Call(0, 0)
	base := in.l.G.Global
	for _, name := range []string{"dofile", "loadfile", "load", "loadstring", "require", "module", "collectgarbage", "_printregs",
		"newproxy", "setfenv", "getfenv", "_GOPHER_LUA_VERSION"} {
		base.RawSetString(name, lua.LNil)
	}
	in.l.SetFuncs(base, in.baseFunctions())

	str := in.library(lua.OpenString)
	in.l.SetFuncs(str, in.stringFunctions())
	str.RawSetString("dump", lua.LNil)
	str.RawSetString("gfind", lua.LNil)
	str.RawSetString("__index", lua.LNil)
	meta := in.l.CreateTable(0, 2)
	meta.RawSetString("__index", str)
	meta.RawSetString("__metatable", lua.LFalse)
	in.l.SetMetatable(lua.LString(""), meta)

	math := in.library(lua.OpenMath)
	math.RawSetString("random", in.l.NewFunction(random))
	math.RawSetString("randomseed", lua.LNil)

	libraries := map[string]*lua.LTable{"string": str, "math": math, "json": in.jsonLibrary(), "log": in.logLibrary(),
		"table":   in.l.SetFuncs(in.l.CreateTable(0, 8), in.tableFunctions()),
		"time":    in.l.SetFuncs(in.l.CreateTable(0, 4), in.timeFunctions()),
		"strings": in.l.SetFuncs(in.l.CreateTable(0, 16), in.textFunctions())}
	in.addServices(libraries)
	for name, library := range libraries {
		base.RawSetString(name, in.freeze(library, "the library "+name+" is read-only"))
	}
	settings, err := in.setting("config", config)
	if err != nil {
		return err
	}
	base.RawSetString("config", settings)
	in.makeEventMeta()
	return nil
}

func (in *instance) library(open lua.LGFunction) *lua.LTable {
	in.l.Push(in.l.NewFunction(open))
	in.l.Call(0, 1)
	t := in.l.CheckTable(-1)
	in.l.Pop(1)
	return t
}

// setting turns a value of the configuration into a read-only Lua value.
func (in *instance) setting(name string, value any) (lua.LValue, error) {
	switch v := value.(type) {
	case nil:
		return lua.LNil, nil
	case bool:
		return lua.LBool(v), nil
	case string:
		return lua.LString(v), nil
	case int:
		return lua.LNumber(v), nil
	case int64:
		return lua.LNumber(v), nil
	case uint64:
		return lua.LNumber(v), nil
	case float64:
		return lua.LNumber(v), nil
	case map[string]any:
		t := in.l.CreateTable(0, len(v))
		for _, key := range slices.Sorted(maps.Keys(v)) {
			field, err := in.setting(name+"."+key, v[key])
			if err != nil {
				return nil, err
			}
			t.RawSetString(key, field)
		}
		return in.freeze(t, "the plugin's configuration is read-only"), nil
	case []any:
		t := in.l.CreateTable(len(v), 0)
		for i, element := range v {
			field, err := in.setting(fmt.Sprintf("%s[%d]", name, i+1), element)
			if err != nil {
				return nil, err
			}
			t.Append(field)
		}
		return in.freeze(t, "the plugin's configuration is read-only"), nil
	}
	return nil, fmt.Errorf("%s: a %T cannot be handed to Lua", name, value)
}

// Answer implements host.Answering: it asks the script about an event.
func (in *instance) Answer(ctx context.Context, seat int, about any) (answer hooks.Answer, err error) {
	ev := in.bind(about)
	defer ev.reset()
	f := in.hooks[seat]
	if f == nil {
		return hooks.Answer{Verdict: hooks.Pass}, nil
	}
	if deadline, ok := ctx.Deadline(); ok {
		in.meter.start(deadline)
	} else {
		in.meter.startUnhurried()
	}
	in.hook = host.Seating[seat].Hook
	u := &lua.LUserData{Value: ev, Env: in.l.Env, Metatable: in.eventMeta} // A new one: last call's must not come to life again.
	in.l.Push(f)
	in.l.Push(u)
	err = in.run(1, 3)
	u.Value = nil
	if err != nil {
		in.l.SetTop(0)
		return hooks.Answer{}, err
	}
	first, second, third := in.l.Get(-3), in.l.Get(-2), in.l.Get(-1)
	in.l.SetTop(0)
	if r, ok := ev.(*rpcEvent); ok && first == lua.LTrue && second != lua.LNil {
		reply, ok := second.(lua.LString)
		if !ok {
			return hooks.Answer{}, fmt.Errorf("returned true and %s; the reply must be a string, which json.encode makes", describe(second))
		}
		r.Reply, r.changed, second = []byte(reply), true, third
	}
	if answer, err = verdict(first, second, third); err != nil {
		return hooks.Answer{}, err
	}
	answer.Modified = ev.modified()
	return answer, nil
}

// run calls what lies on the stack below its arguments. The results stay there.
func (in *instance) run(args, results int) error {
	err := in.l.PCall(args, results, nil)
	if fault := in.meter.err; fault != nil { // Also when the script has caught the error.
		if errors.Is(fault, context.DeadlineExceeded) {
			fault = fmt.Errorf("no answer within the deadline: %w", fault)
		}
		return fmt.Errorf("%s%w", in.meter.where, fault)
	}
	return scriptError(err)
}

// scriptError is what an error of a script says, without the machine's stack trace.
func scriptError(err error) error {
	api, ok := errors.AsType[*lua.ApiError](err)
	if !ok {
		return err
	}
	switch object := api.Object.(type) {
	case lua.LString:
		return errors.New(string(object))
	case nil, *lua.LNilType:
		return errors.New("the script raised nil as an error")
	default:
		return fmt.Errorf("the script raised a %s as an error: %.200s", object.Type(), object.String())
	}
}

// Broken implements host.Instance: the state may no longer be trusted once a call of it was cut off.
func (in *instance) Broken() bool { return in.meter.err != nil }

// Close implements host.Instance.
func (in *instance) Close() {
	in.l.Close()
	in.host.Instances(-1)
}
