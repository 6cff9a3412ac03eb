package config_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/zenconn/server/core/config"
)

// Each case gives the server one wrong thing in each of some ways; want holds all that Load has to say to it.
func TestProblems(t *testing.T) {
	type files = [][2]string
	for name, test := range map[string]struct {
		files         files
		environ, args []string
		want          []string
	}{
		"missing file":         {files: files{{"sub/a.yaml", ""}}, want: []string{"sub/a.yaml: there is no such file"}},
		"unknown kind of file": {files: files{{"a.ini", ""}}, want: []string{"a.ini: unknown kind of file, the name must end in .yaml, .yml, .toml or .json"}},
		"YAML syntax":          {files: files{{"a.yaml", "client:\n  addr: [\n"}}, want: []string{"a.yaml:2: did not find expected node content"}},
		"TOML syntax":          {files: files{{"a.toml", "[client]\naddr = \n"}}, want: []string{"a.toml:2: incomplete number"}},
		"JSON syntax":          {files: files{{"a.json", "{\n\"demo\": yes}"}}, want: []string{"a.json:2: invalid character 'y' looking for beginning of value"}},
		"no section":           {files: files{{"a.yaml", "- demo"}}, want: []string{"a.yaml:1: want a section of keys"}},
		"no section in JSON":   {files: files{{"a.json", "[1]"}}, want: []string{"a.json: want a section of keys"}},
		"key twice in YAML":    {files: files{{"a.yaml", "data: a\ndata: b\n"}}, want: []string{`a.yaml:2: mapping key "data" already defined at line 1`}},
		"key twice in JSON":    {files: files{{"a.json", "{\"data\": \"a\",\n\"data\": \"b\"}"}}, want: []string{"a.json:2: data: the key is there twice"}},
		"two documents":        {files: files{{"a.yaml", "data: a\n---\ndata: b\n"}}, want: []string{"a.yaml:2: the file holds a second document, only one is read"}},

		"unknown keys, near ones suggested": {
			files: files{
				{"a.yaml", "client:\n  adr: x\n  queue_size: 3\n  limit:\n    channels: 3\nloging: x\nnamespaces:\n  chat:\n    subscribers: x\nzzzzzz: 1\n"},
				{"b.toml", "[client]\npings = 3\n[[plugins.load]]\nname = 'a'\nfile = 'x'\n"},
				{"c.json", "{\"api\": {\n\"address\": 1}}"},
			},
			want: []string{
				"a.yaml:2: client.adr: unknown key, did you mean client.addr?",
				"a.yaml:3: client.queue_size: unknown key, did you mean client.limits.queue_size?",
				"a.yaml:4: client.limit: unknown key, did you mean client.limits?",
				"a.yaml:6: loging: unknown key, did you mean log?",
				"a.yaml:9: namespaces.chat.subscribers: unknown key, did you mean namespaces.chat.subscribe?",
				"a.yaml:10: zzzzzz: unknown key",
				"b.toml:2: client.pings: unknown key, did you mean client.ping?",
				"b.toml:5: plugins.load[0].file: unknown key",
				"c.json:2: api.address: unknown key, did you mean api.addr?",
			},
		},
		"keys whose line only their section knows": {
			files: files{
				{"a.toml", "[client]\nlimits.chanels = 3\nping = { interval = '30s', timeot = '6s' }\n"},
				{"b.yaml", "namespaces:\n  a: &a\n    presenc: true\n  b:\n    <<: *a\n"},
			},
			want: []string{
				"a.toml:2: client.limits.chanels: unknown key, did you mean client.limits.channels?",
				"a.toml:3: client.ping.timeot: unknown key, did you mean client.ping.timeout?",
				"b.yaml:3: namespaces.a.presenc: unknown key, did you mean namespaces.a.presence?",
				"b.yaml:4: namespaces.b.presenc: unknown key, did you mean namespaces.b.presence?",
			},
		},
		"unknown variables": {
			environ: []string{"ZENCONN_CLIENT_ADDR=x", "ZENCONN_CLIENT__ADRR=x", "ZENCONN_QQQQQQQQQ=1", "ZENCONN_PLUGINS__LOAD__0__NAME=x", "ZENCONN_=1",
				"ZENCONN_NAMESPACES__CHAT__SUBSCRIBER=x"},
			want: []string{
				"ZENCONN_: unknown variable",
				"ZENCONN_CLIENT_ADDR: unknown variable, did you mean ZENCONN_CLIENT__ADDR?",
				"ZENCONN_CLIENT__ADRR: unknown variable, did you mean ZENCONN_CLIENT__ADDR?",
				"ZENCONN_NAMESPACES__CHAT__SUBSCRIBER: unknown variable, did you mean ZENCONN_NAMESPACES__CHAT__SUBSCRIBE?",
				"ZENCONN_PLUGINS__LOAD__0__NAME: unknown variable, did you mean ZENCONN_PLUGINS__LOAD?",
				"ZENCONN_QQQQQQQQQ: unknown variable",
			},
		},
		"wrong types in YAML": {
			files: files{{"a.yaml", `
demo: "yes"
data: 5
client:
  addr:
  allowed_origins: https://a.example
  max_connections: 1.5
  connect_timeout: 15
  write_timeout: 5 seconds
  read_buffer: 64KB
  websocket: /ws
  limits:
    channels: many
    commands_per_second: fast
    frame_size: -1
    queue_size: 99999999999999999999
namespaces:
  chat: 5
  "a:b": {}
  "": {}
plugins:
  load:
    - name: [a]
      config: 5
    - profanity
audit:
  queue: {}
  sqlite:
    path: 2026-01-02
auth:
  jwt:
    hmac_secret: 12345
`}},
			want: []string{
				`a.yaml:2: demo: want true or false, not "yes"`,
				`a.yaml:3: data: want text, not the number 5`,
				`a.yaml:5: client.addr: want text, not nothing`,
				`a.yaml:6: client.allowed_origins: want a list of texts, not "https://a.example"`,
				`a.yaml:7: client.max_connections: want a whole number, not the number 1.5`,
				`a.yaml:8: client.connect_timeout: want a duration such as 500ms, 25s or 10m, not the number 15`,
				`a.yaml:9: client.write_timeout: want a duration such as 500ms, 25s or 10m, not "5 seconds"`,
				`a.yaml:10: client.read_buffer: want a size such as 65536 or 64KiB, not "64KB"`,
				`a.yaml:11: client.websocket: want a section of keys, not "/ws"`,
				`a.yaml:13: client.limits.channels: want a whole number, not "many"`,
				`a.yaml:14: client.limits.commands_per_second: want a number, not "fast"`,
				`a.yaml:15: client.limits.frame_size: want a size such as 65536 or 64KiB, not the number -1`,
				`a.yaml:16: client.limits.queue_size: want a size such as 65536 or 64KiB, not the number 1e+20`,
				`a.yaml:18: namespaces.chat: want a section of keys, not the number 5`,
				`a.yaml:19: namespaces.a:b: "a:b" cannot be a name: want letters, digits, - and _`,
				`a.yaml:20: namespaces.: "" cannot be a name: want letters, digits, - and _`,
				`a.yaml:23: plugins.load[0].name: want text, not a list`,
				`a.yaml:24: plugins.load[0].config: want a section of keys`,
				`a.yaml:25: plugins.load[1]: want a section of keys, not "profanity"`,
				`a.yaml:27: audit.queue: want a whole number, not a section`,
				`a.yaml:29: audit.sqlite.path: want text, not the date 2026-01-02 00:00:00 +0000 UTC`,
				`a.yaml:32: auth.jwt.hmac_secret: want text`,
			},
		},
		"wrong types in the environment and flags": {
			environ: []string{"ZENCONN_PUBLIC__ENABLED=yes", "ZENCONN_CLIENT__FLUSHERS=", "ZENCONN_CLIENT__LIMITS__CHANNELS=1.5",
				"ZENCONN_NAMESPACES={", `ZENCONN_PLUGINS__LOAD={"name":"a"}`, "ZENCONN_SHUTDOWN__TIMEOUT=5",
				`ZENCONN_NAMESPACES__CHAT={"presence":1}`},
			args: []string{"--client.limits.command_burst=x", "--client.limits.queue_size=1.5MiB", `--client.allowed_origins=["a",1]`},
			want: []string{
				"ZENCONN_NAMESPACES__CHAT: namespaces.chat.presence: want true or false, not the number 1",
				"ZENCONN_SHUTDOWN__TIMEOUT: want a duration such as 500ms, 25s or 10m, not \"5\"",
				"--client.allowed_origins: want a list of texts, not a list",
				"--client.limits.queue_size: want a size such as 65536 or 64KiB, not \"1.5MiB\"",
				`ZENCONN_CLIENT__FLUSHERS: want a whole number, not ""`,
				`ZENCONN_CLIENT__LIMITS__CHANNELS: want a whole number, not "1.5"`,
				"ZENCONN_NAMESPACES: want a section of keys as JSON: unexpected end of JSON input",
				"ZENCONN_PLUGINS__LOAD: want a list of sections as JSON: json: cannot unmarshal object into Go value of type []interface {}",
				`ZENCONN_PUBLIC__ENABLED: want true or false, not "yes"`,
				`--client.limits.command_burst: want a whole number, not "x"`,
			},
		},
		"a wrong value causes no second error": {
			files: files{{"a.yaml", "client:\n  limits:\n    frame_size: 4MiB\n    queue_size: lots\n"}},
			want:  []string{`a.yaml:4: client.limits.queue_size: want a size such as 65536 or 64KiB, not "lots"`},
		},
		"what an unread file might say is not missed": {
			files: files{{"sub/missing.yaml", ""}, {"a.yaml", "auth: {type: jwt}"}},
			want:  []string{"sub/missing.yaml: there is no such file"},
		},
		"all kinds at once": {
			files:   files{{"a.yaml", "client: {adr: x}\nlog: {level: loud}\n"}},
			environ: []string{"ZENCONN_LOG__FORM=x"},
			args:    []string{"--api.addr=here"},
			want: []string{
				"a.yaml:1: client.adr: unknown key, did you mean client.addr?",
				"ZENCONN_LOG__FORM: unknown variable, did you mean ZENCONN_LOG__FORMAT?",
				`--api.addr: want host:port, :port or nothing, not "here"`,
				`a.yaml:2: log.level: want one of debug, info, warn, error, not "loud"`,
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var present files
			for _, file := range test.files {
				if !strings.Contains(file[0], "/") { // Those in a folder are missing.
					present = append(present, file)
				}
			}
			s := sources(t, present, test.environ, test.args)
			s.Files = nil
			for _, file := range test.files {
				s.Files = append(s.Files, file[0])
			}
			got := problems(t, s)
			if !slices.Equal(got, test.want) {
				t.Errorf("got\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(test.want, "\n  "))
			}
		})
	}
}

func TestUnreadableFile(t *testing.T) {
	s := sources(t, nil, nil, nil)
	if err := os.Mkdir("folder.yaml", 0o700); err != nil {
		t.Fatal(err)
	}
	s.Files = []string{"folder.yaml"}
	if got := problems(t, s); len(got) != 1 || !strings.HasPrefix(got[0], "folder.yaml: cannot be read: ") {
		t.Errorf("got %q", got)
	}
}

// What cannot work is refused, with the key that was given last where several exclude each other.
func TestValidation(t *testing.T) {
	for yaml, want := range map[string]string{
		"data: ''":                                                                    "a.yaml:1: data: want a directory",
		"client: {addr: localhost}":                                                   `a.yaml:1: client.addr: want host:port or :port, not "localhost"`,
		"client: {addr: ':99999'}":                                                    `a.yaml:1: client.addr: want host:port or :port, not ":99999"`,
		"client: {addr: ''}":                                                          `a.yaml:1: client.addr: want host:port or :port, not ""`,
		"{demo: true, client: {addr: ':8000'}}":                                       "a.yaml:1: client.addr: the demo mode lets everybody in, so it listens on this machine only: want a loopback address such as 127.0.0.1:8000, not :8000",
		"{demo: true, api: {addr: '10.0.0.1:1'}}":                                     "a.yaml:1: api.addr: the demo mode lets everybody in, so it listens on this machine only: want a loopback address such as 127.0.0.1:8000, not 10.0.0.1:1",
		"api: {key: geheim}":                                                          "a.yaml:1: api.key: want at least 16 bytes, not 6: a short key can be guessed",
		"api: {key: 'sixteen bytes or more'}":                                         "a.yaml:1: api.key: want ASCII without spaces: it goes into a header",
		"client: {tls: {cert: a.pem}}":                                                "a.yaml:1: client.tls.cert: a certificate needs its key, and a key its certificate",
		"client: {tls: {ticket_secret: short}}":                                       "a.yaml:1: client.tls.ticket_secret: want at least 16 bytes, not 5: a short secret can be guessed",
		"client: {accept_rate: -1}":                                                   "a.yaml:1: client.accept_rate: want 0 or more",
		"client: {accept_burst: -1}":                                                  "a.yaml:1: client.accept_burst: want at least 0, not -1",
		"client: {accept_rate_per_address: -1}":                                       "a.yaml:1: client.accept_rate_per_address: want 0 or more",
		"{client: {tls: {cert: a, key: b}}, api: {addr: '127.0.0.1:8000'}}":           "a.yaml:1: api.addr: with client.tls.cert the API needs a listener of its own, which is not encrypted: want another address than client.addr, or none",
		"api: {addr: '127.0.0.1:8000', pprof: true}":                                  "a.yaml:1: api.pprof: profiles are for operators: want an api.addr of its own, which is not client.addr",
		"api: {addr: ':8001', insecure: true}":                                        "a.yaml:1: api.insecure: without a key everybody who reaches the API could publish and disconnect: want a loopback api.addr such as 127.0.0.1:8001, or api.key instead",
		"api: {request_size: 1}":                                                      "a.yaml:1: api.request_size: want 1KiB to 1GiB, not 1",
		"client: {allowed_origins: [example.com]}":                                    `a.yaml:1: client.allowed_origins: want *, or scheme://host such as https://example.com or https://*.example.com, not "example.com"`,
		"client: {allowed_origins: ['https://a.de/']}":                                `a.yaml:1: client.allowed_origins: want *, or scheme://host such as https://example.com or https://*.example.com, not "https://a.de/"`,
		"client: {allowed_origins: ['https://a.*.de']}":                               `a.yaml:1: client.allowed_origins: want *, or scheme://host such as https://example.com or https://*.example.com, not "https://a.*.de"`,
		"client: {max_connections: -1}":                                               "a.yaml:1: client.max_connections: want at least 0, not -1",
		"client: {connect_timeout: 0s}":                                               "a.yaml:1: client.connect_timeout: want more than 0, not 0s",
		"client: {handshake_timeout: -1s}":                                            "a.yaml:1: client.handshake_timeout: want more than 0, not -1s",
		"client: {write_timeout: 0}":                                                  "a.yaml:1: client.write_timeout: want more than 0, not 0s",
		"client: {read_buffer: 1}":                                                    "a.yaml:1: client.read_buffer: want 128 to 1MiB, not 1",
		"client: {websocket: {paths: []}}":                                            "a.yaml:1: client.websocket.paths: want at least one path",
		"client: {websocket: {paths: [ws]}}":                                          `a.yaml:1: client.websocket.paths: want paths such as /connection/websocket, not "ws"`,
		"client: {websocket: {paths: [/]}}":                                           `a.yaml:1: client.websocket.paths: want paths such as /connection/websocket, not "/"`,
		"client: {websocket: {paths: ['/a?b']}}":                                      `a.yaml:1: client.websocket.paths: want paths such as /connection/websocket, not "/a?b"`,
		"client: {websocket: {paths: [/a, /a]}}":                                      `a.yaml:1: client.websocket.paths: "/a" is there twice`,
		"client: {ping: {interval: 500ms}}":                                           "a.yaml:1: client.ping.interval: want at least 1s, not 500ms|a.yaml:1: client.ping.interval: client.ping.timeout (8s) must be shorter than client.ping.interval (500ms)",
		"client: {ping: {timeout: 25s}}":                                              "a.yaml:1: client.ping.timeout: client.ping.timeout (25s) must be shorter than client.ping.interval (25s)",
		"client: {limits: {frame_size: 0}}":                                           "a.yaml:1: client.limits.frame_size: want more than 0",
		"client: {limits: {frame_size: 2MiB}}":                                        "a.yaml:1: client.limits.frame_size: client.limits.queue_size (1MiB) must hold at least one frame of client.limits.frame_size (2MiB)",
		"client: {limits: {queue_messages: 0}}":                                       "a.yaml:1: client.limits.queue_messages: want at least 1, not 0",
		"client: {limits: {commands_per_second: .nan}}":                               "a.yaml:1: client.limits.commands_per_second: want 0 or more, not NaN",
		"client: {limits: {commands_per_second: -1}}":                                 "a.yaml:1: client.limits.commands_per_second: want 0 or more, not -1",
		"client: {limits: {command_burst: 0}}":                                        "a.yaml:1: client.limits.command_burst: want at least 1, not 0: no command would ever pass",
		"client: {limits: {channel_length: 256}}":                                     "a.yaml:1: client.limits.channel_length: want 1 to 255, not 256",
		"client: {limits: {channels: 0}}":                                             "a.yaml:1: client.limits.channels: want at least 1, not 0",
		"auth: {type: token}":                                                         `a.yaml:1: auth.type: want one of hook, jwt, none, not "token"`,
		"auth: {type: jwt}":                                                           "a.yaml:1: auth.type: jwt needs a key: set auth.jwt.hmac_secret or auth.jwt.public_key",
		"auth: {user: me}":                                                            `a.yaml:1: auth.user: want one of anonymous, claimed, not "me"`,
		"auth: {jwt: {hmac_secret: geheim}}":                                          "a.yaml:1: auth.jwt.hmac_secret: want at least 32 bytes, not 6: a short secret can be guessed from one token",
		"auth: {jwt: {leeway: -1s}}":                                                  "a.yaml:1: auth.jwt.leeway: want 0 or more",
		"namespaces: {a: {subscribe: all}}":                                           `a.yaml:1: namespaces.a.subscribe: want one of anyone, user, granted, nobody, not "all"`,
		"namespaces: {a: {publish: ''}}":                                              `a.yaml:1: namespaces.a.publish: want one of anyone, user, granted, nobody, not ""`,
		"namespaces: {a: {slow_consumer: wait}}":                                      `a.yaml:1: namespaces.a.slow_consumer: want one of disconnect, drop_oldest, conflate, not "wait"`,
		"namespaces: {a: {content: xml}}":                                             `a.yaml:1: namespaces.a.content: want one of json, binary, not "xml"`,
		"namespaces: {a: {history_size: -1}}":                                         "a.yaml:1: namespaces.a.history_size: want at least 0, not -1",
		"namespaces: {a: {history_size: 1, history_ttl: 0}}":                          "a.yaml:1: namespaces.a.history_ttl: history needs a time to live, not 0s",
		"namespaces: {a: {recovery: true}}":                                           "a.yaml:1: namespaces.a.recovery: recovery needs history: set namespaces.a.history_size",
		"namespaces: {a: {batch_max_delay: 2s}}":                                      "a.yaml:1: namespaces.a.batch_max_delay: want 1ms to 1s, or 0, not 2s",
		"namespaces: {a: {batch_max_delay: 5us}}":                                     "a.yaml:1: namespaces.a.batch_max_delay: want 1ms to 1s, or 0, not 5µs",
		"namespaces: {a: {batch_max_size: 1}}":                                        "a.yaml:1: namespaces.a.batch_max_size: want 2 to 10000, not 1",
		"namespaces: {a: {batch_flush_latest: true}}":                                 "a.yaml:1: namespaces.a.batch_flush_latest: only what waits can be outdated: set namespaces.a.batch_max_delay",
		"client: {websocket: {compression: {level: 10}}}":                             "a.yaml:1: client.websocket.compression.level: want 1 to 9, not 10",
		"namespaces: {a: {recovery: true, history_size: 9, slow_consumer: conflate}}": "a.yaml:1: namespaces.a.slow_consumer: slow_consumer conflate drops publications that recovery promises: want disconnect, or no recovery",

		"namespaces: {a: {recovery: true, history_size: 9, batch_max_delay: 1s, batch_flush_latest: true}}": "a.yaml:1: namespaces.a.batch_flush_latest: batch_flush_latest drops publications that recovery promises: want one of the two",

		"plugins: {deadline: 0}":                        "a.yaml:1: plugins.deadline: want more than 0, not 0s",
		"plugins: {on_error: log}":                      `a.yaml:1: plugins.on_error: want one of deny, allow, not "log"`,
		"plugins: {load: [{on_error: allow}]}":          "a.yaml:1: plugins.load[0]: want a name or a path",
		"plugins: {load: [{name: a b}]}":                `a.yaml:1: plugins.load[0].name: "a b" cannot be a name: want letters, digits, - and _`,
		"plugins: {load: [{name: a}, {path: x/a.lua}]}": `a.yaml:1: plugins.load[1]: there are two plugins with the name "a"`,
		"plugins: {load: [{name: a, on_error: no}]}":    `a.yaml:1: plugins.load[0].on_error: want one of deny, allow, not "no"`,
		"plugins: {memory: 10KiB}":                      "a.yaml:1: plugins.memory: want 64KiB to 4GiB",
		"plugins: {max_size: 0}":                        "a.yaml:1: plugins.max_size: want more than 0",
		"plugins: {load: [{name: a, memory: 5GiB}]}":    "a.yaml:1: plugins.load[0].memory: want 64KiB to 4GiB",
		"plugins: {load: [{name: a, deadline: -1s}]}":   "a.yaml:1: plugins.load[0].deadline: want 0 or more",
		"plugins: {breaker: {faults: -1}}":              "a.yaml:1: plugins.breaker.faults: want at least 0, not -1",
		"plugins: {breaker: {window: 0}}":               "a.yaml:1: plugins.breaker.window: want more than 0, not 0s",
		"plugins: {load: [{name: a, allow: {jwt: true}, keys: [{name: k, secret: s, pem: p}]}]}":         "a.yaml:1: plugins.load[0].keys[0].secret: want a secret or a pem, and not both",
		"plugins: {load: [{name: a, allow: {jwt: true}, keys: [{secret: s}]}]}":                          `a.yaml:1: plugins.load[0].keys[0]: "" cannot be a name: want letters, digits, - and _`,
		"plugins: {load: [{name: a, allow: {jwt: true}, keys: [{name: k, pem: p}, {name: k, pem: q}]}]}": `a.yaml:1: plugins.load[0].keys[1]: there are two keys with the name "k"`,
		"plugins: {load: [{name: a, keys: [{name: k, secret: s}]}]}":                                     "a.yaml:1: plugins.load[0].keys: keys are for a plugin that has allow.jwt",
		"plugins: {load: [{name: a, breaker: {faults: -2}}]}":                                            "a.yaml:1: plugins.load[0].breaker.faults: want at least -1, not -2",
		"plugins: {load: [{name: a, breaker: {cooldown: -1s}}]}":                                         "a.yaml:1: plugins.load[0].breaker.cooldown: want 0 or more",
		"namespaces: {a: {history_storage: disk}}":                                                       `a.yaml:1: namespaces.a.history_storage: want one of file, memory, not "disk"`,
		"namespaces: {a: {history_size: 1, history_ttl: 1ms}}":                                           "a.yaml:1: namespaces.a.history_ttl: history in files needs at least 1s, not 1ms",
		"agent: {workers: -1}":                                 "a.yaml:1: agent.workers: want 0 to 256, not -1",
		"agent: {workers: 257}":                                "a.yaml:1: agent.workers: want 0 to 256, not 257",
		"agent: {name: a b}":                                   `a.yaml:1: agent.name: "a b" cannot be the name of a node: want 1 to 100 letters, digits, dots, - and _`,
		"agent: {drain_window: -1s}":                           "a.yaml:1: agent.drain_window: want 0 to 1h, not -1s",
		"{agent: {workers: 1}, api: {addr: '127.0.0.1:8000'}}": "a.yaml:1: api.addr: with agent.workers the client listener belongs to the workers, and the API to the agent: want another address than client.addr, or none",
		"bus: {url: 'nats://u:geheim@h'}":                      "a.yaml:1: bus.url: want nats://host:port or tls://host:port, several with commas between them, without user and password: those go into bus.user and bus.password",
		"bus: {url: 'http://h'}":                               "a.yaml:1: bus.url: want nats://host:port or tls://host:port, several with commas between them, without user and password: those go into bus.user and bus.password",
		"bus: {url: 'nats://h', replicas: 2}":                  "a.yaml:1: bus.replicas: want 1, 3 or 5, not 2",
		"bus: {replicas: 3}":                                   "a.yaml:1: bus.replicas: one embedded bus keeps one copy: more need bus.url or bus.cluster",
		"bus: {prefix: a.b}":                                   `a.yaml:1: bus.prefix: "a.b" cannot be a prefix: want letters, digits, - and _`,
		"bus: {listen: '0.0.0.0:0'}":                           `a.yaml:1: bus.listen: 0.0.0.0:0 is not a loopback address, and what goes over it would not be encrypted: give bus.tls.cert and bus.tls.key, or say bus.listen_insecure: true if the network encrypts by itself`,
		"bus: {listen: here}":                                  `a.yaml:1: bus.listen: want host:port, not "here"`,
		"bus: {listen: '127.0.0.1:0', token: short}":           "a.yaml:1: bus.token: want at least 16 characters",
		"bus: {user: u}":                                       "a.yaml:1: bus.user: these credentials are for an external bus: set bus.url",
		"bus: {listen: '127.0.0.1:0', tls: {ca: c}}":           "a.yaml:1: bus.tls.ca: who listens needs a certificate of its own: set bus.tls.cert and bus.tls.key",
		"bus: {cluster: {secret: abcdefghijklmnop}}":           "a.yaml:1: bus.cluster.secret: a cluster of agents needs bus.cluster.listen",
		"bus: {cluster: {name: a b}}":                          `a.yaml:1: bus.cluster.name: "a b" cannot be a name: want letters, digits, - and _`,
		"bus: {cluster: {listen: '127.0.0.1:1', secret: geheim, peers: 'nats-route://a:1,nats-route://b:1'}}":                                  "a.yaml:1: bus.cluster.secret: want a secret of at least 16 characters, the same on all agents",
		"bus: {cluster: {listen: '127.0.0.1:1', secret: abcdefghijklmnop}}":                                                                    "a.yaml:1: bus.cluster.listen: want nats-route://host:port of all agents, this one too, with commas between them",
		"bus: {cluster: {listen: '127.0.0.1:1', secret: abcdefghijklmnop, peers: 'nats-route://u:geheim@a:1,nats-route://b:1'}}":               `a.yaml:1: bus.cluster.peers: want nats-route://host:port without user and password, not "…@a:1"`,
		"bus: {cluster: {listen: '127.0.0.1:1', secret: abcdefghijklmnop, peers: 'nats-route://b:1,nats-route://b:1'}}":                        `a.yaml:1: bus.cluster.peers: "nats-route://b:1" is there twice`,
		"bus: {replicas: 3, cluster: {listen: '127.0.0.1:1', secret: abcdefghijklmnop, peers: 'nats-route://a:1,nats-route://b:1'}}":           "a.yaml:1: bus.replicas: 2 agents cannot keep 3 copies",
		"bus: {cluster: {listen: '10.0.0.1:1', secret: abcdefghijklmnop, peers: 'nats-route://a:1,nats-route://b:1'}, tls: {cert: c, key: k}}": "a.yaml:1: bus.tls.cert: agents of a cluster check each other's certificates: set the authority that signed them",
		"bus: {listen: '127.0.0.1:0', url: 'nats://h'}":                                                                                        "a.yaml:1: bus.listen: an external bus (bus.url) leaves nothing to listen for",
		"bus: {url: 'nats://h', user: u, token: t}":                                                                                            "a.yaml:1: bus.user: want one of bus.credentials_file, bus.user and bus.token",
		"bus: {token: t}":                                      "a.yaml:1: bus.token: a token is for an external bus or for those who come to bus.listen: set one of them",
		"bus: {url: 'nats://h', password: p}":                  "a.yaml:1: bus.password: a password needs bus.user",
		"bus: {url: 'nats://h', tls: {cert: c}}":               "a.yaml:1: bus.tls.cert: a certificate needs its key, and a key its certificate",
		"bus: {tls: {ca: c}}":                                  "a.yaml:1: bus.tls.ca: nothing is encrypted without bus.url, bus.listen or bus.cluster.listen: set one of them",
		"audit: {store: file}":                                 `a.yaml:1: audit.store: want one of sqlite, clickhouse, none, not "file"`,
		"audit: {store: clickhouse}":                           "a.yaml:1: audit.store: the store clickhouse needs audit.clickhouse.dsn",
		"audit: {clickhouse: {dsn: 'http://u:geheim@h'}}":      "a.yaml:1: audit.clickhouse.dsn: want clickhouse://user:password@host:9000/database",
		"audit: {clickhouse: {dsn: 'clickhouse://u:geheim%'}}": "a.yaml:1: audit.clickhouse.dsn: want clickhouse://user:password@host:9000/database",
		"audit: {mode: slow}":                                  `a.yaml:1: audit.mode: want one of fast, durable, not "slow"`,
		"audit: {on_full: wait}":                               `a.yaml:1: audit.on_full: want one of drop, block, not "wait"`,
		"audit: {queue: 5}":                                    "a.yaml:1: audit.queue: audit.batch_events (10000) must be at least 1 and at most audit.queue (5)",
		"audit: {queue_size: 0}":                               "a.yaml:1: audit.queue_size: want more than 0",
		"audit: {flush_interval: 0}":                           "a.yaml:1: audit.flush_interval: want more than 0, not 0s",
		"log: {format: xml}":                                   `a.yaml:1: log.format: want one of text, json, not "xml"`,
		"access_log: {format: nginx}":                          `a.yaml:1: access_log.format: want one of off, combined, common, json, not "nginx"`,
		"shutdown: {timeout: 0}":                               "a.yaml:1: shutdown.timeout: want more than 0, not 0s",
	} {
		t.Run(yaml, func(t *testing.T) {
			got := strings.Join(problems(t, sources(t, [][2]string{{"a.yaml", yaml}}, nil, nil)), "|")
			if got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

func TestValid(t *testing.T) {
	for _, yaml := range []string{
		"client: {allowed_origins: ['*', 'https://*.a.de', 'http://localhost:3000', 'capacitor://localhost'], addr: '[::1]:0'}",
		"{demo: true, client: {addr: 'localhost:1'}, api: {addr: ''}}",
		"client: {addr: ':0'}\napi: {addr: ':0'}",
		"client: {limits: {commands_per_second: 0, command_burst: 0}}",
		"namespaces: {a: {history_size: 0, history_ttl: 0}}",
		"auth: {type: jwt, jwt: {public_key: key.pem}}",
		"bus: {url: 'nats://a:4222,tls://b', user: u, password: p, replicas: 3, tls: {ca: ca.pem}}",
		"bus: {listen: '0.0.0.0:4222', tls: {cert: c, key: k}, token: abcdefghijklmnop}",
		"bus: {listen: '0.0.0.0:4222', listen_insecure: true}",
		"bus: {replicas: 3, tls: {cert: c, key: k, ca: a}, cluster: {listen: '0.0.0.0:6222', secret: abcdefghijklmnop, peers: 'nats-route://a:6222,nats-route://b:6222,nats-route://c:6222'}}",
		"bus: {listen: '127.0.0.1:0'}\nnamespaces: {a: {history_size: 1, history_ttl: 1ms, history_storage: memory}}",
		"access_log: {format: off}",
		"{agent: {workers: 256, name: node-1.example.com, drain_window: 0}, api: {addr: ''}}",
	} {
		t.Run(yaml, func(t *testing.T) { load(t, sources(t, [][2]string{{"a.yaml", yaml}}, nil, nil)) })
	}
}

func FuzzSize(f *testing.F) {
	for _, text := range []string{"0", "65536", "64KiB", "64 MiB", "1GiB", "5B", "-1", "KiB", "9223372036854775807GiB", "1.5KiB"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var size, again config.Size
		if size.UnmarshalText([]byte(text)) != nil {
			return
		}
		if err := again.UnmarshalText([]byte(size.String())); err != nil || again != size || size < 0 {
			t.Errorf("%q is %d, which is written %s and reads as %d, %v", text, size, size, again, err)
		}
	})
}
