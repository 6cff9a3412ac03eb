package host_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/hooks"
	"github.com/zenconn/server/hooks/hooktest"
	"github.com/zenconn/server/hooks/host"
)

func function(t testing.TB, name string) *host.Function {
	t.Helper()
	for _, f := range host.Functions() {
		if f.Name == name {
			return f
		}
	}
	t.Fatalf("there is no function %s", name)
	return nil
}

// plugin is one with rights.
func plugin(t testing.TB, services *host.Services, rights host.Rights) *host.Plugin {
	t.Helper()
	p, err := host.NewPlugin(services, "test", rights, host.NewLog(nil, "test"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// call calls a function in on_rpc, with texts and numbers.
func call(t testing.TB, p *host.Plugin, within time.Duration, name string, args ...any) (host.Call, error) {
	t.Helper()
	c := host.Call{Hook: hooks.OnRPC, Deadline: time.Now().Add(within)}
	for i, a := range args {
		switch a := a.(type) {
		case string:
			c.Args[i].Text = a
		case int:
			c.Args[i].Int = int64(a)
		}
	}
	err := p.Call(function(t, name), &c)
	return c, err
}

func TestMemory(t *testing.T) {
	hooktest.RunKV(t, func(*testing.T) host.KV { return host.NewMemory() })
}

// A full store refuses, says so, keeps what it has, and takes more when there is room again.
func TestFullMemory(t *testing.T) {
	m := host.NewMemory()
	p := plugin(t, host.New(host.Options{KV: m}), host.Rights{KV: true})
	value := strings.Repeat("x", host.MaxValue)
	stored := 0
	for {
		_, err := call(t, p, time.Minute, "kv_set", string(rune('a'+stored%26))+strings.Repeat("k", stored/26), value)
		if err != nil {
			if err != host.Failure("the store is full") { //nolint:errorlint // Just this.
				t.Fatal(err)
			}
			break
		}
		if stored++; stored > 2000 {
			t.Fatal("it is never full")
		}
	}
	if c, err := call(t, p, time.Minute, "kv_get", "a"); err != nil || c.Results[0].Text != value {
		t.Errorf("what was there: %v", err)
	}
	if _, err := call(t, p, time.Minute, "kv_set", "a", "shorter"); err != nil {
		t.Errorf("making it shorter: %v", err)
	}
	if _, err := call(t, p, time.Minute, "kv_delete", "b"); err != nil {
		t.Error(err)
	}
	if _, err := call(t, p, time.Minute, "kv_set", "new", value); err != nil {
		t.Errorf("after one was deleted: %v", err)
	}
}

// What has expired makes room, although nobody asks for it any more.
func TestMemoryForgets(t *testing.T) {
	m := host.NewMemory()
	value := make([]byte, host.MaxValue)
	for i := range 20_000 { // More than a gigabyte in all.
		if _, err := m.Set(t.Context(), "p", string(rune(i+0x4e00)), value, time.Nanosecond); err != nil {
			t.Fatalf("after %d: %v", i, err)
		}
	}
}

// storeOf is a KV that only ever fails.
type storeOf struct {
	host.KV
	err error
}

func (s storeOf) Get(context.Context, string, string) ([]byte, uint64, error) { return nil, 0, s.err }

// What is wrong with the store is for the log, not for the plugin.
func TestFailingStore(t *testing.T) {
	var out strings.Builder
	services := host.New(host.Options{KV: storeOf{err: errors.New("10.0.0.1: secret")}})
	p, err := host.NewPlugin(services, "test", host.Rights{KV: true}, host.NewLog(textLogger(&out), "test"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := call(t, p, time.Minute, "kv_get", "k"); err != host.Failure("the store does not answer") { //nolint:errorlint // Just this.
		t.Error(err)
	}
	if !strings.Contains(out.String(), "10.0.0.1: secret") || !strings.Contains(out.String(), "plugin=test") {
		t.Errorf("logged: %s", &out)
	}
}

// A name that leads to an address of this machine is not connected to, whatever the list says about the name.
func TestNamesThatLeadHome(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("somebody came") }))
	t.Cleanup(server.Close)
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	addresses, err := net.DefaultResolver.LookupHost(t.Context(), "localhost")
	if err != nil || len(addresses) == 0 {
		t.Fatalf("localhost is %v, %v", addresses, err)
	}
	// "localhost." is the same name, but the entry for this machine is spelled localhost; below it, everything leads there too.
	p := plugin(t, nil, host.Rights{HTTP: []string{"*.localhost:" + port, "127.0.0.2"}})
	_, err = call(t, p, 5*time.Minute, "http_request", "GET", "http://x.localhost:"+port) // A resolver may be slow to say that it does not know.
	if _, ok := errors.AsType[host.Failure](err); !ok {
		t.Errorf("%v, want a failure", err)
	}
	allowed := plugin(t, nil, host.Rights{HTTP: []string{"localhost:1"}})
	if _, err := call(t, allowed, time.Minute, "http_request", "GET", "http://localhost:1"); err == nil || strings.Contains(err.Error(), "public") {
		t.Errorf("a listed localhost: %v", err)
	}
}

// Connections are used again. Now and then one is not: what has just read the answer does not wait long for who has written the request.
func TestConnectionsAreKept(t *testing.T) {
	var mu sync.Mutex
	from := map[string]int{}
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		from[r.RemoteAddr]++
	}))
	t.Cleanup(server.Close)
	p := plugin(t, nil, host.Rights{HTTP: []string{strings.TrimPrefix(server.URL, "http://")}})
	const requests = 20
	for range requests {
		if c, err := call(t, p, time.Minute, "http_request", "GET", server.URL); err != nil || c.Results[0].Int != 200 {
			t.Fatalf("%+v, %v", c.Results, err)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if len(from) == requests {
		t.Errorf("each of %d requests came by a connection of its own", requests)
	}
}

// When as many requests run as may, the next one waits no longer than it has time.
func TestManyRequests(t *testing.T) {
	hold := make(chan struct{})
	arrived := make(chan struct{}, 100)
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { arrived <- struct{}{}; <-hold }))
	t.Cleanup(server.Close)
	p := plugin(t, nil, host.Rights{HTTP: []string{strings.TrimPrefix(server.URL, "http://")}})
	var running sync.WaitGroup
	for range 32 {
		running.Go(func() {
			if _, err := call(t, p, time.Minute, "http_request", "GET", server.URL); err != nil {
				t.Error(err)
			}
		})
	}
	for range 32 {
		<-arrived
	}
	if _, err := call(t, p, 20*time.Millisecond, "http_request", "GET", server.URL); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("one more: %v", err)
	}
	close(hold)
	running.Wait()
	if len(arrived) != 0 {
		t.Error("one more arrived")
	}
}

