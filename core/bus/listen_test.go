package bus_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/zenconn/server/core/bus"
	"github.com/zenconn/server/core/config"
	"github.com/zenconn/server/internal/testenv"
)

// insist opens a bus as a worker does.
func insist(t *testing.T, ctx context.Context, c config.Bus) (*bus.Bus, error) { //nolint:revive // t first, as everywhere in the tests.
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	b := bus.New(bus.Options{Config: c, Data: t.TempDir(), Node: "worker", Log: slog.New(slog.DiscardHandler), Insist: true})
	err := b.Open(ctx)
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b, err
}

// Another process joins with what Join says, and both ask each other.
func TestJoin(t *testing.T) {
	ca := newAuthority(t)
	for name, set := range map[string]func(c *config.Bus){
		"plain":           func(*config.Bus) {},
		"own token":       func(c *config.Bus) { c.Token = "a token of our own" },
		"TLS":             func(c *config.Bus) { c.TLS.Cert, c.TLS.Key = ca.issue(t, "127.0.0.1") },
		"TLS by name":     func(c *config.Bus) { c.TLS.Cert, c.TLS.Key = ca.issue(t, "bus.example.com") },
		"every interface": func(c *config.Bus) { c.Listen, c.ListenInsecure = "0.0.0.0:0", true },
	} {
		t.Run(name, func(t *testing.T) {
			c := defaults()
			c.Listen = "127.0.0.1:0"
			set(&c)
			b := open(t, t.TempDir(), c)
			other, err := insist(t, t.Context(), b.Join())
			if err != nil {
				t.Fatal(err)
			}
			if !other.External() || other.Alone() || b.Alone() || other.Prefix() != b.Prefix() {
				t.Error("the other process does not know where it is")
			}
			for _, pair := range [][2]*bus.Bus{{b, other}, {other, b}} {
				stop, err := pair[0].Handle("who", func(context.Context, []byte) ([]byte, error) { return []byte("me"), nil })
				if err != nil {
					t.Fatal(err)
				}
				if answer, err := pair[1].Request(asking(t), "who", nil); err != nil || string(answer) != "me" {
					t.Errorf("%q, %v", answer, err)
				}
				stop()
			}
			if p := other.Problem(); p != "" {
				t.Error(p)
			}
		})
	}
}

// What trying again will not change, a process that insists is told at once.
func TestInsistIsRefused(t *testing.T) {
	ca, stranger := newAuthority(t), newAuthority(t)
	c := defaults()
	c.Listen = "127.0.0.1:0"
	plain := open(t, t.TempDir(), c).Join()
	c.TLS.Cert, c.TLS.Key = ca.issue(t, "127.0.0.1")
	encrypted := open(t, t.TempDir(), c).Join()
	for name, test := range map[string]struct {
		base config.Bus
		set  func(c *config.Bus)
		want error
	}{
		"wrong token":              {plain, func(c *config.Bus) { c.Token = "wrong" }, bus.ErrRefused},
		"no token":                 {plain, func(c *config.Bus) { c.Token = "" }, bus.ErrRefused},
		"a user instead":           {plain, func(c *config.Bus) { c.Token, c.User, c.Password = "", "u", "p" }, bus.ErrRefused},
		"wrong token over TLS":     {encrypted, func(c *config.Bus) { c.Token = "wrong" }, bus.ErrRefused},
		"TLS without a server's":   {plain, func(c *config.Bus) { c.URL = strings.Replace(c.URL, "nats:", "tls:", 1) }, bus.ErrUntrusted},
		"a stranger's certificate": {encrypted, func(c *config.Bus) { c.TLS.CA = stranger.file }, bus.ErrUntrusted},
		"another name":             {encrypted, func(c *config.Bus) { c.TLS.ServerName = "other.example.com" }, bus.ErrUntrusted},
	} {
		t.Run(name, func(t *testing.T) {
			c := test.base
			test.set(&c)
			if _, err := insist(t, t.Context(), c); !errors.Is(err, test.want) {
				t.Errorf("%v", err)
			} else if strings.Contains(err.Error(), test.base.Token) {
				t.Errorf("the error tells the token: %v", err)
			}
		})
	}
}

