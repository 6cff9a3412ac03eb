package audit_test

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/zenconn/server/test/chaos"
	"github.com/zenconn/server/test/server"
)

// noise is a payload that takes its size in the spool.
func noise(t *testing.T) string {
	t.Helper()
	b := make([]byte, 10_000)
	rand.Read(b)
	return hex.EncodeToString(b)
}

// speakAway publishes until more says that it is enough, and returns what was acknowledged.
func speakAway(t *testing.T, c *chaos.Client, more func(published int, err error) bool) map[string]bool {
	t.Helper()
	acknowledged := map[string]bool{}
	for n := 0; ; n++ {
		payload := noise(t)
		err := c.Publish("x", payload)
		if err == nil {
			acknowledged[fmt.Sprintf("%q", payload)] = true
		}
		if !more(n+1, err) {
			return acknowledged
		}
		if n > 10_000 {
			t.Fatal("it is never enough")
		}
	}
}

// arrived waits until an engine that has come back has all but so many of the acknowledged messages, and checks that it has each once.
func arrived(t *testing.T, e *engine, acknowledged map[string]bool, lost int) {
	t.Helper()
	e.awaitTables()
	there, missing := map[string]int{}, 0
	// The number of rows says little: a message that was refused may have been stored all the same.
	chaos.Await(t, chaos.Patience, "what waited is stored", func() string {
		clear(there)
		e.each("SELECT payload FROM audit_messages", func(row driver.Rows) error {
			var payload string
			err := row.Scan(&payload)
			there[payload]++
			return err
		})
		missing = 0
		for payload := range acknowledged {
			if there[payload] == 0 {
				missing++
			}
		}
		if missing > lost {
			return fmt.Sprintf("%d of %d are missing", missing, len(acknowledged))
		}
		return ""
	})
	for _, n := range there {
		if n != 1 {
			t.Errorf("a message is there %d times", n)
		}
	}
	if missing != lost {
		t.Errorf("%d messages are missing, want %d", missing, lost)
	}
}

// When the spool is full, publishers wait and are refused, and nothing that was acknowledged is lost; or all go on, and what is lost is
// counted. When the store is back, so is everything else.
func TestSpoolFull(t *testing.T) {
	t.Parallel()
	start := func(t *testing.T, audit string) (*engine, *server.Server, *chaos.Client) {
		t.Helper()
		e := newEngine(t, 512<<20)
		e.kill()
		s := server.Start(t, server.Options{Config: settings() + fmt.Sprintf("audit: {%s, spool_size: 1MiB, clickhouse: {dsn: %q}}\n", audit, e.dsn(e.address))})
		return e, s, chaos.Join(t, chaos.Who{URL: "ws://" + s.Addr() + "/connection/websocket", User: "speaker"})
	}
	t.Run("block", func(t *testing.T) {
		t.Parallel()
		e, s, c := start(t, "mode: durable, on_full: block")
		acknowledged := speakAway(t, c, func(published int, err error) bool {
			if err != nil && !strings.Contains(err.Error(), "messages cannot be recorded at the moment") {
				t.Fatal(err)
			}
			return err == nil || published < 20 // So early the machine may have stood still for as long as a publisher waits.
		})
		if len(acknowledged) < 10 {
			t.Errorf("%d messages were acknowledged before the spool was full", len(acknowledged))
		}
		chaos.Await(t, chaos.Patience, "/readyz tells of the spool", func() string {
			if problem := s.Health().Checks["spool"]; !strings.Contains(problem, "wait in the spool") {
				return "it says: " + problem
			}
			return ""
		})
		e.start()
		for payload := range speakAway(t, c, func(_ int, err error) bool { return err != nil }) {
			acknowledged[payload] = true
		}
		if n := metric(t, s, "zenconn_audit_dropped_total"); n != 0 {
			t.Errorf("%.0f events were dropped", n)
		}
		arrived(t, e, acknowledged, 0)
	})
	t.Run("drop", func(t *testing.T) {
		t.Parallel()
		e, s, c := start(t, "mode: fast, on_full: drop, queue: 20, batch_events: 10")
		acknowledged := speakAway(t, c, func(_ int, err error) bool {
			if err != nil {
				t.Fatal(err)
			}
			return metric(t, s, "zenconn_audit_dropped_total") < 10
		})
		lost := int(metric(t, s, "zenconn_audit_dropped_total"))
		e.start()
		arrived(t, e, acknowledged, lost)
		if n := int(metric(t, s, "zenconn_audit_dropped_total")); n != lost {
			t.Errorf("%d events were dropped when the store was back", n-lost)
		}
	})
}
