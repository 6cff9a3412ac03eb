package join_test

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/zenconn/server/core/config"
	"github.com/zenconn/server/core/join"
)

const script = "function on_publish(ev) return true end\n"

func TestJoin(t *testing.T) {
	in := install(t)
	c := configured()
	bundles := resolved(t, "b.lua", script, "a.lua", script+"-- a")
	in.agent("node", "agent-uid", c, bundles...)
	o := in.options(in.connect(in.token))

	far := mustJoin(t, o)
	o.Index, o.Agent = 2, "agent-uid"
	child := mustJoin(t, o)
	for _, test := range []struct {
		got  *join.Joined
		name string
	}{{far, "far"}, {child, "node-2"}} {
		j := test.got
		if j.Name != test.name || j.Agent != "agent-uid" || j.AgentName != "node" || j.AgentVersion != "1.2.3" || j.Revision == "" {
			t.Errorf("%s joined as %+v", test.name, j)
		}
		if j.Config.Data != o.Data || j.Config.Auth.JWT != c.Auth.JWT || !reflect.DeepEqual(j.Config.Namespaces, c.Namespaces) {
			t.Errorf("%s has the configuration %+v", test.name, j.Config)
		}
		if j.Config.API.Key != "" || j.Config.API.Addr != "" {
			t.Errorf("%s has the API of the agent: %+v", test.name, j.Config.API)
		}
		if !reflect.DeepEqual(j.Plugins, bundles) {
			t.Errorf("%s has the plugins\n%+v, want\n%+v", test.name, j.Plugins, bundles)
		}
	}
	if got, want := o.Bus.Terms(), in.bus.Terms(); got != want || want.Disk == 0 {
		t.Errorf("the workers hold to %+v, the agent to %+v", got, want)
	}
	if far.Index != 0 || child.Index != 2 {
		t.Errorf("the worker from elsewhere has index %d, the child %d", far.Index, child.Index)
	}
	if log := in.log.String(); strings.Count(log, "a worker joins") < 2 || strings.Contains(log, "secret") || strings.Contains(log, "geheim") {
		t.Errorf("the agent's log: %s", log)
	}
}

