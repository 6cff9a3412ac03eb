package lua_test

import (
	"testing"
	"time"

	"github.com/zenconn/server/hooks"
	"github.com/zenconn/server/hooks/hooktest"
	"github.com/zenconn/server/hooks/lua"
)

const realistic = `
	local sub, upper = string.sub, string.upper
	function on_publish(ev)
		if sub(ev.channel, 1, 5) ~= "room:" then return false, 403, "rooms only" end
		ev.data = ev.user .. ": " .. upper(ev.data)
		return true
	end`

const rewriteJSON = `
	function on_publish(ev)
		local message = json.decode(ev.data)
		message.text = message.text:gsub("%f[%w]darn%f[%W]", "d**n")
		ev.data = json.encode(message)
	end`

const payload = `{"text":"well, darn it, that is a message of ordinary length","id":1234,"room":"lobby"}`

func BenchmarkPublish(b *testing.B) {
	for _, bb := range []struct{ name, script string }{
		{"allow", `function on_publish(ev) return true end`},
		{"realistic", realistic},
		{"json", rewriteJSON},
		{"loop1000", `function on_publish(ev) local s = 0 for i = 1, 1000 do s = s + i % 7 end return true end`},
	} {
		b.Run(bb.name, func(b *testing.B) {
			p := loadScript(b, bb.script, lua.Options{})
			c := hooks.NewChain([]hooks.Link{{Plugin: p, Deadline: time.Minute}}, nil)
			e, data := hooktest.NewPublish(payload), []byte(payload)
			ctx := b.Context()
			b.ReportAllocs()
			for b.Loop() {
				e.Data = data
				if a := c.Publish(ctx, e); a.Verdict == hooks.Deny {
					b.Fatal(a)
				}
			}
		})
	}
}

func BenchmarkPublishParallel(b *testing.B) {
	p := loadScript(b, realistic, lua.Options{})
	c := hooks.NewChain([]hooks.Link{{Plugin: p, Deadline: time.Minute}}, nil)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		e, data := hooktest.NewPublish(payload), []byte(payload)
		for pb.Next() {
			e.Data = data
			c.Publish(b.Context(), e)
		}
	})
}
