package worker_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/lxzan/gws"
)

// Every bad input has a documented answer (docs/errors.md), and nobody else notices. A bystander proves the latter: after each
// case it still receives what is published.
func TestBadInput(t *testing.T) {
	c := open()
	c.Client.Limits.FrameSize = 4096
	c.Client.Limits.Channels = 3
	c.Client.Limits.ErrorsBeforeClose = 5
	c.Client.Limits.CommandsPerSecond, c.Client.Limits.CommandBurst = 1000, 1000
	r := start(t, c)
	bystander, speaker := r.connect("bystander"), r.connect("speaker")
	bystander.ask(2, `"subscribe":{"channel":"news"}`)

	const connect = `{"id":1,"connect":{"data":{"user":"mallory"}}}`
	cases := []struct {
		name   string
		frames []string // Sent in order, as text unless binary is set.
		binary bool
		sub    string // Offered subprotocol.
		reply  string // What a reply must contain; "" for none.
		code   uint16 // The closing code; 0: stays open.
	}{
		{name: "malformed JSON", frames: []string{connect, `{"id":2,"publish":`}, code: 3501},
		{name: "not an object", frames: []string{connect, `[1]`}, code: 3501},
		{name: "an empty frame", frames: []string{connect, ``}, code: 3501},
		{name: "malformed Protobuf", frames: []string{"\x05\xff\xff\xff\xff\xff"}, binary: true, sub: "centrifuge-protobuf", code: 3501},
		{name: "a Protobuf length beyond the frame", frames: []string{"\xff\xff\xff\xff\x0f"}, binary: true, sub: "centrifuge-protobuf", code: 3501},
		{name: "invalid UTF-8", frames: []string{connect, "{\"id\":2,\"publish\":{\"channel\":\"news\",\"data\":\"\xff\"}}"}, code: 3501},
		{name: "an unknown command", frames: []string{connect, `{"id":2,"dance":{}}`}, reply: `"code":104`},
		{name: "a command before connect", frames: []string{`{"id":1,"subscribe":{"channel":"news"}}`}, code: 3501},
		{name: "a second connect", frames: []string{connect, `{"id":2,"connect":{}}`}, code: 3501},
		{name: "a command without id", frames: []string{connect, `{"publish":{"channel":"news","data":{}}}`}, code: 3501},
		{name: "an oversized frame", frames: []string{connect, `{"id":2,"publish":{"channel":"news","data":"` + strings.Repeat("x", 5000) + `"}}`}, code: 1009},
		{name: "no data", frames: []string{connect, `{"id":2,"publish":{"channel":"news"}}`}, reply: `"code":107`},
		{name: "no channel", frames: []string{connect, `{"id":2,"publish":{"data":{}}}`}, reply: `"code":107`},
		{name: "a channel with control characters", frames: []string{connect, `{"id":2,"subscribe":{"channel":"a\u0000b"}}`}, reply: `"code":107`},
		{name: "a channel that is too long", frames: []string{connect, `{"id":2,"subscribe":{"channel":"` + strings.Repeat("c", 256) + `"}}`}, reply: `"code":107`},
		{name: "an unknown namespace", frames: []string{connect, `{"id":2,"subscribe":{"channel":"nowhere:x"}}`}, reply: `"code":102`},
		{name: "subscribed twice", frames: []string{connect, `{"id":2,"subscribe":{"channel":"a"}}`, `{"id":3,"subscribe":{"channel":"a"}}`}, reply: `"code":105`},
		{name: "too many channels", frames: []string{
			connect, `{"id":2,"subscribe":{"channel":"a"}}`, `{"id":3,"subscribe":{"channel":"b"}}`, `{"id":4,"subscribe":{"channel":"c"}}`,
			`{"id":5,"subscribe":{"channel":"d"}}`,
		}, reply: `"code":106`},
		{name: "too many errors", frames: []string{connect, strings.Repeat(`{"id":2,"publish":{"channel":"news"}}`+"\n", 5)}, code: 3509},
		{name: "presence without being there", frames: []string{connect, `{"id":2,"presence":{"channel":"secret"}}`}, reply: `"code":103`},
		{name: "history without being there", frames: []string{connect, `{"id":2,"history":{"channel":"secret","limit":5}}`}, reply: `"code":103`},
		{name: "a call nobody answers", frames: []string{connect, `{"id":2,"rpc":{"method":"x"}}`}, reply: `"code":104`},
		{name: "a message nobody takes", frames: []string{connect, `{"send":{"data":{}}}`}, code: 3508},
		{name: "a refresh nobody needs", frames: []string{connect, `{"id":2,"refresh":{"token":"x"}}`}, reply: `"code":108`},
		{name: "a user name that is too long", frames: []string{`{"id":1,"connect":{"data":{"user":"` + strings.Repeat("u", 256) + `"}}}`}, reply: `"code":107`},
		{name: "connect data of another form", frames: []string{`{"id":1,"connect":{"data":[1]}}`}, reply: `"code":107`},
		{name: "a command after a refused connect", frames: []string{`{"id":1,"connect":{"data":[1]}}`, `{"id":2,"ping":{}}`}, code: 3501},
		{name: "the same in one frame", frames: []string{`{"id":1,"connect":{"data":[1]}}` + "\n" + `{"id":2,"ping":{}}`}, reply: `"code":107`, code: 3501},
		{name: "malformed JSON behind a command", frames: []string{connect + "\n" + `{"id":2,`}, reply: `"connect":`, code: 3501},
	}
	for i, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			bad := r.dial(tc.sub)
			bad.t = t
			for _, f := range tc.frames {
				opcode := gws.OpcodeText
				if tc.binary {
					opcode = gws.OpcodeBinary
				}
				if err := bad.conn.WriteMessage(opcode, []byte(f)); err != nil {
					break // The server may have closed after an earlier frame; the code below tells.
				}
			}
			if tc.reply != "" {
				bad.expect(tc.reply)
			}
			if tc.code != 0 {
				bad.expectClose(tc.code)
				r.eventually("the end is written down", func() bool { return r.audit.closed(tc.code) != nil })
			} else if tc.frames[0] == connect {
				bad.send(`{"id":99,"ping":{}}`) // Still served.
				bad.expect(`"id":99`)
			}
			speaker.ask(100+i, fmt.Sprintf(`"publish":{"channel":"news","data":%d}`, i))
			bystander.expect(fmt.Sprintf(`"data":%d`, i))
		})
	}
}

