// Package benchtest is a network for tests of the load generator that does what no network should.
package benchtest

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// Tamper forwards WebSocket connections to target, host:port, until the test ends, and returns the host:port to connect to. Of
// all frames that carry publications of the bench to clients it passes on what edit makes of them; n counts them from 0 over all
// connections. edit may be called by several goroutines at a time.
func Tamper(t testing.TB, target string, edit func(n int, frame []byte) [][]byte) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var workers sync.WaitGroup
	t.Cleanup(func() {
		l.Close() //nolint:errcheck // Nothing is left to lose.
		workers.Wait()
	})
	var count atomic.Int64
	workers.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return // Closed.
			}
			workers.Go(func() {
				defer client.Close() //nolint:errcheck // Nothing is left to lose.
				server, err := net.Dial("tcp", target)
				if err != nil {
					return
				}
				workers.Go(func() {
					io.Copy(server, client) //nolint:errcheck // Ends when either side does.
					server.Close()          //nolint:errcheck // Nothing is left to lose.
				})
				forward(client, server, func(frame []byte) [][]byte {
					if !bytes.Contains(frame, []byte("zcb:")) {
						return [][]byte{frame}
					}
					return edit(int(count.Add(1))-1, frame)
				})
			})
		}
	})
	return l.Addr().String()
}

// forward passes on the answer to the handshake and then frame by frame.
func forward(client io.Writer, server io.Reader, edit func([]byte) [][]byte) {
	in := bufio.NewReader(server)
	for line := []byte("..."); len(line) > len("\r\n"); {
		var err error
		if line, err = in.ReadBytes('\n'); err != nil {
			return
		}
		if _, err := client.Write(line); err != nil {
			return
		}
	}
	for {
		frame, err := readFrame(in)
		if err != nil {
			return
		}
		for _, f := range edit(frame) {
			if _, err := client.Write(f); err != nil {
				return
			}
		}
	}
}

// readFrame reads a frame of a server: without a mask.
func readFrame(in *bufio.Reader) ([]byte, error) {
	frame := make([]byte, 2)
	if _, err := io.ReadFull(in, frame); err != nil {
		return nil, err
	}
	length, more := uint64(frame[1]), 0
	switch length {
	case 126:
		more = 2
	case 127:
		more = 8
	}
	if more > 0 {
		var wide [8]byte
		if _, err := io.ReadFull(in, wide[8-more:]); err != nil {
			return nil, err
		}
		length = binary.BigEndian.Uint64(wide[:])
		frame = append(frame, wide[8-more:]...)
	}
	head := len(frame)
	frame = append(frame, make([]byte, length)...)
	_, err := io.ReadFull(in, frame[head:])
	return frame, err
}
