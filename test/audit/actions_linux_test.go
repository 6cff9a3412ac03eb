package audit_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/zenconn/server/test/chaos"
	"github.com/zenconn/server/test/server"
)

const actingKey = "a-key-of-sixteen-bytes-and-more"

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
	// all are the actions there are: who, what, about what, and whether it went well.
	all := func() (lines []string) {
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
	await := func(n int, want string) {
		t.Helper()
		chaos.Await(t, chaos.Patience, want, func() string {
			found, lines := 0, all()
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

	call("publish", `{"channel":"news","data":1}`, "a-wrong-key")
	await(1, "api api publish  false")
	call("publish", `{"channel":"news","data":1}`, actingKey)
	await(1, "api api publish news true")
	call("publish", `{"channel":"no such:thing:","data":1}`, actingKey)
	await(1, "api api publish no such:thing: false")
	call("disconnect", `{"user":"nobody"}`, actingKey)
	await(1, "api api disconnect nobody true")

	s.WritePlugin("first.lua", "function on_rpc(ev) return true end")
	call("reload", `{"what":"plugins"}`, actingKey)
	await(1, "api api reload plugins true")
	await(3, "server zenconn plugin_reload") // Of the agent and both workers.
	s.WritePlugin("first.lua", "function on_rpc(ev")
	call("reload", `{"what":"plugins"}`, actingKey)
	await(1, "api api reload plugins false")
	chaos.Await(t, chaos.Patience, "the refusal", func() string {
		lines := all()
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
	await(1, "server zenconn worker_started "+name+" true")
	await(1, "server zenconn start "+name+" true") // Says the worker itself.
	if err := syscall.Kill(lost.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	await(1, "server zenconn worker_ended "+name+" false signal: killed")
	await(2, "server zenconn worker_started "+name+" true")
	await(2, "server zenconn start "+name+" true") // Says the new worker.

	code, _, stderr := server.Execute(t, s.Dir(), "restart", "workers", "--api.addr", s.APIAddr(), "--api.key", actingKey)
	if code != 0 {
		t.Fatal(stderr)
	}
	await(1, "api api restart workers true")
	await(1, "server zenconn worker_stopped "+name+" true")
	if code := s.Stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if last := all(); !slices.ContainsFunc(last, func(line string) bool { return strings.HasPrefix(line, "server zenconn stop ") }) {
		t.Errorf("nothing tells that the server stopped: %q", last)
	}
}
