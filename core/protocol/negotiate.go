package protocol

import (
	"fmt"
	"strings"
)

// The WebSocket subprotocols of the client protocol.
const (
	SubprotocolJSON     = "centrifuge-json"
	SubprotocolProtobuf = "centrifuge-protobuf"
)

// NegotiateInput is all of a WebSocket handshake that says which format the client speaks.
type NegotiateInput struct {
	Subprotocols []string // Offered in Sec-WebSocket-Protocol, in the client's order.
	Format       string   // Query parameter "format".
	CFProtocol   string   // Query parameter "cf_protocol".
	BinProtocol  string   // Header X-Bin-Protocol: "1" asks for Protobuf.
	JSONProtocol string   // Header X-JSON-Protocol: "1" asks for JSON.
}

// Negotiate chooses the format of a connection, and the subprotocol to answer with, which is empty when the client offered none.
// Without any wish it is JSON. The error, for a handshake that contradicts itself or asks for something unknown, is a sentence
// for the client, to be answered with status 400.
func Negotiate(r NegotiateInput) (format Format, subprotocol string, err error) {
	wish, err := r.wish()
	if err != nil {
		return JSON, "", err
	}
	offered := false
	for _, name := range r.Subprotocols {
		name = strings.TrimSpace(name)
		if name == "" {
			continue
		}
		offered = true
		format, ok := subprotocolFormat(name)
		if ok && (wish.by == "" || wish.format == format) {
			return format, name, nil
		}
		if ok {
			subprotocol = name
		}
	}
	switch {
	case !offered:
		return wish.format, "", nil
	case subprotocol != "":
		return JSON, "", fmt.Errorf("the subprotocol %s contradicts %s, which asks for %s", subprotocol, wish.by, wish.format)
	default:
		return JSON, "", fmt.Errorf("none of the offered subprotocols is supported, want %s or %s", SubprotocolJSON, SubprotocolProtobuf)
	}
}

func subprotocolFormat(name string) (Format, bool) {
	switch name {
	case SubprotocolJSON:
		return JSON, true
	case SubprotocolProtobuf:
		return Protobuf, true
	default:
		return JSON, false
	}
}

// wish is a format asked for outside the subprotocols, and what asked for it; by is empty when nothing did.
type wish struct {
	format Format
	by     string
}

func (r NegotiateInput) wish() (wish, error) {
	var all wish
	for _, source := range [...]struct{ by, value, json, protobuf string }{
		{"the query parameter format", r.Format, "json", "protobuf"},
		{"the query parameter cf_protocol", r.CFProtocol, "json", "protobuf"},
		{"the header X-Bin-Protocol", r.BinProtocol, "", "1"},
		{"the header X-JSON-Protocol", r.JSONProtocol, "1", ""},
	} {
		one := wish{by: source.by}
		switch source.value {
		case "":
			continue
		case source.protobuf:
			one.format = Protobuf
		case source.json:
			one.format = JSON
		default:
			return wish{}, fmt.Errorf("%s has an unknown value, want %s", source.by, wanted(source.json, source.protobuf))
		}
		if all.by != "" && all.format != one.format {
			return wish{}, fmt.Errorf("%s asks for %s, but %s asks for %s", all.by, all.format, one.by, one.format)
		}
		all = one
	}
	return all, nil
}

func wanted(json, protobuf string) string {
	if json == "" || protobuf == "" {
		return json + protobuf
	}
	return json + " or " + protobuf
}
