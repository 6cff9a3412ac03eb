package cli_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/zenconn/server/core/api"
	"github.com/zenconn/server/core/cli"
	"github.com/zenconn/server/hooks/wasm/wasmtest"
	"github.com/zenconn/server/internal/testenv"
)

const words = `
function on_publish(ev)
  for _, word in ipairs(config.words) do
    ev.data = ev.data:gsub(word, ("*"):rep(#word))
  end
  if ev.user == "mallory" then kv.set("bad", "1") return false, 403, "not you" end -- not http.request
  log.info("http.request")
end`

const wordsTest = `
config: {words: [darn]}
allow: {kv: true}
scenarios:
  - {name: masks, hook: publish, event: {data: darn it}, expect: {verdict: pass, changes: {data: "**** it"}}}
  - {name: refuses, hook: publish, event: {user: mallory}, expect: {verdict: deny, code: 403}}
`

// A new plugin works: the commands that follow it do what they are for.
func TestPluginNew(t *testing.T) {
	for lang, tools := range map[string][]string{"lua": nil, "go": {"go", "make"}, "c": {"clang", "wasm-ld", "make"}} {
		t.Run(lang, func(t *testing.T) {
			for _, tool := range tools {
				if _, err := exec.LookPath(tool); err != nil {
					testenv.Skip(t, tool+" is missing (Debian: apt-get install clang lld make)")
				}
			}
			inFolder(t)
			next := written(t, lang)
			t.Chdir(filepath.Join("plugins", "my-first1"))
			var did []string
			for _, line := range next {
				did = append(did, follow(t, line))
			}
			if want := []string{"check", "test", "bench"}; !slices.Equal(did[max(0, len(did)-3):], want) {
				t.Errorf("the commands are %q", did)
			}
		})
	}
}

// What takes other compilers is built where the kits are tested.
func TestPluginNewSaysHowToBuild(t *testing.T) {
	for lang, want := range map[string]string{"rust": "make", "as": "npm ci"} {
		inFolder(t)
		if next := written(t, lang); next[0] != want || next[len(next)-1] != "zenconn plugin bench my-first1.wasm" {
			t.Errorf("%s: %q", lang, next)
		}
	}
}

// written makes a new plugin, looks at what was written, and returns the commands that are said to come next.
func written(t *testing.T, lang string) (next []string) {
	t.Helper()
	got := typed(t, nil, "plugin", "new", "--lang", lang, "my-first1", "--dir", "plugins")
	listed, commands, ok := strings.Cut(got.stdout, "\nnext:\n  cd "+filepath.Join("plugins", "my-first1")+"\n")
	if got.code != 0 || !ok {
		t.Fatalf("%+v", got)
	}
	for file := range strings.Lines(listed) {
		text, err := os.ReadFile(strings.TrimSpace(file))
		if err != nil || len(text) == 0 || strings.Contains(string(text), "myplugin") {
			t.Errorf("%s: %v\n%s", file, err, text)
		}
	}
	for _, file := range []string{"README.md", "my-first1.test.yaml"} {
		if !strings.Contains(listed, file) {
			t.Errorf("no %s among\n%s", file, listed)
		}
	}
	for line := range strings.Lines(commands) {
		next = append(next, strings.TrimSpace(line))
	}
	return next
}

// follow does what a new plugin's author is told to do.
func follow(t *testing.T, line string) (what string) {
	t.Helper()
	if args, ok := strings.CutPrefix(line, "zenconn "); ok {
		got := typed(t, nil, append(strings.Fields(args), map[bool][]string{true: {"--runs", "1", "--time", "1ms"}}[strings.Contains(args, "bench")]...)...)
		if got.code != 0 || got.stdout == "" {
			t.Errorf("%s: %+v", line, got)
		}
		return strings.Fields(args)[1]
	}
	if runtime.GOOS == "windows" {
		testenv.Skip(t, "the commands are for a shell")
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-c", line)
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOPROXY=off", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", line, err, out)
	}
	return "build"
}

