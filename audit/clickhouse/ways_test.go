package clickhouse_test

import (
	"crypto/tls"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/zenconn/server/audit"
	"github.com/zenconn/server/audit/audittest"
	"github.com/zenconn/server/audit/clickhouse"
	"github.com/zenconn/server/internal/testenv"
)

// encrypted makes a way to a server on which TLS is spoken.
func encrypted(t *testing.T, to string, config *tls.Config) (address string) {
	t.Helper()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	running.Go(func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", to)
			if err != nil {
				near.Close()
				continue
			}
			mu.Lock()
			open = append(open, near, far)
			mu.Unlock()
			for _, way := range [][2]net.Conn{{near, far}, {far, near}} {
				running.Go(func() {
					_, _ = io.Copy(way[0], way[1]) //nolint:errcheck // Either end may close it.
					way[0].Close()
					way[1].Close()
				})
			}
		}
	})
	t.Cleanup(func() {
		listener.Close()
		mu.Lock()
		for _, c := range open {
			c.Close()
		}
		mu.Unlock()
		running.Wait()
	})
	return listener.Addr().String()
}

func TestTLS(t *testing.T) {
	dsn := database(t)
	cert, key, trusted := testenv.Certificate(t)
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	open := through(dsn, encrypted(t, dsn.Host, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}))
	strict := through(dsn, encrypted(t, dsn.Host, &tls.Config{
		Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: trusted,
	}))
	otherCert, otherKey, _ := testenv.Certificate(t)
	secure := through(open, open.Host)
	secure.RawQuery = "secure=true"
	for name, test := range map[string]struct {
		dsn  *url.URL
		tls  clickhouse.TLS
		want string // In the error; empty: it works.
	}{
		"our authority":                       {open, clickhouse.TLS{CA: cert}, ""},
		"another authority":                   {open, clickhouse.TLS{CA: otherCert}, "certificate"},
		"the authorities of the system":       {secure, clickhouse.TLS{}, "certificate"},
		"another name":                        {open, clickhouse.TLS{CA: cert, ServerName: "clickhouse.example"}, "certificate"},
		"our certificate":                     {strict, clickhouse.TLS{CA: cert, Cert: cert, Key: key}, ""},
		"a certificate the server trusts not": {strict, clickhouse.TLS{CA: cert, Cert: otherCert, Key: otherKey}, "tls"},
		"no certificate":                      {strict, clickhouse.TLS{CA: cert}, "tls"},
		"a server without TLS":                {dsn, clickhouse.TLS{CA: cert}, "ClickHouse at " + dsn.Host},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := clickhouse.Open(clickhouse.Options{DSN: test.dsn.String(), Timeout: patience, TLS: test.tls})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			err = s.Write(t.Context(), &audit.Batch{Token: "tls/" + name, Messages: audittest.Messages(0, 1)})
			switch {
			case test.want == "" && err != nil:
				t.Errorf("Write: %v", err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("Write: %v, want %q", err, test.want)
			}
		})
	}
	if got := audittest.Ask(t, openStore(t, dsn), "SELECT count() FROM audit_messages"); got[0] != "[2]" {
		t.Errorf("%s messages, want 2", got[0])
	}
	for _, broken := range []clickhouse.TLS{{CA: key}, {CA: "/there/is/none"}, {Cert: cert, Key: cert}} {
		if _, err := clickhouse.Open(clickhouse.Options{DSN: open.String(), TLS: broken}); err == nil || !strings.Contains(err.Error(), "audit.clickhouse.tls.") {
			t.Errorf("%+v: %v, want the setting", broken, err)
		}
	}
}

func openStore(t *testing.T, dsn *url.URL) *clickhouse.Store { return open(t, dsn, patience) }

// Of several hosts in the DSN one must answer; which, may change.
func TestSeveralHosts(t *testing.T) {
	dsn := database(t)
	dead := testenv.FreeAddr(t) // Nobody listens there.
	both := through(dsn, dead+","+dsn.Host)
	s := openStore(t, both)
	if err := s.Write(t.Context(), &audit.Batch{Token: "hosts/1", Messages: audittest.Messages(0, 1)}); err != nil {
		t.Fatalf("Write with the first host dead: %v", err)
	}
	first, second := encrypted(t, dsn.Host, selfSigned(t)), dsn.Host // The first speaks another protocol.
	s = openStore(t, through(dsn, first+","+second))
	if err := s.Write(t.Context(), &audit.Batch{Token: "hosts/2", Messages: audittest.Messages(1, 1)}); err != nil {
		t.Fatalf("Write with a first host that is no ClickHouse: %v", err)
	}
	if got := audittest.Ask(t, s, "SELECT count() FROM audit_messages"); got[0] != "[2]" {
		t.Errorf("%s messages, want 2", got[0])
	}
	s = openStore(t, through(dsn, dead+","+testenv.FreeAddr(t)))
	if err := s.Write(t.Context(), &audit.Batch{Token: "hosts/3", Messages: audittest.Messages(2, 1)}); err == nil {
		t.Error("Write with all hosts dead succeeded")
	}
}

func selfSigned(t *testing.T) *tls.Config {
	t.Helper()
	cert, key, _ := testenv.Certificate(t)
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
}
