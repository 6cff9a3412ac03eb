package clickhouse

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"

	"github.com/ClickHouse/clickhouse-go/v2"
)

// TLS is the encryption of the way to the server. All empty: as the DSN says (secure=true).
type TLS struct {
	CA         string // PEM file; empty: the authorities of the system.
	Cert, Key  string // PEM files.
	ServerName string // Empty: the one in the DSN.
}

func (t TLS) apply(o *clickhouse.Options) error {
	if t == (TLS{}) {
		return nil
	}
	if o.TLS == nil {
		o.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	o.TLS.ServerName = t.ServerName
	if t.CA != "" {
		pem, err := os.ReadFile(t.CA)
		if err != nil {
			return fmt.Errorf("audit.clickhouse.tls.ca: %w", err)
		}
		o.TLS.RootCAs = x509.NewCertPool()
		if !o.TLS.RootCAs.AppendCertsFromPEM(pem) {
			return fmt.Errorf("audit.clickhouse.tls.ca: %s holds no certificate", t.CA)
		}
	}
	if t.Cert != "" {
		pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
		if err != nil {
			return fmt.Errorf("audit.clickhouse.tls.cert and key: %w", err)
		}
		o.TLS.Certificates = []tls.Certificate{pair}
	}
	return nil
}
