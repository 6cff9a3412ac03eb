package profile_test

import (
	"bytes"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/zenconn/server/bench/launch"
	"github.com/zenconn/server/bench/profile"
	"github.com/zenconn/server/internal/testenv"
	"github.com/zenconn/server/test/server"
)

func TestMain(m *testing.M) { server.Main(m) }

// TestCommand profiles an agent and its worker with the program itself.
func TestCommand(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), server.Binary(t), "bench", "profile", "echo", "--clients", "20", "--warmup", "100ms", "--duration", "2s",
		"--workers", "1", "--dir", filepath.Join(dir, "new"), "--json")
	var report, told bytes.Buffer
	cmd.Stdout, cmd.Stderr = &report, &told
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, &told)
	}
	if !bytes.HasPrefix(report.Bytes(), []byte("{")) || bytes.Count(report.Bytes(), []byte("\n")) != 1 {
		t.Errorf("not one line of JSON:\n%s", &report)
	}
	for kind := range map[string]bool{"cpu": true, "heap": true, "block": true, "mutex": true} {
		files, err := filepath.Glob(filepath.Join(dir, "new", "*-"+kind+".pprof"))
		if err != nil || len(files) != 2 {
			t.Errorf("%s: got the files %q, want those of an agent and a worker; %v", kind, files, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := profile.NewTop(text); err != nil { // Of another kind it is nonsense, but can be read.
				t.Errorf("%s: %v", file, err)
			}
		}
	}
	if text := told.String(); !strings.Contains(text, "in 2 processes\n") || !strings.Contains(text, "-cpu.pprof\n") {
		t.Errorf("it says:\n%s", text)
	}
}

func TestWhoMayProfile(t *testing.T) {
	t.Parallel()
	open := server.Start(t, server.Options{Config: launch.Open, Args: []string{"--api.pprof=true"}})
	closed := server.Start(t, server.Options{Config: launch.Open})
	for name, test := range map[string]struct {
		server    *server.Server
		path, key string
		status    int
		says      string
	}{
		"heap":                     {open, "heap", launch.Key, http.StatusOK, ""},
		"heap of a second":         {open, "heap?seconds=1", launch.Key, http.StatusOK, ""},
		"without the key":          {open, "heap", "", http.StatusUnauthorized, "X-API-Key"},
		"with another key":         {open, "heap", "measuring-needs-a-secret", http.StatusUnauthorized, "X-API-Key"},
		"unknown kind":             {open, "cmdline", launch.Key, http.StatusNotFound, "no such profile"},
		"unknown node":             {open, "heap?node=elsewhere", launch.Key, http.StatusNotFound, `no node of that name: "elsewhere"`},
		"too long":                 {open, "profile?seconds=301", launch.Key, http.StatusBadRequest, "0 to 300"},
		"off, as it is by default": {closed, "heap", launch.Key, http.StatusNotFound, "api.pprof"},
		"off, and without the key": {closed, "heap", "", http.StatusUnauthorized, "X-API-Key"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+test.server.APIAddr()+"/debug/pprof/"+test.path, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("X-API-Key", test.key)
			answer, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close() //nolint:errcheck // It was read.
			var body bytes.Buffer
			if _, err := body.ReadFrom(answer.Body); err != nil || answer.StatusCode != test.status || !strings.Contains(body.String(), test.says) {
				t.Errorf("%s: %.200q, %v", answer.Status, &body, err)
			}
		})
	}
	// Clients have another listener.
	answer, err := http.Get("http://" + open.Addr() + "/debug/pprof/heap")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close() //nolint:errcheck // Only the status is of interest.
	if answer.StatusCode != http.StatusNotFound {
		t.Errorf("the clients' listener says %s", answer.Status)
	}
}

// What is wrong with the server's API is said before anything is measured.
func TestCommandChecksTheAPI(t *testing.T) {
	t.Parallel()
	open := server.Start(t, server.Options{Config: launch.Open, Args: []string{"--api.pprof=true"}})
	closed := server.Start(t, server.Options{Config: launch.Open})
	for name, test := range map[string]struct{ api, key, says string }{
		"nobody":               {"http://127.0.0.1:1", launch.Key, "nobody answers at http://127.0.0.1:1: "},
		"no URL":               {"127.0.0.1:8001", launch.Key, `"127.0.0.1:8001" is no URL such as http://127.0.0.1:8001`},
		"the clients' address": {"http://" + open.Addr(), launch.Key, "http://" + open.Addr() + " answers 40"},
		"another key":          {"http://" + open.APIAddr(), "another", "401 Unauthorized: "},
		"no profiles":          {"http://" + closed.APIAddr(), launch.Key, "this server takes no profiles: api.pprof switches them on"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "profiles")
			out, err := exec.CommandContext(t.Context(), server.Binary(t), "bench", "profile", "echo", "--clients", "1", "--duration", "10m",
				"--url", "ws://"+open.Addr()+"/connection/websocket", "--server-api", test.api, "--server-key", test.key, "--dir", dir).CombinedOutput()
			if err == nil || !strings.Contains(string(out), "there will be no profiles") || !strings.Contains(string(out), test.says) {
				t.Errorf("%v\n%s", err, out)
			}
			if _, err := os.Stat(dir); !os.IsNotExist(err) {
				t.Errorf("there is a directory of profiles: %v", err)
			}
		})
	}
	if err := (profile.Source{URL: "http://" + open.APIAddr(), Key: launch.Key}).Check(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestCollectFromNobody(t *testing.T) {
	defer testenv.VerifyNoLeaks(t)
	for name, source := range map[string]profile.Source{"nobody": {URL: "http://127.0.0.1:1"}, "no address": {URL: "\n"}} {
		if files, err := source.Collect(t.Context(), t.TempDir(), time.Second); err == nil {
			t.Errorf("%s: %v", name, files)
		}
	}
}
