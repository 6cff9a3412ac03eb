package cli_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/zenconn/server/internal/testenv"
)

// post makes a request to the server API.
func post(t *testing.T, url, body string, header ...string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	answer, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

// Who starts the demo can use the server API at once, and see in the audit what was done with it; a page cannot.
func TestServerAPIOfTheDemo(t *testing.T) {
	inFolder(t)
	s := serve(t, "--demo")
	url := "http://" + s.api + "/api/publish"
	if code, body := post(t, url, `{"channel":"room","data":{"text":"hello"}}`); code != http.StatusOK || !strings.HasPrefix(body, `{"result":{"offset":1,`) {
		t.Errorf("publish: %d %s", code, body)
	}
	if code, body := post(t, url, `{"channel":"room","data":1}`, "Origin", "https://evil.example"); code != http.StatusForbidden {
		t.Errorf("from a page: %d %s", code, body)
	}
	if code, body := post(t, "http://"+s.client+"/api/publish", `{}`); code == http.StatusOK {
		t.Errorf("the API is on the clients' listener: %d %s", code, body)
	}
	if code, body := get(t, "http://"+s.api+"/api/openapi.yaml"); code != http.StatusOK || !strings.HasPrefix(body, "openapi: 3.1") {
		t.Errorf("description: %d %.50s", code, body)
	}
	if !strings.Contains(s.stderr.String(), `open_to="programs on this machine"`) {
		t.Errorf("the log does not say to whom the API is open:\n%s", s.stderr)
	}
	if code := s.stop(); code != 0 {
		t.Errorf("exit code %d: %s", code, s.stderr)
	}
	got := typed(t, nil, "audit", "query", "--json",
		"SELECT action, target, actor_kind, ok, request FROM audit_actions WHERE action = 'publish' ORDER BY at")
	if lines := strings.Count(got.stdout, "\n"); lines != 2 || !strings.Contains(got.stdout, `"target":"room"`) || strings.Contains(got.stdout, "hello") {
		t.Errorf("audit: %+v", got)
	}
	got = typed(t, nil, "audit", "query", "--json", "SELECT payload FROM audit_messages WHERE channel = 'room'")
	if strings.Count(got.stdout, "\n") != 1 || !strings.Contains(got.stdout, "hello") {
		t.Errorf("audit: %+v", got)
	}
}

// A configured server opens its API with a key alone; on one listener it does not get in the pages' way.
func TestServerAPIOnOneListener(t *testing.T) {
	inFolder(t)
	addr := testenv.FreeAddr(t)
	const key = "a-key-of-sixteen-bytes-and-more"
	s := serve(t, "--client.addr", addr, "--api.addr", addr, "--api.key", key)
	for _, path := range []string{"/api/info", "/api"} {
		if code, body := post(t, "http://"+addr+path, `{"method":"info"}`, "X-API-Key", key); code != http.StatusOK || !strings.Contains(body, `"num_clients":0`) {
			t.Errorf("%s: %d %s", path, code, body)
		}
		if code, body := post(t, "http://"+addr+path, `{}`); code != http.StatusUnauthorized || strings.Contains(body, key) {
			t.Errorf("%s without the key: %d %s", path, code, body)
		}
	}
	if code, _ := get(t, "http://"+addr+"/"); code != http.StatusOK {
		t.Errorf("the pages: %d", code)
	}
	if code := s.stop(); code != 0 {
		t.Errorf("exit code %d: %s", code, s.stderr)
	}
	if strings.Contains(s.stderr.String(), key) {
		t.Error("the log holds the key")
	}
}

func TestServerAPIIsClosed(t *testing.T) {
	inFolder(t)
	s := serve(t, "--demo=false")
	if code, body := post(t, "http://"+s.api+"/api/info", `{}`); code != http.StatusForbidden || !strings.Contains(body, "set api.key") {
		t.Errorf("%d %s", code, body)
	}
	if code := s.stop(); code != 0 {
		t.Errorf("exit code %d: %s", code, s.stderr)
	}
}