func TestProtobufPublisherOfBadJSON(t *testing.T) {
	r := start(t, open())
	c := r.dial("centrifuge-protobuf")
	// {id:1 connect:{}} and {id:2 publish:{channel:"news" data:"{oops"}}
	frame := "\x04\x08\x01\x22\x00" + "\x11\x08\x02\x3a\x0d\x0a\x04news\x12\x05{oops"
	if err := c.conn.WriteMessage(gws.OpcodeBinary, []byte(frame)); err != nil {
		t.Fatal(err)
	}
	c.expect("bad request: data is not JSON")
}

func TestFloodIsRefusedThenDisconnected(t *testing.T) {
	c := open()
	c.Client.Limits.CommandsPerSecond, c.Client.Limits.CommandBurst, c.Client.Limits.ErrorsBeforeClose = 1, 10, 20
	flooder, _ := start(t, c).handshake()
	frames := [][]byte{maskedFrame(0x81, []byte(`{"id":1,"connect":{"data":{"user":"flooder"}}}`))}
	for i := range 1000 { // More than can be allowed, however slow the server is.
		frames = append(frames, maskedFrame(0x81, fmt.Appendf(nil, `{"id":%d,"ping":{}}`, i+2)))
	}
	flooder.write(frames...)
	refused := 0
	op, payload := flooder.read()
	for ; op == 1; op, payload = flooder.read() {
		refused += bytes.Count(payload, []byte(`"code":111`))
	}
	if op != 8 || !bytes.HasPrefix(payload, binary.BigEndian.AppendUint16(nil, 3013)) || refused < 20 {
		t.Errorf("after %d refusals a frame of kind %d with %q, want it to be closed with 3013", refused, op, payload)
	}
}

