package scenario_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/zenconn/server/hooks"
	"github.com/zenconn/server/hooks/host"
	"github.com/zenconn/server/hooks/lua"
	"github.com/zenconn/server/hooks/scenario"
	"github.com/zenconn/server/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// loader loads a script.
func loader(source string) scenario.Loader {
	return func(_ context.Context, l scenario.Load) (hooks.Plugin, error) {
		return lua.LoadSource("p.lua", []byte(source), lua.Options{Config: l.Config, Services: l.Services, Rights: l.Rights, Logger: l.Log})
	}
}

// play plays a file and returns what is not as expected, as "line: text".
func play(t *testing.T, script, file string) (problems []string) {
	t.Helper()
	f, err := scenario.Parse([]byte(file))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range f.Scenarios {
		r := s.Run(t.Context(), loader(script))
		for _, p := range r.Problems {
			problems = append(problems, fmt.Sprintf("%d: %s", p.Line, p.Text))
		}
	}
	return problems
}

const everyHook = `
function on_connect(ev)
  if ev.token == "bad" then return false, 3500, "go away" end
  ev.user, ev.info, ev.data = "u:" .. ev.token .. ev:header("x-a"), '{"vip":true}', json.encode({hello = ev.data})
  ev.expire_at = math.floor(time.now() / 1000) + 60
  ev:subscribe("b", {presence = false, info = '{"a":1}'})
  ev:subscribe("a")
  ev:grant{channels = {"room:*"}, match = "wildcard", allow = {"sub", "pub"}}
  return true
end
function on_refresh(ev) ev.expire_at = ev.expire_at + 5; ev.info = '{"c":"' .. (ev.channel or "none") .. '"}'; return true end
function on_subscribe(ev)
  ev.presence, ev.data = true, '"hi"'
  ev:grant{allow = {"pub"}}
end
function on_channel(ev)
  if ev.namespace == "no" then return false, "no" end
  ev.history_size, ev.history_ttl, ev.publish = 5, 90, "anyone"
end
function on_publish(ev)
  if ev.data == "drop" then return "drop" end
  if ev.data == "fail" then error("on purpose") end
  ev.tags = {lang = "en", id = ev.id}
  ev.redirect, ev.skip_history, ev.exclude_sender = "other", true, false
end
function on_rpc(ev) if ev.method == "echo" then return true, ev.data end end
function on_send(ev) if ev.data == "no" then return false, 4000 end return true end
function on_unsubscribe(ev) assert(ev.code == 2500 and ev.reason == "gone" and ev.channel == "a" and ev.user == "alice") end
function on_disconnect(ev) assert(ev.code == 3000) end
function on_audit(ev)
  if ev.kind == "session" then return "drop" end
  ev.payload, ev.remote_addr = nil, "192.0.2.0"
end`

// Every field of every hook goes in and comes out.
func TestHooks(t *testing.T) {
	problems := play(t, everyHook, `
scenarios:
- name: connect
  hook: on_connect
  event: {token: t, header: {X-A: "!"}, data: {a: [1, "<b>"]}}
  expect:
    verdict: allow
    changes:
      user: "u:t!"
      info: {vip: true}
      data: {hello: '{"a":[1,"<b>"]}'}
      expire_at: now+60s
      subscription:
        - {channel: a}
        - {channel: b, presence: false, info: {a: 1.0}}
      grant: {channels: ["room:*"], match: wildcard, allow: [pub, sub]}
- {hook: connect, event: {token: bad}, expect: {verdict: deny, code: 3500, reason: go away}}
- {hook: refresh, event: {channel: c, expire_at: 100, user: alice}, expect: {verdict: allow, changes: {expire_at: 105, info: {c: c}}}}
- {hook: refresh, event: {expire_at: 100}, expect: {verdict: allow, changes: {expire_at: 105, info: '{"c":"none"}'}}}
- {hook: subscribe, event: {channel: c}, expect: {verdict: pass, changes: {presence: true, data: '"hi"', grant: {allow: [pub]}}}}
- {hook: channel, event: {channel: "x:a", namespace: x}, expect: {verdict: pass, changes: {history_size: 5, history_ttl: 1m30s, publish: anyone}}}
- {hook: channel, event: {channel: "no:a", namespace: no}, expect: {verdict: deny, reason: no}}
- hook: publish
  event: {channel: c, data: hello, id: 01900000-0000-7000-8000-00000000abcd}
  expect:
    verdict: pass
    changes: {tags: {id: 01900000-0000-7000-8000-00000000abcd, lang: en}, redirect: other, skip_history: true, exclude_sender: false}
- {hook: publish, event: {data: drop}, expect: {verdict: drop}}
- {hook: publish, event: {data: fail}, expect: {verdict: fault, fault: on purpose}}
- {hook: rpc, event: {method: echo, data: {b: 2, a: 1}}, expect: {verdict: allow, changes: {reply: '{"b":2,"a":1}'}}}
- {hook: rpc, event: {method: other}, expect: {verdict: pass}}
- {hook: send, event: {data: "no"}, expect: {verdict: deny, code: 4000}}
- {hook: send, event: {data: "yes"}, expect: {verdict: allow}}
- {hook: unsubscribe, event: {channel: a, code: 2500, reason: gone, user: alice}, expect: {verdict: pass}}
- {hook: disconnect, event: {code: 3001}, expect: {verdict: fault}}
- {hook: audit, event: {kind: session}, expect: {verdict: drop}}
- {hook: audit, event: {payload: secret, remote_addr: 198.51.100.7, user: bob}, expect: {verdict: pass, changes: {payload: null, remote_addr: 192.0.2.0}}}
`)
	if problems != nil {
		t.Errorf("%q", problems)
	}
}

