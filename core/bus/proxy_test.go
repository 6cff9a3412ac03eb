package bus_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zenconn/server/core/bus"
)

// proxy forwards connections, and can stop doing so without closing them, as a network does.
type proxy struct {
	listener net.Listener
	to       string
	frozen   atomic.Bool
	thaw     chan struct{}
	wg       sync.WaitGroup

	mu    sync.Mutex // Guards conns.
	conns []net.Conn
}

func newProxy(t *testing.T, to string) *proxy {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l, to: to, thaw: make(chan struct{})}
	p.wg.Go(p.accept)
	t.Cleanup(func() {
		l.Close()
		p.mu.Lock()
		for _, c := range p.conns {
			c.Close()
		}
		p.mu.Unlock()
		p.wg.Wait()
	})
	return p
}

func (p *proxy) accept() {
	for {
		in, err := p.listener.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", p.to) //nolint:noctx // It is on this machine.
		if err != nil {
			in.Close()
			continue
		}
		p.mu.Lock()
		p.conns = append(p.conns, in, out)
		p.mu.Unlock()
		p.wg.Go(func() { p.forward(in, out) })
		p.wg.Go(func() { p.forward(out, in) })
	}
}

func (p *proxy) forward(from, to net.Conn) {
	defer to.Close()
	buffer := make([]byte, 4096)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		if p.frozen.Load() {
			continue // Lost.
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// A connection over which nothing comes any more is noticed, the waits have an end, and it is used again when it works.
func TestFrozenExternal(t *testing.T) {
	t.Parallel() // It mostly waits.
	srv := runServer(t, "127.0.0.1:0", nil)
	defer stopServer(srv)
	p := newProxy(t, srv.Addr().String())
	c := defaults()
	c.URL = "nats://" + p.listener.Addr().String()
	b := open(t, t.TempDir(), c)
	running(t, b)
	well(t, b)
	p.frozen.Store(true)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := b.Request(ctx, "a", nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("asked: %v", err)
	}
	eventually(t, "the silence is noticed", func() bool { return b.Problem() != "" })
	if err := b.Publish("a", nil); !errors.Is(err, bus.ErrDown) {
		t.Errorf("published: %v", err)
	}
	if p := b.Problem(); !strings.Contains(p, "does not answer") {
		t.Errorf("the problem is %q", p)
	}
	p.frozen.Store(false)
	well(t, b)
}
