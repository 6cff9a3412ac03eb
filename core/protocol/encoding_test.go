package protocol_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/protocol"
)

func TestEncodings(t *testing.T) {
	for e := range protocol.Encoding(protocol.Encodings) {
		if got := protocol.WebSocketEncoding(e.Format()); got != e&protocol.WebSocketProtobuf {
			t.Errorf("encoding %d has the format of %d", e, got)
		}
	}
	if protocol.JSON.String() != "json" || protocol.Protobuf.String() != "protobuf" {
		t.Error("a format has a wrong name")
	}
}

// TestAppendFrame knows the headers at the borders of their three lengths (RFC 6455 §5.2).
func TestAppendFrame(t *testing.T) {
	for _, test := range []struct {
		size   int
		header string // After the first byte.
	}{
		{0, "\x00"}, {1, "\x01"}, {125, "\x7d"}, {126, "\x7e\x00\x7e"}, {127, "\x7e\x00\x7f"}, {65535, "\x7e\xff\xff"},
		{65536, "\x7f\x00\x00\x00\x00\x00\x01\x00\x00"}, {1 << 20, "\x7f\x00\x00\x00\x00\x00\x10\x00\x00"},
	} {
		payload := bytes.Repeat([]byte("x"), test.size)
		for e, first := range map[protocol.Encoding]string{protocol.WebSocketJSON: "\x81", protocol.WebSocketProtobuf: "\x82"} {
			got := e.AppendFrame([]byte("before"), payload)
			if want := "before" + first + test.header + string(payload); string(got) != want {
				t.Errorf("%d bytes of %s: header %q", test.size, e.Format(), got[:min(len(got), 16)])
			}
		}
	}
}

// TestAppendPublicationFrame meets each length of header from both sides, with and without room behind the buffer.
func TestAppendPublicationFrame(t *testing.T) {
	var sizes []int
	for _, border := range []int{0, 126, 65536} {
		for size := max(0, border-80); size < border+5; size++ {
			sizes = append(sizes, size)
		}
	}
	for _, size := range sizes {
		p := &core.Publication{Data: []byte(`"` + strings.Repeat("x", size) + `"`), Offset: 1}
		for e := range protocol.Encoding(protocol.Encodings) {
			want := e.AppendFrame([]byte("before"), e.AppendPublication(nil, "channel", 7, p))
			for _, room := range []int{0, len(want) + 8} {
				got := e.AppendPublicationFrame(append(make([]byte, 0, 6+room), "before"...), "channel", 7, p)
				if !bytes.Equal(got, want) {
					t.Fatalf("data of %d bytes, %s: got %.40q, want %.40q", size, e.Format(), got, want)
				}
			}
		}
	}
}

// TestNumbered sees that pushes name their channel by its number, and only by it, when they shall.
func TestNumbered(t *testing.T) {
	info := &protocol.ClientInfo{User: "u", Client: "c"}
	for name, test := range map[string]struct {
		push  *protocol.Push
		frame func(protocol.Encoding) []byte
	}{
		"publication": {&protocol.Push{Pub: &protocol.Publication{Data: []byte(`{}`), Offset: 3}}, func(e protocol.Encoding) []byte {
			return e.AppendPublicationFrame(nil, "news", 300, &core.Publication{Data: []byte(`{}`), Offset: 3})
		}},
		"join": {&protocol.Push{Join: &protocol.Join{Info: info}}, func(e protocol.Encoding) []byte {
			return e.AppendPushFrame(nil, 300, &protocol.Push{Channel: "news", Join: &protocol.Join{Info: info}})
		}},
		"leave": {&protocol.Push{Leave: &protocol.Leave{Info: info}}, func(e protocol.Encoding) []byte {
			return e.AppendPushFrame(nil, 300, &protocol.Push{Channel: "news", Leave: &protocol.Leave{Info: info}})
		}},
	} {
		for _, format := range formats {
			for _, numbered := range []bool{false, true} {
				e, want := protocol.WebSocketEncoding(format), &reply{Push: test.push}
				if want.Push.Id, want.Push.Channel = 0, "news"; numbered {
					e |= protocol.Numbered
					want.Push.Id, want.Push.Channel = 300, ""
				}
				t.Run(name, func(t *testing.T) {
					same(t, readReplies(t, format, test.frame(e)[2:]), []*reply{want})
				})
			}
		}
	}
}