// A time that the plugin makes may be of any moment of the step, however long a busy machine takes for that.
func TestTimesOfASlowStep(t *testing.T) {
	t.Parallel()
	const script = `
function on_refresh(ev)
  http.request("GET", config.url .. "/slow")
  ev.expire_at = math.floor(time.now() / 1000) + 60
  return true
end`
	file := func(delay, want string) string {
		return `
config: {url: "${http.url}"}
allow: {http: ["${http.host}"]}
scenarios:
- hook: refresh
  http: [{path: /slow, answer: {delay: ` + delay + `}}]
  expect: {verdict: allow, changes: {expire_at: ` + want + `}}
`
	}
	if problems := play(t, script, file("3s", "now+60s")); problems != nil {
		t.Errorf("%q", problems)
	}
	if problems := play(t, script, file("1ms", "now+1h")); len(problems) != 1 {
		t.Errorf("another time: %q", problems)
	}
}

const services = `
log.info("loaded with " .. tostring(config.limit))
function on_rpc(ev)
  if ev.method == "count" then
    local n = tonumber(kv.get("n") or "0") + 1
    assert(kv.set("n", tostring(n)))
    metric.add("counted", 2)
    log.warn("n is " .. n)
    if n > config.limit then
      server.disconnect(ev.user, "", 4001, "spam")
      server.publish("news", '{"a":1}', {lang = "en"})
      server.unsubscribe("", ev.client, "room:1")
    end
    return true
  elseif ev.method == "ask" then
    local status, headers, body = http.request("POST", config.url .. "/v?x=1", {["X-Key"] = "k"}, ev.data)
    if not status then return false, 400, headers end
    return true, body
  elseif ev.method == "verify" then
    local claims, why = jwt.verify(ev.data, "main")
    if not claims then return false, 401, why end
    return true, json.encode(claims.sub)
  elseif ev.method == "hash" then
    return true, tostring(password.verify("x", password.hash("x")))
  end
end
function on_connect(ev) local claims = jwt.verify(ev.token, "main"); ev.user = claims.sub; return true end`

func TestFunctions(t *testing.T) {
	problems := play(t, services, `
config: {limit: 2, url: "${http.url}"}
allow: {kv: true, http: ["${http.host}"], disconnect: true, publish: true, unsubscribe: true, jwt: true, password: true}
keys: [{name: main, secret: "0123456789abcdef0123456789abcdef"}]
scenarios:
- name: several steps share what is stored
  steps:
  - {repeat: 2, hook: rpc, event: {method: count}, expect: {verdict: allow, metrics: {counted: 2}, logs: [n is]}}
  - hook: rpc
    event: {method: count, user: bob, client: c1}
    expect:
      verdict: allow
      kv: {n: 3, other: null}
      calls:
        - publish: {channel: news, data: {a: 1}, tags: {lang: en}}
        - disconnect: {user: bob, code: 4001, reason: spam}
        - unsubscribe: {client: c1, user: null, channel: "room:1"}
- name: what was there before, and another configuration
  config: {limit: 100}
  kv: {n: 41}
  hook: rpc
  event: {method: count}
  expect: {verdict: allow, kv: {n: "42"}, logs: [{level: warn, text: "n is 42"}]}
- name: the web
  hook: rpc
  event: {method: ask, data: {q: 1}}
  http:
    - {method: POST, path: "/v?x=1", headers: {x-key: k}, body: {q: 1.0}, answer: {status: 201, headers: {X-B: c}, body: {ok: true}}}
  expect: {verdict: allow, changes: {reply: {ok: true}}}
- name: tokens
  hook: connect
  event: {token: {sign: main, claims: {sub: alice, exp: now+1h}}}
  expect: {verdict: allow, changes: {user: alice}}
- name: an old token
  hook: connect
  event: {token: {sign: main, claims: {sub: alice, exp: now-1h}}}
  expect: {verdict: fault}
- name: no rights
  allow: {}
  hook: rpc
  event: {method: count}
  expect: {verdict: fault, fault: allow.kv}
- name: passwords
  hook: rpc
  event: {method: hash}
  expect: {verdict: allow, changes: {reply: true}}
`)
	if problems != nil {
		t.Errorf("%q", problems)
	}
}

