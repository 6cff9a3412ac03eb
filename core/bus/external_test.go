package bus_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"

	"github.com/zenconn/server/core/bus"
	"github.com/zenconn/server/core/config"
	"github.com/zenconn/server/internal/testenv"
)

// runServer starts a NATS server with JetStream at an address.
func runServer(t *testing.T, addr string, set func(o *server.Options)) *server.Server {
	t.Helper()
	tcp, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	o := &server.Options{ServerName: "external", Host: tcp.IP.String(), Port: tcp.Port, NoLog: true, NoSigs: true, JetStream: true, StoreDir: t.TempDir()}
	if o.Port == 0 {
		o.Port = server.RANDOM_PORT
	}
	if set != nil {
		set(o)
	}
	srv, err := server.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	if !srv.ReadyForConnections(patience) {
		stopServer(srv)
		t.Fatal("NATS does not start")
	}
	return srv
}

func stopServer(srv *server.Server) {
	srv.Shutdown()
	srv.WaitForShutdown()
}

// running runs what looks after a bus until the test ends.
func running(t *testing.T, b *bus.Bus) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { b.Run(ctx) })
	t.Cleanup(func() { cancel(); wg.Wait() })
}

// well waits until nothing is wrong with a bus.
func well(t *testing.T, b *bus.Bus) {
	t.Helper()
	for end := time.Now().Add(patience); b.Problem() != ""; <-time.After(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(b.Problem())
		}
	}
}

// A server that comes up late is used then, and what was listened to before is heard; one that goes away and comes back as well.
func TestExternalComesAndGoes(t *testing.T) {
	addr := testenv.FreeAddr(t)
	c := defaults()
	c.URL = "nats://" + addr
	b := open(t, t.TempDir(), c)
	running(t, b)
	if p := b.Problem(); !strings.Contains(p, "does not answer") || b.Connected() {
		t.Errorf("the problem is %q", p)
	}
	if err := b.Publish("a", nil); !errors.Is(err, bus.ErrDown) {
		t.Errorf("published: %v", err)
	}
	if _, err := b.Request(t.Context(), "a", nil); !errors.Is(err, bus.ErrDown) {
		t.Errorf("asked: %v", err)
	}
	heard, returns := make(chan string, 10), make(chan struct{}, 10)
	stop, err := b.Listen("a", func(_ string, body []byte) { heard <- string(body) })
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	deaf := b.OnReconnect(func() { returns <- struct{}{} })
	defer deaf()
	extra, err := b.Connect("extra")
	if err != nil {
		t.Fatal(err)
	}
	for round := range 3 {
		srv := runServer(t, addr, nil)
		<-returns
		well(t, b)
		text := fmt.Sprint(round)
		if err := b.Publish("a", []byte(text)); err != nil {
			t.Error(err)
		}
		if got := <-heard; got != text {
			t.Errorf("heard %q in round %d", got, round)
		}
		eventually(t, "the other connection is there", extra.IsConnected)
		stopServer(srv)
		eventually(t, "the end of the server is noticed", func() bool { return b.Problem() != "" })
	}
}

// Nothing of OnReconnect comes after stop.
func TestOnReconnectStop(t *testing.T) {
	addr := testenv.FreeAddr(t)
	c := defaults()
	c.URL = "nats://" + addr
	b := open(t, t.TempDir(), c)
	var calls atomic.Int32
	stop := b.OnReconnect(func() { calls.Add(1) })
	other := make(chan struct{}, 10)
	deaf := b.OnReconnect(func() { other <- struct{}{} })
	defer deaf()
	stop()
	stop()
	defer stopServer(runServer(t, addr, nil))
	<-other
	if n := calls.Load(); n != 0 {
		t.Errorf("called %d times", n)
	}
}

// tooOld is a server as it presents itself. No real one of this version can be had beside the current one.
func tooOld(t *testing.T, version string) (addr string) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer conn.Close()
				if _, err := fmt.Fprintf(conn, "INFO {\"server_id\":\"X\",\"version\":%q,\"headers\":true,\"max_payload\":1048576,\"jetstream\":true}\r\n", version); err != nil {
					return
				}
				for lines := bufio.NewScanner(conn); lines.Scan(); {
					if strings.HasPrefix(lines.Text(), "PING") {
						if _, err := io.WriteString(conn, "PONG\r\n"); err != nil {
							return
						}
					}
				}
			})
		}
	})
	t.Cleanup(func() { l.Close(); serving.Wait() })
	return l.Addr().String()
}

// What cannot be used is named, and does not keep the bus from opening.
func TestUnfitExternal(t *testing.T) {
	plain := runServer(t, "127.0.0.1:0", func(o *server.Options) { o.JetStream = false })
	defer stopServer(plain)
	account := runServer(t, "127.0.0.1:0", func(o *server.Options) {
		none := server.NewAccount("NONE")
		o.Accounts = []*server.Account{none}
		o.Users = []*server.User{{Username: "u", Password: "p", Account: none}}
	})
	defer stopServer(account)
	for name, test := range map[string]struct{ url, want string }{
		"too old":                {"nats://" + tooOld(t, "2.10.29"), "runs NATS 2.10.29: 2.11 or later is needed"},
		"far too old":            {"nats://" + tooOld(t, "1.4.1"), "runs NATS 1.4.1"},
		"of no known version":    {"nats://" + tooOld(t, "edge"), `"edge"`},
		"no JetStream":           {plain.ClientURL(), "no JetStream"},
		"not for this account":   {account.ClientURL(), "cannot store: "},
		"nothing at the address": {"nats://" + testenv.FreeAddr(t), "does not answer"},
	} {
		t.Run(name, func(t *testing.T) {
			c := defaults()
			c.URL = test.url
			if test.url == account.ClientURL() {
				c.User, c.Password = "u", "p"
			}
			b := open(t, t.TempDir(), c)
			running(t, b) // It looks again when the server was too slow to answer.
			eventually(t, test.want, func() bool { return strings.Contains(b.Problem(), test.want) })
		})
	}
}

