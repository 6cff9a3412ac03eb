package hooktest

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/hooks"
	"github.com/zenconn/server/hooks/host"
)

func testStore(t *testing.T, b *bench) {
	g := b.guest(t, host.Rights{KV: true})
	g.absent("kv_get", "k")
	first := g.gets("kv_set", list("k", "väl\x00ue"), anything)[0]
	g.gets("kv_get", list("k"), "väl\x00ue", first)
	g.absent("kv_cas", "k", "lost", 0)
	g.absent("kv_cas", "k", "lost", 99999)
	second := g.gets("kv_cas", list("k", "won", first), anything)[0]
	g.gets("kv_get", list("k"), "won", second)
	g.gets("kv_delete", list("k"))
	g.absent("kv_get", "k")
	g.gets("kv_delete", list("k"))
	g.gets("kv_cas", list("k", "", 0, 3600), anything)
	g.gets("kv_get", list("k"), "", anything)

	g.gets("kv_set", list("short", "x", 0.001), anything)
	for end := time.Now().Add(enough); !g.call("kv_get", "short").Absent; {
		if time.Now().After(end) {
			t.Fatal("the value stays")
		}
	}
	long := strings.Repeat("x", host.MaxValue)
	g.gets("kv_set", list(strings.Repeat("k", host.MaxKey), long), anything)
	g.fails("it may have 65536", "kv_set", "k", long+"x")
	g.fails("the key has 0 bytes", "kv_get", "")
	g.fails("the key has 256 bytes", "kv_delete", strings.Repeat("k", host.MaxKey+1))
	g.fails("the ttl must be", "kv_set", "k", "v", -1)
	g.fails("the ttl must be", "kv_set", "k", "v", 1e12)
	g.fails("a revision is not negative", "kv_cas", "k", "v", -1)
}

func testWeb(t *testing.T, b *bench) {
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "other") }))
	t.Cleanup(other.Close)
	mux := http.NewServeMux()
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Kind", r.Header.Get("X-Kind"))
		w.WriteHeader(http.StatusTeapot)
		fmt.Fprintf(w, "%s %s %s", r.Method, r.URL.RawQuery, body)
	})
	mux.HandleFunc("/same", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/echo?moved", http.StatusFound) })
	mux.HandleFunc("/elsewhere", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL, http.StatusFound) })
	mux.HandleFunc("/round", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/round", http.StatusFound) })
	mux.HandleFunc("/long", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, strings.Repeat("x", 1<<20+1)) })
	web := httptest.NewServer(mux)
	t.Cleanup(web.Close)
	const nobody = "127.0.0.1:1" // Where no server listens; a port that one has left may be another's by now.
	g := b.guest(t, host.Rights{HTTP: []string{strings.TrimPrefix(web.URL, "http://"), nobody, "*.example.com"}})

	results := g.gets("http_request", list("POST", web.URL+"/echo?a=b", map[string]any{"X-Kind": "märz"}, "böd\x00y"), 418, anything, "POST a=b böd\x00y")
	if headers, ok := results[1].(map[string]any); !ok || headers["x-kind"] != "märz" {
		t.Errorf("headers %v", results[1])
	}
	g.gets("http_request", list("GET", web.URL+"/nothing"), 404, anything, anything)
	g.gets("http_request", list("GET", web.URL+"/same"), 418, anything, "GET moved ")
	moved := g.gets("http_request", list("GET", web.URL+"/elsewhere"), 302, anything, anything)
	if headers, ok := moved[1].(map[string]any); !ok || headers["location"] != other.URL {
		t.Errorf("headers %v", moved[1])
	}
	g.gets("http_request", list("GET", web.URL+"/round"), 302, anything, anything)
	g.fails("longer than 1048576 bytes", "http_request", "GET", web.URL+"/long")
	g.fails("allow.http does not list 127.0.0.1", "http_request", "GET", other.URL)
	g.fails("allow.http does not list example.com", "http_request", "GET", "https://example.com/")
	g.fails("allow.http does not list localhost", "http_request", "GET", strings.Replace(web.URL, "127.0.0.1", "localhost", 1))
	g.fails("must begin with https://", "http_request", "GET", "file:///etc/passwd")
	g.fails("no URL", "http_request", "GET", "http://[")
	g.fails("no method", "http_request", "GE T", web.URL)
	g.fails("cannot be set", "http_request", "GET", web.URL, map[string]any{"host": "else.example"})
	g.fails("not a JSON object of texts", "http_request", "GET", web.URL, map[string]any{"a": list(1)})
	g.fails("refused", "http_request", "GET", "http://"+nobody)
}