func TestPluginNewRefuses(t *testing.T) {
	inFolder(t, "file", "x")
	if err := os.MkdirAll("full/sub", 0o750); err != nil {
		t.Fatal(err)
	}
	for want, args := range map[string][]string{
		"full is there already; choose another name":    {"full"},
		"file is there already, and is no folder":       {"file"},
		`there is no kit for "cobol", only for lua, go`: {"a", "--lang", "cobol"},
		`a plugin cannot be called "A b"`:               {"A b"},
		`a plugin cannot be called "../a"`:              {"../a"},
		"give it the NAME of the plugin":                {},
	} {
		got := typed(t, nil, append([]string{"plugin", "new"}, args...)...)
		if got.code == 0 || !strings.Contains(got.stderr, want) || got.stdout != "" {
			t.Errorf("%q: %+v", args, got)
		}
	}
}

// broken is a module with much that is wrong.
func broken() string {
	m := &wasmtest.Module{}
	m.Import("hook_v1", "gett", nil, nil)
	m.Memory(1, -1)
	m.Export("on_publish", 0, m.Function(nil, nil, nil))
	m.Hook("on_conect", wasmtest.Const(0))
	return string(m.Bytes())
}

// sound is a module that stores something.
func sound(verdict int) string {
	m := &wasmtest.Module{}
	i32 := byte(0x7f)
	get := m.Import("hook_v1", "kv_get", []byte{i32, i32}, []byte{i32})
	m.Memory(2, -1)
	m.Hook("on_publish", wasmtest.Const(0), wasmtest.Const(1), wasmtest.Call(get), []byte{0x1a}, wasmtest.Const(verdict))
	return string(m.Bytes())
}

func TestPluginCheck(t *testing.T) {
	inFolder(t, "words.lua", words, "typo.lua", "function on_publsh(ev) end", "bad.lua", "if", "broken.wasm", broken(), "sound.wasm", sound(3),
		"nine.wasm", sound(9), "text.wasm", "hello", "a.txt", "", "large.wasm", sound(3)+strings.Repeat("x", 2000))
	for name, test := range map[string]struct {
		args []string
		code int
		want []string // Parts of what is printed.
	}{
		"a script": {
			[]string{"words.lua", "--config", "words=[zz, yy]"}, 0,
			[]string{"runtime   lua\n", "hooks     on_publish\n", "needs     allow.kv for kv_set\n  dry", "on_publish: pass\nok\n"},
		},
		"without what it needs": {[]string{"words.lua"}, 1, []string{"problem: on_publish fails with a sample event: words.lua:3:", "not fit to be used"}},
		"not asked":             {[]string{"words.lua", "--dry-run=false"}, 0, []string{"hooks     on_publish", "ok\n"}},
		"a typing error":        {[]string{"typo.lua"}, 1, []string{"problem: there is no hook on_publsh (did you mean on_publish?)"}},
		"no Lua":                {[]string{"bad.lua"}, 1, []string{"problem: bad.lua:1: syntax error"}},
		"a module": {
			[]string{"sound.wasm"}, 0, []string{
				"abi       hook_v1\n", "begins with 128 KiB, may grow to 16 MiB", "imports   hook_v1.kv_get (i32, i32) -> (i32)\n", "on_publish () -> (i32)",
				"needs     allow.kv for kv_get", "on_publish: pass\nok\n",
			},
		},
		"no memory for it": {[]string{"sound.wasm", "--plugins.memory", "64KiB"}, 1, []string{"problem: it begins with 128 KiB of memory and may have 64 KiB"}},
		"no verdict":       {[]string{"nine.wasm"}, 1, []string{"dry run   on_publish: fault", "problem: on_publish fails with a sample event: returned 9, which is no verdict"}},
		"everything wrong": {
			[]string{"broken.wasm"}, 1, []string{
				"problem: it imports hook_v1.gett, which the server does not have (did you mean get?)", "problem: it exports on_publish as () -> (); it must be () -> (i32)",
				"problem: it exports on_conect, which is no hook (did you mean on_connect?)",
			},
		},
		"no module":       {[]string{"text.wasm"}, 1, []string{"problem: this is no WebAssembly module"}},
		"too large":       {[]string{"large.wasm", "--plugins.max_size", "1KiB"}, 1, []string{"large.wasm: the module is longer than plugins.max_size, 1KiB"}},
		"no plugin":       {[]string{"a.txt"}, 1, []string{"a.txt: plugins are files whose names end in .lua or .wasm"}},
		"no file":         {[]string{"none.lua"}, 1, []string{"none.lua: no such file"}},
		"no setting":      {[]string{"words.lua", "--config", "zenconn.yaml"}, 2, []string{`--config: "zenconn.yaml": want a name and a value`}},
		"no file is said": {nil, 2, []string{"give it the FILE of a plugin"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := typed(t, nil, append([]string{"plugin", "check"}, test.args...)...)
			for _, want := range test.want {
				if got.code != test.code || !strings.Contains(got.stdout+got.stderr, want) {
					t.Errorf("code %d, want %d and %q in\n%s%s", got.code, test.code, want, got.stdout, got.stderr)
				}
			}
		})
	}
}

