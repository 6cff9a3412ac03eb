package websocket

import (
	"bufio"
	"bytes"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/klauspost/compress/flate"
	"github.com/lxzan/gws"

	"github.com/zenconn/server/core/config"
	"github.com/zenconn/server/core/outbound"
	"github.com/zenconn/server/core/protocol"
	"github.com/zenconn/server/core/session"
)

// Handler accepts WebSocket connections for the sessions of a node.
type Handler struct {
	// Fixed after construction.
	node      *session.Node
	client    config.Client
	origins   origins
	flushers  *outbound.Flushers
	drops     outbound.Drops
	limits    outbound.Limits
	upgraders map[answer]*gws.Upgrader
	deflate   *protocol.Deflate // nil: nothing is compressed.

	open     atomic.Int64
	readers  sync.WaitGroup
	mu       sync.Mutex // Guards draining, so that nobody is added to readers after Drain.
	draining bool
}

// answer is what a handshake is answered with; gws has it fixed for an upgrader.
type answer struct {
	subprotocol string            // "" for none.
	compression protocol.Encoding // Deflated, and perhaps Narrow; 0 for none.
}

// New makes a handler. The configuration has been checked. deflate compresses; nil: nothing is compressed, in either direction.
func New(node *session.Node, flushers *outbound.Flushers, drops outbound.Drops, deflate *protocol.Deflate) *Handler {
	h := &Handler{
		node: node, client: node.Client, origins: newOrigins(node.Client.AllowedOrigins), flushers: flushers, drops: drops,
		limits: outbound.Limits{
			Messages: node.Client.Limits.QueueMessages, Bytes: int(node.Client.Limits.QueueSize),
			WriteTimeout: node.Client.WriteTimeout,
		},
		upgraders: make(map[answer]*gws.Upgrader), deflate: deflate,
	}
	compressions := []protocol.Encoding{0}
	if deflate != nil {
		compressions = append(compressions, protocol.Deflated, protocol.Deflated|protocol.Narrow)
	}
	for _, subprotocol := range []string{"", protocol.SubprotocolJSON, protocol.SubprotocolProtobuf} {
		for _, compression := range compressions {
			h.upgraders[answer{subprotocol, compression}] = h.upgrader(answer{subprotocol, compression})
		}
	}
	return h
}

func (h *Handler) upgrader(a answer) *gws.Upgrader {
	option := &gws.ServerOption{
		ReadMaxPayloadSize: int(h.client.Limits.FrameSize), // Also of a message that is decompressed.
		HandshakeTimeout:   h.client.HandshakeTimeout,
		ReadBufferSize:     int(h.client.ReadBuffer),
		Logger:             quiet{h.node.Log},
		NewSession:         func() gws.SessionStorage { return nil }, // Ours hangs on the connection; see conn.
	}
	if a.subprotocol != "" {
		// gws refuses the handshake when it has a list and the client offers none of it.
		option.SubProtocols = []string{a.subprotocol}
	}
	if a.compression != 0 {
		// No context takeover in either direction, which would cost each connection a window. What gws keeps for writing is made small:
		// only control frames are written through it, and they are never compressed.
		option.PermessageDeflate = gws.PermessageDeflate{
			Enabled: true, Level: flate.HuffmanOnly, PoolSize: runtime.GOMAXPROCS(0), ServerMaxWindowBits: maxWindowBits, ClientMaxWindowBits: maxWindowBits,
		}
		if a.compression&protocol.Narrow != 0 {
			option.PermessageDeflate.ServerMaxWindowBits = protocol.NarrowWindowBits
		}
	}
	return gws.NewUpgrader(events{}, option)
}

// quiet passes on what gws has to say as a warning.
type quiet struct{ log *slog.Logger }

func (q quiet) Error(v ...any) { q.log.Warn("websocket library", "message", v) }

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
		w.Header().Set("Retry-After", "5")
		(&refusal{http.StatusServiceUnavailable, "the server takes no more connections at the moment"}).write(w)
		h.count("full")
		return
	}
	how := answer{subprotocol: subprotocol}
	if h.deflate != nil {
		how.compression = negotiate(r)
	}
	if err := h.upgrade(w, r, format, how); err != nil {
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
func (h *Handler) upgrade(w http.ResponseWriter, r *http.Request, format protocol.Format, how answer) error {
	netConn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		(&refusal{http.StatusInternalServerError, "this connection cannot be upgraded"}).write(w)
		return err
	}
	c := &conn{handler: h}
	c.Queue = outbound.New(netConn, protocol.WebSocketEncoding(format)|how.compression, h.limits, c, h.flushers, goodbye)
	if how.compression != 0 {
		c.Compress(h.deflate)
		h.node.Metrics.Compressed.Inc()
	}
	var source io.Reader = c
	if n := buffered.Reader.Buffered(); n > 0 {
		// A client may send its first frame without waiting for our answer.
		early, _ := buffered.Reader.Peek(n)
		source = io.MultiReader(bytes.NewReader(bytes.Clone(early)), c)
	}
	socket, err := h.upgraders[how].UpgradeFromConn(c, bufio.NewReaderSize(source, int(h.client.ReadBuffer)), r)
	if err != nil {
		c.Destroy()
		return err
	}
	c.upgraded = true
	header := r.Header
	c.session = h.node.Open(c.Queue, session.Peer{
		RemoteAddr: remoteAddr(netConn), Transport: "websocket", UserAgent: r.UserAgent(), Header: header.Get,
	})
	c.dropping.Store(c.session)
	go c.read(socket)
	return nil
}

func remoteAddr(c net.Conn) netip.Addr {
	addr, err := netip.ParseAddrPort(c.RemoteAddr().String())
	if err != nil {
		return netip.IPv6Unspecified()
	}
	return addr.Addr().Unmap()
}