func TestFloodOfEmptyCommandsIsDisconnected(t *testing.T) {
	r := start(t, open())
	flooder := r.connect("flooder")
	flooder.send(strings.Repeat("{}\n", 10_000))
	flooder.expectClose(3013)
}

func TestTenThousandSubscriptions(t *testing.T) {
	c := open()
	c.Client.Limits.Channels = 10_000
	c.Client.Limits.CommandsPerSecond = 0
	r := start(t, c)
	one := r.connect("collector")
	for from := 0; from < 10_000; from += 500 {
		var frame strings.Builder
		for i := from; i < from+500; i++ {
			fmt.Fprintf(&frame, `{"id":%d,"subscribe":{"channel":"c%d"}}`+"\n", i+2, i)
		}
		one.send(frame.String())
		one.expect(fmt.Sprintf(`"id":%d,`, from+501))
	}
	if got := one.ask(20_001, `"subscribe":{"channel":"one too many"}`); got.Error == nil || got.Error.Code != 106 {
		t.Errorf("got %+v, want error 106", got)
	}
	if n := r.metric("zenconn_subscriptions"); n != 10_000 {
		t.Errorf("%v subscriptions", n)
	}
	_ = one.conn.NetConn().Close()
	r.eventually("all subscriptions are gone", func() bool { return r.metric("zenconn_subscriptions") == 0 })
	r.eventually("so are the channels", func() bool { return r.metric("zenconn_channels") == 0 })
}

func TestSlowReaderIsCutOffAlone(t *testing.T) {
	t.Parallel() // It mostly waits.
	c := open()
	c.Client.Limits.QueueSize, c.Client.Limits.QueueMessages = 64<<10, 100
	c.Client.Limits.CommandsPerSecond = 0
	r := start(t, c)
	healthy, speaker := r.connect("healthy"), r.connect("speaker")
	healthy.ask(2, `"subscribe":{"channel":"news"}`)

	slow, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	if err := slow.(*net.TCPConn).SetReadBuffer(16 << 10); err != nil { // Else the kernel lets it grow to what the machine allows.
		t.Fatal(err)
	}
	handshake(t, slow, r.addr)
	writeMasked(t, slow, `{"id":1,"connect":{"data":{"user":"slow"}}}`+"\n"+`{"id":2,"subscribe":{"channel":"news"}}`)
	r.eventually("the slow client is there", func() bool { return r.metric("zenconn_subscriptions") == 2 })

	payload := strings.Repeat("x", 16<<10)
	for i := range 1000 { // 16 MB: more than any socket buffer, with the slow client reading nothing.
		speaker.ask(i+2, fmt.Sprintf(`"publish":{"channel":"news","data":{"n":%d,"x":%q}}`, i, payload))
		healthy.expect(fmt.Sprintf(`"n":%d,`, i))
		if r.metric("zenconn_connections") == 2 {
			break
		}
	}
	r.eventually("the slow client is gone", func() bool { return r.audit.closed(3008) != nil })
	if r.metric("zenconn_frames_dropped_total", "slow") == 0 {
		t.Error("the frames that were dropped for the slow client were not counted")
	}
	if r.audit.lost("slow slow") == 0 {
		t.Error("the frames that were dropped for the slow client were not written down")
	}
	speaker.ask(2000, `"publish":{"channel":"news","data":"after"}`)
	healthy.expect(`"after"`)
}

