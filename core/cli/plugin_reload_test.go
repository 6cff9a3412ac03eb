package cli_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/lxzan/gws"

	"github.com/zenconn/server/core/cli"
	"github.com/zenconn/server/internal/testenv"
)

const reloadKey = "a-key-of-sixteen-bytes-and-more"

// saying is a plugin that answers every call with a word.
func saying(word string) string {
	return fmt.Sprintf("function on_connect() return true end\nfunction on_rpc(ev) return true, '%q' end", word)
}

// write makes or replaces a file in one step, as who looks for changes must not find half of one.
func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path+".new", []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func eventually(t *testing.T, what fmt.Stringer, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("not within minutes:\n%s", what)
		}
		<-time.After(20 * time.Millisecond)
	}
}

// says waits until the server's plugins answer a call with the word.
func (s *served) says(t *testing.T, word string) {
	t.Helper()
	eventually(t, s.stderr, func() bool {
		_, body := post(t, "http://"+s.api+"/api/rpc", `{"method":"say"}`, "X-API-Key", reloadKey)
		return strings.Contains(body, `"data":"`+word+`"`)
	})
}

// Plugins are replaced in a running server by changed files, by the command, and by a signal; what is wrong changes nothing.
func TestPluginReload(t *testing.T) {
	inFolder(t, "zenconn.yaml", "{auth: {type: hook}, namespaces: {default: {}}}")
	write(t, "plugins/say.lua", saying("one"))
	s := serve(t, "--config", "zenconn.yaml", "--api.key", reloadKey)
	reload := func() command {
		return typed(t, nil, "--config", "zenconn.yaml", "--api.addr", s.api, "--api.key", reloadKey, "plugin", "reload")
	}
	s.says(t, "one")
	if got := reload(); got.code != 0 || got.stdout != "nothing has changed\nnodes: 1 of 1\n" {
		t.Errorf("without a change: %+v", got)
	}
	write(t, "plugins/say.lua", saying("two"))
	s.says(t, "two")

	write(t, "plugins/say.lua", "function on_rpc(ev)\n  retrun true\nend")
	eventually(t, s.stderr, func() bool { return strings.Contains(s.stderr.String(), "new plugins were refused") })
	if got := reload(); got.code != 1 || !strings.Contains(got.stderr, "say.lua:2:") || !strings.Contains(got.stderr, "nothing was changed") {
		t.Errorf("with a mistake: %+v", got)
	}
	if got := typed(t, nil, "--config", "zenconn.yaml", "--api.addr", s.api, "--api.key", reloadKey, "status"); !strings.Contains(got.stdout, "say.lua:2:") {
		t.Errorf("the status does not say it: %+v", got)
	}
	s.says(t, "two")

	write(t, "plugins/say.lua", saying("three"))
	write(t, "zenconn.yaml", "{auth: {type: hook}, namespaces: {default: {}}, plugins: {load: [{path: more/first.lua}]}}")
	write(t, "more/first.lua", saying("first"))
	eventually(t, s.stderr, func() bool { return strings.Count(s.stderr.String(), "other plugins are asked now") >= 2 })
	if named := regexp.MustCompile(`msg="other plugins are asked now" plugins=say@[0-9a-f]{12} before=say@[0-9a-f]{12}
`); !named.MatchString(s.stderr.String()) {
		t.Errorf("the log does not name the plugins:\n%s", s.stderr.String())
	}
	if got := reload(); got.code != 0 || !strings.Contains(got.stdout, "first: added, ") || !strings.Contains(got.stdout, "say: the same file, ") {
		t.Errorf("with another entry: %+v", got)
	}
	s.says(t, "first")
	write(t, "zenconn.yaml", "{auth: {type: hook}, namespaces: {default: {}}}")
	if runtime.GOOS == "windows" {
		reload()
	} else if self, err := os.FindProcess(os.Getpid()); err != nil || self.Signal(syscall.SIGHUP) != nil {
		t.Fatal("no signal")
	}
	s.says(t, "three")
	if err := os.Remove("plugins/say.lua"); err != nil {
		t.Fatal(err)
	}
	eventually(t, s.stderr, func() bool {
		_, body := post(t, "http://"+s.api+"/api/rpc", `{"method":"say"}`, "X-API-Key", reloadKey)
		return strings.Contains(body, "method not found")
	})
	for _, line := range []string{`zenconn_plugin_reloads_total{result="ok"} 5`, `zenconn_plugin_reloads_total{result="refused"} 2`} {
		eventually(t, s.stderr, func() bool { // Other plugins are asked before it is counted.
			_, body := get(t, "http://"+s.api+"/metrics")
			return strings.Contains(body, line)
		})
	}
	if code := s.stop(); code != 0 {
		t.Errorf("exit code %d: %s", code, s.stderr)
	}
	got := typed(t, nil, "audit", "query", "--json", "SELECT ok, request, error FROM audit_actions WHERE action = 'plugin_reload' ORDER BY at")
	if rows := strings.Split(strings.TrimSpace(got.stdout), "\n"); len(rows) != 7 || !strings.Contains(rows[1], "say.lua:2:") || !strings.Contains(rows[0], "before") {
		t.Errorf("audit: %+v", got)
	}
}

