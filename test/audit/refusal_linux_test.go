package audit_test

import (
	"bytes"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/zenconn/server/test/chaos"
	"github.com/zenconn/server/test/server"
)

// A ClickHouse that refuses us keeps nobody from talking: the server says what is wrong, what waits, and when there will be no room for more.
func TestClickHouseThatRefuses(t *testing.T) {
	t.Parallel()
	e := newEngine(t, 256<<20, "alice", "right-secret")
	address, old := aged(t, e)
	const credentials = "ClickHouse refuses the user or the password of audit.clickhouse.dsn"
	for name, test := range map[string]struct{ dsn, want string }{
		"wrong password":   {"clickhouse://alice:wrong-secret@" + e.address + "/default", credentials},
		"unknown user":     {"clickhouse://bob:right-secret@" + e.address + "/default", credentials},
		"unknown database": {"clickhouse://alice:right-secret@" + e.address + "/nowhere", "ClickHouse has no database of the name in audit.clickhouse.dsn"},
		"too old":          {"clickhouse://alice:right-secret@" + address + "/default?compress=none", "the server's version is " + old + ", the audit needs 25.6 or newer"},
	} {
		t.Run(name, func(t *testing.T) {
			s := server.Start(t, server.Options{Config: settings() + fmt.Sprintf("audit: {mode: durable, on_full: block, spool_size: 1MiB, clickhouse: {dsn: %q}}\n", test.dsn)})
			f := chaos.Board(t, chaos.Load{Subscribers: 5, Channels: 5, Rate: 20, URLs: []string{"ws://" + s.Addr() + "/connection/websocket"}})
			chaos.Await(t, chaos.Patience, "/readyz tells", func() string {
				h := s.Health()
				problem := h.Checks["spool"]
				if h.Status != "degraded" || !strings.Contains(problem, "wait in the spool") || !strings.Contains(problem, "will be full in") ||
					!strings.Contains(problem, test.want) {
					return fmt.Sprint(h)
				}
				return ""
			})
			grow(t, f, 100)
			f.Verify()
			if strings.Contains(s.Log()+fmt.Sprint(s.Health()), "-secret") {
				t.Error("the log or /readyz shows the password")
			}
			if !strings.Contains(s.Log(), test.want) {
				t.Error("the log does not say what is wrong")
			}
		})
	}
}

// aged is the way to an engine that calls itself version 19 to whoever asks without compression.
func aged(t *testing.T, e *engine) (address, old string) {
	t.Helper()
	var version string
	e.each("SELECT version()", func(row driver.Rows) error { return row.Scan(&version) })
	old = "19" + version[2:]
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	t.Cleanup(func() {
		listener.Close()
		running.Wait()
	})
	pass := func(to, from net.Conn, change func([]byte) []byte) {
		defer to.Close()
		buffer := make([]byte, 64<<10)
		for {
			n, err := from.Read(buffer)
			if err != nil {
				return
			}
			if _, err := to.Write(change(buffer[:n])); err != nil {
				return
			}
		}
	}
	running.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", e.address)
			if err != nil {
				client.Close()
				continue
			}
			running.Go(func() { pass(server, client, func(b []byte) []byte { return b }) })
			running.Go(func() {
				pass(client, server, func(b []byte) []byte { return bytes.ReplaceAll(b, []byte(version), []byte(old)) })
			})
		}
	})
	return listener.Addr().String(), old
}
