package cli_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/lxzan/gws"

	"github.com/zenconn/server/core/cli"
	"github.com/zenconn/server/internal/testenv"
)

// What the server does for plugins is there in a real one: a store that survives a restart, publishing into the history, passwords, and
// all of it in the metrics.
func TestServerOfPlugins(t *testing.T) {
	inFolder(t, "visits.lua", `
		function on_rpc(ev)
			if ev.method == "visit" then
				local count, revision = kv.get("visits")
				count = tonumber(count or 0) + 1
				assert(kv.cas("visits", tostring(count), revision or 0))
				assert(server.publish("room", json.encode({visits = count})))
				metric.add("visits")
				return true, tostring(count)
			end
			if ev.method == "password" then
				local hash = assert(password.hash("secret"))
				return true, tostring(password.verify("secret", hash) and not password.verify("other", hash))
			end
			if ev.method == "refused" then
				local _, key = kv.set("", "v")
				local _, channel = server.publish("unknown:room", "1")
				return true, json.encode({key = key, channel = channel})
			end
			if ev.method == "forbidden" then
				server.disconnect("everybody")
			end
		end`, "zenconn.yaml", `
namespaces: {default: {history_size: 10, history_ttl: 1h}}
plugins:
  load:
    - {path: visits.lua, deadline: 5m, allow: {kv: true, publish: true, password: true}}
`)
	const key = "a-key-of-sixteen-bytes-and-more"
	for start, want := range []string{"2", "4"} {
		s := serve(t, "--config", "zenconn.yaml", "--api.key", key)
		rpc := func(method string) string {
			code, body := post(t, "http://"+s.api+"/api/rpc", `{"method":"`+method+`"}`, "X-API-Key", key)
			if code != http.StatusOK {
				t.Errorf("%s: %d %s", method, code, body)
			}
			return body
		}
		rpc("visit")
		if body := rpc("visit"); !strings.Contains(body, `"data":`+want) {
			t.Errorf("visit after start %d: %s, want %s", start+1, body, want)
		}
		if _, body := post(t, "http://"+s.api+"/api/history", `{"channel":"room","limit":10}`, "X-API-Key", key); !strings.Contains(body, `{"visits":`+want+`}`) {
			t.Errorf("history: %s", body)
		}
		if body := rpc("password"); !strings.Contains(body, `"data":true`) {
			t.Errorf("password: %s", body)
		}
		if body := rpc("refused"); !strings.Contains(body, "it must have 1 to 255") || !strings.Contains(body, "unknown channel") {
			t.Errorf("refused: %s", body)
		}
		if body := rpc("forbidden"); !strings.Contains(body, `internal server error`) || strings.Contains(body, "allow") {
			t.Errorf("forbidden: %s", body)
		}
		if !strings.Contains(s.stderr.String(), "the plugin visits used server_disconnect without allow.disconnect") {
			t.Errorf("the log does not say what the plugin did:\n%s", s.stderr)
		}
		_, body := get(t, "http://"+s.api+"/metrics")
		for _, line := range []string{
			`zenconn_plugin_metric_total{name="visits",plugin="visits"} 2`, `zenconn_plugin_calls_total{function="kv_cas",plugin="visits",result="ok"} 2`,
			`zenconn_plugin_calls_total{function="server_disconnect",plugin="visits",result="fault"} 1`, `zenconn_plugin_instances{plugin="visits"} `,
			`zenconn_hook_duration_seconds_count{hook="rpc",plugin="visits"} 5`,
		} {
			if !strings.Contains(body, line) {
				t.Errorf("the metrics have no %s", line)
			}
		}
		if code := s.stop(); code != 0 {
			t.Errorf("exit code %d: %s", code, s.stderr)
		}
	}
}

// interrupter is standard error of a server that gets a signal when it says something.
type interrupter struct {
	output
	at     string
	signal func()
}

func (i *interrupter) Write(p []byte) (int, error) {
	if strings.Contains(string(p), i.at) {
		i.signal()
	}
	return i.output.Write(p)
}