// Four workers, with a client on each, change their plugins while the clients stay.
func TestPluginReloadOnWorkers(t *testing.T) {
	inFolder(t, "zenconn.yaml", "{auth: {type: hook}, namespaces: {default: {}}, plugins: {watch: false, deadline: 5m}}")
	write(t, "plugins/say.lua", saying("one"))
	bus := testenv.FreeAddr(t)
	s := serve(t, "--config", "zenconn.yaml", "--api.key", reloadKey, "--bus.listen", bus)
	ctx, cancel := context.WithCancel(t.Context())
	var working sync.WaitGroup
	t.Cleanup(func() { cancel(); working.Wait() })
	var log output
	var clients []*caller
	for i := range 4 {
		addr, dir := testenv.FreeAddr(t), t.TempDir()
		args := []string{
			"worker", "--agent", "nats://" + bus, "--token-file", "data/bus.token", "--addr", addr, "--data", dir, "--name", fmt.Sprint("w", i),
		}
		working.Go(func() {
			if code := cli.RunEnviron(ctx, args, nil, strings.NewReader(""), &log, &log); code != 0 {
				t.Errorf("worker %d: exit code %d", i, code)
			}
		})
		clients = append(clients, call(t, addr, &log))
	}
	for _, c := range clients {
		if got := c.say(t); got != "one" {
			t.Errorf("a worker says %q", got)
		}
	}
	reload := func() command {
		return typed(t, nil, "--config", "zenconn.yaml", "--api.addr", s.api, "--api.key", reloadKey, "plugin", "reload")
	}
	active := func() string {
		_, body := post(t, "http://"+s.api+"/api/plugins", `{}`, "X-API-Key", reloadKey)
		return body
	}
	eventually(t, &log, func() bool { return strings.Count(active(), `"name":"say"`) == 5 })
	for _, word := range []string{"two", "three"} {
		write(t, "plugins/say.lua", saying(word))
		if got := reload(); got.code != 0 || !strings.Contains(got.stdout, "nodes: 5 of 5\n") {
			t.Fatalf("%+v\n%s", got, &log)
		}
		for _, c := range clients {
			if got := c.say(t); got != word {
				t.Errorf("a worker says %q, want %q", got, word)
			}
		}
	}
	write(t, "plugins/say.lua", "function on_rpc(ev) return true")
	if got := reload(); got.code != 1 || !strings.Contains(got.stderr, "say.lua:1:") {
		t.Errorf("with a mistake: %+v", got)
	}
	for _, c := range clients {
		if got := c.say(t); got != "three" {
			t.Errorf("after a mistake a worker says %q", got)
		}
	}
	if body := active(); strings.Count(body, `"name":"say"`) != 5 {
		t.Error(body)
	}
	cancel()
	working.Wait()
	if code := s.stop(); code != 0 {
		t.Errorf("exit code %d: %s", code, s.stderr)
	}
}

// caller is a client that calls a method, again and again on one connection.
type caller struct {
	listener
	conn *gws.Conn
	id   int
}

func call(t *testing.T, addr string, log fmt.Stringer) *caller {
	t.Helper()
	c := &caller{listener: listener{frames: make(chan string, 100), closed: make(chan uint16, 1)}}
	eventually(t, log, func() bool {
		conn, _, err := gws.NewClient(&c.listener, &gws.ClientOption{Addr: "ws://" + addr + "/connection/websocket", HandshakeTimeout: patience})
		c.conn = conn
		return err == nil
	})
	go c.conn.ReadLoop()
	t.Cleanup(func() { c.conn.NetConn().Close() })
	c.ask(t, `"connect":{}`)
	return c
}

// say returns what the plugins answer.
func (c *caller) say(t *testing.T) string {
	t.Helper()
	_, after, _ := strings.Cut(c.ask(t, `"rpc":{"method":"say"}`), `"data":"`)
	word, _, _ := strings.Cut(after, `"`)
	return word
}

func (c *caller) ask(t *testing.T, command string) string {
	t.Helper()
	c.id++
	if err := c.conn.WriteString(fmt.Sprintf(`{"id":%d,%s}`, c.id, command)); err != nil {
		t.Fatal(err)
	}
	for timeout := time.After(patience); ; {
		select {
		case frame := <-c.frames:
			if strings.Contains(frame, fmt.Sprintf(`{"id":%d,`, c.id)) {
				return frame
			}
		case code := <-c.closed:
			t.Fatalf("closed with %d", code)
		case <-timeout:
			t.Fatalf("no answer to %s", command)
		}
	}
}
