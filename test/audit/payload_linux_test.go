package audit_test

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lxzan/gws"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/zenconn/server/test/chaos"
	"github.com/zenconn/server/test/server"
)

// What clients send in Protobuf mode is in the audit as they sent it, whatever bytes it is made of, in both stores.
func TestPayloads(t *testing.T) {
	t.Parallel()
	const frame = 64 << 10
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	payloads := [][]byte{{0}, []byte("\xff\xfe\x00\x80"), []byte("cut \xc3"), []byte("'; DROP TABLE audit_messages; --\\"), all, bytes.Repeat([]byte{0xff}, frame-32)}
	slices.SortFunc(payloads, bytes.Compare)
	e := newEngine(t, 256<<20)
	for store, dsn := range map[string]string{"SQLite": "", "ClickHouse": e.dsn(e.address)} {
		t.Run(store, func(t *testing.T) {
			s := server.Start(t, server.Options{Config: settings() + fmt.Sprintf("  bin: {subscribe: anyone, publish: anyone, content: binary}\naudit: {clickhouse: {dsn: %q}}\n", dsn)})
			c := dialProtobuf(t, s.Addr())
			if code := c.ask(4, field(4, "'\\é")); code != 0 {
				t.Fatalf("connecting: error %d", code)
			}
			for _, p := range payloads {
				if code := c.ask(7, append(field(1, "bin:x"), field(2, string(p))...)); code != 0 {
					t.Errorf("%d bytes: error %d", len(p), code)
				}
			}
			for name, request := range map[string][]byte{
				"no data": field(1, "bin:x"), "0 bytes": append(field(1, "bin:x"), field(2, "")...),
			} {
				if code := c.ask(7, request); code != 107 {
					t.Errorf("%s: error %d", name, code)
				}
			}
			c.send(7, append(field(1, "bin:\xff"), field(2, "a channel that is no text")...))
			if err := <-c.ended; err == nil || !strings.Contains(err.Error(), "3501") {
				t.Errorf("a channel that is not UTF-8: %v", err)
			}
			var rows []map[string]any
			if dsn != "" {
				e.awaitTables()
			}
			chaos.Await(t, chaos.Patience, "all is in the audit", func() string {
				if rows = s.Audit("SELECT hex(payload) AS payload, size, client_id AS name FROM audit_messages ORDER BY id"); len(rows) < len(payloads) {
					return fmt.Sprintf("%d are", len(rows))
				}
				return ""
			})
			slices.SortFunc(rows, func(a, b map[string]any) int { return cmp.Compare(fmt.Sprint(a["payload"]), fmt.Sprint(b["payload"])) })
			for i, row := range rows {
				want := strings.ToUpper(hex.EncodeToString(payloads[i]))
				if len(rows) != len(payloads) || row["payload"] != want || fmt.Sprint(row["size"]) != fmt.Sprint(len(payloads[i])) || row["name"] != "'\\é" {
					t.Errorf("of %d rows, %d is %.100v, want %.100s", len(rows), i, row, want)
				}
			}
			for _, ask := range [][]string{{"user-history", ""}, {"top-channels"}} {
				if code, _, stderr := server.Execute(t, s.Dir(), append([]string{"audit", "ask", "--data", "data", "--config", "zenconn.yaml"}, ask...)...); code != 0 {
					t.Errorf("%q: %s", ask, stderr)
				}
			}
			s.Stop()
			verifies(t, s)
		})
	}
}

// protobufClient says one thing after the other.
type protobufClient struct {
	gws.BuiltinEventHandler
	t       *testing.T
	conn    *gws.Conn
	id      uint64
	answers chan map[protowire.Number][]byte
	ended   chan error
}

// OnClose implements gws.Event.
func (c *protobufClient) OnClose(_ *gws.Conn, err error) { c.ended <- err }

func dialProtobuf(t *testing.T, addr string) *protobufClient {
	t.Helper()
	c := &protobufClient{t: t, answers: make(chan map[protowire.Number][]byte, 10), ended: make(chan error, 1)}
	conn, _, err := gws.NewClient(c, &gws.ClientOption{ //nolint:bodyclose // The response of an upgrade has no body.
		Addr: "ws://" + addr + "/connection/websocket", RequestHeader: http.Header{"Sec-WebSocket-Protocol": {"centrifuge-protobuf"}},
		HandshakeTimeout: time.Minute, NewDialer: func() (gws.Dialer, error) { return &net.Dialer{}, nil }, // Usually five seconds each.
	})
	if err != nil {
		t.Fatal(err)
	}
	c.conn = conn
	ended := make(chan struct{})
	go func() { defer close(ended); conn.ReadLoop() }()
	t.Cleanup(func() { conn.NetConn().Close(); <-ended })
	return c
}

// field is a length-delimited one.
func field(n protowire.Number, value string) []byte {
	return protowire.AppendString(protowire.AppendTag(nil, n, protowire.BytesType), value)
}

// ask sends a command, whose request has a number in the protocol, and returns the code of the error it is answered with; 0: none.
func (c *protobufClient) ask(what protowire.Number, request []byte) (code uint64) {
	c.t.Helper()
	c.send(what, request)
	for {
		select {
		case answer := <-c.answers:
			if id, _ := protowire.ConsumeVarint(answer[1]); id != c.id {
				continue
			}
			code, _ := protowire.ConsumeVarint(fields(answer[2])[1])
			return code
		case err := <-c.ended:
			c.t.Fatalf("no answer: %v", err)
		case <-time.After(chaos.Patience):
			c.t.Fatal("no answer")
		}
	}
}

func (c *protobufClient) send(what protowire.Number, request []byte) {
	c.t.Helper()
	c.id++
	command := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), c.id)
	command = append(command, field(what, string(request))...)
	if err := c.conn.WriteMessage(gws.OpcodeBinary, append(binary.AppendUvarint(nil, uint64(len(command))), command...)); err != nil {
		c.t.Fatal(err)
	}
}

// OnMessage implements gws.Event.
func (c *protobufClient) OnMessage(_ *gws.Conn, m *gws.Message) {
	defer m.Close() //nolint:errcheck // It only gives a buffer back.
	for rest := bytes.Clone(m.Bytes()); len(rest) > 0; {
		one, n := protowire.ConsumeBytes(rest)
		if n < 0 {
			c.t.Error("the server speaks nonsense")
			return
		}
		c.answers <- fields(one)
		rest = rest[n:]
	}
}

// fields are those of a message: of a number its varint, of anything else its bytes.
func fields(message []byte) map[protowire.Number][]byte {
	all := map[protowire.Number][]byte{}
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return all
		}
		size := protowire.ConsumeFieldValue(number, kind, message[n:])
		if size < 0 {
			return all
		}
		value := message[n : n+size]
		if kind == protowire.BytesType {
			value, _ = protowire.ConsumeBytes(value)
		}
		all[number], message = value, message[n+size:]
	}
	return all
}
