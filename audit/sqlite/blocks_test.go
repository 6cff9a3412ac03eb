package sqlite_test

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/zenconn/server/audit"
	"github.com/zenconn/server/audit/audittest"
)

// older makes a database as the first three migrations leave it, with two messages in it.
func older(t *testing.T, path string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	steps, err := filepath.Glob("migrations/000[1-3]_*.sql")
	if err != nil || len(steps) != 3 {
		t.Fatal(steps, err)
	}
	for _, step := range steps {
		text, err := os.ReadFile(step)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.Exec(string(text)); err != nil {
			t.Fatalf("%s: %v", step, err)
		}
	}
	for i, user := range []string{"alice", "bob"} {
		if _, err := db.Exec(`INSERT INTO audit_messages (at, id, node, namespace, channel, user, session, client_id, "offset", size, deliveries,
			verdict, content_type, payload, tags) VALUES (?, ?, 'n', 'chat', 'chat:old', ?, '', '', 1, 1, 1, 'allow', '', '1', '{}')`,
			fmt.Sprintf("2026-01-0%d 00:00:00.000", i+1), audittest.ID(i).String(), user); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := db.Exec("PRAGMA user_version = 3; PRAGMA application_id = 0x5a434155"); err != nil {
		t.Fatal(err)
	}
}

func TestOlderDatabase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.db")
	older(t, path)
	s := open(t, path)
	messages := audittest.Messages(10, 1000)
	for i, m := range messages {
		if i%4 == 0 {
			m.User = "alice"
		}
	}
	write(t, s, &audit.Batch{Messages: messages})
	for _, q := range []struct{ query, want string }{
		{"SELECT count(*), min(at), max(block) FROM audit_messages WHERE user = 'alice'", `[251,"2026-01-01 00:00:00.000",1]`},
		{"SELECT group_concat(user ORDER BY at) FROM audit_messages WHERE channel = 'chat:old'", `["alice,bob"]`},
	} {
		if got := audittest.Ask(t, s, q.query); !slices.Equal(got, []string{q.want}) {
			t.Errorf("%s: %s, want %s", q.query, got, q.want)
		}
	}
}

// The statistics in the migration are what makes SQLite look into the blocks of an index, instead of reading a table as a whole.
func TestIndexesServeWhoeverAsks(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "audit.db"))
	write(t, s, audittest.Story())
	for _, q := range []struct{ query, plan string }{
		{"SELECT payload FROM audit_messages WHERE user = 'u' ORDER BY at DESC LIMIT 10", "audit_messages_user (ANY(block) AND user=?)"},
		{
			"SELECT payload FROM audit_messages WHERE channel = 'c' AND at BETWEEN '2026-11-21' AND '2026-11-22'",
			"audit_messages_channel (ANY(block) AND channel=? AND at>? AND at<?)",
		},
		{"SELECT * FROM audit_messages WHERE id = 'x'", "audit_messages_id (id=?)"},
		{"SELECT * FROM audit_messages WHERE at >= '2026-11-21' AND at < '2026-11-22'", "audit_messages_at (at>? AND at<?)"},
		{"SELECT * FROM audit_decisions WHERE user = 'u' AND at >= '2026-11-21' ORDER BY at DESC", "audit_decisions_user (ANY(block) AND user=? AND at>?)"},
		{"SELECT * FROM audit_decisions WHERE message = 'x'", "audit_decisions_message (message=?)"},
		{"SELECT * FROM audit_decisions WHERE verdict IN ('reject', 'drop') AND at >= '2026-11-21'", "audit_decisions_verdict (verdict=? AND at>?)"},
		{"DELETE FROM audit_messages WHERE rowid IN (SELECT rowid FROM audit_messages WHERE user = 'u' LIMIT 1000)", "audit_messages_user (ANY(block) AND user=?)"},
	} {
		plan := strings.Join(audittest.Ask(t, s, "EXPLAIN QUERY PLAN "+q.query), "\n")
		if !strings.Contains(strings.ReplaceAll(plan, `\u003e`, ">"), strings.ReplaceAll(q.plan, "<", `\u003c`)) {
			t.Errorf("%s\n%s\nwant %s", q.query, plan, q.plan)
		}
	}
}

func TestBlocksGoOnAfterARestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.db")
	s := open(t, path)
	write(t, s, &audit.Batch{Messages: audittest.Messages(0, 8200), Decisions: audittest.Story().Decisions})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, path)
	write(t, s, &audit.Batch{Messages: audittest.Messages(8200, 1), Decisions: audittest.Story().Decisions})
	got := audittest.Ask(t, s, "SELECT block, count(*) FROM audit_messages GROUP BY block ORDER BY block")
	if want := []string{"[1,8192]", "[2,8]", "[3,1]"}; !slices.Equal(got, want) {
		t.Errorf("blocks of messages: %q, want %q", got, want)
	}
	got = audittest.Ask(t, s, "SELECT block, count(*) FROM audit_decisions GROUP BY block ORDER BY block")
	if want := []string{"[1,2]", "[2,2]"}; !slices.Equal(got, want) {
		t.Errorf("blocks of decisions: %q, want %q", got, want)
	}
}

// A batch is refused as a whole, whatever row of it is bad, and the store goes on.
func TestBatchWithABadRow(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "audit.db"))
	bad := audittest.Messages(0, 3)
	bad[2].Verdict = "maybe"
	if err := s.Write(t.Context(), &audit.Batch{Token: "a", Messages: bad}); err == nil {
		t.Fatal("a verdict that does not exist was stored")
	}
	write(t, s, &audit.Batch{Token: "b", Messages: audittest.Messages(10, 2)})
	if got := audittest.Ask(t, s, "SELECT count(*) FROM audit_messages"); got[0] != "[2]" {
		t.Errorf("%s messages, want 2", got[0])
	}
}
