package audit_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/zenconn/server/test/chaos"
	"github.com/zenconn/server/test/server"
)

const actingKey = "a-key-of-sixteen-bytes-and-more"

// acts are the actions there are: who, what, about what, and whether it went well.
func acts(s *server.Server) (lines []string) {
	for _, row := range s.Audit("SELECT actor_kind, actor, action, target, ok, error FROM audit_actions ORDER BY at") {
		actor := fmt.Sprint(row["actor"])
		if row["actor_kind"] == "server" && strings.HasPrefix(actor, "zenconn ") {
			actor = "zenconn"
		}
		line := fmt.Sprint(row["actor_kind"], " ", actor, " ", row["action"], " ", row["target"], " ", row["ok"])
		if row["error"] != "" {
			line += " " + fmt.Sprint(row["error"])
		}
		lines = append(lines, line)
	}
	return lines
}

// await waits until there is an action that begins so, n times.
func await(t *testing.T, s *server.Server, n int, want string) {
	t.Helper()
	chaos.Await(t, chaos.Patience, want, func() string {
		found, lines := 0, acts(s)
		for _, line := range lines {
			if strings.HasPrefix(line, want) {
				found++
			}
		}
		if found < n {
			return "there is\n" + strings.Join(lines, "\n")
		}
		return ""
	})
}

// Whoever does something to the server leaves an action with who it was, what it was and how it ended.
func TestActions(t *testing.T) {
	t.Parallel()
	s := server.Start(t, server.Options{
		Config:  "api: {key: " + actingKey + "}\nagent: {workers: 2, drain_window: 1s}\nauth: {type: none}\nnamespaces: {default: {}}\n",
		Plugins: map[string]string{"first.lua": "function on_rpc(ev) return nil end"},
	})
	call := func(method, body, key string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.APIAddr()+"/api/"+method, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Api-Key", key)
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
	}
	call("publish", `{"channel":"news","data":1}`, "a-wrong-key")
	await(t, s, 1, "api api publish  false")
	call("publish", `{"channel":"news","data":1}`, actingKey)
	await(t, s, 1, "api api publish news true")
	call("publish", `{"channel":"no such:thing:","data":1}`, actingKey)
	await(t, s, 1, "api api publish no such:thing: false")
	call("disconnect", `{"user":"nobody"}`, actingKey)
	await(t, s, 1, "api api disconnect nobody true")

	s.WritePlugin("first.lua", "function on_rpc(ev) return true end")
	call("reload", `{"what":"plugins"}`, actingKey)
	await(t, s, 1, "api api reload plugins true")
	await(t, s, 3, "server zenconn plugin_reload") // Of the agent and both workers.
	s.WritePlugin("first.lua", "function on_rpc(ev")
	call("reload", `{"what":"plugins"}`, actingKey)
	await(t, s, 1, "api api reload plugins false")
	chaos.Await(t, chaos.Patience, "the refusal", func() string {
		lines := acts(s)
		if !slices.ContainsFunc(lines, func(line string) bool {
			return strings.Contains(line, "plugin_reload") && strings.Contains(line, "false")
		}) {
			return "there is\n" + strings.Join(lines, "\n")
		}
		return ""
	})
	s.WritePlugin("first.lua", "function on_rpc(ev) return nil end")

	api := chaos.NewAPI(t, s.APIAddr())
	api.Key = actingKey
	lost := api.Workers()[0]
	name := lost.Name
	await(t, s, 1, "server zenconn worker_started "+name+" true")
	await(t, s, 1, "server zenconn start "+name+" true") // Says the worker itself.
	if err := syscall.Kill(lost.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	await(t, s, 1, "server zenconn worker_ended "+name+" false signal: killed")
	await(t, s, 2, "server zenconn worker_started "+name+" true")
	await(t, s, 2, "server zenconn start "+name+" true") // Says the new worker.

	code, _, stderr := server.Execute(t, s.Dir(), "restart", "workers", "--api.addr", s.APIAddr(), "--api.key", actingKey)
	if code != 0 {
		t.Fatal(stderr)
	}
	await(t, s, 1, "api api restart workers true")
	await(t, s, 1, "server zenconn worker_stopped "+name+" true")
	if code := s.Stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if last := acts(s); !slices.ContainsFunc(last, func(line string) bool { return strings.HasPrefix(line, "server zenconn stop ") }) {
		t.Errorf("nothing tells that the server stopped: %q", last)
	}
}

// A SIGHUP leaves an action, whatever comes of it: with workers the server begins anew, without them it takes other plugins.
func TestActionsOfHangUps(t *testing.T) {
	t.Parallel()
	const (
		rest  = "auth: {type: none}\nnamespaces: {default: {}}\nplugins: {watch: false}\n"
		alone = "agent: {workers: 0}\n" + rest
		crew  = "agent: {workers: 1, drain_window: 1s}\n" + rest
		wrong = "agent: {workers: many}\n" + rest
	)
	for name, test := range map[string]struct{ config, want string }{
		"with workers":    {crew, "signal SIGHUP reload configuration true"},
		"without workers": {alone, "signal SIGHUP reload plugins true"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := server.Start(t, server.Options{Config: test.config, Plugins: map[string]string{"first.lua": "function on_rpc(ev) return nil end"}})
			hangUp := func(config, want string) {
				t.Helper()
				if err := os.WriteFile(filepath.Join(s.Dir(), "zenconn.yaml"), []byte(config), 0o600); err != nil {
					t.Fatal(err)
				}
				s.Signal(syscall.SIGHUP)
				if config == wrong { // By which nobody can ask.
					chaos.Await(t, chaos.Patience, "the refusal", func() string {
						if !strings.Contains(s.Log(), "the configuration is wrong now") {
							return "it is not in the log"
						}
						return ""
					})
					if err := os.WriteFile(filepath.Join(s.Dir(), "zenconn.yaml"), []byte(test.config), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				await(t, s, 1, want)
			}
			hangUp(wrong, "signal SIGHUP reload configuration false configuration: zenconn.yaml:1: agent.workers: ")
			if test.config == crew {
				hangUp(alone, "signal SIGHUP reload configuration false agent.workers is 0 now")
			} else {
				s.WritePlugin("first.lua", "function on_rpc(ev")
				hangUp(alone, "signal SIGHUP reload plugins false 108 not available: nothing was changed: plugins.dir: plugins/first.lua:1: ")
				s.WritePlugin("first.lua", "function on_rpc(ev) return true end")
			}
			hangUp(test.config, test.want)
			if test.config == crew {
				await(t, s, 2, "server zenconn worker_started ") // One per configuration.
			} else {
				await(t, s, 1, "server zenconn plugin_reload ")
			}
		})
	}
}
