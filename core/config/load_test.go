package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/zenconn/server/core/config"
)

// sources makes sources of files by name and content, variables and arguments.
func sources(t *testing.T, files [][2]string, environ, args []string) config.Sources {
	t.Helper()
	s := config.Sources{Environ: environ, Flags: pflag.NewFlagSet("test", pflag.ContinueOnError)}
	t.Chdir(t.TempDir())
	for _, file := range files {
		if err := os.WriteFile(file[0], []byte(file[1]), 0o600); err != nil {
			t.Fatal(err)
		}
		s.Files = append(s.Files, file[0])
	}
	config.AddFlags(s.Flags)
	if err := s.Flags.Parse(args); err != nil {
		t.Fatal(err)
	}
	return s
}

func load(t *testing.T, s config.Sources) *config.Loaded {
	t.Helper()
	loaded, err := config.Load(s)
	if err != nil {
		t.Fatal(err)
	}
	return loaded
}

// problems returns the lines of the error that Load must return.
func problems(t *testing.T, s config.Sources) []string {
	t.Helper()
	loaded, err := config.Load(s)
	broken, ok := errors.AsType[*config.Error](err)
	if !ok || loaded != nil {
		t.Fatalf("Load = %v, %v; want no configuration and an *Error", loaded, err)
	}
	var lines []string
	for _, p := range broken.Problems {
		lines = append(lines, p.String())
	}
	return lines
}

func TestDefaultsAreValid(t *testing.T) {
	loaded := load(t, config.Sources{Environ: []string{"ZENCONN_DEMO=false"}})
	if !reflect.DeepEqual(loaded.Config, config.Default()) {
		t.Errorf("got  %+v\nwant %+v", loaded.Config, config.Default())
	}
	if c := loaded.Config; c.Auth.Type != "hook" || len(c.Namespaces) != 0 {
		t.Errorf("a configured server does not start closed: auth %q, namespaces %v", c.Auth.Type, c.Namespaces)
	}
}

func TestDemo(t *testing.T) {
	for name, test := range map[string]struct {
		environ, args []string
		files         [][2]string
		want          bool
	}{
		"nothing at all":         {want: true},
		"foreign environment":    {environ: []string{"HOME=/", "ZENCONNX=1", "ZENCONN_TEST_REQUIRE=all"}, want: true},
		"a variable":             {environ: []string{"ZENCONN_LOG__LEVEL=info"}},
		"a flag":                 {args: []string{"--log.level=info"}},
		"an empty file":          {files: [][2]string{{"a.yaml", ""}}},
		"asked for in a file":    {files: [][2]string{{"a.yaml", "demo: true\nlog: {level: debug}"}}, want: true},
		"asked for by variable":  {environ: []string{"ZENCONN_DEMO=1"}, want: true},
		"asked for by flag":      {args: []string{"--demo"}, want: true},
		"refused by flag":        {args: []string{"--demo=false"}},
		"refused by later layer": {files: [][2]string{{"a.yaml", "demo: true"}}, args: []string{"--demo=false"}},
	} {
		t.Run(name, func(t *testing.T) {
			loaded := load(t, sources(t, test.files, test.environ, test.args))
			c := loaded.Config
			if c.Demo != test.want {
				t.Fatalf("demo = %v, want %v", c.Demo, test.want)
			}
			def, open := c.Namespaces["default"]
			if open != test.want || (c.Auth.Type == "none") != test.want {
				t.Errorf("auth %q, namespaces %v", c.Auth.Type, c.Namespaces)
			}
			if !test.want {
				return
			}
			want := config.DefaultNamespace()
			want.Subscribe, want.Publish, want.Presence, want.JoinLeave = "anyone", "anyone", true, true
			want.HistorySize, want.Recovery = 100, true
			if def != want || c.Auth.User != "claimed" {
				t.Errorf("user %q, namespace %+v, want %+v", c.Auth.User, def, want)
			}
			if o := loaded.Origin("auth.type"); o.Layer != config.LayerDemo {
				t.Errorf("auth.type comes from %v", o)
			}
		})
	}
}

