package door

import (
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"strconv"
	"sync"
	"time"

	"github.com/zenconn/server/core/keyfile"
)

// TicketLife is how long the key is used that session tickets are sealed with. A ticket is accepted for once to twice as long.
const TicketLife = 12 * time.Hour

// TLSConfig returns the encryption for a listener. The keys of session tickets follow from the secret and the time alone, so that a client
// resumes its session at whichever process with the same secret it comes to; an empty secret means keys of this process. resumed is told of
// each handshake that succeeds.
func TLSConfig(certificate *keyfile.Certificate, secret string, handshake func(resumed bool)) *tls.Config {
	c := &tls.Config{
		MinVersion: tls.VersionTLS12, GetCertificate: certificate.ForClients,
		// WebSockets come over HTTP/1.1 only (RFC 8441 is what browsers do over HTTP/2, and no other client does).
		NextProtos: []string{"http/1.1"},
		VerifyConnection: func(state tls.ConnectionState) error {
			handshake(state.DidResume)
			return nil
		},
	}
	if secret != "" {
		t := &tickets{secret: []byte(secret), config: c}
		t.renew(time.Now())
		c.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
			t.renew(time.Now())
			return nil, nil // The same configuration.
		}
	}
	return c
}

// tickets renews the keys of session tickets. It needs no clockwork: a handshake begins with a look at the time.
type tickets struct {
	secret []byte
	config *tls.Config

	mu     sync.Mutex
	period int64 // Of the keys in use. Guarded by mu.
}

// renew sets the keys of the period that now is in: with the first one tickets are sealed, and those of the periods around it open them,
// the one to come because clocks differ.
func (t *tickets) renew(now time.Time) {
	period := now.Unix() / int64(TicketLife/time.Second)
	t.mu.Lock()
	defer t.mu.Unlock()
	if period == t.period {
		return
	}
	keys := make([][32]byte, 0, 3)
	for _, p := range []int64{period, period - 1, period + 1} {
		key, err := ticketKey(t.secret, p)
		if err != nil {
			return // Go then makes keys itself.
		}
		keys = append(keys, key)
	}
	t.config.SetSessionTicketKeys(keys)
	t.period = period
}

// ticketKey derives the key of a period.
func ticketKey(secret []byte, period int64) (key [32]byte, err error) {
	b, err := hkdf.Key(sha256.New, secret, nil, "zenconn TLS session tickets "+strconv.FormatInt(period, 10), len(key))
	copy(key[:], b)
	return key, err
}