// What is not as expected is said, with the line of the expectation.
func TestProblems(t *testing.T) {
	head := "config: {limit: 0, url: \"${http.url}\"}\nallow: {kv: true, http: [\"${http.host}\"], disconnect: true, publish: true, unsubscribe: true}\nscenarios:\n"
	for name, test := range map[string]struct {
		file string
		want []string
	}{
		"verdict": {"- {hook: rpc, event: {method: none}, expect: {verdict: allow}}", []string{"4: the verdict is\n    pass\nwant\n    allow"}},
		"no such hook": {
			"- {hook: publish, expect: {verdict: allow}}", []string{"4: the plugin does not implement on_publish"},
		},
		"changes": {
			"- hook: rpc\n  event: {method: ask, data: x}\n  http: [{method: POST, path: \"/v?x=1\", answer: {body: {a: 1}}}]\n  expect:\n    verdict: allow\n" +
				"    changes:\n      reply: {a: 2}",
			[]string{"10: changes: reply is\n    {\"a\":1}\nwant\n    {\"a\":2}"},
		},
		"a change that is not listed": {
			"- hook: rpc\n  event: {method: ask, data: x}\n  http: [{method: POST, path: \"/v?x=1\", answer: {body: 1}}]\n  expect: {verdict: allow}",
			[]string{"7: changes: reply has become\n    1\nwhich is not among the changes"},
		},
		"requests": {
			"- hook: rpc\n  event: {method: ask, data: x}\n  http:\n    - {path: /w, body: y}\n    - {path: /z}\n  expect: {verdict: allow, changes: {reply: \"\"}}",
			[]string{
				"7: http: the request is\n    POST /v?x=1\nwant\n    GET /w", "7: http: the body is\n    x\nwant\n    y", "8: http: the request GET /z has not come",
			},
		},
		"a request too many": {
			"- {hook: rpc, event: {method: ask, data: x}, expect: {verdict: allow, changes: {reply: \"no such request is expected\\n\"}}}",
			[]string{"4: http: the request POST /v?x=1 is not expected", "4: the verdict is\n    fault: plugin p: on_rpc: reply is not valid JSON"},
		},
		"calls": {
			"- {hook: rpc, event: {method: count, user: bob}, expect: {verdict: allow, calls: [{disconnect: {code: 4002}}, {unsubscribe: {}}]}}",
			[]string{
				"4: calls: this was not done: disconnect code 4002",
				"4: calls: this was done, and is not expected: publish channel news data {\"a\":1} tags {\"lang\":\"en\"}",
				"4: calls: this was done, and is not expected: disconnect user bob code 4001 reason spam",
			},
		},
		"logs, metrics, store": {
			"- hook: rpc\n  event: {method: count, user: bob}\n  expect:\n    verdict: allow\n    calls: [{disconnect: {}}, {unsubscribe: {}}, {publish: {}}]\n" +
				"    logs: [n is 2]\n    metrics: {counted: 1}\n    kv: {n: null}",
			[]string{
				"9: logs: line 1 is\n    warn \"n is 1\"\nwant\n    \"n is 2\"", "10: metrics: counted has grown by 2, want 1", "11: kv: n is\n    1\nwant\n    nothing",
			},
		},
		"the step and the time": {
			"- config: {limit: 9}\n  steps:\n  - {hook: rpc, event: {method: none}, expect: {verdict: pass}}\n" +
				"  - {repeat: 3, hook: rpc, event: {method: count}, expect: {verdict: allow, kv: {n: 1}}}",
			[]string{"7: step 2, time 2 of 3: kv: n is\n    2\nwant\n    1"},
		},
		"loading": {
			"- {load_error: no, config: {limit: 1}}\n- {hook: rpc, expect: {verdict: pass}, allow: {http: [\"http://x\"]}}\n- {load_error: other, allow: {http: [\"http://x\"]}}\n" +
				"- {load_error: want a host, allow: {http: [\"http://x\"]}}",
			[]string{"4: the plugin was loaded; it was to fail with \"no\"", "5: the plugin cannot be loaded: p.lua: allow.http: \"http://x\"", "6: the plugin cannot be loaded, with\n"},
		},
		"an event that cannot be": {
			"- {hook: connect, event: {expire_at: soon}, expect: {verdict: pass}}\n- {hook: connect, event: {token: {sign: main}}, expect: {verdict: pass}}\n" +
				"- {hook: connect, event: {user: {a: b}}, expect: {verdict: pass}}",
			[]string{"4: expire_at: want a whole number, not soon", "5: token: want a text, or what it is made of", "6: user: want a text, not {\"a\":\"b\"}"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := play(t, services, head+test.file)
			matched := len(got) >= len(test.want)
			for _, want := range test.want {
				matched = matched && slices.ContainsFunc(got, func(p string) bool { return strings.Contains(p, want) })
			}
			if !matched {
				t.Errorf("got  %q\nwant %q", got, test.want)
			}
		})
	}
}

