package api_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/zenconn/server/audit"
	"github.com/zenconn/server/core/config"
)

func TestWhoMayAsk(t *testing.T) {
	closed, open := configuration(), configuration()
	closed.API.Key = ""
	open.API.Key, open.API.Insecure = "", true
	keyed := configuration()
	keyed.API.Insecure = true // A key counts all the same.
	for _, tt := range []struct {
		name   string
		config *config.Config
		header []string
		status int
		want   string
	}{
		{"key", keyed, []string{"X-API-Key", key}, 200, `"result"`},
		{"key in Authorization", keyed, []string{"Authorization", "apikey " + key}, 200, `"result"`},
		{"key in Authorization, spelled otherwise", keyed, []string{"Authorization", "ApiKey " + key}, 200, `"result"`},
		{"no key", keyed, nil, 401, `{"error":{"code":101,"message":"unauthorized: send the key of api.key in the header X-API-Key"}}`},
		{"empty key", keyed, []string{"X-API-Key", ""}, 401, `"code":101`},
		{"wrong key", keyed, []string{"X-API-Key", key + "!"}, 401, `"code":101`},
		{"part of the key", keyed, []string{"X-API-Key", key[:8]}, 401, `"code":101`},
		{"another scheme", keyed, []string{"Authorization", "Bearer " + key}, 401, `"code":101`},
		{"closed", closed, nil, 403, `{"error":{"code":108,"message":"not available: the server API is closed: set api.key to open it"}}`},
		{"closed, with any key", closed, []string{"X-API-Key", key}, 403, `"code":108`},
		{"insecure", open, nil, 200, `"result"`},
		{"insecure, as localhost", open, []string{"Host", "localhost:8001"}, 200, `"result"`},
		{"insecure, IPv6", open, []string{"Host", "[::1]"}, 200, `"result"`},
		{"insecure, from a page", open, []string{"Origin", "https://evil.example"}, 403, `"code":103`},
		{"insecure, from a page of another port", open, []string{"Sec-Fetch-Site", "same-site"}, 403, `"code":103`},
		{"insecure, under a page's name", open, []string{"Host", "evil.example"}, 403, `"code":103`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := start(t, tt.config)
			for _, path := range []string{"/api/info", "/api/batch", "/api"} {
				body := map[string]string{"/api/info": "", "/api/batch": `{"commands":[{"info":{}}]}`, "/api": `{"method":"info"}`}[path]
				status, answer, _ := r.do(http.MethodPost, path, body, tt.header...)
				want := tt.want
				if path == "/api/batch" && tt.status == 200 {
					want = `{"replies":[{"info":`
				}
				if status != tt.status || !strings.Contains(answer, want) {
					t.Errorf("%s: %d %s, want %d %s", path, status, answer, tt.status, want)
				}
			}
			if tt.status != 200 {
				for _, action := range all[*audit.Action](r.audit) {
					if action.OK || action.Error == "" || action.Request != "" {
						t.Errorf("recorded %+v", action)
					}
				}
			}
		})
	}
}

func TestBadRequests(t *testing.T) {
	c := configuration()
	c.API.RequestSize = 1 << 10
	r := start(t, c)
	long := `{"channel":"a","data":"` + strings.Repeat("x", 1<<10) + `"}`
	transport := []string{"X-Centrifugo-Error-Mode", "transport"}
	for _, tt := range []struct {
		name, method, path, body string
		header                   []string
		status                   int
		want                     string
	}{
		{"GET", "GET", "/api/info", "", nil, 405, "use POST"},
		{"PUT to all", "PUT", "/api", "{}", nil, 405, "use POST"},
		{"preflight of a page", "OPTIONS", "/api/publish", "", []string{"Origin", "https://a.example"}, 405, "use POST"},
		{"unknown method", "POST", "/api/shout", "{}", nil, 404, `"code":104`},
		{"method within a method", "POST", "/api/publish/x", "{}", nil, 404, `"code":104`},
		{"too large", "POST", "/api/publish", long, nil, 413, `{"error":{"code":106,"message":"limit exceeded: the body has more than 1024 bytes (api.request_size)"}}`},
		{"too large a batch", "POST", "/api/batch", long, nil, 413, `"code":106`},
		{"no JSON", "POST", "/api/publish", `{"channel":`, nil, 400, `"code":107,"message":"bad request: the body is not JSON`},
		{"two values", "POST", "/api/publish", `{"channel":"a","data":1}{}`, nil, 400, `"code":107`},
		{"a list", "POST", "/api/publish", `[]`, nil, 400, "the body is not a JSON object"},
		{"wrong type", "POST", "/api/publish", `{"channel":5}`, nil, 400, "the field channel cannot be a JSON number"},
		{"wrong type within", "POST", "/api/history", `{"channel":"a","since":{"offset":-1}}`, nil, 400, "the field since.offset cannot be"},
		{"bad batch", "POST", "/api/batch", `{"commands":5}`, nil, 400, "the field commands cannot be"},
		{"bad lines", "POST", "/api", `{"method":"info"} oops`, nil, 400, `"code":107`},
		{"no lines", "POST", "/api", ``, nil, 400, `"code":107`},
		{"transport: unknown channel", "POST", "/api/publish", `{"channel":"nowhere:a","data":1}`, transport, 404, `"code":102`},
		{"transport: bad request", "POST", "/api/publish", `{"channel":"","data":1}`, transport, 400, `"code":107`},
		{"transport: not available", "POST", "/api/presence", `{"channel":"closed:a"}`, transport, 400, `"code":108`},
		{"transport: unrecoverable", "POST", "/api/history", `{"channel":"a","since":{"epoch":"x"}}`, transport, 416, `"code":112`},
		{"transport: no plugin", "POST", "/api/rpc", `{"method":"a"}`, transport, 404, `"code":104`},
		{"transport: success", "POST", "/api/publish", `{"channel":"a","data":1}`, transport, 200, `"result"`},
	} {
		status, answer, response := r.do(tt.method, tt.path, tt.body, append(tt.header, "X-API-Key", key)...)
		if status != tt.status || !strings.Contains(answer, tt.want) {
			t.Errorf("%s: %d %s, want %d %s", tt.name, status, answer, tt.status, tt.want)
		}
		if response.Header.Get("Access-Control-Allow-Origin") != "" || response.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: headers %v", tt.name, response.Header)
		}
		if (response.Header.Get("Allow") == "POST") != (status == 405) {
			t.Errorf("%s: Allow %q", tt.name, response.Header.Get("Allow"))
		}
	}
}

