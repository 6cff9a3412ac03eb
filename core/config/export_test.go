package config_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/zenconn/server/core/config"
)

// everything sets keys of all kinds, and all that only the agent must know to "geheim…".
const everything = `
data: geheim-data
client: {addr: ':9000', allowed_origins: ['https://a.example'], read_buffer: 1500, ping: {interval: 30s}, limits: {frame_size: 32KiB, commands_per_second: 1.5}}
api: {addr: '127.0.0.1:1', key: geheim-0123456789abcdef}
auth: {type: jwt, jwt: {hmac_secret: 0123456789abcdef0123456789abcdef, require_expiry: true}}
namespaces:
  chat: {subscribe: anyone, history_size: 10, history_ttl: 1h30m, recovery: true}
  default: {}
plugins: {dir: geheim-dir, deadline: 70ms, load: [{path: geheim.lua, config: {key: geheim}}]}
agent: {workers: 3, name: geheim-name, drain_window: 1m}
bus: {url: 'nats://geheim', user: geheim, password: geheim, prefix: other, replicas: 3, tls: {ca: geheim, cert: geheim, key: geheim}}
audit: {store: clickhouse, clickhouse: {dsn: 'clickhouse://geheim:geheim@geheim'}, sqlite: {path: geheim}, queue: 20000}
`

func TestExportLeavesTheAgentsSecretsOut(t *testing.T) {
	c := load(t, sources(t, [][2]string{{"a.yaml", everything}}, nil, nil)).Config
	b, err := c.Export()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(b), "geheim") {
		t.Errorf("a worker gets what is the agent's: %s", b)
	}
	got, err := config.Import("the agent", b)
	if err != nil {
		t.Fatal(err)
	}
	want, defaults := c, config.Default()
	want.Data, want.API = defaults.Data, config.API{RequestSize: defaults.API.RequestSize}
	want.Plugins.Dir, want.Plugins.Load = defaults.Plugins.Dir, defaults.Plugins.Load
	want.Agent = config.Agent{DrainWindow: want.Agent.DrainWindow}
	want.Bus = config.Bus{Prefix: want.Bus.Prefix, Replicas: want.Bus.Replicas}
	want.Audit.ClickHouse.DSN, want.Audit.SQLite.Path = "", ""
	if !reflect.DeepEqual(*got, want) {
		t.Errorf("got  %+v\nwant %+v", *got, want)
	}
}

// A secret is the agent's own unless somebody decided that workers need it.
func TestSecretsThatTravel(t *testing.T) {
	travel := []string{"auth.jwt.hmac_secret", "client.tls.ticket_secret"}
	var walk func(section reflect.Type, path string, only bool)
	walk = func(section reflect.Type, path string, only bool) {
		for f := range section.Fields() {
			key := strings.TrimPrefix(path+"."+f.Tag.Get("koanf"), ".")
			withheld := only || f.Tag.Get("only") == "agent"
			if f.Tag.Get("secret") != "" && !withheld && !slices.Contains(travel, key) {
				t.Errorf("the secret %s would be sent to workers", key)
			}
			element := f.Type
			if kind := element.Kind(); kind == reflect.Map || kind == reflect.Slice {
				element = element.Elem()
			}
			if element.Kind() == reflect.Struct {
				walk(element, key, withheld)
			}
		}
	}
	walk(reflect.TypeFor[config.Config](), "", false)
}

func TestExportOfTheDemo(t *testing.T) {
	c := load(t, config.Sources{}).Config
	b, err := c.Export()
	if err != nil {
		t.Fatal(err)
	}
	got, err := config.Import("the agent", b)
	if err != nil || !got.Demo || !reflect.DeepEqual(got.Namespaces, c.Namespaces) || got.API.Addr != "" {
		t.Errorf("%+v, %v", got, err)
	}
}