func testServer(t *testing.T, b *bench) {
	g := b.guest(t, host.Rights{Publish: true, Unsubscribe: true, Disconnect: true})
	name := g.chain.Plugins()[0].Name
	g.gets("server_publish", list("room:1", `{"a":1}`, map[string]any{"lang": "en"}))
	b.server.done(t, name+` publishes room:1 {"a":1} map[lang:en]`)
	g.gets("server_publish", list("room:1", "x"))
	b.server.done(t, name+` publishes room:1 x map[]`)
	g.gets("server_unsubscribe", list("bob", nil, "room:1"))
	b.server.done(t, name+` unsubscribes bob/ room:1`)
	g.gets("server_disconnect", list("bob", "c1", 4001, "enough"))
	b.server.done(t, name+` disconnects bob/c1 4001 enough`)
	g.gets("server_disconnect", list(nil, "c1"))
	b.server.done(t, name+` disconnects /c1 3503 force disconnect`)

	g.fails("1 to 255", "server_publish", "", "{}")
	g.fails("not a JSON object of texts", "server_publish", "room:1", "{}", map[string]any{"a": 1})
	g.fails("at most 1048576 bytes", "server_publish", "room:1", strings.Repeat("x", 1<<20-8)+"longer than it may be")
	g.fails("say whom it is for", "server_unsubscribe", nil, nil, "room:1")
	g.fails("say whom it is for", "server_disconnect")
	g.fails("3000 to 4999", "server_disconnect", "bob", nil, 200)
	g.fails("123 bytes", "server_disconnect", "bob", nil, 4000, strings.Repeat("x", 124))

	b.server.answer(core.ErrUnknownChannel, nil)
	g.fails("unknown channel", "server_publish", "room:1", "{}")
	b.server.answer(errors.New("dial tcp 10.0.0.1: secret"), nil)
	g.fails("the server could not do it", "server_publish", "room:1", "{}")
	g.gets("server_disconnect", list("bob")) // Nobody waits for it.

	// Before there is a server, everything fails that needs one.
	none := &bench{load: b.load, services: host.New(host.Options{})}
	early := none.guest(t, host.Rights{Publish: true, Disconnect: true, Password: true})
	early.fails("starting", "server_publish", "room:1", "{}")
	early.fails("starting", "server_disconnect", "bob")
	early.fails("starting", "password_hash", "x")
}

const secret = "0123456789abcdef0123456789abcdef"

// edwards makes a pair of keys.
func edwards(t *testing.T) (private, public string) {
	t.Helper()
	verify, sign, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	one, err := x509.MarshalPKCS8PrivateKey(sign)
	if err != nil {
		t.Fatal(err)
	}
	two, err := x509.MarshalPKIXPublicKey(verify)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: one})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: two}))
}

