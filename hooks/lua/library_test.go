package lua_test

import (
	"testing"

	"github.com/zenconn/server/hooks"
	"github.com/zenconn/server/hooks/hooktest"
	"github.com/zenconn/server/hooks/lua"
)

// The bounded library must do what Lua 5.1's does. Every line is an expression that must be true.
func TestLibrary(t *testing.T) {
	for _, expression := range []string{
		// Concatenation.
		`"a" .. 1 .. "b" .. 2.5 == "a1b2.5"`,
		`(function(...) return ... .. "x" end)("1", "2") == "1x"`,
		`"x" .. (function() return "1", "2" end)() == "x1"`,
		`setmetatable({}, {__concat = function(a, b) return "met" end}) .. "a" .. "b" == "met"`,
		`"a" .. setmetatable({}, {__concat = function(a, b) return a .. "met" end}) == "amet"`,
		`("x"):rep(3) .. "" == "xxx"`,
		// Patterns.
		`string.find("hello world", "wor") == 7`,
		`select(2, string.find("hello world", "wor")) == 9`,
		`string.find("a.b", ".", 1, true) == 2`,
		`string.find("abc", "b", -1) == nil`,
		`string.find("abc", "") == 1 and select(2, string.find("abc", "")) == 0`,
		`string.find("abc", "", 4) == 4 and string.find("abc", "", 5) == nil`,
		`string.match("  trim me  ", "^%s*(.-)%s*$") == "trim me"`,
		`string.match("key = value", "(%w+)%s*=%s*(%w+)") == "key"`,
		`select(2, string.match("key = value", "(%w+)%s*=%s*(%w+)")) == "value"`,
		`string.match("2024-05-06", "%d+", 6) == "05"`,
		`string.match("abc", "()b()") == 2 and select(2, string.match("abc", "()b()")) == 3`,
		`string.match("f(a(b)c)d", "%b()") == "(a(b)c)"`,
		`string.match("THE (quick) fox", "%f[%a]%a+%f[%A]", 5) == "quick"`,
		`string.match([[say "hi" now]], "([\"'])(.-)%1") == '"'`,
		`string.match("a]b", "[]]") == "]" and string.match("a]b", "[^]]") == "a"`,
		`string.match("x-y", "[a%-]") == "-" and string.match("x-y", "[+--]") == "-"`,
		`string.match("0xFF", "%x+", 3) == "FF" and string.match("é", "%a") == nil`,
		`string.match("aaa", "a-b") == nil and string.match("aaab", "a-b") == "aaab"`,
		`string.match("ab", "a?b") == "ab" and string.match("b", "a?b") == "b"`,
		`string.match("a\0b", "%z") == "\0" and string.match("$5", "$5") == "$5"`,
		`string.match("x", "y?", 5) == nil`,
		`string.gsub("hello", "l", "L") == "heLLo" and select(2, string.gsub("hello", "l", "L")) == 2`,
		`string.gsub("hello", "l", "L", 1) == "heLlo" and string.gsub("hello", "x", "L") == "hello"`,
		`string.gsub("hello world", "(%w+)", "<%1>") == "<hello> <world>"`,
		`string.gsub("abc", "%w", "%%%0") == "%a%b%c" and string.gsub("abc", "", "-") == "-a-b-c-"`,
		`string.gsub("abc def", "%w+", {abc = "x"}) == "x def"`,
		`string.gsub("abc", "%w", function(c) if c == "b" then return c:upper() end end) == "aBc"`,
		`string.gsub("a1b2", "(%a)(%d)", function(a, b) return b .. a end) == "1a2b"`,
		`string.gsub("^a", "^^a", "x") == "x" and string.gsub("aaa", "^a", "x") == "xaa"`,
		`(function() local n = 0 for w in string.gmatch("one two  three", "%a+") do n = n + #w end return n end)() == 11`,
		`(function() local s = "" for k, v in string.gmatch("a=1, b=2", "(%w+)=(%w+)") do s = s .. k .. v end return s end)() == "a1b2"`,
		`(function() local n = 0 for p in string.gmatch("abc", "()") do n = n + p end return n end)() == 10`,
		`not pcall(string.find, "a", "[a") and not pcall(string.find, "a", "%") and not pcall(string.find, "a", "(a")`,
		`not pcall(string.find, "a", ".)") and not pcall(string.find, "a", "%1") and not pcall(string.gsub, "a", "a", "%2")`,
		`not pcall(string.find, "a", "%b") and not pcall(string.find, "a", "%f")`,
		// Other functions of strings.
		`("abc"):byte(1, -1) == 97 and select("#", ("abc"):byte(1, -1)) == 3 and ("abc"):byte(-1) == 99`,
		`select("#", ("abc"):byte(10)) == 0 and select("#", (""):byte()) == 0`,
		`("abc"):upper() == "ABC" and ("ABC"):lower() == "abc" and ("abc"):reverse() == "cba" and ("abc"):sub(-2) == "bc"`,
		`string.format("%d %5.2f %s %q %x %%", 3, 1/3, true, 'a"b', 255) == [[3  0.33 true "a\"b" ff %]]`,
		`string.format("%-5s|%05d|%+d|%c|%g|%e", "a", 42, 7, 65, 0.1, 1) == "a    |00042|+7|A|0.1|1.000000e+00"`,
		`string.format("%.3s", "abcdef") == "abc" and string.format("%i", 2^40) == "1099511627776"`,
		`not pcall(string.format, "%d", "x") and not pcall(string.format, "%y", 1) and not pcall(string.format, "%") `,
		// Tables.
		`table.concat({1, 2, "x"}, ", ") == "1, 2, x" and table.concat({}) == "" and table.concat({1, 2, 3}, "-", 2, 3) == "2-3"`,
		`(function() local t = {3, 1, 2} table.sort(t) return table.concat(t) end)() == "123"`,
		`(function() local t = {"b", "a"} table.sort(t, function(a, b) return a > b end) return table.concat(t) end)() == "ba"`,
		`(function() local t = {1, 3} table.insert(t, 2, 2) table.insert(t, 4) return table.concat(t) end)() == "1234"`,
		`(function() local t = {1, 2, 3} return table.remove(t, 1) + table.remove(t) + #t end)() == 5`,
		`not pcall(table.sort, {1, "x"}) and not pcall(table.insert, {}, 1, 2, 3)`,
		`select("#", unpack({1, 2, nil, 4}, 1, 4)) == 4 and next({}) == nil and rawget({a = 1}, "a") == 1`,
		`(function() local n = 0 for i, v in ipairs({1, 2, 3, nil, 5}) do n = n + v end return n end)() == 6`,
		`(function() local s = "" for k, v in pairs({a = 1}) do s = s .. k .. v end return s end)() == "a1"`,
		`getmetatable(setmetatable({}, {__metatable = "no"})) == "no"`,
		// Frozen tables read like others.
		`config.words[2] == "two" and #config.words == 2 and table.concat(config.words, " ") == "one two"`,
		`(function() local n = 0 for i, w in ipairs(config.words) do n = n + i end return n end)() == 3`,
		`(function() local n = 0 for k in pairs(config) do n = n + 1 end return n end)() == 3`,
		`config.limit == 7 and config.nested.deep == true and config.missing == nil and unpack(config.words) == "one"`,
		`json.encode(config.words) == '["one","two"]' and json.encode(config.nested) == '{"deep":true}'`,
		// JSON.
		`json.encode(json.decode('{"b":1,"a":[],"c":{},"n":null,"t":true}')) == '{"b":1,"a":[],"c":{},"n":null,"t":true}'`,
		`json.decode('[1, -2.5e3, "a\\u00e9\\n\\"", false]')[2] == -2500 and json.decode('["\\u00e9"]')[1] == "é"`,
		`json.decode(' { "a" : { "b" : [ 1 , 2 ] } } ').a.b[2] == 2 and json.decode('"x"') == "x" and json.decode("null") == json.null`,
		`json.encode({1, 2, {x = "y"}}) == '[1,2,{"x":"y"}]' and json.encode({}) == "{}" and json.encode(json.array()) == "[]"`,
		`json.encode("a\"\\\n\t\1é") == '"a\\"\\\\\\n\\u0009\\u0001é"' and json.encode("\255") == '"\239\191\189"'`,
		`json.encode(0.1) == "0.1" and json.encode(2^53) == "9.007199254740992e+15" and json.encode(-3) == "-3" and json.encode(nil) == "null"`,
		`tostring(json.null) == "null" and json.array({1})[1] == 1`,
		`not pcall(json.decode, "{") and not pcall(json.decode, "") and not pcall(json.decode, "1 2") and not pcall(json.decode, "1e999")`,
		`not pcall(json.encode, 0/0) and not pcall(json.encode, print) and not pcall(json.encode, {1, a = 2}) and not pcall(json.encode, {[1.5] = 2})`,
		// Numbers and time.
		`(function() local seen = {} for i = 1, 1000 do seen[math.random(3)] = true end return seen[1] and seen[2] and seen[3] and not seen[0] and not seen[4] end)()`,
		`math.random() < 1 and math.random(5, 5) == 5 and not pcall(math.random, 0) and not pcall(math.random, 2, 1)`,
		`math.floor(2.5) == 2 and time.now() > 1700000000000 and tonumber("0x10") == 16`,
	} {
		p := loadScript(t, "function on_publish(ev) return ("+expression+") and true end", lua.Options{Config: map[string]any{
			"words": []any{"one", "two"}, "limit": 7, "nested": map[string]any{"deep": true}}})
		if a, err := p.Publish(t.Context(), hooktest.NewPublish("")); err != nil || a.Verdict != hooks.Allow {
			t.Errorf("not true: %s (%v)", expression, err)
		}
	}
}