// Who insists waits for a server that is not there, or does not say a word, as long as he wants, and not longer.
func TestInsistWaits(t *testing.T) {
	silent, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	dialed := make(chan net.Conn, 10)
	go func() {
		defer close(dialed)
		for {
			conn, err := silent.Accept()
			if err != nil {
				return
			}
			dialed <- conn
		}
	}()
	c := defaults()
	c.URL = "nats://" + silent.Addr().String()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := insist(t, ctx, c)
		done <- err
	}()
	conn := <-dialed
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) || !errors.Is(err, bus.ErrDown) {
		t.Errorf("a silent server: %v", err)
	}
	conn.Close()
	silent.Close()

	// It comes up while we wait.
	addr := testenv.FreeAddr(t)
	c.URL = "nats://" + addr
	go func() {
		_, err := insist(t, t.Context(), c)
		done <- err
	}()
	srv := runServer(t, addr, nil)
	defer stopServer(srv)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestListenerProblems(t *testing.T) {
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	ca := newAuthority(t)
	for name, test := range map[string]struct {
		set  func(c *config.Bus)
		want string
	}{
		"the address is taken": {func(c *config.Bus) { c.Listen = taken.Addr().String() }, "bus.listen: listen tcp " + taken.Addr().String()},
		"no certificate":       {func(c *config.Bus) { c.TLS.Cert, c.TLS.Key = dir+"/none.pem", dir+"/none.key" }, "bus.tls.cert: "},
		"an empty authority": {func(c *config.Bus) {
			c.TLS.Cert, c.TLS.Key = ca.issue(t, "127.0.0.1")
			c.TLS.CA = empty
		}, "bus.tls.ca: there is no certificate in "},
	} {
		t.Run(name, func(t *testing.T) {
			c := defaults()
			c.Listen = "127.0.0.1:0"
			test.set(&c)
			b := bus.New(bus.Options{Config: c, Data: t.TempDir(), Node: "test", Log: slog.New(slog.DiscardHandler)})
			if err := b.Open(t.Context()); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v", err)
			}
			if err := b.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// A certificate that was renewed is shown without a restart; one that cannot be read leaves the old one.
func TestRenewedCertificate(t *testing.T) {
	ca := newAuthority(t)
	c := defaults()
	c.Listen = "127.0.0.1:0"
	c.TLS.Cert, c.TLS.Key = ca.issue(t, "127.0.0.1")
	b := open(t, t.TempDir(), c)
	serial := func() string {
		t.Helper()
		conn := connect(t, b.Join().URL, nats.Token(b.Join().Token), nats.RootCAs(ca.file))
		defer conn.Close()
		state, err := conn.TLSConnectionState()
		if err != nil {
			t.Fatal(err)
		}
		return state.PeerCertificates[0].SerialNumber.String()
	}
	before := serial()
	if again := serial(); again != before {
		t.Errorf("%s, and then %s", before, again)
	}
	ca.issue(t, "127.0.0.1")
	later := time.Now().Add(time.Second) // Clocks of file systems are coarse.
	if err := os.Chtimes(c.TLS.Cert, later, later); err != nil {
		t.Fatal(err)
	}
	after := serial()
	if after == before {
		t.Error("the old certificate is shown")
	}
	if err := os.WriteFile(c.TLS.Cert, []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	if again := serial(); again != after {
		t.Error("another certificate is shown")
	}
}

// Workers outlive an agent that is killed, and must find the next one.
func TestFreePortStaysTheSame(t *testing.T) {
	dir, c := t.TempDir(), defaults()
	c.Listen = "127.0.0.1:0"
	reopen := func() string {
		b := open(t, dir, c)
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		return b.Addr()
	}
	addr := reopen()
	for try := 1; ; try++ { // Any other process may have got the port meanwhile, but not time and again.
		next := reopen()
		if next == addr {
			break
		}
		if try == 5 {
			t.Fatalf("the bus was at %s and is at %s", addr, next)
		}
		addr = next
	}
	if taken, err := net.Listen("tcp", addr); err == nil { // Else somebody else was faster, which is the same.
		defer taken.Close()
	}
	if third := open(t, dir, c); third.Addr() == addr || third.Addr() == "" {
		t.Errorf("somebody else is at %s, and the bus at %q", addr, third.Addr())
	}
}
