package server

import (
	"io"
	"net"
	"sync"
	"testing"
)

// Proxy is a TCP connection to a server that can be cut.
type Proxy struct {
	listener net.Listener
	target   string
	workers  sync.WaitGroup

	mu    sync.Mutex
	cut   bool
	conns map[net.Conn]struct{} // Both ends of everything that is open.
}

// NewProxy forwards connections to target, host:port, until the test ends. It need not listen yet.
func NewProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{listener: l, target: target, conns: map[net.Conn]struct{}{}}
	p.workers.Go(p.accept)
	t.Cleanup(func() {
		p.listener.Close()
		p.Cut()
		p.workers.Wait()
	})
	return p
}

// Addr returns the host:port to connect to instead of the target's.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Cut resets every connection, and every new one as soon as it is made, until Restore.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = true
	for c := range p.conns {
		reset(c)
	}
}

// Restore lets new connections through again.
func (p *Proxy) Restore() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = false
}

func (p *Proxy) accept() {
	for {
		c, err := p.listener.Accept()
		if err != nil {
			return // Closed.
		}
		p.workers.Go(func() { p.forward(c) })
	}
}

func (p *Proxy) forward(client net.Conn) {
	if !p.add(client) {
		return
	}
	defer p.remove(client)
	server, err := net.Dial("tcp", p.target)
	if err != nil || !p.add(server) {
		reset(client)
		return
	}
	defer p.remove(server)
	var back sync.WaitGroup
	back.Go(func() { pipe(client, server) })
	pipe(server, client)
	back.Wait()
}

// pipe copies until either side ends, then passes the end on, so that an orderly close stays one.
func pipe(dst, src net.Conn) {
	if _, err := io.Copy(dst, src); err != nil {
		reset(dst)
		reset(src)
		return
	}
	if tcp, ok := dst.(*net.TCPConn); ok {
		tcp.CloseWrite() //nolint:errcheck // The other end is gone already.
	}
}

// add takes a connection into the books, or resets it while the proxy is cut.
func (p *Proxy) add(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cut {
		reset(c)
		return false
	}
	p.conns[c] = struct{}{}
	return true
}

func (p *Proxy) remove(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
	c.Close()
}

// reset closes a connection with RST, as a broken network would look.
func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		tcp.SetLinger(0) //nolint:errcheck // A plain close does as well.
	}
	c.Close()
}
