package websocket

import (
	"bytes"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/zenconn/server/core/config"
	"github.com/zenconn/server/core/door"
	"github.com/zenconn/server/core/outbound"
	"github.com/zenconn/server/core/protocol"
	"github.com/zenconn/server/core/session"
)

// Handler accepts WebSocket connections for the sessions of a node.
type Handler struct {
	// Fixed after construction.
	node     *session.Node
	client   config.Client
	origins  origins
	flushers *outbound.Flushers
	drops    outbound.Drops
	limits   outbound.Limits
	buffers  *buffers
	deflate  *protocol.Deflate // nil: nothing is compressed.

	open     atomic.Int64
	readers  sync.WaitGroup
	mu       sync.Mutex // Guards draining, so that nobody is added to readers after Drain.
	draining bool
}

// New makes a handler. The configuration has been checked. deflate compresses; nil: nothing is compressed, in either direction.
func New(node *session.Node, flushers *outbound.Flushers, drops outbound.Drops, deflate *protocol.Deflate) *Handler {
	return &Handler{
		node: node, client: node.Client, origins: newOrigins(node.Client.AllowedOrigins), flushers: flushers, drops: drops,
		limits: outbound.Limits{
			Messages: node.Client.Limits.QueueMessages, Bytes: int(node.Client.Limits.QueueSize),
			WriteTimeout: node.Client.WriteTimeout,
		},
		buffers: newBuffers(int(node.Client.ReadBuffer)), deflate: deflate,
	}
}

// ServeHTTP judges one handshake. What is refused gets a status and a sentence: 400 for requests that are no WebSocket handshake
// or contradict themselves about the protocol, 403 for a foreign origin, 426 for another WebSocket version, 503 when there are
// too many connections or the server is shutting down.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if bad := checkHandshake(r); bad != nil {
		bad.write(w)
		h.count("bad request")
		return
	}
	if !h.origins.allow(r) {
		(&refusal{http.StatusForbidden, "this origin may not connect; the server allows its own, and those in client.allowed_origins"}).write(w)
		h.count("foreign origin")
		return
	}
	query := r.URL.Query()
	format, subprotocol, err := protocol.Negotiate(protocol.NegotiateInput{
		Subprotocols: offeredSubprotocols(r), Format: query.Get("format"), CFProtocol: query.Get("cf_protocol"),
		BinProtocol: r.Header.Get("X-Bin-Protocol"), JSONProtocol: r.Header.Get("X-JSON-Protocol"),
	})
	if err != nil {
		(&refusal{http.StatusBadRequest, err.Error()}).write(w)
		h.count("bad request")
		return
	}
	if !h.enter() {
		w.Header().Set("Retry-After", door.RetryAfter())
		(&refusal{http.StatusServiceUnavailable, "the server takes no more connections at the moment"}).write(w)
		h.count("full")
		return
	}
	encoding := protocol.WebSocketEncoding(format)
	if h.deflate != nil {
		encoding |= negotiate(r)
	}
	if err := h.upgrade(w, r, encoding, subprotocol); err != nil {
		h.leave()
		h.count("failed")
		h.node.Log.Debug("handshake failed", "remote", r.RemoteAddr, "error", err)
		return
	}
	h.count("accepted")
}

func (h *Handler) count(result string) { h.node.Metrics.Handshakes.WithLabelValues(result).Inc() }

// enter counts a connection in, unless there is no room or the server is going down.
func (h *Handler) enter() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.draining {
		return false
	}
	if most := h.client.MaxConnections; most > 0 && h.open.Load() >= int64(most) {
		return false
	}
	h.open.Add(1)
	h.readers.Add(1)
	return true
}

func (h *Handler) leave() {
	h.open.Add(-1)
	h.readers.Done()
}

// Full reports whether there are as many connections as may be.
func (h *Handler) Full() bool {
	return h.client.MaxConnections > 0 && h.Open() >= h.client.MaxConnections
}

// Open returns how many connections there are.
func (h *Handler) Open() int { return int(h.open.Load()) }

// Refuse makes every further handshake answer 503.
func (h *Handler) Refuse() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.draining = true
}

// Wait returns when the last connection has ended. Refuse comes first.
func (h *Handler) Wait() { h.readers.Wait() }

// upgrade takes the connection over from the HTTP server and starts its reader.
func (h *Handler) upgrade(w http.ResponseWriter, r *http.Request, encoding protocol.Encoding, subprotocol string) error {
	socket, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		(&refusal{http.StatusInternalServerError, "this connection cannot be upgraded"}).write(w)
		return err
	}
	if err := answer(socket, r, subprotocol, encoding, h.client.HandshakeTimeout); err != nil {
		_ = socket.Close()
		return err
	}
	deflated := encoding&protocol.Deflated != 0
	c := &conn{handler: h, limits: limits{size: int(h.client.Limits.FrameSize), deflated: deflated}}
	c.Queue = outbound.New(socket, encoding, h.limits, c, h.flushers, goodbye)
	if deflated {
		c.Compress(h.deflate)
		h.node.Metrics.Compressed.Inc()
	}
	if n := buffered.Reader.Buffered(); n > 0 {
		// A client may send its first frame without waiting for our answer.
		early, _ := buffered.Reader.Peek(n)
		c.inbox.hold(bytes.Clone(early))
	}
	c.session.Store(h.node.Open(c.Queue, session.Peer{
		RemoteAddr: remoteAddr(socket), Transport: "websocket", UserAgent: r.UserAgent(), Header: r.Header.Get,
	}))
	go c.read()
	return nil
}

func remoteAddr(c net.Conn) netip.Addr {
	addr, err := netip.ParseAddrPort(c.RemoteAddr().String())
	if err != nil {
		return netip.IPv6Unspecified()
	}
	return addr.Addr().Unmap()
}