// What fails inside is told without its cause.
func TestFaultOfPlugin(t *testing.T) {
	r := start(t, configuration(), calculator)
	status, answer, _ := r.do(http.MethodPost, "/api/rpc", `{"method":"break"}`, "X-API-Key", key, "X-Centrifugo-Error-Mode", "transport")
	if status != 500 || answer != `{"error":{"code":100,"message":"internal server error"}}` {
		t.Errorf("%d %s", status, answer)
	}
}

func TestBatch(t *testing.T) {
	r := start(t, configuration())
	for _, parallel := range []string{"false", "true"} {
		got := r.call("batch", `{"parallel":`+parallel+`,"commands":[{"publish":{"channel":"closed:a","data":1}},
			{"publish":{"channel":"nowhere:a","data":1}},{"presence_stats":{"channel":"a"}},{"shout":{}},{},{"info":{},"users":{}},{"batch":{}},
			{"publish":{"channel":5}},{"unsubscribe":{"user":"a","channel":"b"}}]}`)
		want := `{"replies":[{"publish":{}},{"error":{"code":102,"message":"unknown channel"}},{"presence_stats":{"num_clients":0,"num_users":0}},` +
			`{"error":{"code":104,"message":"method not found"}},` +
			`{"error":{"code":107,"message":"bad request: a command is an object with one member, whose name is the method"}},` +
			`{"error":{"code":107,"message":"bad request: a command is an object with one member, whose name is the method"}},` +
			`{"error":{"code":104,"message":"method not found"}},{"error":{"code":107,"message":"bad request: the field channel cannot be a JSON number"}},` +
			`{"unsubscribe":{}}]}`
		if got != want {
			t.Errorf("parallel %s:\ngot  %s\nwant %s", parallel, got, want)
		}
	}
	if got := r.call("batch", `{"commands":[]}`); got != `{"replies":[]}` {
		t.Errorf("an empty batch: %s", got)
	}
	// In their order, unless in parallel.
	commands := strings.Repeat(`{"publish":{"channel":"a","data":1}},`, 99) + `{"history":{"channel":"a"}}`
	if got := r.call("batch", `{"commands":[`+commands+`]}`); !strings.Contains(got, `"offset":99,"epoch":`) || strings.Count(got, `{"publish":{`) != 99 {
		t.Errorf("in order: %.300s", got)
	}
	status, answer, _ := r.do(http.MethodPost, "/api/batch", `{"commands":[`+strings.Repeat(`{},`, 10_000)+`{}]}`, "X-API-Key", key)
	if status != 400 || !strings.Contains(answer, `"code":106`) {
		t.Errorf("too long a batch: %d %.200s", status, answer)
	}
}

func TestLines(t *testing.T) {
	r := start(t, configuration())
	status, answer, _ := r.do(http.MethodPost, "/api",
		`{"method":"publish","params":{"channel":"closed:a","data":1}}`+"\n"+`{"method":"presence","params":{"channel":"nowhere:a"}} {"method":"shout"}`,
		"Authorization", "apikey "+key)
	want := `{"result":{}}` + "\n" + `{"error":{"code":102,"message":"unknown channel"}}` + "\n" + `{"error":{"code":104,"message":"method not found"}}`
	if status != 200 || answer != want {
		t.Errorf("%d %s", status, answer)
	}
}
