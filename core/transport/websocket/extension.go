package websocket

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/zenconn/server/core/protocol"
)

const (
	extensionsHeader  = "Sec-WebSocket-Extensions"
	permessageDeflate = "permessage-deflate"
)

// negotiate chooses among the extensions that a handshake offers (RFC 7692 §5): what is added to the encoding of a connection that may be
// compressed; 0: nothing. An offer that asks for what we do not have is passed over, as §7.1 wants it; the connection then goes without.
func negotiate(r *http.Request) protocol.Encoding {
	for _, value := range r.Header.Values(extensionsHeader) {
		for offer := range strings.SplitSeq(value, ",") {
			if e, ok := acceptable(offer); ok {
				return e
			}
		}
	}
	return 0
}

// acceptable judges one offer.
func acceptable(offer string) (e protocol.Encoding, ok bool) {
	name, parameters, _ := strings.Cut(offer, ";")
	if !strings.EqualFold(strings.TrimSpace(name), permessageDeflate) {
		return 0, false
	}
	e = protocol.Deflated
	seen := map[string]bool{}
	for parameter := range strings.SplitSeq(parameters, ";") {
		key, value, has := strings.Cut(strings.TrimSpace(parameter), "=")
		value = strings.Trim(value, `"`)
		if key == "" && parameters == "" {
			continue
		}
		if seen[key] {
			return 0, false
		}
		seen[key] = true
		switch key {
		case "server_no_context_takeover", "client_no_context_takeover": // We answer both in any case.
			if has {
				return 0, false
			}
		case "client_max_window_bits": // Whatever the client uses is read.
			if _, valid := windowBits(value); has && !valid {
				return 0, false
			}
		case "server_max_window_bits":
			bits, valid := windowBits(value)
			if !valid || bits < protocol.NarrowWindowBits {
				return 0, false
			}
			if bits < maxWindowBits {
				e |= protocol.Narrow
			}
		default:
			return 0, false
		}
	}
	return e, true
}

const maxWindowBits = 15 // RFC 7692 §7.1.2.

// windowBits reads 8 to 15, without leading zeros.
func windowBits(text string) (bits int, ok bool) {
	bits, err := strconv.Atoi(text)
	return bits, err == nil && bits >= 8 && bits <= maxWindowBits && text[0] != '0' && text[0] != '+'
}