func TestPluginCheckJSON(t *testing.T) {
	inFolder(t, "sound.wasm", sound(3), "broken.wasm", broken())
	var r struct {
		Runtime, Hash   string
		Hooks, Problems []string
		Needs           []struct {
			Right     string
			Functions []string
		}
		Wasm struct {
			ABI       string
			MemoryMin int `json:"memory_min"`
		}
	}
	got := typed(t, nil, "plugin", "check", "sound.wasm", "--json")
	if err := json.Unmarshal([]byte(got.stdout), &r); err != nil || got.code != 0 {
		t.Fatalf("%v: %+v", err, got)
	}
	if text := fmt.Sprint(r.Runtime, r.Hooks, r.Problems, r.Needs, r.Wasm); text != "wasm[on_publish] [] [{kv [kv_get]}] {hook_v1 131072}" || len(r.Hash) != 64 {
		t.Error(text)
	}
	got = typed(t, nil, "plugin", "check", "broken.wasm", "--json")
	if err := json.Unmarshal([]byte(got.stdout), &r); err != nil || got.code != 1 || len(r.Problems) != 3 {
		t.Errorf("%v: %+v", err, got)
	}
}

func TestPluginTest(t *testing.T) {
	failing := strings.ReplaceAll(wordsTest, "code: 403", "code: 404")
	inFolder(t, "words.lua", words, "words.test.yaml", wordsTest, "failing.yaml", "plugin: words.lua\n"+failing, "sound.wasm", sound(3),
		"sound.test.yaml", "allow: {kv: true}\nscenarios: [{hook: publish, expect: {verdict: pass}}]", "bad.yaml", "scenario: []", "both.test.yaml", wordsTest,
		"both.lua", words, "both.wasm", sound(3), "alone.test.yaml", wordsTest, "untested.lua", words)
	for name, test := range map[string]struct {
		args []string
		code int
		want string // A regular expression for what is printed.
	}{
		"a script and a module": {[]string{"words.lua", "sound.wasm"}, 0, `^ok\twords.test.yaml\t2 scenarios\t\d+\.\d+s\nok\tsound.test.yaml\t1 scenario\t\d+\.\d+s\n$`},
		"by the scenarios":      {[]string{"words.test.yaml"}, 0, `^ok\twords.test.yaml\t2 scenarios\t`},
		"in detail": {
			[]string{"words.lua", "-v"}, 0,
			`^--- ok: masks \(.*s\)\n    log: info "http.request"\n    step 1: publish: pass, changed\n--- ok: refuses \(.*\)\n    step 1: publish: deny 403 "not you"\nok\t`,
		},
		"some of them": {[]string{"words.lua", "--run", "^mas", "-v"}, 0, `^--- ok: masks.*\n.*\n.*\nok\twords.test.yaml\t1 scenario\t`},
		"none of them": {[]string{"words.lua", "--run", "nothing"}, 0, `^ok\twords.test.yaml\t.*\[no scenario has such a name\]\n$`},
		"one that fails": {
			[]string{"failing.yaml", "words.lua"}, 1,
			`^--- FAIL: refuses \(.*\)\n    failing.yaml:7: the code is 403, want 404\nFAIL\tfailing.yaml\t1 of 2 scenarios failed\t.*s\nok\twords.test.yaml\t2 .*\nzenconn: not all is as expected\n$`,
		},
		"a mistake in the file": {[]string{"bad.yaml"}, 1, `^bad.yaml:1: the file has no key "scenario" \(did you mean scenarios\?\)`},
		"two plugins":           {[]string{"both.test.yaml"}, 1, `both.lua and both.wasm are there; say which it is about, with plugin: FILE`},
		"no plugin":             {[]string{"alone.test.yaml"}, 1, `there is no plugin alone.lua or alone.wasm \(is it built\?\)`},
		"no scenarios":          {[]string{"untested.lua"}, 1, `^untested.test.yaml: no such file`},
		"no expression":         {[]string{"words.lua", "--run", "("}, 2, `--run: "\(" is no regular expression`},
	} {
		t.Run(name, func(t *testing.T) {
			got := typed(t, nil, append([]string{"plugin", "test"}, test.args...)...)
			if got.code != test.code || !regexp.MustCompile(test.want).MatchString(got.stdout+got.stderr) {
				t.Errorf("code %d, want %d and %s in\n%s%s", got.code, test.code, test.want, got.stdout, got.stderr)
			}
		})
	}
}

