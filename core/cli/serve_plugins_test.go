package cli_test

import (
	"net/http"
	"strings"
	"testing"
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
namespaces: {default: {history_size: 10, history_ttl: 1m}}
plugins:
  load:
    - {path: visits.lua, deadline: 20s, allow: {kv: true, publish: true, password: true}}
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
