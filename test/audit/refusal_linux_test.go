package audit_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/zenconn/server/test/chaos"
	"github.com/zenconn/server/test/server"
)

// A ClickHouse that refuses us keeps nobody from talking: the server says what is wrong, what waits, and when there will be no room for more.
func TestClickHouseThatRefuses(t *testing.T) {
	t.Parallel()
	e := newEngine(t, 256<<20, "alice", "right-secret")
	for name, test := range map[string]struct{ dsn, want string }{
		"wrong password":   {"clickhouse://alice:wrong-secret@" + e.address + "/default", "Authentication failed"},
		"unknown user":     {"clickhouse://bob:right-secret@" + e.address + "/default", "Authentication failed"},
		"unknown database": {"clickhouse://alice:right-secret@" + e.address + "/nowhere", "nowhere"},
	} {
		t.Run(name, func(t *testing.T) {
			s := server.Start(t, server.Options{Config: config + fmt.Sprintf("audit: {mode: durable, on_full: block, spool_size: 1MiB, clickhouse: {dsn: %q}}\n", test.dsn)})
			f := chaos.Board(t, chaos.Load{Subscribers: 5, Channels: 5, Rate: 20, URLs: []string{"ws://" + s.Addr() + "/connection/websocket"}})
			chaos.Await(t, chaos.Patience, "/readyz tells", func() string {
				h := s.Health()
				problem := h.Checks["audit"]
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
