package lua_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/zenconn/server/hooks"
	"github.com/zenconn/server/hooks/hooktest"
	"github.com/zenconn/server/hooks/lua"
)

// tooSlow only finds what hangs: the deadline in these tests is far shorter.
const tooSlow = time.Minute

func loadScript(t testing.TB, script string, o lua.Options) *lua.Plugin {
	t.Helper()
	p, err := lua.LoadSource("test.lua", []byte(script), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// Every script here tries to keep the server busy, fill its memory, or break the instance for the next call. evil() is called
// when the data is "evil"; afterwards an ordinary call must answer as ever.
func TestHostileScripts(t *testing.T) {
	const deadline = "deadline"
	for _, tt := range []struct{ name, evil, want string }{
		{"endless loop", `while true do end`, deadline},
		{"loop in pcall", `while true do pcall(function() while true do end end) end`, deadline},
		{"loop in xpcall's handler", `while true do xpcall(function() error("x") end, function() while true do end end) end`, deadline},
		{"the answer after a caught deadline", `pcall(function() while true do end end) return true`, deadline},
		{"loop in a metamethod", `local t = setmetatable({}, {__index = function() while true do end end}) return t.x`, deadline},
		{"loop in a sort", `local t = {} for i = 1, 1000 do t[i] = i end
			table.sort(t, function(a, b) while true do end end)`, deadline},
		{"lying comparison", `local t = {} for i = 1, 60000 do t[i] = i end
			while true do table.sort(t, function(a, b) return true end) end`, deadline},
		{"sorting long equal strings", `local s, t = ("x"):rep(2^19), {} for i = 1, 20000 do t[i] = s .. i end table.sort(t)`, deadline},
		{"string.rep", `return #string.rep("x", 2^30)`, "longer than"},
		{"string.rep of nothing", `return #string.rep("", 2^53)`, "returned 0"},
		{"string.rep, negative", `return #string.rep("x", -5)`, "returned 0"},
		{"string.rep again and again", `local t = {} while true do t[1] = string.rep("x", 2^20) end`, deadline},
		{"endless ..", `local s = "x" while true do s = s .. s end`, "longer than"},
		{"endless .. in pcall", `while true do pcall(function() local s = "x" while true do s = s .. s end end) end`, deadline},
		{".. of many", `local s = ("x"):rep(2^19) return s .. s .. s .. s`, "longer than"},
		{"table.concat", `local t, s = {}, ("x"):rep(2^19) for i = 1, 1000 do t[i] = s end return table.concat(t)`, "longer than"},
		{"table.concat's range", `return table.concat({}, "x", 1, 2^40)`, "invalid value"},
		{"gsub that grows", `local s = ("x"):rep(40000) return #s:gsub(".", s)`, "longer than"},
		{"gsub by captures that grow", `local s = ("x"):rep(40000) return #s:gsub(".*", ("%0"):rep(1000))`, "longer than"},
		{"format with a wide field", `return #string.format("%999999d", 1)`, "invalid format"},
		{"format of many", `return #string.format(("%99d"):rep(2^15), unpack({}))`, "number expected"},
		{"backtracking", `return string.find(("a"):rep(34), ("a?"):rep(34) .. ("a"):rep(34))`, deadline},
		{"backtracking stars", `return string.find(("a"):rep(5000), ("a*"):rep(20) .. "b")`, deadline},
		{"backtracking in gmatch", `for x in string.gmatch(("a"):rep(5000), (".-"):rep(10) .. "b") do end`, deadline},
		{"backtracking in gsub", `return string.gsub(("a"):rep(5000), (".-"):rep(10) .. "b", "")`, deadline},
		{"deep pattern", `return string.find(("x"):rep(5000), ("(x"):rep(5000))`, "too"},
		{"nested choice", `return string.find(("x"):rep(5000), ("x?"):rep(5000))`, "too complex"},
		{"balance in a loop", `local s = ("("):rep(2^19) while true do s:find("%b()") end`, deadline},
		{"huge index", `local t = {} t[67108863] = 1 return #t`, "returned 0"},
		{"huge tables", `local all = {} while true do local t = {} t[65535] = 1 all[1] = t end`, deadline},
		{"insert without end", `local t = {} while true do table.insert(t, 1) end`, "at most 65535"},
		{"growing table", `local t, i = {}, 0 while true do i = i + 1 t["k" .. i % 5000] = i end`, deadline},
		{"deep recursion", `local function f() return 1 + f() end return f()`, "stack overflow"},
		{"deep recursion in pcall", `local function f() pcall(f) return f() end f()`, deadline},
		{"endless tail calls", `local function f() return f() end return f()`, deadline},
		{"recursive metatables", `local t = {} setmetatable(t, {__index = t}) return t.x`, "too many recursions"},
		{"recursive tostring", `local t; t = setmetatable({}, {__tostring = function() return tostring(t) end}) return tostring(t)`, "stack overflow"},
		{"unpack", `return select("#", unpack({}, 1, 2^31))`, "too many results"},
		{"unpack, overflowing", `return select("#", unpack({}, -2^53, 2^53))`, "too many results"},
		{"many arguments", `return string.char(unpack({}, 1, 7000))`, "number expected"},
		{"string.byte of much", `return select("#", (("x"):rep(2^20)):byte(1, -1))`, "more than 8000 results"},
		{"nested JSON", `return json.decode(("["):rep(5000) .. ("]"):rep(5000))`, "nested deeper"},
		{"endless JSON", `while true do pcall(json.decode, "[" .. ("1,"):rep(2^18) .. "1]") end`, deadline},
		{"table within itself", `local t = {} t.t = t return json.encode(t)`, "nested deeper"},
		{"JSON that grows", `local s = ("x"):rep(2^19) local t = {s, s .. s} return json.encode(t)`, "longer than"},
		{"error nil", `error(nil)`, "raised nil"},
		{"error table", `error({code = 1})`, "raised a table"},
		{"error function", `error(function() end)`, "raised a function"},
		{"error event", `error(ev)`, "raised a userdata"},
		{"error with a lying tostring", `error(setmetatable({}, {__tostring = function() while true do end end}))`, "raised a table"},
		{"coroutines are absent", `coroutine.wrap(function() while true do end end)()`, "index a non-table object(nil)"},
		{"ev's metatable", `return getmetatable(ev).__index`, "attempt to index"},
		{"a new metatable for ev", `setmetatable(ev, {})`, "table expected"},
		{"a new metatable for strings", `setmetatable("", {__index = function() return "evil" end})`, "table expected"},
		{"a new metatable for numbers", `setmetatable(1, {})`, "table expected"},
		{"the strings' metatable", `getmetatable("").__index = nil`, "attempt to index"},
		{"a replaced library function", `string.upper = function() return "evil" end`, "read-only"},
		{"a raw replaced library function", `rawset(string, "upper", function() return "evil" end)`, "read-only"},
		{"an inserted library function", `table.insert(string, "evil")`, "read-only"},
		{"the library behind pairs", `local _, t = pairs(string) t.upper = function() return "evil" end`, "read-only"},
		{"the library's metatable", `setmetatable(string, {})`, "protected"},
		{"a written configuration", `config.word = "evil"`, "read-only"},
		{"a written list of the configuration", `config.list[1] = "evil"`, "read-only"},
		{"a written tag", `ev.tags.a = "evil"`, "read-only\nev.tags is replaced as a whole"},
		{"rawset on ev", `rawset(ev, "data", "evil")`, "table expected"},
		{"log without end", `while true do log.info(("x"):rep(10000)) end`, deadline},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := loadScript(t, `
				local function evil(ev) `+tt.evil+` end
				function on_publish(ev)
					if ev.data == "evil" then return evil(ev) end
					return string.upper("x") == "X" and ("x"):upper() == "X" and config.word == "good" and config.list[1] == "good"
				end`, lua.Options{Instances: 1, Config: map[string]any{"word": "good", "list": []any{"good"}}})
			limit := 50 * time.Millisecond
			if tt.want != deadline {
				limit = tooSlow // It must end by itself, and for another reason.
			}
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			start := time.Now()
			_, err := p.Publish(ctx, hooktest.NewPublish("evil"))
			if took := time.Since(start); took > tooSlow {
				t.Errorf("ended after %v", took)
			}
			switch {
			case err == nil:
				t.Error("no fault")
			case tt.want == deadline:
				if !errors.Is(err, context.DeadlineExceeded) || !strings.HasPrefix(err.Error(), "test.lua:") {
					t.Errorf("fault %q, want one that wraps context.DeadlineExceeded and says where", err)
				}
			default:
				if !containsAny(err.Error(), tt.want) {
					t.Errorf("fault %q, want %q", err, tt.want)
				}
			}
			if a, err := p.Publish(t.Context(), hooktest.NewPublish("good")); err != nil || a.Verdict != hooks.Allow {
				t.Errorf("the next call: %+v, %v", a, err)
			}
		})
	}
}

