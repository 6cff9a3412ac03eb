package worker_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/lxzan/gws"

	"github.com/zenconn/server/core/config"
	"github.com/zenconn/server/core/protocol"
)

// compressing returns a configuration with compression.
func compressing() *config.Config {
	c := open()
	c.Client.WebSocket.Compression.Enabled = true
	return c
}

// metered counts what is read from a connection.
type metered struct {
	net.Conn
	read *atomic.Int64
}

func (m metered) Read(p []byte) (int, error) {
	n, err := m.Conn.Read(p)
	m.read.Add(int64(n))
	return n, err
}

type meter struct{ read *atomic.Int64 }

func (m meter) Dial(network, addr string) (net.Conn, error) {
	c, err := net.Dial(network, addr)
	return metered{c, m.read}, err
}

// dialDeflated opens a connection that offers compression, with a window of 1<<bits bytes, and compresses all it sends. It returns the
// counter of what was read from the network too.
func (r *running) dialDeflated(subprotocol string, bits int) (*client, *atomic.Int64) {
	r.t.Helper()
	c := &client{t: r.t, messages: make(chan []byte, 10_000), closed: make(chan *gws.CloseError, 1), ended: make(chan struct{})}
	header := http.Header{}
	if subprotocol != "" {
		header.Set("Sec-WebSocket-Protocol", subprotocol)
	}
	read := new(atomic.Int64)
	conn, answer, err := gws.NewClient(c, &gws.ClientOption{
		Addr: "ws://" + r.addr + "/connection/websocket", RequestHeader: header, HandshakeTimeout: patience,
		PermessageDeflate: gws.PermessageDeflate{Enabled: true, Threshold: 1, ServerMaxWindowBits: bits, ClientMaxWindowBits: 15},
		NewDialer:         func() (gws.Dialer, error) { return meter{read}, nil },
	})
	if err != nil {
		r.t.Fatal(err)
	}
	if !strings.HasPrefix(answer.Header.Get("Sec-WebSocket-Extensions"), "permessage-deflate") {
		r.t.Fatal("no compression was agreed on")
	}
	c.conn = conn
	go conn.ReadLoop()
	r.t.Cleanup(func() {
		_ = conn.NetConn().Close()
		<-c.ended
	})
	return c, read
}

// connectDeflated opens such a connection in JSON and completes the connect command.
func (r *running) connectDeflated(bits int) (*client, *atomic.Int64) {
	r.t.Helper()
	c, read := r.dialDeflated("", bits)
	c.send(`{"id":1,"connect":{}}`)
	c.expect(`"connect":{`)
	return c, read
}

// subscribeProtobuf sends the connect and subscribe commands of a Protobuf client.
func subscribeProtobuf(c *client, channel string) {
	c.t.Helper()
	for id, cmd := range []*protocol.Command{{Connect: &protocol.ConnectRequest{}}, {Subscribe: &protocol.SubscribeRequest{Channel: channel}}} {
		cmd.Id = uint32(id + 1)
		message, err := cmd.MarshalVT()
		if err != nil {
			c.t.Fatal(err)
		}
		if err := c.conn.WriteMessage(gws.OpcodeBinary, append(binary.AppendUvarint(nil, uint64(len(message))), message...)); err != nil {
			c.t.Fatal(err)
		}
	}
}

