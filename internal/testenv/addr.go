package testenv

import (
	"math/rand/v2"
	"net"
	"strconv"
	"testing"
)

// The ports of FreeAddr: pairs below those that systems give to connections that go out, of which a test makes many while a server is
// away that is to come back on its port; and above the last that browsers and Node.js refuse to connect to (10080; Fetch Standard §2.9).
const (
	firstPort = 10082
	pairs     = (32768 - firstPort) / 2
)

// FreeAddr finds a loopback port nobody listens on. It is for servers that get the number, not the socket, so that they can come back
// on the same port after a restart. No other test gets it before this one has ended: of each pair of ports the test holds the second.
func FreeAddr(t testing.TB) string {
	t.Helper()
	var err error
	for range 100 {
		port := firstPort + 2*rand.IntN(pairs) //nolint:gosec // Not a secret.
		var guard, free net.Listener
		if guard, err = net.Listen("tcp", local(port+1)); err != nil {
			continue
		}
		if free, err = net.Listen("tcp", local(port)); err != nil {
			guard.Close()
			continue
		}
		free.Close()
		t.Cleanup(func() { guard.Close() })
		return free.Addr().String()
	}
	t.Fatalf("no port is free: %v", err)
	return ""
}

func local(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
