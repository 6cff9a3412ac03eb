package clickhouse_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	driver "github.com/ClickHouse/clickhouse-go/v2"
	conn "github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/zenconn/server/audit"
	"github.com/zenconn/server/audit/audittest"
	"github.com/zenconn/server/audit/clickhouse"
)

// connection is one of somebody who may do anything.
func connection(t *testing.T, dsn *url.URL) conn.Conn {
	t.Helper()
	options, err := driver.ParseDSN(dsn.String())
	if err != nil {
		t.Fatal(err)
	}
	c, err := driver.Open(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// Events wait while the tables are not what they should be, and the error names what is wrong; when it is put back they are stored.
func TestAlteredTables(t *testing.T) {
	dsn := database(t)
	s, c := open(t, dsn, 0), connection(t, dsn)
	if err := write(t, s, batch("a", 0, 1)); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ alter, mend, want string }{
		{
			"ALTER TABLE audit_messages MODIFY COLUMN payload UInt8 DEFAULT 0", "ALTER TABLE audit_messages MODIFY COLUMN payload String CODEC(ZSTD(3))",
			"audit_messages.payload is of the type UInt8 instead of String",
		},
		{
			"ALTER TABLE audit_messages RENAME COLUMN client_id TO client", "ALTER TABLE audit_messages RENAME COLUMN client TO client_id",
			"audit_messages.client_id is missing",
		},
		{"RENAME TABLE audit_messages TO gone", "RENAME TABLE gone TO audit_messages", "audit_messages"},
	} {
		t.Run(tt.want, func(t *testing.T) {
			if strings.HasPrefix(tt.alter, "ALTER TABLE audit_messages") { // The views need the column.
				for _, view := range []string{"audit_messages_delivered", "audit_messages_1m_mv"} {
					if err := c.Exec(t.Context(), "DROP VIEW IF EXISTS "+view); err != nil {
						t.Fatal(err)
					}
				}
				if strings.Contains(tt.alter, "payload") {
					if err := c.Exec(t.Context(), "TRUNCATE TABLE audit_messages"); err != nil {
						t.Fatal(err)
					}
				}
			}
			if err := c.Exec(t.Context(), tt.alter); err != nil {
				t.Fatal(err)
			}
			b := batch(tt.want, 10, 3)
			if err := write(t, s, b); err == nil || errors.Is(err, audit.ErrRefused) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Write: %v", err)
			}
			if err := c.Exec(t.Context(), tt.mend); err != nil {
				t.Fatal(err)
			}
			if err := write(t, s, b); err != nil {
				t.Errorf("after it was mended: %v", err)
			}
		})
	}
	if err := c.Exec(t.Context(), "ALTER TABLE audit_messages ADD COLUMN mine String DEFAULT 'x'"); err != nil {
		t.Fatal(err)
	}
	if err := write(t, open(t, dsn, 0), batch("own", 50, 1)); err != nil {
		t.Errorf("with a column of the owner's: %v", err)
	}
}

func TestRetention(t *testing.T) {
	dsn := database(t)
	c := connection(t, dsn)
	const day = 24 * time.Hour
	for _, tt := range []struct {
		keep clickhouse.Keep
		want string // In the definition of audit_messages; empty: no TTL.
	}{
		{clickhouse.Keep{Messages: 90 * day, Decisions: 90 * day, Sessions: 400 * day, Actions: 3 * 365 * day, Counts: 400 * day}, "toIntervalDay(90)"},
		{clickhouse.Keep{Messages: 36 * time.Hour, Counts: day}, "toIntervalSecond(129600)"},
		{clickhouse.Keep{}, ""},
		{clickhouse.Keep{Messages: time.Hour}, "toIntervalSecond(3600)"},
	} {
		s, err := clickhouse.Open(clickhouse.Options{DSN: dsn.String(), Keep: tt.keep})
		if err != nil {
			t.Fatal(err)
		}
		audittest.Ask(t, s, "SELECT 1")
		s.Close()
		var definition string
		if err := c.QueryRow(t.Context(), "SELECT engine_full FROM system.tables WHERE database = currentDatabase() AND name = 'audit_messages'").Scan(&definition); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(definition, tt.want) || tt.want == "" && strings.Contains(definition, "TTL") {
			t.Errorf("%+v: %s", tt.keep, definition)
		}
	}
}

func TestTLSFiles(t *testing.T) {
	const dsn = "clickhouse://default@127.0.0.1:9/db"
	for want, o := range map[string]clickhouse.TLS{
		"audit.clickhouse.tls.ca": {CA: "no-such-file"}, "audit.clickhouse.tls.cert": {Cert: "no-such-file", Key: "no-such-file"},
	} {
		if _, err := clickhouse.Open(clickhouse.Options{DSN: dsn, TLS: o}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v", o, err)
		}
	}
}