func containsAny(s, alternatives string) bool {
	for a := range strings.SplitSeq(alternatives, "\n") {
		if strings.Contains(s, a) {
			return true
		}
	}
	return false
}

func TestEventEndsWithItsCall(t *testing.T) {
	p := loadScript(t, `
		function on_publish(ev)
			local old = saved;
			saved = ev
			if old then return false, (select(2, pcall(function() return old.data end))) end
			return true
		end
		function on_rpc(ev) return true, saved.data end`, lua.Options{Instances: 1})
	if a, err := p.Publish(t.Context(), hooktest.NewPublish("one")); err != nil || a.Verdict != hooks.Allow {
		t.Fatal(a, err)
	}
	a, err := p.Publish(t.Context(), hooktest.NewPublish("two"))
	if err != nil || !strings.Contains(a.Reason, "the event is over") {
		t.Errorf("a saved event in the next call: %+v, %v", a, err)
	}
	if _, err := p.Call(t.Context(), &hooks.RPC{}); err == nil || !strings.Contains(err.Error(), "the event is over") {
		t.Errorf("a saved event in another hook: %v", err)
	}
}

func TestNothingToBreakOutWith(t *testing.T) {
	for _, name := range []string{"io", "os", "debug", "package", "load", "loadstring", "loadfile", "dofile", "require", "module",
		"collectgarbage", "setfenv", "getfenv", "newproxy", "coroutine", "channel", "string.dump", "math.randomseed"} {
		p := loadScript(t, `function on_publish(ev) return `+name+` == nil end`, lua.Options{})
		if a, err := p.Publish(t.Context(), hooktest.NewPublish("")); err != nil || a.Verdict != hooks.Allow {
			t.Errorf("%s is there: %+v, %v", name, a, err)
		}
	}
}