func TestPluginBench(t *testing.T) {
	inFolder(t, "words.lua", words, "words.test.yaml", wordsTest, "sound.wasm", sound(3), "fails.lua", "function on_rpc(ev) error('no') end")
	quick := []string{"--runs", "2", "--time", "2ms"}
	for name, test := range map[string]struct {
		args []string
		code int
		want string
	}{
		"a module":        {[]string{"sound.wasm"}, 0, `^ +HOOK +ANSWER +NS .*\n +publish +pass +[\d.]+ +\S+s +[\d.]+ +[\d.]+ +[\d.]+\n\n\d+ calls of publish per second`},
		"with scenarios":  {[]string{"words.lua", "--scenario", "words.test.yaml", "--hook", "publish"}, 0, `\n +publish +pass `},
		"fails":           {[]string{"fails.lua"}, 1, `it fails: .*no; --scenario gives it a configuration and an event`},
		"no such hook":    {[]string{"sound.wasm", "--hook", "rpc"}, 1, `sound.wasm does not implement "rpc"; it implements \[publish\]`},
		"no such step":    {[]string{"words.lua", "--scenario", "words.test.yaml", "--hook", "rpc"}, 1, `words.test.yaml: no scenario has a step about rpc`},
		"too many runs":   {[]string{"words.lua", "--runs", "0"}, 2, `--runs: want 1 to 1000`},
		"too long a time": {[]string{"words.lua", "--time", "1h"}, 2, `--time: want 1ms to 1m`},
	} {
		t.Run(name, func(t *testing.T) {
			got := typed(t, nil, slices.Concat([]string{"plugin", "bench"}, quick, test.args)...)
			if got.code != test.code || !regexp.MustCompile(test.want).MatchString(got.stdout+got.stderr) {
				t.Errorf("code %d, want %d and %s in\n%s%s", got.code, test.code, test.want, got.stdout, got.stderr)
			}
		})
	}
}

func (s *scene) Plugins(context.Context) (*api.PluginNodes, error) {
	at := func(name, hash, state string) api.ActivePlugin {
		return api.ActivePlugin{Name: name, Hash: strings.Repeat(hash, 64), Hooks: []string{"connect", "publish"}, Breakers: map[string]string{"connect": "closed", "publish": state}}
	}
	return &api.PluginNodes{Nodes: []api.PluginNode{
		{Name: "host", Plugins: []api.ActivePlugin{at("words", "a", "closed"), at("limit", "c", "closed")}},
		{Name: "host-1", Plugins: []api.ActivePlugin{at("words", "b", "open"), at("limit", "c", "closed")}},
		{Name: "host-2", Problem: "does not say which plugins it has"},
	}}, nil
}