func TestSilentClients(t *testing.T) {
	t.Run("no connect command", func(t *testing.T) {
		t.Parallel()
		c := open()
		c.Client.ConnectTimeout = 300 * time.Millisecond
		start(t, c).dial("").expectClose(3502)
	})
	t.Run("pings answered", func(t *testing.T) {
		t.Parallel()
		c := open()
		c.Client.Ping.Interval, c.Client.Ping.Timeout = time.Second, patience
		alive := start(t, c).connect("alive")
		for range 3 {
			alive.expect(`{}`)
			alive.send(`{}`)
		}
	})
	t.Run("pings not answered", func(t *testing.T) {
		t.Parallel()
		c := open()
		c.Client.Ping.Interval, c.Client.Ping.Timeout = time.Second, 300*time.Millisecond
		start(t, c).connect("dead").expectClose(3012)
	})
}

func TestStalledHandshake(t *testing.T) {
	c := open()
	c.Client.HandshakeTimeout = 200 * time.Millisecond
	r := start(t, c)
	conn, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET /connection/websocket HTTP/1.1\r\nHost: x\r\n"); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.ReadAll(conn); errors.Is(err, os.ErrDeadlineExceeded) { // What comes just when it closes, it answers with a reset.
		t.Errorf("the server did not close a stalled handshake: %v", err)
	}
}

func TestFramesAgainstTheRFC(t *testing.T) {
	r := start(t, open())
	for name, tc := range map[string]struct {
		frame string
		code  byte // Second byte of the closing code 10xx.
	}{
		"an unmasked frame":                {"\x81\x02{}", 0xea},                                               // 1002
		"reserved bits":                    {"\xf1\x82\x00\x00\x00\x00{}", 0xea},                               // 1002
		"a fragmented control frame":       {"\x09\x80\x00\x00\x00\x00", 0xea},                                 // 1002
		"an unknown opcode":                {"\x83\x80\x00\x00\x00\x00", 0xea},                                 // 1002
		"a continuation of nothing":        {"\x80\x80\x00\x00\x00\x00", 0xea},                                 // 1002
		"a length of 2^63":                 {"\x81\xff\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", 0xea}, // 1002
		"a control frame that is too long": {"\x89\xfe\x00\x80\x00\x00\x00\x00" + strings.Repeat("x", 128), 0xea},
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := net.Dial("tcp", r.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			br := handshake(t, conn, r.addr)
			if _, err := io.WriteString(conn, tc.frame); err != nil {
				t.Fatal(err)
			}
			_ = conn.SetReadDeadline(time.Now().Add(patience))
			got, err := io.ReadAll(br)
			if err != nil {
				t.Fatal(err)
			}
			if len(got) < 4 || got[0] != 0x88 || got[2] != 0x03 || got[3] != tc.code {
				t.Errorf("got % x, want a closing frame with 03 %x", got, tc.code)
			}
		})
	}
}

func TestFragmentsAreJoined(t *testing.T) {
	r := start(t, open())
	conn, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	br := handshake(t, conn, r.addr)
	// A text message in three fragments with a ping between them (RFC 6455 §5.4).
	zero := "\x00\x00\x00\x00"
	for _, f := range []string{"\x01\x87" + zero + `{"id":1`, "\x89\x81" + zero + "p", "\x00\x83" + zero + `,"c`, "\x80\x8b" + zero + `onnect":{}}`} {
		if _, err := io.WriteString(conn, f); err != nil {
			t.Fatal(err)
		}
	}
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	pong := make([]byte, 3)
	if _, err := io.ReadFull(br, pong); err != nil || string(pong) != "\x8a\x01p" {
		t.Fatalf("pong: % x, %v", pong, err)
	}
	head := make([]byte, 2)
	if _, err := io.ReadFull(br, head); err != nil || head[0] != 0x81 {
		t.Fatalf("reply: % x, %v", head, err)
	}
}

