package audit_test

import (
	"strings"
	"testing"
	"time"

	"github.com/zenconn/server/audit"
	"github.com/zenconn/server/audit/audittest"
	"github.com/zenconn/server/audit/clickhouse"
	"github.com/zenconn/server/internal/testenv"
)

// A disk that is nearly full takes no rows, before it is so full that a write fails in the middle.
func TestDiskNearlyFull(t *testing.T) {
	t.Parallel()
	e := newEngine(t, 256<<20)
	if e.disk != nil {
		testenv.Skip(t, "a small disk is a tmpfs, which takes root to mount: "+e.disk.Error())
	}
	s, err := clickhouse.Open(clickhouse.Options{DSN: e.dsn(e.address), Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() }) //nolint:errcheck // It is only asked.
	write := func(token string) error {
		return s.Write(t.Context(), &audit.Batch{Token: token, Messages: audittest.Messages(0, 10)})
	}
	if err := write("a/1"); err != nil {
		t.Fatal(err)
	}
	e.rest()
	release := e.fill(32 << 20)
	if err := write("a/2"); err == nil || !strings.Contains(err.Error(), "the disk of ClickHouse is full") {
		t.Errorf("with 32 MiB left: %v", err)
	}
	release()
	if err := write("a/2"); err != nil {
		t.Error(err)
	}
	if n := e.number("count()", "audit_messages"); n != 20 {
		t.Errorf("%d messages are there, want 20", n)
	}
}