func TestNames(t *testing.T) {
	in := install(t)
	in.agent("node", "agent-uid", configured())
	b := in.connect(in.token)
	for name, test := range map[string]struct{ host, wants, want string }{
		"after its machine":       {"far", "", "far"},
		"on the agent's machine":  {"node", "", "node-remote"},
		"on a machine without":    {"", "", "node-remote"},
		"a machine with a bad":    {"Änne", "", "node-remote"},
		"as it wants":             {"far", "edge-1", "edge-1"},
		"as the agent":            {"far", "node", `the agent refuses this worker: "node" is the name of the agent itself: give the worker another one (--name)`},
		"what cannot be the name": {"far", "a b", `the agent refuses this worker: "a b" cannot be the name of a worker: want up to 128 letters, digits, dots, - and _ (--name)`},
	} {
		t.Run(name, func(t *testing.T) {
			o := in.options(b)
			o.Host, o.Name = test.host, test.wants
			j, err := join.Join(t.Context(), o)
			got := ""
			if err != nil {
				got = err.Error()
			} else {
				got = j.Name
			}
			if got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

// What is only on the agent's machine.
func TestFilesOfTheAgent(t *testing.T) {
	in := install(t)
	c := configured()
	key := filepath.Join(t.TempDir(), "key.pem")
	const pem = "-----BEGIN PUBLIC KEY-----\nabc\n-----END PUBLIC KEY-----\n"
	if err := os.WriteFile(key, []byte(pem), 0o600); err != nil {
		t.Fatal(err)
	}
	c.Auth.JWT.PublicKey, c.Public = key, config.Public{Enabled: true, Dir: "pages"}
	h, _ := in.agent("node", "agent-uid", c)
	o := in.options(in.connect(in.token))
	far := mustJoin(t, o)
	o.Index = 1
	child := mustJoin(t, o)
	if far.Config.Auth.JWT.PublicKey != pem || child.Config.Auth.JWT.PublicKey != pem || c.Auth.JWT.PublicKey != key {
		t.Errorf("the key of the worker from elsewhere is %q, the child's %q", far.Config.Auth.JWT.PublicKey, child.Config.Auth.JWT.PublicKey)
	}
	if far.Config.Public.Enabled || child.Config.Public != c.Public {
		t.Errorf("pages of the worker from elsewhere %+v, of the child %+v", far.Config.Public, child.Config.Public)
	}
	c.Auth.JWT.PublicKey = key + "s"
	if err := h.Set(c, nil); err == nil || !strings.HasPrefix(err.Error(), "auth.jwt.public_key: ") {
		t.Errorf("a key that cannot be read: %v", err)
	}
}

func TestNoSuchWorker(t *testing.T) {
	in := install(t)
	in.agent("node", "agent-uid", configured())
	o := in.options(in.connect(in.token))
	o.Index = 3
	_, err := join.Join(t.Context(), o)
	if err == nil || err.Error() != "the agent refuses this worker: there is no worker 3: agent.workers is 2" {
		t.Errorf("error %v", err)
	}
}

func TestAgentThatComesLate(t *testing.T) {
	in := install(t)
	in.close()
	var log logged
	o := in.options(in.connect(in.token))
	o.Log = log.logger()
	joined := make(chan *join.Joined, 1)
	go func() {
		j, err := join.Join(t.Context(), o)
		if err != nil {
			t.Error(err)
		}
		joined <- j
	}()
	eventually(t, "the bus is missed", func() bool { return strings.Contains(log.String(), "its bus cannot be reached") })
	in.open()
	eventually(t, "the agent is missed", func() bool {
		return strings.Contains(log.String(), "no agent answers on the bus: is the server running")
	})
	h, _ := in.agent("node", "agent-uid", nil)
	eventually(t, "the agent says that it is starting", func() bool { return strings.Contains(log.String(), "not yet: the agent is still starting") })
	if err := h.Set(configured(), nil); err != nil {
		t.Fatal(err)
	}
	if j := <-joined; j == nil || j.Name != "far" {
		t.Errorf("joined %+v", j)
	}
}

func TestJoinEndsWithItsContext(t *testing.T) {
	in := install(t)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if j, err := join.Join(ctx, in.options(in.connect(in.token))); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%+v, %v", j, err)
	}
}

func TestLargeBundle(t *testing.T) {
	in := install(t)
	source := make([]byte, 20<<20)
	_, _ = rand.Read(source)
	bundles := resolved(t, "large.wasm", string(source))
	in.agent("node", "agent-uid", configured(), bundles...)
	if j := mustJoin(t, in.options(in.connect(in.token))); !reflect.DeepEqual(j.Plugins, bundles) {
		t.Errorf("%d plugins came, the first of %d bytes", len(j.Plugins), len(j.Plugins[0].Source))
	}
}

func TestCache(t *testing.T) {
	in := install(t)
	bundles := resolved(t, "a.lua", script, "empty.lua", "")
	_, stop := in.agent("node", "agent-uid", configured(), bundles...)
	var log logged
	o := in.options(in.connect(in.token))
	o.Log = log.logger()
	mustJoin(t, o)
	dir := filepath.Join(o.Data, "bundles")
	kept := filepath.Join(dir, bundles[0].Hash)
	if b, err := os.ReadFile(kept); err != nil || string(b) != script {
		t.Fatalf("kept %q, %v", b, err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 2 {
		t.Errorf("the cache holds %v, %v", entries, err)
	}

	// An agent that does not have the source: it can only come from the cache.
	stop()
	without := resolved(t, "a.lua", script, "empty.lua", "")
	without[0].File, without[0].Source = bundles[0].File, without[0].Source[:0:0]
	fresh, damaged := filepath.Join(dir, strings.Repeat("0", 64)), filepath.Join(dir, strings.Repeat("1", 64))
	for _, path := range []string{fresh, damaged} {
		if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	old := time.Now().Add(-30 * 24 * time.Hour)
	for _, path := range []string{kept, damaged} {
		if err := os.Chtimes(path, old, old); err != nil {
			t.Fatal(err)
		}
	}
	_, stop = in.agent("node", "other-uid", configured(), without...)
	if j := mustJoin(t, o); string(j.Plugins[0].Source) != script {
		t.Errorf("the plugin is %q", j.Plugins[0].Source)
	}
	stop()
	for path, want := range map[string]bool{kept: true, fresh: true, damaged: false} {
		if _, err := os.Stat(path); (err == nil) != want {
			t.Errorf("%s is there: %v, want %v", path, err == nil, want)
		}
	}

	// A file that has been damaged is fetched again.
	if err := os.WriteFile(kept, []byte(script[1:]), 0o600); err != nil {
		t.Fatal(err)
	}
	in.agent("node", "third-uid", configured(), bundles...)
	if j := mustJoin(t, o); string(j.Plugins[0].Source) != script {
		t.Errorf("the plugin is %q", j.Plugins[0].Source)
	}
	if b, err := os.ReadFile(kept); err != nil || string(b) != script || !strings.Contains(log.String(), "has been damaged") {
		t.Errorf("kept %q, %v; log: %s", b, err, log.String())
	}
}

// A directory that cannot be written to costs time and nothing else.
func TestNoCache(t *testing.T) {
	in := install(t)
	in.agent("node", "agent-uid", configured(), resolved(t, "a.lua", script)...)
	var log logged
	o := in.options(in.connect(in.token))
	o.Log, o.Data = log.logger(), filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(o.Data, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if j := mustJoin(t, o); string(j.Plugins[0].Source) != script || !strings.Contains(log.String(), "cannot be kept") {
		t.Errorf("%+v; log: %s", j, log.String())
	}
	o.Data = ""
	mustJoin(t, o)
}

func TestTwoAgents(t *testing.T) {
	in := install(t)
	one, two := configured(), configured()
	one.Client.Addr, two.Client.Addr = ":1", ":2"
	in.agent("one", "uid-one", one)
	in.agent("two", "uid-two", two)
	b := in.connect(in.token)
	for uid, want := range map[string]string{"uid-one": ":1", "uid-two": ":2"} {
		o := in.options(b)
		o.Agent, o.Index = uid, 1
		if j := mustJoin(t, o); j.Agent != uid || j.Config.Client.Addr != want || j.Name != uid[4:]+"-1" {
			t.Errorf("the child of %s joined %+v", uid, j)
		}
	}
	if j := mustJoin(t, in.options(b)); j.Agent != "uid-one" && j.Agent != "uid-two" {
		t.Errorf("the worker from elsewhere joined %+v", j)
	}
}
