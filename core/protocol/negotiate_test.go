package protocol_test

import (
	"strings"
	"testing"

	"github.com/zenconn/server/core/protocol"
)

func TestNegotiate(t *testing.T) {
	type input = protocol.NegotiateInput
	const asJSON, asProtobuf = protocol.SubprotocolJSON, protocol.SubprotocolProtobuf
	for _, test := range []struct {
		name        string
		in          input
		format      protocol.Format
		subprotocol string
	}{
		{"no wish", input{}, protocol.JSON, ""},
		{"subprotocol JSON", input{Subprotocols: []string{asJSON}}, protocol.JSON, asJSON},
		{"subprotocol Protobuf", input{Subprotocols: []string{asProtobuf}}, protocol.Protobuf, asProtobuf},
		{"the client's first", input{Subprotocols: []string{asProtobuf, asJSON}}, protocol.Protobuf, asProtobuf},
		{"the first supported", input{Subprotocols: []string{"mqtt", " " + asProtobuf}}, protocol.Protobuf, asProtobuf},
		{"the one that agrees", input{Subprotocols: []string{asJSON, asProtobuf}, BinProtocol: "1"}, protocol.Protobuf, asProtobuf},
		{"blank subprotocol", input{Subprotocols: []string{""}, BinProtocol: "1"}, protocol.Protobuf, ""},
		{"query format", input{Format: "protobuf"}, protocol.Protobuf, ""},
		{"query format JSON", input{Format: "json"}, protocol.JSON, ""},
		{"query cf_protocol", input{CFProtocol: "protobuf"}, protocol.Protobuf, ""},
		{"header binary", input{BinProtocol: "1"}, protocol.Protobuf, ""},
		{"header JSON", input{JSONProtocol: "1"}, protocol.JSON, ""},
		{"all agree", input{[]string{asProtobuf}, "protobuf", "protobuf", "1", ""}, protocol.Protobuf, asProtobuf},
	} {
		t.Run(test.name, func(t *testing.T) {
			format, subprotocol, err := protocol.Negotiate(test.in)
			if err != nil || format != test.format || subprotocol != test.subprotocol {
				t.Errorf("got %s, %q, error %v; want %s, %q", format, subprotocol, err, test.format, test.subprotocol)
			}
		})
	}
	for _, test := range []struct {
		name string
		in   input
		want string
	}{
		{"unknown subprotocol", input{Subprotocols: []string{"mqtt", "x"}},
			"none of the offered subprotocols is supported, want centrifuge-json or centrifuge-protobuf"},
		{"both headers", input{BinProtocol: "1", JSONProtocol: "1"},
			"the header X-Bin-Protocol asks for protobuf, but the header X-JSON-Protocol asks for json"},
		{"query against header", input{Format: "json", BinProtocol: "1"},
			"the query parameter format asks for json, but the header X-Bin-Protocol asks for protobuf"},
		{"subprotocol against query", input{Subprotocols: []string{asJSON}, CFProtocol: "protobuf"},
			"the subprotocol centrifuge-json contradicts the query parameter cf_protocol, which asks for protobuf"},
		{"unknown query", input{Format: "xml"}, "the query parameter format has an unknown value, want json or protobuf"},
		{"unknown header", input{BinProtocol: "yes"}, "the header X-Bin-Protocol has an unknown value, want 1"},
		{"query as in a header", input{CFProtocol: "1"}, "the query parameter cf_protocol has an unknown value, want json or protobuf"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, _, err := protocol.Negotiate(test.in); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
}
