package lua_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/zenconn/server/hooks"
	"github.com/zenconn/server/hooks/hooktest"
	"github.com/zenconn/server/hooks/host"
	"github.com/zenconn/server/hooks/lua"
)

// rpc runs a script's body as on_rpc, with the right to the store, and returns its reply.
func rpc(t *testing.T, body string, within time.Duration) (reply string, fault error) {
	t.Helper()
	p, err := lua.LoadSource("test.lua", []byte("function on_rpc(ev)\n"+body+"\nend"), lua.Options{
		Services: host.New(host.Options{}), Rights: host.Rights{KV: true, JWT: true, Keys: map[string]host.Key{"k": {Secret: strings.Repeat("s", 32)}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close() //nolint:errcheck // It never fails.
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	e := &hooks.RPC{Client: hooktest.NewClient()}
	_, err = p.Call(ctx, e)
	return string(e.Reply), err
}

// A script cannot hold on by catching errors.
func TestFaultsCannotBeCaught(t *testing.T) {
	_, err := rpc(t, `
		pcall(server.publish, "room:1", "{}")
		return true, "went on"`, time.Minute)
	if err == nil || err.Error() != "test.lua:3: the plugin test used server_publish without allow.publish" {
		t.Error(err)
	}
	if _, err = rpc(t, `while true do pcall(kv.get, "k") end`, 30*time.Millisecond); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

// What a function is not made for is an error of the script, which it may catch.
func TestArguments(t *testing.T) {
	for call, want := range map[string]string{
		`kv.get()`:                            "bad argument #1 to get (string expected, got nil)",
		`kv.get({})`:                          "bad argument #1 to get (string expected, got table)",
		`kv.get(7)`:                           "",
		`kv.set("k", "v", "soon")`:            "bad argument #3 to set (number expected, got string)",
		`kv.set("k", "v", 0/0)`:               "number of seconds expected",
		`kv.set("k", "v", 1/0)`:               "number of seconds expected",
		`kv.cas("k", "v", 1.5)`:               "whole number expected",
		`kv.cas("k", "v", 2^60)`:              "whole number expected",
		`kv.cas("k", "v")`:                    "bad argument #3 to cas (number expected, got nil)",
		`jwt.sign("{}", "k")`:                 "bad argument #1 to sign (table expected, got string)",
		`jwt.sign({}, "k")`:                   "",
		`jwt.sign({1, 2}, "k")`:               "the table has a number as a key",
		`jwt.sign({a = print}, "k")`:          "a function has no JSON form",
		`jwt.sign(setmetatable({}, {}), "k")`: "",
		`jwt.sign(config, "k")`:               "",
		`random.bytes(2^40)`:                  "",
		`metric.add("x", nil)`:                "",
		`password.hash("x")`:                  "without allow.password",
		`(function() kv.get = nil end)()`:     "the library kv is read-only",
	} {
		_, err := rpc(t, "local a, b = "+call+"\nreturn true, '1'", time.Minute)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", call, err, want)
		}
	}
}

func TestPrelude(t *testing.T) {
	for expression, want := range map[string]string{
		`json.encode(strings.split("a,b,,c", ","))`:                   `["a","b","","c"]`,
		`json.encode(strings.split("", ","))`:                         `[""]`,
		`json.encode(strings.split("a.b", "."))`:                      `["a","b"]`,
		`strings.trim("  a b \n")`:                                    `a b`,
		`tostring(strings.starts_with("room:1", "room:"))`:            `true`,
		`tostring(strings.starts_with("room", "room:"))`:              `false`,
		`tostring(strings.ends_with("a.lua", ".lua"))`:                `true`,
		`tostring(strings.contains("a.b", "."))`:                      `true`,
		`tostring(strings.contains("ab", "."))`:                       `false`,
		`strings.to_hex("\0ÿ")`:                                       `00c3bf`,
		`strings.from_hex("00C3bf") == "\0ÿ" and "same"`:              `same`,
		`tostring(strings.from_hex("0"))`:                             `nil`,
		`strings.sha256("abc")`:                                       `ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad`, // FIPS 180-4.
		`strings.to_base64("\255\254a")`:                              `//5h`,
		`strings.to_hex(strings.from_base64("__5h"))`:                 `fffe61`,
		`strings.to_hex(strings.from_base64("YQ=="))`:                 `61`,
		`tostring(strings.from_base64("!"))`:                          `nil`,
		`time.format(0)`:                                              `1970-01-01T00:00:00.000Z`,
		`time.format(time.parse("2026-01-31T12:00:00.5+01:00"))`:      `2026-01-31T11:00:00.500Z`,
		`tostring(time.parse("yesterday"))`:                           `nil`,
		`tostring(math.abs(time.seconds() - time.now() / 1000) < 99)`: `true`,
		`tostring(select(2, pcall(time.format, -1)))`:                 `test.lua:2: bad argument #1 to (anonymous) (milliseconds since 1970 expected)`,
		`tostring(select(2, pcall(strings.split, "a", "")))`:          `test.lua:2: bad argument #2 to (anonymous) (the separator is empty)`,
		`tostring(pcall(strings.to_hex, ("x"):rep(600000)))`:          `false`,
		`tostring(pcall(strings.split, ("x"):rep(100000), "x"))`:      `false`,
	} {
		if reply, err := rpc(t, "return true, "+expression, time.Minute); err != nil || reply != want {
			t.Errorf("%s: %q, %v; want %q", expression, reply, err, want)
		}
	}
}

func BenchmarkFunctions(b *testing.B) {
	services := host.New(host.Options{})
	rights := host.Rights{KV: true, JWT: true, Keys: map[string]host.Key{"k": {Secret: strings.Repeat("s", 32)}}}
	for name, script := range map[string]string{
		"kv_get": `kv.get("k")`, "jwt_verify": `jwt.verify(ev.data, "k")`, "nothing": ``,
	} {
		b.Run(name, func(b *testing.B) {
			p, err := lua.LoadSource("test.lua", []byte(`
				function on_rpc() kv.set("k", ("x"):rep(100)) return true, jwt.sign({sub = "alice", exp = 4e9}, "k") end
				function on_publish(ev) `+script+` return true end`), lua.Options{Services: services, Rights: rights})
			if err != nil {
				b.Fatal(err)
			}
			defer p.Close() //nolint:errcheck // It never fails.
			token := &hooks.RPC{}
			if _, err := p.Call(b.Context(), token); err != nil {
				b.Fatal(err)
			}
			e := hooktest.NewPublish(string(token.Reply))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.Publish(b.Context(), e); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