// A server that is still compiling its plugins says so, and ends when it is asked to.
func TestInterruptedCompilation(t *testing.T) {
	inFolder(t, "zenconn.yaml", `plugins: {load: [{name: json-schema, config: {rules: [{channel: "*", schema: {type: object}}]}}]}`)
	ctx, cancel := context.WithCancel(t.Context())
	stderr := &interrupter{at: "compiling a plugin", signal: cancel}
	args := []string{"--demo", "--config", "zenconn.yaml", "--client.addr", testenv.FreeAddr(t), "--api.addr", ""}
	code := cli.RunEnviron(ctx, args, nil, strings.NewReader(""), &output{}, stderr)
	said := stderr.String()
	if code != 0 || !strings.Contains(said, "plugin=json-schema") || !strings.Contains(said, "stopped before it was ready") ||
		strings.Contains(said, "msg=compiled") || strings.Contains(said, "level=ERROR") {
		t.Errorf("exit code %d\n%s", code, said)
	}
}

// listener is a client that notes what comes.
type listener struct {
	gws.BuiltinEventHandler
	frames chan string
	closed chan uint16
}

func (l *listener) OnMessage(_ *gws.Conn, m *gws.Message) { l.frames <- m.Data.String() }

func (l *listener) OnClose(_ *gws.Conn, err error) {
	code := uint16(0)
	if e, ok := errors.AsType[*gws.CloseError](err); ok {
		code = e.Code
	}
	l.closed <- code
}

// A plugin may act on the very session that is waiting for it.
func TestPluginsActOnTheSessionThatWaits(t *testing.T) {
	inFolder(t, "acts.lua", `
		function on_connect() return true end
		function on_subscribe(ev)
			assert(server.publish(ev.channel, json.encode({by = ev.client})))
			if ev.channel ~= "first" then
				assert(server.unsubscribe(nil, ev.client, "first"))
			end
			if ev.channel == "last" then
				assert(server.disconnect(nil, ev.client, 4001, "enough"))
			end
			return true
		end
		function on_publish(ev)
			assert(server.publish(ev.channel, ev.data)) -- Which asks nobody, so that it ends.
			return true
		end`, "zenconn.yaml", `
auth: {type: hook}
namespaces: {default: }
plugins:
  load:
    - {path: acts.lua, deadline: 5m, allow: {publish: true, unsubscribe: true, disconnect: true}}
`)
	s := serve(t, "--config", "zenconn.yaml")
	l := &listener{frames: make(chan string, 100), closed: make(chan uint16, 1)}
	conn, _, err := gws.NewClient(l, &gws.ClientOption{
		Addr: "ws://" + s.client + "/connection/websocket", HandshakeTimeout: patience,
		NewDialer: func() (gws.Dialer, error) { return &net.Dialer{}, nil }, // The usual one has five seconds.
	})
	if err != nil {
		t.Fatal(err)
	}
	go conn.ReadLoop()
	var seen strings.Builder
	say := func(command string, until ...string) {
		t.Helper()
		if err := conn.WriteString(command); err != nil {
			t.Fatal(err)
		}
		from := seen.Len()
		for _, want := range until {
			for timeout := time.After(patience); !strings.Contains(seen.String()[from:], want); {
				select {
				case frame := <-l.frames:
					seen.WriteString(frame + "\n")
				case <-timeout:
					t.Fatalf("after %s there is no %s in\n%s\n%s", command, want, seen.String()[from:], s.stderr)
				}
			}
		}
	}
	say(`{"id":1,"connect":{}}`, `"id":1,"connect"`)
	say(`{"id":2,"subscribe":{"channel":"first"}}`, `"id":2,"subscribe"`)
	say(`{"id":3,"publish":{"channel":"first","data":"hello"}}`, `"id":3,"publish"`)
	if n := strings.Count(seen.String(), `"data":"hello"`); n != 2 {
		t.Errorf("the publication came %d times:\n%s", n, &seen)
	}
	say(`{"id":4,"subscribe":{"channel":"second"}}`, `"id":4,"subscribe"`, `{"channel":"first","unsubscribe":{"code":2000`)
	say(`{"id":5,"subscribe":{"channel":"last"}}`)
	select {
	case code := <-l.closed:
		if code != 4001 {
			t.Errorf("closed with %d", code)
		}
	case <-time.After(patience):
		t.Errorf("not closed\n%s", s.stderr)
	}
	if log := s.stderr.String(); strings.Contains(log, "a plugin failed") {
		t.Error(log)
	}
	if code := s.stop(); code != 0 {
		t.Errorf("exit code %d: %s", code, s.stderr)
	}
}
