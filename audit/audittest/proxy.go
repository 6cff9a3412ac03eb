package audittest

import (
	"net"
	"sync"
	"testing"
	"time"
)

// Proxy is the network between a ClickHouse store and its server, which a test can break.
type Proxy struct {
	target   string
	listener net.Listener
	running  sync.WaitGroup

	mu     sync.Mutex
	conns  map[net.Conn]struct{}
	frozen bool
	lose   int // Answers to inserts that still are to be lost.
	lost   int
	slow   time.Duration // For each answer to an insert.
	closed bool
}

// insertSize is more bytes than a client sends for anything but a block of rows.
const insertSize = 4 << 10

// StartProxy listens on an address and forwards to the target until the test ends.
func StartProxy(t testing.TB, address, target string) *Proxy {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{target: target, listener: listener, conns: map[net.Conn]struct{}{}}
	p.running.Go(p.accept)
	t.Cleanup(p.Stop)
	return p
}

// Address is where it listens.
func (p *Proxy) Address() string { return p.listener.Addr().String() }

// Stop ends it. It may be called again.
func (p *Proxy) Stop() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.listener.Close()
	p.Cut()
	p.running.Wait()
}

// Cut breaks all connections.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		c.Close()
	}
}

// Freeze makes the network swallow everything, or not. On a connection of which something was swallowed nothing comes through any more: no
// network delivers what was sent after a gap.
func (p *Proxy) Freeze(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.frozen = on
}

// Slow makes the answer to each insert come so much later.
func (p *Proxy) Slow(by time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.slow = by
}

// LoseAnswers lets the next n inserts reach the server, swallows what it answers, and breaks their connection.
func (p *Proxy) LoseAnswers(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lose = n
}

// AnswersLost returns how many answers were swallowed.
func (p *Proxy) AnswersLost() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lost
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.target)
		if err != nil {
			client.Close()
			continue
		}
		p.mu.Lock()
		p.conns[client], p.conns[server] = struct{}{}, struct{}{}
		if p.closed {
			client.Close()
			server.Close()
		}
		p.mu.Unlock()
		l := &link{proxy: p}
		p.running.Go(func() { l.copy(server, client, l.sent) })
		p.running.Go(func() { l.copy(client, server, l.answered) })
	}
}

// link is one connection through the proxy.
type link struct {
	proxy *Proxy
	// Guarded by proxy.mu.
	bytes int  // That the client sent since the last answer.
	gap   bool // Something was swallowed.
}

// copy forwards while pass agrees to what was read.
func (l *link) copy(to, from net.Conn, pass func(n int) (forward, goOn bool)) {
	defer to.Close()
	defer from.Close()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		forward, goOn := pass(n)
		if forward {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if !goOn {
			return
		}
	}
}

func (l *link) sent(n int) (forward, goOn bool) {
	l.proxy.mu.Lock()
	defer l.proxy.mu.Unlock()
	l.bytes += n
	l.gap = l.gap || l.proxy.frozen
	return !l.gap, true
}

func (l *link) answered(int) (forward, goOn bool) {
	p := l.proxy
	p.mu.Lock()
	defer p.mu.Unlock()
	inserted := l.bytes > insertSize
	if inserted && p.slow > 0 {
		slow := p.slow
		p.mu.Unlock()
		<-time.After(slow)
		p.mu.Lock()
	}
	l.bytes = 0
	if inserted && p.lose > 0 {
		p.lose--
		p.lost++
		return false, false
	}
	l.gap = l.gap || p.frozen
	return !l.gap, true
}