func TestParseErrors(t *testing.T) {
	for file, want := range map[string]string{
		"":                                     "1: the file is empty",
		"- a":                                  "1: the file must be keys with values, not a list",
		"scenario: []":                         `1: the file has no key "scenario" (did you mean scenarios?); it has allow, config, deadline, keys, plugin, scenarios`,
		"plugin: a.lua":                        "1: the file needs scenarios, a list",
		"scenarios: []":                        "1: there are no scenarios in the list",
		"scenarios: [1]":                       `1: a scenario must be keys with values, not "1"`,
		"scenarios: [{name: a}]":               `1: the scenario "a" has no steps`,
		"a: [":                                 "1: this is no YAML",
		"a: 1\n\tb":                            "2: this is no YAML",
		"scenarios: &a [*a]":                   "1: anchors and aliases",
		"scenarios: [{hook: conect}]":          `1: there is no hook "conect" (did you mean connect?)`,
		"scenarios: [{hook: connect}]":         "1: a step needs expect",
		"scenarios: [{expect: {}}]":            "1: a step needs a hook",
		"allow: {kv: maybe}":                   `1: want true or false, not "maybe"`,
		"deadline: 3":                          "1: want a duration",
		"keys: [{secret: a}]":                  "1: a key needs a name",
		"plugin: {a: b}":                       "1: want a text, not keys with values",
		"config: {a: .nan}":                    "1: .nan is no number",
		"config: {a: !x b}":                    "1: a value of the kind !x has no meaning here",
		"config: {<<: {a: b}}":                 "1: a key of config must be a plain word",
		"scenarios:\n- hook: rpc\n  hook: rpc": "3: a scenario has the key \"hook\" twice",
		"scenarios:\n- hook: rpc\n  expect: {verdict: yes}":                                          "3: want one of [\"allow\"",
		"scenarios:\n- hook: rpc\n  expect: {code: 1}":                                               "3: expect needs a verdict",
		"scenarios:\n- hook: rpc\n  expect: {verdict: pass, code: 1}":                                "3: code and reason go with verdict: deny",
		"scenarios:\n- hook: rpc\n  expect: {verdict: pass, fault: x}":                               "3: fault goes with verdict: fault",
		"scenarios:\n- hook: rpc\n  event: {chanel: x}\n  expect: {verdict: pass}":                   "3: an event of rpc has no field chanel",
		"scenarios:\n- hook: rpc\n  event: {a: 1, a: 2}\n  expect: {verdict: pass}":                  "3: the key \"a\" is there twice",
		"scenarios:\n- hook: publish\n  expect: {verdict: pass, changes: {channel: x}}":              "3: an event of publish lets no plugin write channel",
		"scenarios:\n- hook: send\n  expect: {verdict: pass, changes: {data: x}}":                    "3: an event of send lets no plugin write data",
		"scenarios:\n- hook: rpc\n  steps: []\n  expect: {verdict: pass}":                            "2: a scenario has steps, or is itself a step",
		"scenarios:\n- load_error: x\n  hook: rpc\n  expect: {verdict: pass}":                        "2: nothing can happen to a plugin that is not loaded",
		"scenarios:\n- hook: rpc\n  repeat: 0\n  expect: {verdict: pass}":                            "3: want a whole number from 1 to 10000, not \"0\"",
		"scenarios:\n- hook: rpc\n  http: [{method: GET}]\n  expect: {verdict: pass}":                "3: an exchange needs the path",
		"scenarios:\n- hook: rpc\n  expect: {verdict: pass, calls: [{}]}":                            "3: a call is one of publish, unsubscribe and disconnect",
		"scenarios:\n- hook: rpc\n  expect: {verdict: pass, calls: [{publish: {}, disconnect: {}}]}": "3: each call is an item of the list",
		"scenarios:\n- hook: rpc\n  expect: {verdict: pass, calls: [{publish: {user: x}}]}":          "3: the call publish has no key \"user\"",
		strings.Repeat("[", 5000): "1: ",
		"config: {a: " + strings.Repeat("[", 200) + strings.Repeat("]", 200) + "}\nscenarios: [{a: b}]": "1: this is nested too deep",
		strings.Repeat(" ", scenario.MaxFile+1):                                                         "1: the file is longer than",
	} {
		_, err := scenario.Parse([]byte(file))
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%.80q: %v, want %q", file, err, want)
		}
	}
}

