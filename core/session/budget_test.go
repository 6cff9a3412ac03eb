//go:build !race

// Without the race detector, which allocates too.

package session_test

import (
	"io"
	"testing"

	histories "github.com/zenconn/server/core/history"
)

// TestAllocations holds what a frame of a client may allocate, from its bytes to those of the answer in the socket, with the record for the
// audit and the delivery to the publisher itself.
func TestAllocations(t *testing.T) {
	connect := open(t, histories.NewMemory(histories.Options{}))
	s, _, client := connect()
	go io.Copy(io.Discard, client) //nolint:errcheck // It ends with the connection.
	for _, test := range []struct {
		name, frame string
		most        float64
	}{
		{"the answer to a ping", `{}`, 0},
		{"ping", `{"id":3,"ping":{}}`, 2},
		{"publish, nobody listens", `{"id":3,"publish":{"channel":"empty","data":{"text":"hello"}}}`, 5},
		{"publish, one listens", `{"id":3,"publish":{"channel":"room","data":{"text":"hello"}}}`, 6},
		{"publish with a history", `{"id":3,"publish":{"channel":"kept:room","data":{"text":"hello"}}}`, 7},
		{"presence refused", `{"id":3,"presence":{"channel":"room"}}`, 4},
	} {
		frame := []byte(test.frame)
		handle := func() {
			s.Handle(frame)
			s.Flush()
		}
		for range 100 { // What grows has grown then.
			handle()
		}
		if got := testing.AllocsPerRun(500, handle); got > test.most {
			t.Errorf("%s: %v allocations, want at most %v", test.name, got, test.most)
		}
	}
}