// stuck is a server that waits for ever, but for its context.
type stuck struct {
	host.Server
	began chan struct{}
}

func (s stuck) Disconnect(ctx context.Context, _, _, _ string, _ core.Disconnect) error {
	s.began <- struct{}{}
	<-ctx.Done()
	return ctx.Err()
}

// What plugins want done to sessions waits in a queue with an end.
func TestFullQueue(t *testing.T) {
	services := host.New(host.Options{})
	server := stuck{began: make(chan struct{}, 100)}
	services.Serve(server)
	p := plugin(t, services, host.Rights{Disconnect: true})
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { services.Run(ctx) })
	defer running.Wait()
	defer stop()
	refused := error(nil)
	for taken := 0; refused == nil; {
		_, err := call(t, p, time.Minute, "server_disconnect", "bob")
		switch {
		case err == host.Failure("the server is starting or stopping"): //nolint:errorlint // Just this.
			<-time.After(time.Millisecond)
		case err != nil:
			refused = err
		default:
			if taken++; taken > 10_000 {
				t.Fatal("the queue has no end")
			}
		}
	}
	if refused != host.Failure("too much is waiting to be done") { //nolint:errorlint // Just this.
		t.Error(refused)
	}
	<-server.began
}

func pemOf(t *testing.T, kind string, der []byte, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// Every kind of key signs what it verifies, with its own algorithm only, and those that are too weak are refused.
func TestKeys(t *testing.T) {
	weak, err := rsa.GenerateKey(rand.Reader, 1024) //nolint:gosec // That is what is tested.
	if err != nil {
		t.Fatal(err)
	}
	strong, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8 := func(key any) string {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		return pemOf(t, "PRIVATE KEY", der, err)
	}
	sec1 := func(key *ecdsa.PrivateKey) string {
		der, err := x509.MarshalECPrivateKey(key)
		return pemOf(t, "EC PRIVATE KEY", der, err)
	}
	pkcs1 := pemOf(t, "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(strong), nil)
	good := map[string]host.Key{
		"HS256": {Secret: strings.Repeat("s", 32)}, "HS384": {Secret: strings.Repeat("s", 48), Algorithm: "HS384"}, "RS256": {PEM: pkcs8(strong)},
		"RS512": {PEM: pkcs1, Algorithm: "RS512"}, "PS256": {PEM: pkcs1, Algorithm: "PS256"}, "ES256": {PEM: pkcs8(p256)}, "ES384": {PEM: sec1(p384)},
		"EdDSA": {PEM: pkcs8(edwards), Algorithm: "EdDSA"},
	}
	p := plugin(t, nil, host.Rights{JWT: true, Keys: good})
	for name := range good {
		signed, err := call(t, p, time.Minute, "jwt_sign", `{"sub":"a<b"}`, name)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for other := range good {
			c, err := call(t, p, time.Minute, "jwt_verify", signed.Results[0].Text, other)
			if (err == nil) != (name == other) || err == nil && !strings.Contains(c.Results[0].Text, "sub") {
				t.Errorf("%s with the key of %s: %+v, %v", name, other, c.Results[0], err)
			}
		}
	}
	for want, bad := range map[string]host.Key{
		"want a secret or a pem":    {},
		"and not both":              {Secret: strings.Repeat("s", 32), PEM: pkcs1},
		"it must have 32":           {Secret: "geheim"},
		"belongs into pem":          {Secret: pkcs1},
		"holds no PEM block":        {PEM: "geheim"},
		"more than one PEM block":   {PEM: pkcs1 + pkcs1},
		"cannot be read":            {PEM: pemOf(t, "PRIVATE KEY", []byte("geheim"), nil)},
		"want a PUBLIC KEY or":      {PEM: pemOf(t, "CERTIFICATE", []byte("geheim"), nil)},
		"1024 bits":                 {PEM: pkcs8(weak)},
		"signs no tokens":           {PEM: pkcs8(p224)},
		`for ES256, not "HS256"`:    {PEM: pkcs8(p256), Algorithm: "HS256"},
		`HS384, HS512, not "RS256"`: {Secret: strings.Repeat("s", 32), Algorithm: "RS256"},
	} {
		_, err := host.NewPlugin(nil, "test", host.Rights{JWT: true, Keys: map[string]host.Key{"bad": bad}}, host.NewLog(nil, "test"))
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "keys.bad: ") || strings.Contains(err.Error(), "geheim") {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if _, err := host.NewPlugin(nil, "test", host.Rights{HTTP: []string{"a b"}}, host.NewLog(nil, "test")); err == nil ||
		!strings.HasPrefix(err.Error(), "allow.http: ") {
		t.Errorf("a bad host: %v", err)
	}
}

// Tokens of strangers neither panic nor get through.
func FuzzToken(f *testing.F) {
	p := plugin(f, nil, host.Rights{JWT: true, Keys: map[string]host.Key{"k": {Secret: strings.Repeat("s", 32)}}})
	signed, err := call(f, p, time.Minute, "jwt_sign", `{"sub":"a"}`, "k")
	if err != nil {
		f.Fatal(err)
	}
	token := signed.Results[0].Text
	f.Add(token)
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Add("..")
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := call(t, p, time.Minute, "jwt_verify", text, "k"); err == nil && text != token {
			t.Errorf("%q is taken", text)
		} else if _, ok := errors.AsType[host.Failure](err); err != nil && !ok {
			t.Errorf("%q: %v", text, err)
		}
	})
}

// Whatever a stored hash says, verifying it neither panics nor takes long. Without anybody to compute it, only reading it is tried.
func FuzzHash(f *testing.F) {
	p := plugin(f, nil, host.Rights{Password: true})
	f.Add("$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4")
	f.Add("$argon2id$v=19$m=4294967295,t=4294967295,p=255$c29tZXNhbHQ$nf65EOgLrQMR")
	f.Add("$argon2id$v=19$m=,t=,p=$$")
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := call(t, p, time.Minute, "password_verify", "x", text); err == nil {
			t.Errorf("%q was verified", text)
		} else if _, ok := errors.AsType[host.Failure](err); !ok {
			t.Errorf("%q: %v", text, err)
		}
	})
}

func BenchmarkKVGet(b *testing.B) {
	p := plugin(b, nil, host.Rights{KV: true})
	if _, err := call(b, p, time.Minute, "kv_set", "k", strings.Repeat("x", 100)); err != nil {
		b.Fatal(err)
	}
	f, c := function(b, "kv_get"), host.Call{Hook: hooks.OnRPC, Deadline: time.Now().Add(time.Hour)}
	c.Args[0].Text = "k"
	b.ReportAllocs()
	for b.Loop() {
		if err := p.Call(f, &c); err != nil {
			b.Fatal(err)
		}
	}
}
