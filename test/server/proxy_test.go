package server_test

import (
	"bufio"
	"io"
	"net"
	"testing"

	"github.com/zenconn/server/test/server"
)

// echo serves every connection by sending back what it gets.
func echo(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				io.Copy(c, c) //nolint:errcheck // It ends when the connection does.
			}()
		}
	}()
	return l.Addr().String()
}

func TestProxyCutsAndRestores(t *testing.T) {
	p := server.NewProxy(t, echo(t))

	before, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer before.Close()
	say(t, before, "hello\n")

	p.Cut()
	if _, err := before.Read(make([]byte, 1)); err == nil {
		t.Fatal("a cut connection still delivers")
	}
	// The handshake is made by the kernel; it is the first read that shows the cut.
	if during, err := net.Dial("tcp", p.Addr()); err == nil {
		if _, err := during.Read(make([]byte, 1)); err == nil {
			t.Fatal("a connection made during the cut delivers")
		}
		during.Close()
	}

	p.Restore()
	after, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer after.Close()
	say(t, after, "again\n")
	if err := after.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(after); err != nil || len(rest) != 0 {
		t.Fatalf("an orderly close became %q, %v", rest, err)
	}
}

func say(t *testing.T, c net.Conn, line string) {
	t.Helper()
	if _, err := io.WriteString(c, line); err != nil {
		t.Fatal(err)
	}
	if got, err := bufio.NewReader(c).ReadString('\n'); err != nil || got != line {
		t.Fatalf("said %q, got %q, %v", line, got, err)
	}
}