func testTokens(t *testing.T, b *bench) {
	edPrivate, edPublic := edwards(t)
	g := b.guest(t, host.Rights{JWT: true, Keys: map[string]host.Key{
		"main": {Secret: secret}, "long": {Secret: secret, Algorithm: "HS512"}, "other": {Secret: secret + "x"}, "ed": {PEM: edPrivate},
	}})
	claims := map[string]any{"sub": "märy", "exp": float64(4e9), "list": list("a", float64(1))}
	token := g.gets("jwt_sign", list(claims, "main"), anything)[0]
	g.gets("jwt_verify", list(token, "main"), claims)
	g.fails("signature", "jwt_verify", token, "other")
	g.fails("signature", "jwt_verify", token, "long") // The same secret, another algorithm.
	g.fails("signature", "jwt_verify", token, "ed")
	signed := g.gets("jwt_sign", list(claims, "ed"), anything)[0]
	g.gets("jwt_verify", list(signed, "ed"), claims)
	g.fails("signature", "jwt_verify", signed, "main")
	g.fails("malformed", "jwt_verify", "x", "main")
	g.fails("malformed", "jwt_verify", "", "main")
	g.fails("signature", "jwt_verify", "eyJhbGciOiJub25lIn0.e30.", "main")
	g.fails("longer than", "jwt_verify", strings.Repeat("x", 20<<10), "main")
	for reason, bad := range map[string]map[string]any{
		"expired": {"exp": 1000}, "not valid yet": {"nbf": 4e9}, "in the future": {"iat": 4e9}, "malformed": {"exp": "soon"},
	} {
		g.fails(reason, "jwt_verify", g.gets("jwt_sign", list(bad, "main"), anything)[0], "main")
	}
	g.fails(`no key called "unknown"`, "jwt_verify", token, "unknown")
	g.fails("no key called", "jwt_sign", claims, "")
	g.fails("longer than", "jwt_sign", map[string]any{"a": strings.Repeat("x", 10<<10)}, "main")

	public := b.guest(t, host.Rights{JWT: true, Keys: map[string]host.Key{"ed": {PEM: edPublic}}})
	public.gets("jwt_verify", list(signed, "ed"), claims)
	public.fails("only verifies", "jwt_sign", claims, "ed")
}

func testPasswords(t *testing.T, b *bench) {
	g := b.guest(t, host.Rights{Password: true})
	hash := g.gets("password_hash", list("correct hörse"), anything)[0].(string)
	if !strings.HasPrefix(hash, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("hash %s", hash)
	}
	g.gets("password_verify", list("correct hörse", hash), true)
	g.gets("password_verify", list("wrong", hash), false)
	// From the reference implementation: echo -n password | argon2 somesalt -id -t 2 -k 256 -p 1.
	g.gets("password_verify", list("password", "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"), true)
	g.fails("no hash", "password_verify", "x", "secret")
	g.fails("no hash", "password_verify", "x", strings.Replace(hash, "argon2id", "argon2i", 1))
	g.fails("asks for", "password_verify", "x", strings.Replace(hash, "m=19456", "m=4194304", 1))
	g.fails("asks for", "password_verify", "x", strings.Replace(hash, "t=2", "t=1000000", 1))
	g.fails("longer than 1024", "password_hash", strings.Repeat("x", 1025))
}

func testSmall(t *testing.T, b *bench) {
	g := b.guest(t, host.Rights{})
	name := g.chain.Plugins()[0].Name
	g.gets("metric_add", list("logins", 2))
	g.gets("metric_add", list("logins", 3))
	if n := b.metrics.of(name + "'s logins"); n != 5 {
		t.Errorf("counted %v", n)
	}
	g.fails("does not go down", "metric_add", "logins", -1)
	for _, bad := range []string{"", "Upper", "a-b", "1st", strings.Repeat("x", 65), "ü"} {
		g.fails("a counter's name has", "metric_add", bad, 1)
	}
	for i := range 99 {
		g.gets("metric_add", list(fmt.Sprintf("counter_%d", i), 1))
	}
	g.fails("100 counters already", "metric_add", "one_more", 1)
	g.gets("metric_add", list("logins", 1))

	one, two := g.gets("random_bytes", list(32), anything)[0].(string), g.gets("random_bytes", list(32), anything)[0].(string)
	if len(one) != 32 || one == two {
		t.Errorf("%x, %x", one, two)
	}
	g.gets("random_bytes", list(0), "")
	g.fails("0 to 1024", "random_bytes", 1025)
	g.fails("0 to 1024", "random_bytes", -1)
}

// arguments are some that each function takes.
var arguments = map[string][]any{
	"kv_get": list("k"), "kv_set": list("k", "v"), "kv_cas": list("k", "v", 0), "kv_delete": list("k"), "http_request": list("GET", "http://a.example/"),
	"server_publish": list("room:1", "{}"), "server_unsubscribe": list("bob", nil, "room:1"), "server_disconnect": list("bob"),
	"jwt_verify": list("x", "main"), "jwt_sign": list(map[string]any{"a": 1}, "main"), "password_hash": list("x"), "password_verify": list("x", "y"),
	"metric_add": list("x", 1), "random_bytes": list(1),
}

