package worker

import (
	"github.com/zenconn/server/core/door"
	"github.com/zenconn/server/core/keyfile"
	"github.com/zenconn/server/core/metrics"
)

// entrance says whom the door lets in.
func (w *Worker) entrance(m *metrics.Metrics) (door.Options, error) {
	c := w.config.Client
	o := door.Options{
		Rate: c.AcceptRate, Burst: c.AcceptBurst, PerAddress: c.AddressRate,
		Refused: func(reason string) { m.Turned.WithLabelValues(reason).Inc() },
	}
	if c.TLS.Cert == "" {
		return o, nil // Whoever finds it full is told so by the handler, and still gets the pages.
	}
	certificate, err := keyfile.LoadCertificate("client.tls.cert", c.TLS.Cert, c.TLS.Key)
	if err != nil {
		return o, err
	}
	o.Full = w.sockets.Full // A handshake would be for nothing.
	full, resumed := m.TLSHandshakes.WithLabelValues("full"), m.TLSHandshakes.WithLabelValues("resumed")
	o.TLS = door.TLSConfig(certificate, c.TLS.TicketSecret, func(did bool) {
		if did {
			resumed.Inc()
		} else {
			full.Inc()
		}
	})
	return o, nil
}
