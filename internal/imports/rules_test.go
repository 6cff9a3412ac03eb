// Package imports holds the test that keeps the imports pointing inward. A pattern names one package, relative to the module; a
// pattern that ends in /... means the packages below that folder, and not the folder's own. Paths with a dot in their first
// element are other modules. The program itself is "main".
package imports

// layers is who may know whom: a package imports packages of earlier layers, and of its own folder, and no others. A new package
// gets a place here before it is used.
var layers = [][]string{
	{"core", "public", "configs"},
	{"core/protocol", "core/config", "core/metrics", "hooks", "audit"},
	{"core/channel", "core/auth", "core/outbound", "core/keyfile", "core/profile", "core/supervise", "hooks/...", "audit/sqlite", "audit/clickhouse", "audit/stored", "audit/audittest", "audit/ask"},
	{"core/history", "core/presence", "core/bus", "core/door", "plugins", "plugins/...", "audit/store", "audit/chain"},
	{"core/history/...", "core/join", "core/kv", "audit/spool", "audit/erase", "audit/settle"},
	{"core/hub"},
	{"core/relay"},
	{"core/session"},
	{"core/cluster"},
	{"core/registry"},
	{"core/transport", "core/transport/...", "core/web"},
	{"core/worker"},
	{"core/node"},
	{"core/api"},
	{"core/agent"},
	{"bench", "bench/..."},
	{"core/cli"},
	{"main"},
	{"internal/..."},
	{"test/..."},
}

const whyLayers = "imports point inward, so that a room can be changed without asking what happens in those around it"

// only says what a package may import at all, besides the standard library.
var only = []struct {
	who  []string
	what []string
	why  string
}{
	{
		[]string{"core"}, nil,
		"core is the vocabulary that every package speaks: what it imports, all of them carry",
	},
	{
		[]string{"public", "configs"}, nil,
		"they hold embedded files and nothing that acts",
	},
	{
		[]string{"core/protocol"},
		[]string{"core", "google.golang.org/protobuf/...", "github.com/planetscale/vtprotobuf/...", "github.com/klauspost/compress/flate"},
		"the protocol is bytes and words: it must be possible to fuzz it, and to use it in a client, alone",
	},
	{
		[]string{"hooks"}, []string{"core"},
		"the contract with plugins must not depend on the server that asks or the runtime that answers",
	},
	{
		[]string{"audit"}, []string{"core"},
		"the record must not depend on what it records",
	},
}

// never says what a package must not reach, not even through others.
var never = []struct {
	who    []string
	what   []string
	direct bool // Only what it imports itself; others may bring it along.
	why    string
}{
	{
		who: []string{"core/session", "core/hub"},
		what: []string{
			"plugins", "hooks/...", "github.com/yuin/gopher-lua", "github.com/yuin/gopher-lua/...", "github.com/tetratelabs/wazero", "github.com/tetratelabs/wazero/...",
			"core/bus", "github.com/nats-io/...", "audit/...", "github.com/ClickHouse/...", "modernc.org/...", "github.com/ncruces/...",
			"core/transport/...", "github.com/lxzan/gws",
		},
		why: "sessions and the hub see small interfaces, so that runtimes, bus, stores and transports can be exchanged and tests need none of them",
	},
	{
		who:    []string{"core/session", "core/hub"},
		what:   []string{"github.com/knadh/koanf/..."},
		direct: true, // core/config brings it along with the types of the configuration.
		why:    "a configuration was read and checked once, before it gets here",
	},
	{
		who:  []string{"core/hub"},
		what: []string{"core/session"},
		why:  "the hub knows members; that they are sessions must not matter to it",
	},
	{
		who:  []string{"audit/sqlite", "audit/clickhouse", "audit/stored", "audit/audittest"},
		what: []string{"core/...", "hooks", "hooks/...", "audit/store"},
		why:  "a sink stores events and knows audit and core only",
	},
	{
		who:  []string{"hooks/..."},
		what: []string{"core/...", "audit", "audit/..."},
		why:  "a runtime answers hooks and knows hooks and core only",
	},
}

// home says which packages alone may import something. Tests may, unless it says otherwise.
var home = []struct {
	what []string
	who  []string
	why  string
}{
	{[]string{"bench", "bench/..."}, []string{"core/cli"}, "the load generator must not leak into the server; only its command starts it"},
	{[]string{"main"}, nil, "main wires and exits; there is nothing in it to use"},
	{[]string{"internal/...", "test/..."}, []string{"internal/...", "test/..."}, "what serves tests must not get into the product"},
	{[]string{"hooks/hooktest", "hooks/wasm/wasmtest", "audit/audittest", "bench/benchtest", "core/history/historytest"}, []string{"internal/...", "test/..."}, "what serves tests must not get into the product"},
	{[]string{"testing", "testing/..."}, []string{"internal/...", "test/...", "hooks/hooktest", "audit/audittest", "bench/benchtest", "core/history/historytest"}, "what serves tests must not get into the product"},
	{
		[]string{"github.com/getkin/kin-openapi/...", "github.com/centrifugal/gocent/..."}, []string{"internal/...", "test/..."},
		"what serves tests must not get into the product",
	},
	{[]string{"github.com/lxzan/gws"}, []string{"core/transport/websocket", "bench", "bench/...", "test/..."}, "one package wraps the WebSocket engine, so that it can be exchanged"},
	{[]string{"github.com/yuin/gopher-lua", "github.com/yuin/gopher-lua/..."}, []string{"hooks/lua"}, "one package wraps Lua"},
	{[]string{"github.com/tetratelabs/wazero", "github.com/tetratelabs/wazero/..."}, []string{"hooks/wasm"}, "one package wraps the Wasm runtime"},
	{
		[]string{"github.com/nats-io/..."}, []string{"core/bus", "core/history/jetstream", "core/relay", "core/kv", "audit/spool", "test/..."},
		"one package connects to NATS; those that keep something on it, or carry the messages, speak to it directly; all others ask and answer by core/bus",
	},
	{[]string{"github.com/ClickHouse/..."}, []string{"audit/clickhouse", "audit/audittest"}, "one package wraps ClickHouse; another makes and drops the databases of tests"},
	{[]string{"modernc.org/...", "github.com/ncruces/..."}, []string{"audit/sqlite"}, "one package wraps SQLite"},
	{[]string{"github.com/knadh/koanf/..."}, []string{"core/config"}, "one package reads the configuration"},
	{[]string{"go.yaml.in/yaml/..."}, []string{"core/config", "hooks/scenario"}, "the configuration, and scenarios of plugins, are what is written in YAML"},
	{[]string{"hooks/scenario"}, []string{"core/cli"}, "scenarios test plugins; a server runs them"},
	{[]string{"github.com/spf13/cobra"}, []string{"core/cli"}, "commands live in core/cli"},
}