func TestSettings(t *testing.T) {
	got, err := scenario.Settings([]string{"limit=5", "words=[a, b]", "api.url=http://x:1/y", "api.key='5'", "empty=", "on=true", "when=2026-01-02"})
	want := `map[api:map[key:5 url:http://x:1/y] empty: limit:5 on:true when:2026-01-02 words:[a b]]`
	if err != nil || fmt.Sprint(got) != want {
		t.Errorf("%v, %v", got, err)
	}
	if _, ok := got["limit"].(int64); !ok {
		t.Errorf("limit is a %T", got["limit"])
	}
	for _, pair := range []string{"limit", "=5", "a..b=1", "a={", "a=*b"} {
		if got, err := scenario.Settings([]string{pair}); err == nil {
			t.Errorf("%s: %v", pair, got)
		}
	}
}

// The events that check and bench use by themselves fit every hook.
func TestSamples(t *testing.T) {
	st, err := scenario.Empty(nil, host.Rights{}).Open(t.Context(), loader(strings.ReplaceAll(everyHook, "assert", "tostring")))
	if err != nil {
		t.Fatal(err)
	}
	for _, hook := range hooks.All {
		if _, fault := st.Ask(t.Context(), scenario.Sample(hook)); fault != nil {
			t.Errorf("%s: %v", hook, fault)
		}
	}
	if err := st.Close(); err != nil {
		t.Error(err)
	}
}

// Whatever a file holds, it is read or refused with a line, and what was read can be played.
func FuzzParse(f *testing.F) {
	f.Add("scenarios: [{hook: publish, event: {data: {a: 1}}, expect: {verdict: pass, changes: {tags: {a: b}}}}]")
	f.Add("config: {a: [1, 2.5, ~, yes, 2026-01-01]}\nkeys: [{name: a, secret: b}]\nscenarios:\n- steps:\n  - {hook: connect, repeat: 3, expect: {verdict: deny, code: 3}}")
	f.Add("scenarios: [{hook: rpc, http: [{path: /, headers: {a: b}, body: 1e999, answer: {status: 200, delay: 1s}}], expect: {verdict: fault}}]")
	f.Add("scenarios: [{hook: rpc, expect: {verdict: pass, logs: [a, {level: warn}], kv: {a: null}, calls: [{disconnect: {code: 0x10}}], metrics: {a: 1_0}}}]")
	f.Fuzz(func(t *testing.T, text string) {
		file, err := scenario.Parse([]byte(text))
		if err != nil {
			if line, what := scenario.Line(err); line < 1 || what == "" {
				t.Errorf("%d: %q", line, what)
			}
			return
		}
		if len(file.Scenarios) == 0 {
			t.Error("no scenarios, and no error")
		}
	})
}

// The example of the reference is correct.
func TestReference(t *testing.T) {
	text, err := os.ReadFile("../../docs/plugin-testing.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "```lua\n")
	script, rest, _ := strings.Cut(rest, "```")
	_, rest, _ = strings.Cut(rest, "```yaml\n")
	file, _, ok := strings.Cut(rest, "```")
	if !ok {
		t.Fatal("there is no example")
	}
	if problems := play(t, script, file); problems != nil {
		t.Errorf("%q", problems)
	}
}