// TestCompression publishes to a channel of all kinds of clients. Everybody gets what was published, those who negotiated compression
// over fewer bytes, and it is compressed once for all of them.
func TestCompression(t *testing.T) {
	t.Parallel()
	r := start(t, compressing())
	const wide, narrow = 15, 12
	publisher := r.connect("publisher")
	text := strings.Repeat("what is said again and again is short ", 80) // Fits into a narrow window.
	long := strings.Repeat(text, 3)                                      // Does not.
	publish := func(id int, text string) {
		t.Helper()
		if reply := publisher.ask(id, fmt.Sprintf(`"publish":{"channel":"mixed","data":%q}`, text)); reply.Error != nil {
			t.Fatal(reply.Error)
		}
	}
	compressed := func() int { return int(r.metric("zenconn_compression_frames_total")) }

	plain := r.connect("plain")
	plain.ask(2, `"subscribe":{"channel":"mixed"}`)
	publish(2, text)
	plain.expect(`"offset":1`)
	if n := compressed(); n != 0 {
		t.Errorf("%d frames were compressed, and nobody had negotiated that", n)
	}

	var clients []*client
	var meters []*atomic.Int64
	for _, bits := range []int{wide, wide, wide, narrow, narrow} {
		c, read := r.connectDeflated(bits)
		c.ask(2, `"subscribe":{"channel":"mixed"}`)
		clients, meters = append(clients, c), append(meters, read)
	}
	before := make([]int64, len(meters))
	for i, m := range meters {
		before[i] = m.Load()
	}
	publish(3, "hi") // Too short for it.
	for _, c := range append(clients, plain) {
		c.expect(`"data":"hi"`)
	}
	if n := compressed(); n != 0 {
		t.Errorf("%d frames were compressed, and all were short", n)
	}
	publish(4, text)
	for _, c := range append(clients, plain) {
		c.expect(`"offset":3`)
	}
	if n := compressed(); n != 1 {
		t.Errorf("a publication was compressed %d times", n)
	}
	for i, m := range meters {
		if got := m.Load() - before[i]; got >= int64(len(text)) {
			t.Errorf("client %d read %d bytes for a message of %d", i, got, len(text))
		}
	}

	publish(5, long)
	for i, c := range append(clients, plain) {
		if got := c.expect(`"offset":4`); !bytes.Contains(got, []byte(long)) {
			t.Errorf("client %d got %.100q", i, got)
		}
	}
	for i, m := range meters {
		if got, most := m.Load()-before[i], int64(len(long)); (got < most) != (i < 3) {
			t.Errorf("client %d has read %d bytes in the end; only the wide ones may get less than %d", i, got, most)
		}
	}
	if n := compressed(); n != 2 {
		t.Errorf("two publications were compressed %d times", n)
	}

	binaryClients := []*client{r.dial(protocol.SubprotocolProtobuf)}
	for range 3 {
		c, _ := r.dialDeflated(protocol.SubprotocolProtobuf, wide)
		binaryClients = append(binaryClients, c)
	}
	for _, c := range binaryClients {
		subscribeProtobuf(c, "mixed")
	}
	r.eventually("all have subscribed", func() bool { return r.metric("zenconn_subscriptions") == 10 })
	publish(6, text)
	for i, c := range append(append(clients, plain), binaryClients...) {
		if !bytes.Contains(c.expect(text[:100]), []byte(text)) {
			t.Errorf("client %d did not get all of it", i)
		}
	}
	if n := compressed(); n != 4 {
		t.Errorf("the third publication was compressed %d times, want once for each protocol", n-2)
	}
	if n := r.metric("zenconn_connections_compressed_total"); n != 8 {
		t.Errorf("%v connections count as compressed, want 8", n)
	}
	if before, after := r.metric("zenconn_compression_before_bytes_total"), r.metric("zenconn_compression_after_bytes_total"); after <= 0 || after > before/4 {
		t.Errorf("%v bytes became %v", before, after)
	}
}

// TestCompressedReplies sees that replies are compressed too, and what is kept back for somebody who is just subscribing or recovers.
func TestCompressedReplies(t *testing.T) {
	t.Parallel()
	r := start(t, compressing())
	c, read := r.connectDeflated(15)
	epoch := c.ask(8, `"subscribe":{"channel":"kept"}`).Subscribe.Epoch
	c.ask(9, `"unsubscribe":{"channel":"kept"}`)
	data := strings.Repeat("again ", 300)
	for i := range 5 {
		c.ask(20+i, fmt.Sprintf(`"publish":{"channel":"kept","data":%q}`, data))
	}
	before := read.Load()
	reply := c.ask(10, fmt.Sprintf(`"subscribe":{"channel":"kept","recover":true,"offset":1,"epoch":%q}`, epoch))
	if reply.Error != nil || len(reply.Subscribe.Publications) != 4 {
		t.Fatalf("%+v", reply)
	}
	if got := read.Load() - before; got >= int64(len(data)) {
		t.Errorf("%d bytes for five messages of %d", got, len(data))
	}
}

// TestCompressionWithoutLeave sees that nothing is compressed where it is not configured, and that a client that does it all the same is
// sent away.
func TestCompressionWithoutLeave(t *testing.T) {
	t.Parallel()
	r := start(t, open())
	conn, answer := r.handshake(deflate)
	if got := answer.Header.Get("Sec-WebSocket-Extensions"); got != "" {
		t.Errorf("the server answers %q", got)
	}
	conn.write(deflatedFrame([]byte(`{"id":1,"connect":{}}`)))
	conn.expectClose(1002, "")
}