// Without its right, using a function is a fault that names it, and the plugin goes on with the next call.
func testRights(t *testing.T, b *bench) {
	g := b.guest(t, host.Rights{})
	name := g.chain.Plugins()[0].Name
	for _, f := range host.Functions() {
		args, known := arguments[f.Name]
		switch {
		case !known:
			t.Errorf("%s is not tested", f.Name)
		case f.Right != "":
			g.faults("the plugin "+name+" used "+f.Name+" without allow."+f.Right, f.Name, args...)
		default:
			g.gets(f.Name, args, slices.Repeat([]any{anything}, len(f.Results))...)
		}
	}
	b.server.mu.Lock()
	defer b.server.mu.Unlock()
	if len(b.server.did) > 0 {
		t.Errorf("the server was asked for %q", b.server.did)
	}
}

// What waits, waits no longer than the plugin has time; and what does not wait ends with it, too.
func testDeadlines(t *testing.T, b *bench) {
	hold := make(chan struct{})
	web := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-hold:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(web.Close)
	t.Cleanup(func() { close(hold) })
	const deadline = 60 * time.Millisecond
	g := b.hurried(t, host.Rights{KV: true, HTTP: []string{strings.TrimPrefix(web.URL, "http://")}, Publish: true, Disconnect: true, Password: true,
		JWT: true, Keys: map[string]host.Key{"main": {Secret: secret}}}, deadline)
	g.tooLate("http_request", "GET", web.URL)
	b.server.answer(nil, hold)
	g.tooLate("server_publish", "room:1", "{}")
	b.server.answer(nil, nil)
	for _, flood := range [][]any{
		list("kv_get", "k"), list("kv_set", "k", strings.Repeat("x", 60000)), list("metric_add", "x", 1), list("random_bytes", 1024),
		list("jwt_verify", "x", "main"), list("password_hash", "x"), list("server_disconnect", "bob"), list("http_request", "GET", "http://a.example/"),
	} {
		g.tooLate("flood", flood...)
	}
}

// Some functions cannot be used everywhere.
func testWhere(t *testing.T, b *bench) {
	g := b.guest(t, host.Rights{KV: true, Publish: true})
	g.fails("in a hook only", "loaded")
	e := &hooks.Audit{Kind: "message", Channel: "room:1"}
	if a := g.chain.Audit(t.Context(), e); !a.Modified || !strings.Contains(e.Reason, "cannot be done in on_audit") {
		t.Errorf("%+v, %+v, %v", a, e, g.record.last.Fault)
	}
	a := g.chain.Channel(t.Context(), &hooks.Channel{Channel: "room:1"})
	if a.Verdict != hooks.Deny || !strings.Contains(a.Reason, "cannot be done in on_channel") {
		t.Errorf("%+v, %v", a, g.record.last.Fault)
	}
}

// Calls and instances are counted, and after the end there are no instances.
func testCounted(t *testing.T, b *bench) {
	g := b.guest(t, host.Rights{KV: true})
	name := g.chain.Plugins()[0].Name
	g.absent("kv_get", "k")
	g.gets("kv_set", list("k", "v"), anything)
	g.fails("1 to 255", "kv_get", "")
	g.faults("allow.publish", "server_publish", "room:1", "{}")
	for result, want := range map[string]float64{"kv_get absent": 1, "kv_set ok": 1, "kv_get failed": 2, "server_publish fault": 1} { // One failed while it was loaded.
		if n := b.metrics.of(name + " " + result); n < want {
			t.Errorf("%s was counted %v times, want %v", result, n, want)
		}
	}
	g.absent("kv_get", "gone")
	if n := b.metrics.of("instances of " + name); n < 1 {
		t.Errorf("%v instances", n)
	}
	if err := g.chain.Close(); err != nil {
		t.Fatal(err)
	}
	if n := b.metrics.of("instances of " + name); n != 0 {
		t.Errorf("%v instances after the end", n)
	}
}
