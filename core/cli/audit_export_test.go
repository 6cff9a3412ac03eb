package cli_test

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/zenconn/server/audit"
	"github.com/zenconn/server/audit/audittest"
	"github.com/zenconn/server/core/config"
)

func TestAuditExport(t *testing.T) {
	later := audittest.Messages(3000, 100)
	for _, m := range later {
		m.At = m.At.Add(50 * time.Hour)
	}
	onBothStores(t, func(t *testing.T, environ []string) {
		export := func(args ...string) command {
			got := typed(t, environ, append([]string{"audit", "export"}, args...)...)
			if got.code != 0 || got.stderr != "" {
				t.Errorf("%q: %+v", args, got.stderr)
			}
			return got
		}
		lines := strings.Split(strings.TrimSuffix(export("--until", audittest.Dated("2027-01-01")).stdout, "\n"), "\n")
		if len(lines) != 3102 {
			t.Fatalf("%d lines, want 3102", len(lines))
		}
		last, ids := "", map[string]bool{}
		for _, line := range lines {
			var m struct {
				At, ID, Payload string
				Binary          []byte `json:"payload_base64"`
			}
			if err := json.Unmarshal([]byte(line), &m); err != nil {
				t.Fatal(err)
			}
			if m.At < last {
				t.Errorf("%s comes after %s", m.At, last)
			}
			last, ids[m.ID] = m.At, true
			if m.ID == audittest.ID(1<<20+11).String() && (string(m.Binary) != "\xff\x00\x80" || m.Payload != "") {
				t.Errorf("the bytes are %q: %s", m.Binary, line)
			}
		}
		if len(ids) != 3102 {
			t.Errorf("%d different messages, want 3102", len(ids))
		}
		if got := export("--since", audittest.Dated("2026-11-22"), "--until", audittest.Dated("2027-01-01")); strings.Count(got.stdout, "\n") != 100 {
			t.Errorf("%d lines since the next day, want 100", strings.Count(got.stdout, "\n"))
		}
		if got := export("--table", "sessions", "--out", "sessions.csv", "--until", audittest.Dated("2027-01-01")); got.stdout != "" {
			t.Errorf("%+v", got)
		}
		file, err := os.Open("sessions.csv")
		must(t, err)
		defer file.Close()
		rows, err := csv.NewReader(bufio.NewReader(file)).ReadAll()
		if err != nil || len(rows) != 3 || rows[0][0] != "connected_at" || rows[1][6] != "alice" || rows[2][6] != "bob" {
			t.Errorf("%q, %v", rows, err)
		}
		if got := export("--table", "audit_drops", "--since", "2030-01-01", "--until", "2030-01-02", "--format", "csv"); got.stdout != "at,node,session,user,reason,messages\r\n" {
			t.Errorf("nothing is exported as %q", got.stdout)
		}
		if left, _ := os.ReadDir("."); len(left) > 2 { // data and sessions.csv
			t.Errorf("files are left: %v", left)
		}
	}, &audit.Batch{Token: "a/1", Messages: audittest.Messages(0, 3000)}, &audit.Batch{Token: "a/2", Messages: later}, moved(audittest.Story()))
}

// moved gives the messages of the story identifiers that no others have.
func moved(b *audit.Batch) *audit.Batch {
	b.Messages[0].ID, b.Messages[1].ID = audittest.ID(1<<20+10), audittest.ID(1<<20+11)
	return b
}

func TestAuditExportUsage(t *testing.T) {
	inFolder(t)
	for args, want := range map[string]string{
		"--table users":          `no table "users"`,
		"--format xlsx":          "want ndjson, csv or parquet",
		"--since tomorrow":       "--since",
		"--since 1h --until 2h":  "--since must be before",
		"--out no/such/folder/x": "no audit database",
	} {
		if got := typed(t, nil, append([]string{"audit", "export"}, strings.Fields(args)...)...); got.code == 0 || !strings.Contains(got.stderr, want) {
			t.Errorf("%s: %+v, want %q", args, got, want)
		}
	}
	recorded(t, config.Audit{})
	if got := typed(t, nil, "audit", "export", "--out", "no/such/folder/x"); got.code != 1 || !strings.Contains(got.stderr, "no such file or directory") {
		t.Errorf("%+v", got)
	}
}