// A bus that is closed while it connects to a server that says nothing does not wait for it.
func TestCloseWhileConnecting(t *testing.T) {
	srv := runServer(t, "127.0.0.1:0", nil)
	defer stopServer(srv)
	p := newProxy(t, srv.Addr().String())
	p.frozen.Store(true)
	c := defaults()
	c.URL = "nats://" + p.listener.Addr().String()
	b := bus.New(bus.Options{Config: c, Data: t.TempDir(), Node: "test", Log: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := b.Open(ctx); err != nil {
		t.Fatal(err)
	}
	if b.Problem() == "" {
		t.Error("a silent server is no problem")
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
}

func TestExternalCredentials(t *testing.T) {
	ca := newAuthority(t)
	serverCert, serverKey := ca.issue(t, "127.0.0.1")
	clientCert, clientKey := ca.issue(t, "client")
	operator, creds := operatorMode(t)
	for name, test := range map[string]struct {
		server     func(o *server.Options)
		good, evil func(c *config.Bus)
	}{
		"token": {
			func(o *server.Options) { o.Authorization = "secret" },
			func(c *config.Bus) { c.Token = "secret" }, func(c *config.Bus) { c.Token = "guess" },
		},
		"user": {
			func(o *server.Options) { o.Username, o.Password = "u", "secret" },
			func(c *config.Bus) { c.User, c.Password = "u", "secret" }, func(c *config.Bus) { c.User, c.Password = "u", "guess" },
		},
		"TLS": {
			func(o *server.Options) { o.TLSConfig = serverTLS(t, ca, serverCert, serverKey, false) },
			func(c *config.Bus) { c.TLS.CA = ca.file }, func(*config.Bus) {},
		},
		"client certificate": {
			func(o *server.Options) { o.TLSConfig = serverTLS(t, ca, serverCert, serverKey, true) },
			func(c *config.Bus) { c.TLS = config.BusTLS{CA: ca.file, Cert: clientCert, Key: clientKey} },
			func(c *config.Bus) { c.TLS.CA = ca.file },
		},
		"credentials file": {
			operator,
			func(c *config.Bus) { c.CredentialsFile = creds }, func(*config.Bus) {},
		},
	} {
		t.Run(name, func(t *testing.T) {
			srv := runServer(t, "127.0.0.1:0", test.server)
			defer stopServer(srv)
			c := defaults()
			c.URL = "nats://" + srv.Addr().String()
			bad := c
			test.evil(&bad)
			refused := open(t, t.TempDir(), bad)
			eventually(t, "the reason is known", func() bool { return strings.Contains(refused.Problem(), "does not answer (") })
			if p := refused.Problem(); strings.Contains(p, "guess") {
				t.Errorf("the problem tells the secret: %q", p)
			}
			if _, err := insist(t, t.Context(), bad); !errors.Is(err, bus.ErrRefused) && !errors.Is(err, bus.ErrUntrusted) {
				t.Errorf("who insists with the wrong credentials is told %v", err)
			}
			test.good(&c)
			b, err := insist(t, t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			if p := b.Problem(); p != "" {
				t.Error(p)
			}
			if err := b.Conn().FlushTimeout(patience); err != nil {
				t.Error(err)
			}
		})
	}
}

// operatorMode returns what makes a server one whose accounts are signed by an operator, and the credentials of a user.
func operatorMode(t *testing.T) (set func(o *server.Options), creds string) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	operator, err := nkeys.CreateOperator()
	must(err)
	account, err := nkeys.CreateAccount()
	must(err)
	system, err := nkeys.CreateAccount()
	must(err)
	user, err := nkeys.CreateUser()
	must(err)
	public := func(k nkeys.KeyPair) string {
		key, err := k.PublicKey()
		must(err)
		return key
	}
	operatorClaims := jwt.NewOperatorClaims(public(operator))
	operatorClaims.SystemAccount = public(system)
	operatorToken, err := operatorClaims.Encode(operator)
	must(err)
	decoded, err := jwt.DecodeOperatorClaims(operatorToken)
	must(err)
	accountClaims := jwt.NewAccountClaims(public(account))
	accountClaims.Limits.JetStreamLimits = jwt.JetStreamLimits{MemoryStorage: -1, DiskStorage: -1, Streams: -1, Consumer: -1}
	accountToken, err := accountClaims.Encode(operator)
	must(err)
	systemToken, err := jwt.NewAccountClaims(public(system)).Encode(operator)
	must(err)
	userToken, err := jwt.NewUserClaims(public(user)).Encode(account)
	must(err)
	seed, err := user.Seed()
	must(err)
	file, err := jwt.FormatUserConfig(userToken, seed)
	must(err)
	creds = filepath.Join(t.TempDir(), "user.creds")
	must(os.WriteFile(creds, file, 0o600))
	return func(o *server.Options) {
		resolver := &server.MemAccResolver{}
		must(resolver.Store(public(account), accountToken))
		must(resolver.Store(public(system), systemToken))
		o.TrustedOperators, o.SystemAccount, o.AccountResolver = []*jwt.OperatorClaims{decoded}, public(system), resolver
	}, creds
}