// TestCompressionBombs sends what grows beyond all bounds, and what is not compressed at all.
func TestCompressionBombs(t *testing.T) {
	t.Parallel()
	r := start(t, compressing())
	bystander, _ := r.connectDeflated(15)
	bystander.ask(2, `"subscribe":{"channel":"calm"}`)

	text := []byte(`{"id":1,"connect":{}}`)
	fits := append(bytes.Clone(text), bytes.Repeat([]byte(" "), 64<<10-len(text))...)
	bomb := deflatedFrame(bytes.Repeat([]byte(" "), 48<<20))
	if len(bomb) > 64<<10 {
		t.Fatalf("the bomb has %d bytes and would be refused for that", len(bomb))
	}
	garbage := maskedFrame(0xc1, bytes.Repeat([]byte{0xff}, 100))
	for name, test := range map[string]struct {
		frames [][]byte
		code   uint16
		reason string
	}{
		"bomb":                 {[][]byte{bomb}, 1009, "message too large"},
		"a byte too long":      {[][]byte{deflatedFrame(append(bytes.Clone(fits), ' '))}, 1009, "message too large"},
		"garbage":              {[][]byte{garbage}, 1007, "invalid compressed data"},
		"bomb in fragments":    {fragments(bomb, 5), 1009, "message too large"},
		"garbage in fragments": {fragments(garbage, 3), 1007, "invalid compressed data"},
	} {
		t.Run(name, func(t *testing.T) {
			conn, _ := r.handshake(deflate)
			conn.write(test.frames...)
			conn.expectClose(test.code, test.reason)
			r.eventually("the record of the end", func() bool { return r.audit.closed(test.code) != nil })
			bystander.ask(9, `"publish":{"channel":"calm","data":"still here"}`)
		})
	}
	for name, frames := range map[string][][]byte{"as long as may be": {deflatedFrame(fits)}, "in fragments": fragments(deflatedFrame(text), 4)} {
		conn, _ := r.handshake(deflate)
		conn.write(frames...)
		if op, payload := conn.read(); op != 1 || !bytes.Contains(payload, []byte(`"connect":{`)) {
			t.Errorf("%s: got %d %q", name, op, payload)
		}
	}
}

// TestCompressionNegotiation offers what clients offer, and what they should not.
func TestCompressionNegotiation(t *testing.T) {
	t.Parallel()
	r := start(t, compressing())
	const yes, narrow = "permessage-deflate; server_no_context_takeover; client_no_context_takeover", "; server_max_window_bits=12"
	for offer, want := range map[string]string{
		"":                   "",
		"permessage-deflate": yes,
		"permessage-deflate; client_max_window_bits":                                 yes,          // Browsers, and the package ws.
		"permessage-deflate; server_no_context_takeover; client_no_context_takeover": yes,          // gorilla/websocket.
		"permessage-deflate; server_max_window_bits=12; client_max_window_bits=12":   yes + narrow, // Python's websockets.
		"permessage-deflate; server_max_window_bits=\"13\"":                          yes + narrow,
		"permessage-deflate;server_max_window_bits=15":                               yes,
		"permessage-deflate; server_max_window_bits=10":                              "", // We have no window that small.
		"permessage-deflate; server_max_window_bits=10, permessage-deflate":          yes,
		"x-webkit-deflate-frame, permessage-deflate":                                 yes,
		"x-webkit-deflate-frame | permessage-deflate; client_max_window_bits":        yes, // Two lines.
		"permessage-deflate; server_max_window_bits":                                 "",
		"permessage-deflate; server_max_window_bits=16":                              "",
		"permessage-deflate; server_max_window_bits=+9":                              "",
		"permessage-deflate; client_max_window_bits=7":                               "",
		"permessage-deflate; server_no_context_takeover=1":                           "",
		"permessage-deflate; client_max_window_bits; client_max_window_bits":         "",
		"permessage-deflate; what":                                                   "",
		"permessage-deflate-ish":                                                     "",
	} {
		t.Run(offer, func(t *testing.T) {
			var headers []string
			for value := range strings.SplitSeq(offer, " | ") {
				headers = append(headers, "Sec-WebSocket-Extensions: "+value)
			}
			_, answer := r.handshake(headers...)
			if got := answer.Header.Get("Sec-WebSocket-Extensions"); got != want {
				t.Errorf("the server answers %q, want %q", got, want)
			}
		})
	}
}

const deflate = "Sec-WebSocket-Extensions: permessage-deflate"
