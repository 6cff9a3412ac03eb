package door

import (
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Why a connection was refused.
const (
	ReasonRate    = "rate"    // Too many came at a time.
	ReasonAddress = "address" // Too many came from its address at a time.
	ReasonFull    = "full"    // There are too many already.
)

// Options are what a door lets in. Without any it lets all in.
type Options struct {
	Rate       float64             // New connections per second; 0: no limit.
	Burst      int                 // Of them at once; 0: as many as in a second.
	PerAddress float64             // New connections per second from one address; 0: no limit.
	Full       func() bool         // Whether there are too many already; nil: never. It must be quick.
	TLS        *tls.Config         // nil: connections are not encrypted.
	Refused    func(reason string) // Is told of each one that is refused; nil: nobody wants to know.
}

// Listener accepts the connections of another listener that are let in.
type Listener struct {
	net.Listener
	options   Options
	all       *rate.Limiter // nil: no limit.
	addresses *addresses    // nil: no limit.

	mu       sync.Mutex // Guards all below.
	parting  map[net.Conn]struct{}
	closed   bool
	partings sync.WaitGroup
}

// New puts a door before a listener, which it closes.
func New(l net.Listener, o Options) *Listener {
	d := &Listener{Listener: l, options: o, parting: make(map[net.Conn]struct{})}
	if o.Rate > 0 {
		burst := o.Burst
		if burst == 0 {
			burst = max(int(o.Rate), 1)
		}
		d.all = rate.NewLimiter(rate.Limit(o.Rate), burst)
	}
	if o.PerAddress > 0 {
		d.addresses = newAddresses(o.PerAddress)
	}
	return d
}

// Accept returns the next connection that is let in. The handshake of TLS is made by its first read or write.
func (d *Listener) Accept() (net.Conn, error) {
	for {
		conn, err := d.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if reason := d.judge(conn); reason != "" {
			if d.options.Refused != nil {
				d.options.Refused(reason)
			}
			d.refuse(conn)
			continue
		}
		if d.options.TLS != nil {
			conn = tls.Server(conn, d.options.TLS)
		}
		return conn, nil
	}
}

// judge returns why a connection is refused, or "". The limit of an address comes first, so that one of them does not use up that of all.
func (d *Listener) judge(conn net.Conn) (reason string) {
	switch {
	case d.options.Full != nil && d.options.Full():
		return ReasonFull
	case d.addresses != nil && !d.addresses.allow(conn.RemoteAddr(), time.Now()):
		return ReasonAddress
	case d.all != nil && !d.all.Allow():
		return ReasonRate
	}
	return ""
}

// How a refused connection ends.
const (
	mostPartings = 256 // At a time; others are closed without a word.
	partingTime  = time.Second
	partingBytes = 64 << 10
)

// RetryAfter returns a value for the header of that name, in seconds: another one each time, so that those who were refused together do not
// come back together.
func RetryAfter() string { return strconv.Itoa(2 + rand.IntN(14)) } //nolint:gosec // Nobody gains by guessing it.

// refuse ends a connection. What would speak HTTP is told to come back later; before a handshake of TLS nothing can be said.
func (d *Listener) refuse(conn net.Conn) {
	half, ok := conn.(interface{ CloseWrite() error })
	if d.options.TLS != nil || !ok || !d.part(conn) {
		_ = conn.Close()
		return
	}
	const sentence = "the server takes no more connections at the moment\n"
	_ = conn.SetDeadline(time.Now().Add(partingTime))
	_, _ = fmt.Fprintf(conn, "HTTP/1.1 503 Service Unavailable\r\nRetry-After: %s\r\nContent-Type: text/plain; charset=utf-8\r\n"+
		"Content-Length: %d\r\nConnection: close\r\n\r\n%s", RetryAfter(), len(sentence), sentence)
	_ = half.CloseWrite()
	// A socket that is closed with unread bytes in it is reset, and the client might never read the answer.
	go func() {
		_, _ = io.CopyN(io.Discard, conn, partingBytes)
		_ = conn.Close()
		d.parted(conn)
	}()
}

// part counts a connection among those that are ending, unless they are too many.
func (d *Listener) part(conn net.Conn) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed || len(d.parting) >= mostPartings {
		return false
	}
	d.parting[conn] = struct{}{}
	d.partings.Add(1)
	return true
}

func (d *Listener) parted(conn net.Conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.parting, conn)
	d.partings.Done()
}

// Close closes the listener and the connections that were refused and not yet gone.
func (d *Listener) Close() error {
	err := d.Listener.Close()
	d.mu.Lock()
	d.closed = true
	for conn := range d.parting {
		_ = conn.Close()
	}
	d.mu.Unlock()
	d.partings.Wait()
	return err
}
