package bench

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // RFC 6455 §4.2.2 says so.
	"crypto/tls"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// setupTimeout is how long one connection may take from dialing to its last subscription.
const setupTimeout = 30 * time.Second

// dialer makes the connections of a run.
type dialer struct {
	options *Options
	network *network
	codec   codec
	target  *url.URL
	addr    string // host:port
	sources int    // Loopback addresses to dial from; 0: the system chooses.
	made    atomic.Int64
}

// portsPerSource stays below the 28,232 local ports of Linux's default range.
const portsPerSource = 25_000

func newDialer(o *Options, to string, n *network, connections int) (*dialer, error) {
	target, err := url.Parse(to)
	if err != nil {
		return nil, err
	}
	d := &dialer{options: o, network: n, codec: newCodec(o.Protocol), target: target, addr: target.Host}
	if target.Port() == "" {
		d.addr = net.JoinHostPort(target.Hostname(), map[string]string{"ws": "80", "wss": "443"}[target.Scheme])
	}
	if ip := net.ParseIP(target.Hostname()); runtime.GOOS == "linux" && ip.To4() != nil && ip.IsLoopback() && connections > portsPerSource {
		d.sources = connections/portsPerSource + 1
	}
	return d, nil
}

// plan says what a connection is for.
type plan struct {
	number  int
	channel string    // To subscribe to; empty: none.
	from    *position // What came after it shall be recovered; nil: nothing.
	prepare func(c *client, last reply)
}

// openAll makes count connections, options.Concurrency at a time, and gives up at the first that cannot be made. It returns those
// that were made even then. took, when not nil, receives the time that each needed.
func (d *dialer) openAll(ctx context.Context, count int, plans func(i int) plan, took *Histogram) ([]*client, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	clients := make([]*client, count)
	var next atomic.Int64
	var workers sync.WaitGroup
	var mu sync.Mutex // Guards took.
	for range min(d.options.Concurrency, count) {
		workers.Go(func() {
			for i := int(next.Add(1)) - 1; i < count && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				start := time.Now()
				c, err := d.open(ctx, plans(i))
				if err != nil {
					cancel(err)
					return
				}
				clients[i] = c
				d.made.Add(1)
				if took != nil {
					mu.Lock()
					took.Record(time.Since(start))
					mu.Unlock()
				}
			}
		})
	}
	workers.Wait()
	err := context.Cause(ctx)
	made := clients[:0]
	for _, c := range clients {
		if c != nil {
			made = append(made, c)
		}
	}
	return made, err
}

// open makes one connection and hands it to the network.
func (d *dialer) open(ctx context.Context, p plan) (*client, error) {
	c, conn, last, err := d.dial(ctx, p)
	if err != nil {
		return nil, err
	}
	if p.prepare != nil {
		p.prepare(c, last)
	}
	c.onReply = nil
	if err := errors.Join(conn.SetDeadline(time.Time{}), d.network.adopt(c, conn)); err != nil {
		conn.Close() //nolint:errcheck // It is of no use.
		return nil, err
	}
	return c, nil
}

// dial makes one connection, connected and subscribed as planned, that nobody reads yet, and returns the last answer too.
func (d *dialer) dial(ctx context.Context, p plan) (c *client, conn net.Conn, last reply, err error) {
	ctx, cancel := context.WithTimeout(ctx, setupTimeout)
	defer cancel()
	conn, err = d.handshake(ctx, p.number)
	if err != nil {
		return nil, nil, last, err
	}
	c = &client{number: p.number, codec: d.codec, socket: netSocket{conn}}
	var mask [4]byte
	rand.Read(mask[:]) //nolint:errcheck // It never fails.
	c.mask = binary.BigEndian.Uint32(mask[:])
	if d.options.Bare {
		return c, conn, last, nil
	}
	token, data, err := d.options.identity(p.number)
	if err == nil {
		c.send(d.codec.appendConnect(nil, c.id(), token, data))
		commands := []string{"connect"}
		if p.channel != "" {
			c.send(d.codec.appendSubscribe(nil, c.id(), p.channel, p.from))
			commands = append(commands, "subscribe")
		}
		last, err = d.await(ctx, c, conn, commands)
	}
	if err != nil {
		conn.Close() //nolint:errcheck // It is of no use.
		return nil, nil, last, err
	}
	return c, conn, last, nil
}

// id returns the number of the next command.
func (c *client) id() uint32 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nextID++
	return c.nextID
}

// await sends what is queued and reads until the last commands are answered, in order, and returns the last answer.
func (d *dialer) await(ctx context.Context, c *client, conn net.Conn, commands []string) (last reply, err error) {
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) }) //nolint:errcheck // The read then fails anyway.
	defer stop()
	open := commands
	c.onReply = func(r reply) error {
		switch {
		case len(open) == 0:
		case r.kind == kindError:
			return refusal{open[0], r.code, r.text}
		case r.kind == kindResult:
			last, open = r, open[1:]
		}
		return nil
	}
	var aside shard // For what comes uncalled.
	if err := c.flush(); err != nil {
		return last, err
	}
	buf := make([]byte, 0, 2048)
	for len(open) > 0 {
		buf = append(buf[:0], c.rest...)
		if cap(buf)-len(buf) < 1024 {
			buf = append(make([]byte, 0, 2*cap(buf)), buf...)
		}
		n, err := conn.Read(buf[len(buf):cap(buf)])
		if n > 0 {
			c.heard = time.Now()
			if err := c.received(buf[:len(buf)+n], 0, &aside); err != nil {
				return last, fmt.Errorf("while waiting for the answer to %s: %w", open[0], withHint(err))
			}
			aside.flush()
		}
		if err != nil && len(open) > 0 {
			return last, fmt.Errorf("while waiting for the answer to %s: %w", open[0], d.explain(ctx, why(err)))
		}
	}
	return last, nil
}

