package websocket

import (
	"crypto/sha1" //nolint:gosec // RFC 6455 §4.2.2.
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/zenconn/server/core/protocol"
)

// refusal is an HTTP answer to a handshake that is not accepted.
type refusal struct {
	status   int
	sentence string
}

func (f *refusal) write(w http.ResponseWriter) {
	if f.status == http.StatusUpgradeRequired {
		w.Header().Set("Upgrade", "websocket")
		w.Header().Set("Sec-WebSocket-Version", "13")
	}
	http.Error(w, f.sentence, f.status)
}

// checkHandshake checks what RFC 6455 §4.2.1 demands of the request.
func checkHandshake(r *http.Request) *refusal {
	switch {
	case r.Method != http.MethodGet:
		return &refusal{http.StatusMethodNotAllowed, "a WebSocket handshake is a GET request"}
	case !hasToken(r.Header, "Connection", "upgrade") || !hasToken(r.Header, "Upgrade", "websocket"):
		return &refusal{http.StatusUpgradeRequired, "this is a WebSocket endpoint: connect with a Centrifuge client SDK"}
	case r.Header.Get("Sec-WebSocket-Version") != "13":
		return &refusal{http.StatusUpgradeRequired, "the WebSocket version must be 13"}
	}
	key, err := base64.StdEncoding.DecodeString(r.Header.Get("Sec-WebSocket-Key"))
	if err != nil || len(key) != 16 {
		return &refusal{http.StatusBadRequest, "Sec-WebSocket-Key must be 16 bytes in base64"}
	}
	return nil
}

// answer says to the client that what follows is WebSocket (RFC 6455 §4.2.2).
func answer(socket net.Conn, r *http.Request, subprotocol string, encoding protocol.Encoding, timeout time.Duration) error {
	const magic = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
	accept := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + magic)) //nolint:gosec // The protocol wants it, and not for a secret.
	head := "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " +
		base64.StdEncoding.EncodeToString(accept[:]) + "\r\n"
	if subprotocol != "" {
		head += "Sec-WebSocket-Protocol: " + subprotocol + "\r\n"
	}
	if encoding&protocol.Deflated != 0 { // Without context takeover, which would cost each connection a window, in either direction.
		head += extensionsHeader + ": " + permessageDeflate + "; server_no_context_takeover; client_no_context_takeover"
		if encoding&protocol.Narrow != 0 {
			head += "; server_max_window_bits=" + strconv.Itoa(protocol.NarrowWindowBits)
		}
		head += "\r\n"
	}
	// Those of the HTTP server end as well.
	if err := socket.SetDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	if _, err := socket.Write([]byte(head + "\r\n")); err != nil {
		return err
	}
	return socket.SetDeadline(time.Time{})
}

// hasToken looks for a token in a header that is a comma separated list.
func hasToken(h http.Header, name, token string) bool {
	for _, value := range h.Values(name) {
		for one := range strings.SplitSeq(value, ",") {
			if strings.EqualFold(strings.TrimSpace(one), token) {
				return true
			}
		}
	}
	return false
}

func offeredSubprotocols(r *http.Request) []string {
	var all []string
	for _, value := range r.Header.Values("Sec-WebSocket-Protocol") {
		for one := range strings.SplitSeq(value, ",") {
			all = append(all, strings.TrimSpace(one))
		}
	}
	return all
}

// origins decides which pages may connect. Requests without an Origin header do not come from a browser's page and are allowed.
type origins struct {
	all     bool
	exact   map[string]bool
	domains []wildcard
}

// wildcard is an origin such as https://*.example.com: any subdomain, not the domain itself.
type wildcard struct{ scheme, suffix string }

func newOrigins(allowed []string) origins {
	o := origins{exact: make(map[string]bool)}
	for _, one := range allowed {
		scheme, host, _ := strings.Cut(strings.ToLower(one), "://")
		switch {
		case one == "*":
			o.all = true
		case strings.HasPrefix(host, "*."):
			o.domains = append(o.domains, wildcard{scheme, host[1:]})
		default:
			o.exact[fmt.Sprintf("%s://%s", scheme, host)] = true
		}
	}
	return o
}

func (o *origins) allow(r *http.Request) bool {
	origin := strings.ToLower(r.Header.Get("Origin"))
	if origin == "" || o.all || o.exact[origin] {
		return true
	}
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" {
		return false
	}
	if strings.EqualFold(u.Host, r.Host) {
		return true
	}
	for _, d := range o.domains {
		if u.Scheme == d.scheme && strings.HasSuffix(u.Host, d.suffix) {
			return true
		}
	}
	return false
}