func TestLayers(t *testing.T) {
	s := sources(t,
		[][2]string{
			{"one.yaml", "client:\n  addr: 127.0.0.1:1\n  limits:\n    channels: 1\n    frame_size: 1024\n" +
				"namespaces:\n  chat:\n    presence: true\n    publish: user\n  empty:\n"},
			{"two.toml", "[client]\naddr = '127.0.0.1:2'\n[client.limits]\nchannels = 2\nsessions_per_user = 2\n[[plugins.load]]\nname = 'a'\n" +
				"[[plugins.load]]\npath = 'b.lua'\n[plugins.load.config]\nwords = ['x']\n"},
			{"three.json", "{\"client\": {\n\t\"addr\": \"127.0.0.1:3\",\n\t\"limits\": {\"channels\": 3, \"command_burst\": 3e2}}}"},
		},
		[]string{
			"ZENCONN_CLIENT__LIMITS__CHANNELS=4", "ZENCONN_CLIENT__PING__TIMEOUT=4s", "ZENCONN_CLIENT__LIMITS__QUEUE_SIZE=4MiB",
			`ZENCONN_NAMESPACES={"chat":{"publish":"nobody"},"news":{"subscribe":"anyone"}}`, "ZENCONN_NAMESPACES__NEWS__PUBLISH=granted",
			"ZENCONN_CLIENT__ALLOWED_ORIGINS=https://a.example, https://b.example", "ZENCONN_AUDIT__STORE=",
		},
		[]string{"--client.limits.channels", "5", "--client.limits.commands_per_second=0.5", "--public.enabled=false",
			"--client.websocket.paths=/a,/b", "--client.websocket.paths", `["/c"]`})
	loaded := load(t, s)
	c := loaded.Config

	want := config.Default()
	want.Client.Addr = "127.0.0.1:3"
	want.Client.AllowedOrigins = []string{"https://a.example", "https://b.example"}
	want.Client.Ping.Timeout = 4 * time.Second
	want.Client.WebSocket.Paths = []string{"/a", "/b", "/c"}
	want.Client.Limits.Channels, want.Client.Limits.SessionsPerUser, want.Client.Limits.CommandBurst = 5, 2, 300
	want.Client.Limits.FrameSize, want.Client.Limits.QueueSize, want.Client.Limits.CommandsPerSecond = 1024, 4<<20, 0.5
	want.Public.Enabled = false
	chat, news := config.DefaultNamespace(), config.DefaultNamespace()
	chat.Presence, chat.Publish, news.Subscribe = true, "nobody", "anyone"
	want.Namespaces = map[string]config.Namespace{"chat": chat, "news": news, "empty": config.DefaultNamespace()}
	want.Plugins.Load = []config.Plugin{{Name: "a"}, {Path: "b.lua", Config: map[string]any{"words": []any{"x"}}}}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got  %+v\nwant %+v", c, want)
	}

	for key, want := range map[string]string{
		"client.addr":                     "file three.json:2",
		"client.limits.frame_size":        "file one.yaml:5",
		"client.limits.sessions_per_user": "file two.toml:5",
		"client.limits.channels":          "flag --client.limits.channels",
		"client.websocket.paths":          "flag --client.websocket.paths",
		"client.ping.timeout":             "environment ZENCONN_CLIENT__PING__TIMEOUT",
		"client.ping.interval":            "default",
		"audit.store":                     "environment ZENCONN_AUDIT__STORE",
		"namespaces.chat.presence":        "file one.yaml:8",
		"namespaces.chat.publish":         "environment ZENCONN_NAMESPACES",
		"namespaces.news.publish":         "environment ZENCONN_NAMESPACES__NEWS__PUBLISH",
		"namespaces.empty.publish":        "default",
		"plugins.load[0].name":            "file two.toml:7",
		"plugins.load[0].path":            "default",
		"plugins.load[1].path":            "file two.toml:9",
		"plugins.load[1].config":          "file two.toml:10",
	} {
		if got := loaded.Origin(key).String(); got != want {
			t.Errorf("%s comes from %q, want %q", key, got, want)
		}
	}
}

func TestListIsReplaced(t *testing.T) {
	loaded := load(t, sources(t,
		[][2]string{{"a.yaml", "plugins:\n  load:\n    - name: a\n    - name: b\n"}, {"b.yaml", "plugins:\n  load:\n    - path: c.lua\n"}}, nil, nil))
	if got := loaded.Config.Plugins.Load; len(got) != 1 || got[0].Path != "c.lua" || got[0].Name != "" {
		t.Errorf("plugins %+v", got)
	}
	if o := loaded.Origin("plugins.load[1].name"); o.Layer != config.LayerDefault {
		t.Errorf("a plugin that is gone comes from %v", o)
	}
}