// withHint says what a person can do about a connection that the server closed.
func withHint(err error) error {
	e, ok := errors.AsType[ending](err)
	if !ok {
		return err
	}
	hint := map[uint16]string{
		3013: "raise client.limits.commands_per_second",
		3500: "the token is not one of this server: see --token and --token-secret",
		3501: "is this the right --protocol?",
		3504: "raise client.limits.sessions_per_user or client.max_connections, or give --token-secret or --user-data so that every client is another user",
		3505: "raise client.limits.channels",
		3507: "connect as somebody with --token, --token-secret or --user-data",
	}[e.code]
	if hint == "" {
		return err
	}
	return fmt.Errorf("%w (%s)", err, hint)
}

// handshake opens a WebSocket.
func (d *dialer) handshake(ctx context.Context, number int) (net.Conn, error) {
	dialer := net.Dialer{KeepAlive: -1}
	if d.sources > 0 {
		dialer.LocalAddr = &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(2+number%d.sources))}
	}
	conn, err := dialer.DialContext(ctx, "tcp", d.addr)
	if err != nil {
		return nil, d.explain(ctx, err)
	}
	if d.target.Scheme == "wss" {
		conn = tls.Client(conn, &tls.Config{ServerName: d.target.Hostname(), MinVersion: tls.VersionTLS12})
	}
	deadline, _ := ctx.Deadline()
	if err = conn.SetDeadline(deadline); err == nil {
		err = d.upgrade(conn)
	}
	if err != nil {
		conn.Close() //nolint:errcheck // It is of no use.
		return nil, fmt.Errorf("handshake with %s: %w", d.target, d.explain(ctx, err))
	}
	return conn, nil
}

// upgrade asks for a WebSocket (RFC 6455 §4.1).
func (d *dialer) upgrade(conn net.Conn) error {
	var nonce [16]byte
	rand.Read(nonce[:]) //nolint:errcheck // It never fails.
	key := base64.StdEncoding.EncodeToString(nonce[:])
	request := "GET " + d.target.RequestURI() + " HTTP/1.1\r\nHost: " + d.target.Host + "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + key + "\r\nSec-WebSocket-Protocol: " + d.codec.subprotocol() + "\r\n" +
		"User-Agent: zenconn-bench\r\n"
	if d.options.Compress {
		request += "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n"
	}
	request += "\r\n"
	if _, err := io.WriteString(conn, request); err != nil {
		return err
	}
	head, err := readHead(conn)
	if err != nil {
		return err
	}
	answer, err := http.ReadResponse(bufio.NewReader(io.MultiReader(bytes.NewReader(head), conn)), nil)
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusSwitchingProtocols {
		defer answer.Body.Close() //nolint:errcheck // It has been read.
		body, _ := io.ReadAll(io.LimitReader(answer.Body, 300))
		if answer.StatusCode == http.StatusServiceUnavailable {
			return fmt.Errorf("%w (503: %s)", errTurnedAway, strings.TrimSpace(string(body)))
		}
		return fmt.Errorf("the server answered %s: %s (is the path of --url right?)", answer.Status, strings.TrimSpace(string(body)))
	}
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) //nolint:gosec // RFC 6455 §4.2.2 says so.
	if answer.Header.Get("Sec-WebSocket-Accept") != base64.StdEncoding.EncodeToString(sum[:]) {
		return errors.New("the server's answer is not one to a WebSocket handshake")
	}
	if agreed := strings.HasPrefix(answer.Header.Get("Sec-WebSocket-Extensions"), "permessage-deflate"); d.options.Compress && !agreed {
		return errors.New("the server does not compress: see client.websocket.compression.enabled")
	}
	if got := answer.Header.Get("Sec-WebSocket-Protocol"); got != "" && got != d.codec.subprotocol() {
		return fmt.Errorf("the server chose the subprotocol %q instead of %q", got, d.codec.subprotocol())
	}
	return nil
}

// readHead reads up to the empty line that ends an HTTP head, and nothing beyond: a server says nothing more before the client
// has spoken.
func readHead(conn net.Conn) ([]byte, error) {
	head := make([]byte, 0, 1024)
	for !bytes.Contains(head, []byte("\r\n\r\n")) {
		if len(head) > 16<<10 {
			return nil, errors.New("the head of the server's answer does not end")
		}
		head = append(head, make([]byte, 512)...)
		n, err := conn.Read(head[len(head)-512:])
		head = head[:len(head)-512+n]
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = errors.New("the server closed the connection")
			}
			return nil, err
		}
	}
	return head, nil
}

// explain turns an error of the network into a sentence that helps.
func (d *dialer) explain(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("nobody listens at %s: is the server running? see --url (%w)", d.addr, err)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("this machine has no local port left to connect to %s: wait a minute for closed connections to go, "+
			"or widen net.ipv4.ip_local_port_range (%w)", d.addr, err)
	case errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE):
		return fmt.Errorf("no more open files are allowed: raise the limit with ulimit -n (%w)", err)
	case errors.Is(ctx.Err(), context.DeadlineExceeded), ctx.Err() == nil && errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("%s did not answer within %s", d.addr, setupTimeout)
	case ctx.Err() != nil:
		return context.Cause(ctx)
	default:
		return err
	}
}
