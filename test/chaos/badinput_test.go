package chaos_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zenconn/server/internal/testenv"
	"github.com/zenconn/server/test/chaos"
	"github.com/zenconn/server/test/server"
)

func TestTwoAgentsOnOneDirectory(t *testing.T) {
	t.Parallel()
	s := server.Start(t, server.Options{Config: open})
	code, _, stderr := server.Execute(t, s.Dir(), "--config", "zenconn.yaml", "--client.addr", testenv.FreeAddr(t), "--api.addr", testenv.FreeAddr(t), "--data", "data")
	if want := filepath.Join(s.Dir(), "data") + " is used by another instance (pid "; code != 1 || !strings.Contains(stderr, want) {
		t.Errorf("exit code %d\n%s", code, stderr)
	}
	awaitHealth(t, s, "ok")
}

// strangers starts an agent whose bus lets workers in, and returns where that is.
func strangers(t *testing.T) (s *server.Server, nats string) {
	t.Helper()
	addr := testenv.FreeAddr(t)
	return server.Start(t, server.Options{Config: open + "bus: {listen: '" + addr + "'}\n"}), "nats://" + addr
}

func TestWorkerWithAWrongToken(t *testing.T) {
	t.Parallel()
	s, nats := strangers(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "token"), []byte("geheim-geheim-geheim"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, _, stderr := server.Execute(t, dir, "worker", "--agent", nats, "--token-file", "token", "--addr", testenv.FreeAddr(t))
	if code != 1 || !strings.Contains(stderr, "the bus refuses this process: is the token, the user or the certificate right?") {
		t.Errorf("exit code %d\n%s", code, stderr)
	}
	if strings.Contains(stderr+s.Log(), "geheim") {
		t.Error("the token is in a log")
	}
}

// A version that others must understand is a constant. other makes it a variable of the program it builds, higher by one when the
// environment has the variable of that name.
var versions = []struct{ name, file, line, want string }{
	{"OTHER_PROTOCOL", "core/join/message.go", "const Protocol = 1\n", "(protocol 2), which do not understand each other: run the same version of zenconn on both"},
	{"OTHER_VERSION", "core/bus/request.go", "const Version = 1\n", "this process speaks version 1 of the requests, not \"2\""},
}

// other builds the program with versions that can be changed.
func other(t *testing.T) (path string) {
	t.Helper()
	root, err := server.Root()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	replace := map[string]string{}
	overlay := func(file, text string) {
		t.Helper()
		other := filepath.Join(dir, strings.ReplaceAll(file, "/", "_"))
		if err := os.WriteFile(other, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		replace[filepath.Join(root, filepath.FromSlash(file))] = other
	}
	for _, v := range versions {
		source, err := os.ReadFile(filepath.Join(root, v.file)) //nolint:gosec // Our own source.
		if err != nil {
			t.Fatal(err)
		}
		if strings.Count(string(source), v.line) != 1 {
			t.Fatalf("%s has not one line %q", v.file, v.line)
		}
		overlay(v.file, strings.Replace(string(source), v.line, "\n", 1))
		constant := strings.Fields(v.line)[1]
		overlay(strings.Replace(v.file, ".go", "_other.go", 1), fmt.Sprintf("package %s\n\nimport \"os\"\n\nvar %s = 1 + len(os.Getenv(%q))\n",
			filepath.Base(filepath.Dir(v.file)), constant, v.name))
	}
	rules, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	overlays := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(overlays, rules, 0o600); err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(dir, "zenconn.exe")
	args := append([]string{"build", "-overlay", overlays, "-ldflags", "-X github.com/zenconn/server/core/cli.linked=v9.9.9 " + server.Lean, "-o", path}, server.BuildFlags()...)
	cmd := exec.CommandContext(t.Context(), "go", append(args, ".")...) //nolint:gosec // Our own words.
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

// A worker that speaks another version of what agents and workers say, or of the requests below that, ends at once and says why.
func TestWorkerOfAnIncompatibleVersion(t *testing.T) {
	t.Parallel()
	s, nats := strangers(t)
	token, program := filepath.Join(s.Dir(), "data", "bus.token"), other(t)
	for _, v := range versions {
		t.Run(v.name, func(t *testing.T) {
			code, _, stderr := server.ExecuteProgram(t, program, t.TempDir(), []string{v.name + "=1"},
				"worker", "--agent", nats, "--token-file", token, "--addr", testenv.FreeAddr(t))
			if code != 1 || !strings.Contains(strings.ReplaceAll(stderr, `\"`, `"`), v.want) {
				t.Errorf("exit code %d\n%s", code, stderr)
			}
		})
	}
	chaos.Await(t, chaos.Patience, "status shows the agent alone", func() string {
		if all := chaos.NewAPI(t, s.APIAddr()).Processes(); len(all) != 1 {
			return fmt.Sprintf("it shows %+v", all)
		}
		return ""
	})
}

// names are of channels that would be something else as they are in NATS, with histories and without.
func names() (all []string) {
	for _, name := range []string{"a.b.c", "two words", "*", ">", "a.>", "a.*", ".", "..", "%", "%2E", "👩‍👩‍👧 🎉", "Grüße", "/a//b", `"quoted"\`, "$JS.API.INFO", "x:y:z"} {
		all = append(all, "default:"+name, "plain:"+name)
	}
	return append(all, "default:"+strings.Repeat("x", 247), "plain:"+strings.Repeat("é", 124)+"x", "default:"+strings.Repeat(".", 247), "plain:"+strings.Repeat(">", 249))
}

// Channels of any name reach from one worker to another, and only who is in them.
func TestChannelNames(t *testing.T) {
	t.Parallel()
	s := server.Start(t, server.Options{Config: open + "  plain: {subscribe: anyone, publish: anyone}\n", Args: []string{"--agent.workers", "2"}})
	api := chaos.NewAPI(t, s.APIAddr())
	speakers := onEachWorker(t, s, api, workers(t, api, 2))
	hearers := map[string][]*chaos.Client{}
	for i, name := range names() {
		if len(name) > 255 {
			t.Fatalf("%q has %d bytes", name, len(name))
		}
		for range 2 { // By chance on one worker or on two; the speakers are on both.
			hearers[name] = append(hearers[name], chaos.Join(t, chaos.Who{URL: url(s), User: fmt.Sprintf("hearer of %d", i), Channel: name}))
		}
	}
	var want []string
	for worker, speaker := range speakers {
		for name := range hearers {
			if err := speaker.Publish(name, name+" from "+worker); err != nil {
				t.Errorf("%q: %v", name, err)
			}
		}
		want = append(want, worker)
		for name, all := range hearers { // Before the next one speaks, because two workers have no order between them.
			var texts []string
			for _, w := range want {
				texts = append(texts, name+" from "+w)
			}
			for _, h := range all {
				h.AwaitOnce(texts...)
			}
		}
	}
}

// onEachWorker returns a client on every worker, by its name. Which worker takes a connection is chance: clients come until each has one,
// several at once, because one after the other is often always the same worker's.
func onEachWorker(t *testing.T, s *server.Server, api *chaos.API, all []chaos.Process) map[string]*chaos.Client {
	t.Helper()
	come, there := map[string]*chaos.Client{}, map[string]*chaos.Client{} // By user and by worker.
	chaos.Await(t, chaos.Patience, "there is a client on every worker", func() string {
		var who []chaos.Who
		for i := range 8 {
			who = append(who, chaos.Who{URL: url(s), User: fmt.Sprintf("speaker %d", len(come)+i)})
		}
		for i, c := range chaos.JoinAll(t, who...) {
			come[who[i].User] = c
		}
		for _, session := range api.List("") {
			if c := come[session.User]; c != nil {
				there[session.Node] = c
			}
		}
		if len(there) < len(all) {
			return fmt.Sprintf("%d clients are on %d of %d", len(come), len(there), len(all))
		}
		return ""
	})
	return there
}