// handshake upgrades a bare connection.
func handshake(t *testing.T, conn net.Conn, host string) *bufio.Reader {
	t.Helper()
	request := "GET /connection/websocket HTTP/1.1\r\nHost: " + host + "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	br := bufio.NewReader(conn)
	answer, err := http.ReadResponse(br, nil)
	if err != nil || answer.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("handshake: %v, %v", answer, err)
	}
	return br
}

// writeMasked writes a text message with the mask zero.
func writeMasked(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	header := []byte{0x81, 0x80 | byte(min(len(text), 126))}
	if len(text) > 125 {
		header = append(header, byte(len(text)>>8), byte(len(text)))
	}
	if _, err := conn.Write(append(append(header, 0, 0, 0, 0), text...)); err != nil {
		t.Fatal(err)
	}
}

func TestRefusedHandshakes(t *testing.T) {
	c := open()
	c.Client.AllowedOrigins = []string{"https://app.example.com", "https://*.example.org"}
	c.Client.MaxConnections = 1
	r := start(t, c)
	ok := map[string]string{
		"Connection": "keep-alive, Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
		"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
	}
	full := r.connect("first") // Takes the only place.
	_ = full
	for _, tc := range []struct {
		name   string
		method string
		query  string
		header map[string]string
		status int
		says   string
	}{
		{"no upgrade", "GET", "", map[string]string{"Connection": ""}, 426, "WebSocket endpoint"},
		{"a POST", "POST", "", nil, 405, "GET"},
		{"another version", "GET", "", map[string]string{"Sec-WebSocket-Version": "8"}, 426, "13"},
		{"a bad key", "GET", "", map[string]string{"Sec-WebSocket-Key": "short"}, 400, "16 bytes"},
		{"a foreign origin", "GET", "", map[string]string{"Origin": "https://evil.example.com"}, 403, "origin"},
		{"a domain that only ends alike", "GET", "", map[string]string{"Origin": "https://evilexample.org"}, 403, "origin"},
		{"the domain of a wildcard itself", "GET", "", map[string]string{"Origin": "https://example.org"}, 403, "origin"},
		{"another scheme", "GET", "", map[string]string{"Origin": "http://app.example.com"}, 403, "origin"},
		{"the null origin", "GET", "", map[string]string{"Origin": "null"}, 403, "origin"},
		{"both protocol headers", "GET", "", map[string]string{"X-Bin-Protocol": "1", "X-JSON-Protocol": "1"}, 400, "asks for"},
		{"an unknown subprotocol", "GET", "", map[string]string{"Sec-WebSocket-Protocol": "soap"}, 400, "subprotocol"},
		{"an unknown format", "GET", "?format=xml", nil, 400, "format"},
		{"no room, own origin", "GET", "", map[string]string{"Origin": "http://" + r.addr}, 503, "no more connections"},
		{"no room, allowed origin", "GET", "", map[string]string{"Origin": "https://app.example.com"}, 503, "no more connections"},
		{"no room, allowed by wildcard", "GET", "", map[string]string{"Origin": "https://a.b.example.org"}, 503, "no more connections"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			request, err := http.NewRequestWithContext(t.Context(), tc.method, "http://"+r.addr+"/connection/websocket"+tc.query, nil)
			if err != nil {
				t.Fatal(err)
			}
			for k, v := range ok {
				request.Header.Set(k, v)
			}
			for k, v := range tc.header {
				if v == "" {
					request.Header.Del(k)
				} else {
					request.Header.Set(k, v)
				}
			}
			transport := &http.Transport{DisableKeepAlives: true}
			answer, err := transport.RoundTrip(request)
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close()
			body, err := io.ReadAll(answer.Body)
			if err != nil {
				t.Fatal(err)
			}
			if answer.StatusCode != tc.status || !strings.Contains(string(body), tc.says) {
				t.Errorf("got %d %s, want %d and a sentence with %q", answer.StatusCode, body, tc.status, tc.says)
			}
		})
	}
}
