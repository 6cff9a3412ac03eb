package lua_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/zenconn/server/hooks/hooktest"
	"github.com/zenconn/server/hooks/lua"
)

// What a client sends is decoded and encoded: JSON stays JSON, anything else is a fault, and nothing panics in the library.
func FuzzJSON(f *testing.F) {
	p := loadScript(f, `function on_publish(ev) ev.data = json.encode(json.decode(ev.data)) end`, lua.Options{})
	for _, seed := range []string{`{"a":[1,-2.5e3,"x\u00e9\n",null,true,{}],"a":2}`, `[[[]]]`, ` "\ud800" `, "\"\xff\"", `1e308`, `{`, `[1,]`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data string) {
		e := hooktest.NewPublish(data)
		_, err := p.Publish(t.Context(), e)
		switch {
		case err != nil && !strings.Contains(err.Error(), "json.decode: "):
			t.Errorf("%q: %v", data, err)
		case err == nil && !json.Valid(e.Data):
			t.Errorf("%q became %q", data, e.Data)
		}
	})
}

// A pattern either matches within the text or is refused; whatever it is, the library does not panic.
func FuzzPattern(f *testing.F) {
	p := loadScript(f, `
		function on_publish(ev)
			local text, pattern = ev.data, ev.tags.pattern
			local first, last = text:find(pattern)
			if first then assert(first >= 1 and last >= first - 1 and last <= #text, "match outside the text") end
			local n = 0
			for capture in text:gmatch(pattern) do n = n + 1 end
			assert(n <= #text + 1, "too many matches")
			assert(text:gsub(pattern, "%0") == text, "replaced by itself, it is not the same")
		end`, lua.Options{})
	for _, seed := range [][2]string{{"hello world", "(%w+) ()"}, {"f(a(b))", "%b()"}, {"THE fox", "%f[%a]%a+"}, {"aaa", "^a-b?$"}, {"x]", "[]^%]-x]"},
		{"abab", "(ab)%1"}, {"", ""}, {"a", "[a-"}, {"a", "%"}, {"a", "(()"}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, text, pattern string) {
		e := hooktest.NewPublish(text)
		e.Tags = map[string]string{"pattern": pattern}
		_, err := p.Publish(t.Context(), e)
		if err == nil {
			return
		}
		for _, bad := range []string{"runtime error", "match outside", "too many matches", "not the same"} {
			if strings.Contains(err.Error(), bad) {
				t.Errorf("%q in %q: %v", pattern, text, err)
			}
		}
	})
}