// Every file in configs is one the server takes.
func TestSamples(t *testing.T) {
	var paths []string
	for _, pattern := range []string{"*.yaml", "*.yml", "*.toml"} {
		found, err := filepath.Glob(filepath.Join("../../configs", pattern))
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, found...)
	}
	if len(paths) < 2 {
		t.Fatalf("found only %v", paths)
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			loaded := load(t, config.Sources{Files: []string{path}, Environ: []string{"ZENCONN_AUDIT__CLICKHOUSE__DSN=clickhouse://u:p@h:9000/d"}})
			if filepath.Base(path) != "zenconn.yaml" {
				return
			}
			want := config.Default()
			want.Audit.ClickHouse.DSN = loaded.Config.Audit.ClickHouse.DSN
			if !reflect.DeepEqual(loaded.Config, want) {
				t.Errorf("the annotated file does not hold the defaults: %+v", loaded.Config)
			}
			for _, v := range loaded.Values() {
				if v.Origin.Layer == config.LayerDefault && v.Key != "namespaces" {
					t.Errorf("%s is missing", v.Key)
				}
			}
		})
	}
}

func TestMasking(t *testing.T) {
	const hmac = "0123456789abcdef0123456789abcdef"
	loaded := load(t, sources(t, [][2]string{{"a.yaml", "plugins:\n  load:\n    - name: a\n      config: {key: geheim, deep: {key: geheim}}\n" +
		"      allow: {jwt: true, http: [a.example]}\n      keys: [{name: k, secret: geheim}, {name: l, pem: geheim}]\n"}}, []string{
		"ZENCONN_AUTH__JWT__HMAC_SECRET=" + hmac,
		"ZENCONN_AUDIT__CLICKHOUSE__DSN=clickhouse://zen:geheim@db:9000/audit?password=geheim&secure=true",
	}, nil))
	shown := map[string]string{}
	for _, v := range loaded.Values() {
		shown[v.Key] = v.Text()
	}
	for key, want := range map[string]string{
		"auth.jwt.hmac_secret":           "***",
		"audit.clickhouse.dsn":           "clickhouse://zen:***@db:9000/audit?password=***&secure=true",
		"plugins.load[0].config":         `{"deep":"***","key":"***"}`,
		"plugins.load[0].keys[0].secret": "***",
		"plugins.load[0].keys[1].pem":    "***",
		"plugins.load[0].allow.http":     `["a.example"]`,
		"auth.jwt.public_key":            `""`,
	} {
		if shown[key] != want {
			t.Errorf("%s is shown as %s, want %s", key, shown[key], want)
		}
	}

	masked, whole := string(loaded.YAML(false)), loaded.YAML(true)
	if strings.Contains(masked, "geheim") || strings.Contains(masked, hmac) {
		t.Errorf("YAML without secrets holds one:\n%s", masked)
	}
	again := load(t, sources(t, [][2]string{{"masked.yaml", masked}}, nil, nil))
	if again.Config.Auth.JWT.HMACSecret != "" || again.Config.Audit.ClickHouse.DSN != "" || again.Config.Plugins.Load[0].Name != "a" {
		t.Errorf("YAML without secrets holds %+v", again.Config)
	}
	again = load(t, sources(t, [][2]string{{"whole.yaml", string(whole)}}, nil, nil))
	if !reflect.DeepEqual(again.Config, loaded.Config) {
		t.Errorf("YAML with secrets reads as\n     %+v\nwant %+v", again.Config, loaded.Config)
	}
}

func TestYAMLReadsBack(t *testing.T) {
	loaded := load(t, sources(t, [][2]string{{"a.yaml", `
client: {allowed_origins: ["https://a.example", "*"], ping: {interval: 1h30m}}
auth: {jwt: {public_key: "-----BEGIN\nx: y # z\n-----END\n", audience: "yes", issuer: "0x10"}}
namespaces: {default: , "1": {presence: true}, "true": , chat: {history_size: 3, history_ttl: 90s, recovery: true}}
plugins: {load: [{name: a, deadline: 3ms}, {path: "b c.lua", on_error: allow, config: {1: [true, {x: null}]}}]}
`}}, nil, nil))
	again := load(t, sources(t, [][2]string{{"b.yaml", string(loaded.YAML(true))}}, nil, nil))
	if !reflect.DeepEqual(again.Config, loaded.Config) {
		t.Errorf("reads back as\n     %+v\nwant %+v", again.Config, loaded.Config)
	}
	var got, want []string
	for _, v := range loaded.Values() {
		want = append(want, v.Key+"="+v.Text())
	}
	for _, v := range again.Values() {
		got = append(got, v.Key+"="+v.Text())
	}
	if !slices.Equal(got, want) {
		t.Errorf("values\n     %v\nwant %v", got, want)
	}
}
