package worker_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/klauspost/compress/flate"
)

// raw is a WebSocket without a library.
type raw struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
}

// handshake opens a WebSocket with more headers.
func (r *running) handshake(headers ...string) (*raw, *http.Response) {
	r.t.Helper()
	conn, err := net.Dial("tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	fmt.Fprintf(conn, "GET /connection/websocket HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n", r.addr)
	for _, h := range headers {
		fmt.Fprintf(conn, "%s\r\n", h)
	}
	fmt.Fprint(conn, "\r\n")
	in := bufio.NewReader(conn)
	answer, err := http.ReadResponse(in, nil)
	if err != nil || answer.StatusCode != http.StatusSwitchingProtocols {
		r.t.Fatal(answer, err)
	}
	return &raw{r.t, conn, in}, answer
}

// write sends frames at once: after one of them the server may close, and what comes late would find nobody.
func (r *raw) write(frames ...[]byte) {
	r.t.Helper()
	if _, err := r.conn.Write(bytes.Join(frames, nil)); err != nil {
		r.t.Fatal(err)
	}
}

// read reads one frame of at most 64 KiB, not decompressed.
func (r *raw) read() (op byte, payload []byte) {
	r.t.Helper()
	var head [2]byte
	if _, err := io.ReadFull(r.in, head[:]); err != nil {
		r.t.Fatal(err)
	}
	size := int(head[1])
	if size == 126 {
		var long [2]byte
		if _, err := io.ReadFull(r.in, long[:]); err != nil {
			r.t.Fatal(err)
		}
		size = int(binary.BigEndian.Uint16(long[:]))
	}
	payload = make([]byte, size)
	if _, err := io.ReadFull(r.in, payload); err != nil {
		r.t.Fatal(err)
	}
	return head[0] & 0xf, payload
}

// expectClose waits for the closing frame; the reason counts unless it is empty.
func (r *raw) expectClose(code uint16, reason string) {
	r.t.Helper()
	op, payload := r.read()
	if op != 8 || len(payload) < 2 || binary.BigEndian.Uint16(payload) != code || reason != "" && string(payload[2:]) != reason {
		r.t.Errorf("got a frame of kind %d with %q, want it to be closed with %d %s", op, payload, code, reason)
	}
}

// deflatedFrame is a client's text frame with a compressed payload.
func deflatedFrame(payload []byte) []byte {
	var out bytes.Buffer
	w, _ := flate.NewWriter(&out, flate.BestCompression)
	_, _ = w.Write(payload)
	_ = w.Flush()
	return maskedFrame(0xc1, bytes.TrimSuffix(out.Bytes(), []byte{0, 0, 0xff, 0xff}))
}

// maskedFrame is a client's frame; its mask changes nothing.
func maskedFrame(first byte, payload []byte) []byte {
	frame := []byte{first, 0x80 | 127}
	frame = binary.BigEndian.AppendUint64(frame, uint64(len(payload)))
	return append(append(frame, 0, 0, 0, 0), payload...)
}

// fragments cuts a frame that maskedFrame made into n.
func fragments(frame []byte, n int) (all [][]byte) {
	first, payload := frame[0]&^0x80, frame[14:]
	for i := range n {
		part := payload[i*len(payload)/n : (i+1)*len(payload)/n]
		if i == n-1 {
			first |= 0x80
		}
		all = append(all, maskedFrame(first, part))
		first = 0
	}
	return all
}
