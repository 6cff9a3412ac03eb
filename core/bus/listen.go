package bus

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/zenconn/server/core/config"
)

// What others can do to the embedded server.
const (
	maxConnections = 16 << 10 // A worker has a few.
	maxPayload     = 8 << 20  // Bytes; the server's own recommendation. Clients' frames are smaller by far.
	maxPending     = 64 << 20 // Bytes for one connection that does not read: then it is closed.
	writeDeadline  = 5 * time.Second
	pingInterval   = 5 * time.Second // A connection without an answer to so many pings is closed.
	pings          = 2
	greetTimeout   = 5 * time.Second // For credentials, and for the TLS handshake.
	clusterUser    = "zenconn"
)

// serve has the server listen for other processes.
func (e *embedded) serve(o *server.Options) (err error) {
	c := e.options.Config
	o.MaxConn, o.MaxPending, o.WriteDeadline = maxConnections, maxPending, writeDeadline
	o.PingInterval, o.MaxPingsOut = pingInterval, pings
	o.AuthTimeout, o.TLSTimeout = greetTimeout.Seconds(), greetTimeout.Seconds()
	o.DontListen = false
	// A server of a cluster hands over what it leads only when it has a listener.
	o.Host, o.Port = "127.0.0.1", server.RANDOM_PORT
	if c.Listen == "" {
		return nil
	}
	if o.Host, o.Port, err = e.address("bus.listen", c.Listen, true); err != nil {
		return err
	}
	if e.cert != nil {
		o.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: e.cert.ForClients}
	}
	return nil
}

// cluster has the server speak with those of other agents.
func (e *embedded) cluster(o *server.Options) (err error) {
	c := e.options.Config.Cluster
	o.Cluster = server.ClusterOpts{
		Name: c.Name, Username: clusterUser, Password: c.Secret, AuthTimeout: greetTimeout.Seconds(), TLSTimeout: greetTimeout.Seconds(),
		// A worker belongs to one agent, and cannot reach others where they listen on loopback.
		NoAdvertise:  true,
		PingInterval: pingInterval, MaxPingsOut: pings,
	}
	if c.Name == "" {
		o.Cluster.Name = e.options.Config.Prefix
	}
	if o.Cluster.Host, o.Cluster.Port, err = e.address("bus.cluster.listen", c.Listen, false); err != nil {
		return err
	}
	for peer := range strings.SplitSeq(c.Peers, ",") {
		u, err := url.Parse(peer)
		if err != nil {
			return fmt.Errorf("bus.cluster.peers: %w", err)
		}
		u.User = url.UserPassword(clusterUser, c.Secret)
		o.Routes = append(o.Routes, u)
	}
	if e.cert != nil {
		o.Cluster.TLSConfig = &tls.Config{
			MinVersion: tls.VersionTLS12, GetCertificate: e.cert.ForClients, GetClientCertificate: e.cert.ForServers,
			ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: e.authorities, RootCAs: e.authorities,
		}
	}
	return nil
}

// address reads where to listen, and finds out whether that is possible, which the server itself would tell only the log. A free port
// is the one it was before, so that those who were connected find this server.
func (e *embedded) address(key, text string, same bool) (host string, port int, err error) {
	host, digits, err := net.SplitHostPort(text)
	if err != nil {
		return "", 0, fmt.Errorf("%s: %w", key, err)
	}
	if port, err = strconv.Atoi(digits); err != nil {
		return "", 0, fmt.Errorf("%s: %w", key, err)
	}
	if host == "" {
		host = "0.0.0.0"
	}
	if port == 0 {
		if same {
			port = e.lastPort(host)
		}
		if port == 0 {
			port = server.RANDOM_PORT
		}
		return host, port, nil
	}
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		return "", 0, fmt.Errorf("%s: %w", key, err)
	}
	return host, port, l.Close()
}

// join is Bus.Join.
func (e *embedded) join() config.Bus {
	c := e.options.Config
	addr := e.addr()
	if addr == "" {
		return config.Bus{}
	}
	host, port, err := net.SplitHostPort(addr)
	if ip := net.ParseIP(host); err == nil && ip != nil && ip.IsUnspecified() {
		addr = net.JoinHostPort("127.0.0.1", port)
	}
	j := config.Bus{URL: "nats://" + addr, Token: e.token, Replicas: 1, Prefix: c.Prefix}
	if e.clustered() {
		j.Replicas = c.Replicas
	}
	if e.cert != nil {
		// Our own certificate is trusted as it is: it may be for a name that is not this machine's loopback address.
		j.URL, j.TLS.CA, j.TLS.ServerName = "tls://"+addr, c.TLS.Cert, e.cert.Name()
	}
	return j
}

// loadAuthorities reads certificates of authorities from files with commas between them.
func loadAuthorities(files string) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	for file := range strings.SplitSeq(files, ",") {
		pem, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("bus.tls.ca: %w", err)
		}
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("bus.tls.ca: there is no certificate in %s", file)
		}
	}
	return pool, nil
}
