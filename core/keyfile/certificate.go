// Package keyfile reads keys from files: certificates, which are read again when they have changed, and secrets, which are made when they
// are not there yet. It knows nothing of what they are for, and starts no goroutine.
package keyfile

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"sync"
	"time"
)

// Certificate is a pair of PEM files with a certificate and its key. Its methods may be called concurrently.
type Certificate struct {
	option            string // What the configuration calls it, for errors.
	certFile, keyFile string

	mu   sync.Mutex // Guards all below.
	pair *tls.Certificate
	read [2]time.Time // When the files were changed that pair was made of.
}

// LoadCertificate reads a certificate. The option is what names it in errors, such as bus.tls.cert.
func LoadCertificate(option, certFile, keyFile string) (*Certificate, error) {
	c := &Certificate{option: option, certFile: certFile, keyFile: keyFile}
	_, err := c.Current()
	return c, err
}

// Current returns the certificate as it is now; while new files cannot be read, the old one.
func (c *Certificate) Current() (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	changed, err := c.changed()
	if err == nil && (c.pair == nil || changed != c.read) {
		var pair tls.Certificate
		if pair, err = tls.LoadX509KeyPair(c.certFile, c.keyFile); err == nil {
			c.pair, c.read = &pair, changed
		}
	}
	if c.pair == nil {
		return nil, fmt.Errorf("%s: %w", c.option, err)
	}
	return c.pair, nil
}

func (c *Certificate) changed() (at [2]time.Time, err error) {
	for i, file := range []string{c.certFile, c.keyFile} {
		info, err := os.Stat(file)
		if err != nil {
			return at, err
		}
		at[i] = info.ModTime()
	}
	return at, nil
}

// ForClients is for tls.Config.GetCertificate.
func (c *Certificate) ForClients(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.Current() }

// ForServers is for tls.Config.GetClientCertificate.
func (c *Certificate) ForServers(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	return c.Current()
}

// Name returns a name that the certificate is for, or "".
func (c *Certificate) Name() string {
	pair, err := c.Current()
	if err != nil {
		return ""
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	switch {
	case err != nil:
		return ""
	case len(leaf.DNSNames) > 0:
		return leaf.DNSNames[0]
	case len(leaf.IPAddresses) > 0:
		return leaf.IPAddresses[0].String()
	}
	return ""
}
