package door_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zenconn/server/core/door"
	"github.com/zenconn/server/core/keyfile"
	"github.com/zenconn/server/internal/testenv"
)

// issue makes a certificate for 127.0.0.1.
func issue(t *testing.T) (certificate *keyfile.Certificate, trusted *x509.CertPool) {
	t.Helper()
	certFile, keyFile, trusted := testenv.Certificate(t)
	certificate, err := keyfile.LoadCertificate("client.tls.cert", certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	return certificate, trusted
}

// shake makes one handshake, and reports whether it resumed a session. The server says a word, so that the client reads the ticket.
func shake(t *testing.T, server, client *tls.Config) bool {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var serving sync.WaitGroup
	serving.Go(func() {
		conn, err := l.Accept()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		if _, err := io.WriteString(tls.Server(conn, server), "x"); err != nil {
			t.Error(err)
		}
	})
	conn, err := tls.Dial("tcp", l.Addr().String(), client)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	serving.Wait()
	return conn.ConnectionState().DidResume
}

func TestSessionsAreResumedWhereTheSecretIsKnown(t *testing.T) {
	certificate, trusted := issue(t)
	for version, name := range map[uint16]string{tls.VersionTLS12: "TLS 1.2", tls.VersionTLS13: "TLS 1.3"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var resumed, full atomic.Int32
				count := func(did bool) {
					if did {
						resumed.Add(1)
					} else {
						full.Add(1)
					}
				}
				a, b := door.TLSConfig(certificate, "a secret of both", count), door.TLSConfig(certificate, "a secret of both", count)
				stranger, alone := door.TLSConfig(certificate, "another secret...", count), door.TLSConfig(certificate, "", count)
				client := &tls.Config{RootCAs: trusted, ServerName: "127.0.0.1", MinVersion: version, MaxVersion: version, ClientSessionCache: tls.NewLRUClientSessionCache(1)}

				for i, step := range []struct {
					server *tls.Config
					later  time.Duration
					want   bool
				}{
					{a, 0, false},
					{b, 0, true},
					{a, door.TicketLife, true},      // The next period accepts the last one's.
					{b, 3 * door.TicketLife, false}, // Too old, and replaced by a new one.
					{a, 0, true},
					{stranger, 0, false},
					{b, 0, false}, // The ticket is the stranger's now.
					{alone, 0, false},
					{alone, 0, true},
				} {
					<-time.After(step.later)
					if did := shake(t, step.server, client); did != step.want {
						t.Errorf("handshake %d: resumed %v, want %v", i, did, step.want)
					}
				}
				if resumed.Load() != 4 || full.Load() != 5 {
					t.Errorf("%d resumed and %d full handshakes were counted", resumed.Load(), full.Load())
				}
			})
		})
	}
}

// Before a handshake nothing can be said: whoever is refused is closed.
func TestRefusedBeforeTheHandshake(t *testing.T) {
	certificate, trusted := issue(t)
	var full atomic.Bool
	h := open(t, door.Options{Full: full.Load, TLS: door.TLSConfig(certificate, "", func(bool) {})})
	go func() {
		for conn := range h.guests {
			io.WriteString(conn, "x") //nolint:errcheck // The client finds out.
			conn.Close()
		}
	}()
	client := &tls.Config{RootCAs: trusted, ServerName: "127.0.0.1"}
	conn, err := tls.Dial("tcp", h.addr, client)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	full.Store(true)
	if conn, err := tls.Dial("tcp", h.addr, client); err == nil {
		conn.Close()
		t.Error("a handshake was made although there is no room")
	}
	if h.turnedAway(door.ReasonFull) != 1 {
		t.Errorf("%d were counted", h.turnedAway(door.ReasonFull))
	}
}