// What another version of the program writes.
func TestImportFromAnotherVersion(t *testing.T) {
	for name, test := range map[string]struct{ sent, want string }{
		"keys that are not set": {`{"values": {"log": {"level": "warn", "rotate": "1d"}, "quic": {"addr": "", "x": {}},
			"namespaces": {"a": {"color": "red", "publish": "user"}}}, "set": ["log.level"]}`, ""},
		"a key that is set":     {`{"values": {"log": {"rotate": "1d"}}, "set": ["log.rotate"]}`, "the agent: log.rotate: unknown key"},
		"a section that is set": {`{"values": {"quic": {"addr": ":1"}}, "set": ["quic.addr"]}`, "the agent: quic: unknown key"},
		"a namespace's key": {`{"values": {"namespaces": {"a": {"color": "red"}}}, "set": ["namespaces.a.color"]}`,
			"the agent: namespaces.a.color: unknown key"},
		"a value that means nothing here": {`{"values": {"log": {"format": "binary"}}, "set": ["log.format"]}`,
			`the agent: log.format: want one of text, json, not "binary"`},
		"keys that are missing": {`{}`, ""},
		"no JSON":               {`{"values": `, "the agent: unexpected end of JSON input"},
		"other JSON":            {`{"values": []}`, "the agent: json: cannot unmarshal array into Go struct field exported.values of type map[string]interface {}"},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := config.Import("the agent", []byte(test.sent))
			if test.want == "" {
				if err != nil || c.Client.Addr != config.Default().Client.Addr {
					t.Errorf("%+v, %v", c, err)
				}
				return
			}
			broken, ok := errors.AsType[*config.Error](err)
			if !ok || len(broken.Problems) != 1 || broken.Problems[0].String() != test.want {
				t.Errorf("error %v, want %s", err, test.want)
			}
		})
	}
}

// Whatever an agent sends, it is refused with problems, or it is a configuration that can be sent on and means the same.
func FuzzImport(f *testing.F) {
	defaults := config.Default()
	seed, err := defaults.Export()
	if err != nil {
		f.Fatal(err)
	}
	for _, text := range []string{string(seed), `{}`, `null`, `{"values":{"demo":true}}`, `{"values":{"namespaces":{"a":{"x":1}}},"set":["namespaces.a.x"]}`,
		`{"values":{"plugins":{"load":[{"name":"a"}]},"client":null}}`, `{"values":{"namespaces":{"a":5}}}`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := config.Import("the agent", b)
		if err != nil {
			if broken, ok := errors.AsType[*config.Error](err); !ok || len(broken.Problems) == 0 {
				t.Fatal(err)
			}
			return
		}
		first, err := c.Export()
		if err != nil {
			t.Fatal(err)
		}
		again, err := config.Import("the agent", first)
		if err != nil {
			t.Fatalf("%s: %v", first, err)
		}
		if second, err := again.Export(); err != nil || !sameJSON(first, second) {
			t.Fatalf("%s became %s, %v", first, second, err)
		}
	})
}

func sameJSON(a, b []byte) bool {
	var x, y struct{ Values, Set any }
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x.Values, y.Values)
}

func TestInheritedBus(t *testing.T) {
	want := config.Bus{URL: "nats://h", Token: "geheim", Replicas: 3, TLS: config.BusTLS{CA: "ca.pem"}}
	variable, err := want.Environ()
	if err != nil {
		t.Fatal(err)
	}
	got, ok, err := config.InheritedBus([]string{"HOME=/", variable})
	if err != nil || !ok || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v, %v", got, ok, err)
	}
	if got, ok, err := config.InheritedBus([]string{"ZENCONN_WORKER_BUSES=3"}); ok || err != nil {
		t.Errorf("%+v, %v, %v", got, ok, err)
	}
	if _, ok, err := config.InheritedBus([]string{"ZENCONN_WORKER_BUS=geheim"}); ok || err == nil || strings.Contains(err.Error(), "geheim") {
		t.Errorf("%v, %v", ok, err)
	}
}

func TestWorkersReachTheEmbeddedBus(t *testing.T) {
	for yaml, want := range map[string]string{
		"agent: {workers: 0}": "",
		"agent: {workers: 2}": "127.0.0.1:0",
		"agent: {workers: 2}\nbus: {listen: '127.0.0.1:4222'}": "127.0.0.1:4222",
		"agent: {workers: 2}\nbus: {url: 'nats://h'}":          "",
	} {
		if got := load(t, sources(t, [][2]string{{"a.yaml", yaml}}, nil, nil)).Config.Bus.Listen; got != want {
			t.Errorf("%s: bus.listen is %q, want %q", yaml, got, want)
		}
	}
}

func TestNodeName(t *testing.T) {
	for _, test := range []struct{ name, host, want string }{
		{"a", "b", "a"}, {"", "b.example.com", "b.example.com"}, {"", "", "zenconn"}, {"", "Ännes PC", "zenconn"}, {"", strings.Repeat("x", 101), "zenconn"},
	} {
		if got := (config.Agent{Name: test.name}).NodeName(test.host); got != test.want || !config.ValidNodeName(got) {
			t.Errorf("name %q on the host %q is %q, want %q", test.name, test.host, got, test.want)
		}
	}
}