func TestPluginList(t *testing.T) {
	flags := serveScene(t, &scene{})
	got := typed(t, nil, append([]string{"plugin", "list"}, flags...)...)
	want := command{0, `! host-2: does not say which plugins it has
! words is not the same on all nodes; while a new version is put into the server that passes

PLUGIN  VERSION       HOOKS            BREAKER                 NODES
words   aaaaaaaaaaaa  connect publish  closed                  host
words   bbbbbbbbbbbb  connect publish  publish open on host-1  host-1
limit   cccccccccccc  connect publish  closed                  host host-1
`, ""}
	if got != want {
		t.Errorf("got\n%s%s", got.stdout, got.stderr)
	}
	got = typed(t, nil, append([]string{"plugin", "list", "--json"}, flags...)...)
	var nodes api.PluginNodes
	if err := json.Unmarshal([]byte(got.stdout), &nodes); err != nil || len(nodes.Nodes) != 3 {
		t.Errorf("%v: %+v", err, got)
	}
}

// An agent and a worker from elsewhere say which plugins they have.
func TestPluginListOfProcesses(t *testing.T) {
	inFolder(t)
	if err := os.MkdirAll("plugins", 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("plugins/words.lua", []byte(words), 0o600); err != nil {
		t.Fatal(err)
	}
	listen := testenv.FreeAddr(t)
	s := serve(t, "--demo", "--bus.listen", listen, "--plugins.dir", "plugins")
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan string, 1)
	go func() {
		var out output
		code := cli.RunEnviron(ctx, []string{
			"worker", "--agent", "nats://" + listen, "--token-file", "data/bus.token", "--addr", "127.0.0.1:0", "--data", "worker", "--name", "elsewhere",
		}, nil, strings.NewReader(""), &out, &out)
		ended <- fmt.Sprintf("exit code %d\n%s", code, &out)
	}()
	deadline := time.Now().Add(patience)
	for {
		got := typed(t, nil, "plugin", "list", "--api.addr", s.api)
		if regexp.MustCompile(`(?m)^words +[0-9a-f]{12} +publish +closed +\S+ \S+$`).MatchString(got.stdout) {
			break
		}
		if time.Now().After(deadline) {
			stop()
			t.Fatalf("%+v\nworker: %s", got, <-ended)
		}
		<-time.After(50 * time.Millisecond)
	}
	stop()
	if how := <-ended; !strings.HasPrefix(how, "exit code 0") {
		t.Error(how)
	}
	if code := s.stop(); code != 0 {
		t.Errorf("exit code %d: %s", code, s.stderr)
	}
}

func TestPluginCommandsSayWhatTheyWant(t *testing.T) {
	inFolder(t)
	for args, want := range map[string]string{
		"new":                        "plugin new: give it the NAME of the plugin; for example\n  zenconn plugin new words\n",
		"check":                      "plugin check: give it the FILE of a plugin; for example\n  zenconn plugin check plugins/words.lua\n",
		"bench":                      "plugin bench: give it the FILE of a plugin; for example\n  zenconn plugin bench plugins/words.lua\n",
		"test":                       "plugin test: give it the FILE of a plugin, or several; for example\n  zenconn plugin test plugins/words.lua\n",
		"check a b":                  "plugin check: 2 arguments, want one: the FILE of a plugin; put quotes around one with spaces\n",
		"bench x.lua --runs many":    `--runs: "many" is not a whole number` + "\n",
		"bench x.lua --time a-while": `--time: "a-while" is not a length of time such as 30s or 5m` + "\n",
	} {
		got := typed(t, nil, append([]string{"plugin"}, strings.Fields(args)...)...)
		if want := (command{2, "", "zenconn: " + want + "run 'zenconn plugin " + strings.Fields(args)[0] + " --help'\n"}); got != want {
			t.Errorf("%s: %+v, want %+v", args, got, want)
		}
	}
}
