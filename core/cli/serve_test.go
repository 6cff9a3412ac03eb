package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zenconn/server/core/cli"
	"github.com/zenconn/server/internal/testenv"
)

// served is a server run as a user would run it, inside the test's process.
type served struct {
	client, api string
	stderr      *output
	stdout      *output
	stop        func() int // Ends it as Ctrl-C would and returns the exit code.
}

// output is a buffer that may be read while it is written.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

func serve(t *testing.T, args ...string) *served {
	t.Helper()
	s := &served{client: testenv.FreeAddr(t), api: testenv.FreeAddr(t), stderr: &output{}, stdout: &output{}}
	// No time runs out on a machine that stands still for a while.
	patient := []string{"--client.handshake_timeout=10m", "--client.connect_timeout=10m", "--client.write_timeout=10m", "--client.ping.interval=30m", "--shutdown.timeout=5m"}
	args = slices.Concat([]string{"--client.addr", s.client, "--api.addr", s.api}, patient, args)
	ctx, cancel := context.WithCancel(t.Context())
	code := make(chan int, 1)
	go func() { code <- cli.RunEnviron(ctx, args, nil, strings.NewReader(""), s.stdout, s.stderr) }()
	s.stop = sync.OnceValue(func() int { cancel(); return <-code })
	t.Cleanup(func() { s.stop() })
	for deadline := time.Now().Add(patience); !strings.Contains(s.stderr.String(), "msg=ready"); {
		if time.Now().After(deadline) {
			t.Fatalf("not ready: %s", s.stderr)
		}
		<-time.After(10 * time.Millisecond)
	}
	return s
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(body)
}

func TestServe(t *testing.T) {
	inFolder(t)
	s := serve(t, "--demo", "--access_log.format", "combined")
	for url, want := range map[string]string{
		"http://" + s.client + "/":     "<title>",
		"http://" + s.api + "/healthz": `"status":"ok"`,
		"http://" + s.api + "/readyz":  `"audit":"ok"`,
		"http://" + s.api + "/metrics": "zenconn_connections 0",
		"http://" + s.api + "/":        "/metrics",
	} {
		if code, body := get(t, url); code != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s: %d %.200s, want %q", url, code, body, want)
		}
	}
	if code, _ := get(t, "http://"+s.client+"/metrics"); code != http.StatusNotFound {
		t.Errorf("the metrics are on the clients' listener: %d", code)
	}
	for _, part := range []string{"demo mode", "ws://localhost:", "/connection/websocket", "metrics and health", "audit.db", "plugins are read from"} {
		if !strings.Contains(s.stderr.String(), part) {
			t.Errorf("the log does not say %q:\n%s", part, s.stderr)
		}
	}
	if got := typed(t, nil, "--api.addr", s.api, "health", "--ready", "--timeout", "5m"); got.code != 0 {
		t.Errorf("health: %+v", got)
	}
	if got := typed(t, nil, "--client.addr", s.client, "--api.addr", "", "--data", "other"); got.code != 1 || !strings.Contains(got.stderr, "client.addr") {
		t.Errorf("a port in use: %+v", got)
	}
	if got := typed(t, nil, "--client.addr", testenv.FreeAddr(t), "--api.addr", ""); got.code != 1 || !strings.Contains(got.stderr, "used by another instance") {
		t.Errorf("a data directory in use: %+v", got)
	}
	if code := s.stop(); code != 0 {
		t.Errorf("exit code %d: %s", code, s.stderr)
	}
	if !strings.Contains(s.stdout.String(), `"GET / HTTP/1.1" 200`) {
		t.Errorf("access log: %s", s.stdout)
	}
	got := typed(t, nil, "audit", "query", "--json", "SELECT action, ok FROM audit_actions ORDER BY at")
	var actions []string
	for line := range strings.Lines(got.stdout) {
		var row struct {
			Action string
			OK     any
		}
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			t.Fatal(err)
		}
		actions = append(actions, row.Action)
	}
	if strings.Join(actions, " ") != "start stop" {
		t.Errorf("actions in the audit: %v (%+v)", actions, got)
	}
	if got := typed(t, nil, "--api.addr", s.api, "health"); got.code != 1 {
		t.Errorf("health of a stopped server: %+v", got)
	}
}

func TestServeOnOneListener(t *testing.T) {
	inFolder(t)
	addr := testenv.FreeAddr(t)
	s := serve(t, "--auth.type", "none", "--client.addr", addr, "--api.addr", addr)
	for _, path := range []string{"/", "/healthz", "/metrics"} {
		if code, body := get(t, "http://"+addr+path); code != http.StatusOK {
			t.Errorf("%s: %d %s", path, code, body)
		}
	}
	if code := s.stop(); code != 0 {
		t.Errorf("exit code %d: %s", code, s.stderr)
	}
}
