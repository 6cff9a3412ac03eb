package cli_test

import (
	"strings"
	"testing"
	"time"

	"github.com/zenconn/server/audit"
	"github.com/zenconn/server/audit/audittest"
	"github.com/zenconn/server/audit/chain"
	"github.com/zenconn/server/audit/store"
	"github.com/zenconn/server/core/config"
)

// chained puts all events of a batch into one link, as the way to the store does.
func chained(b *audit.Batch) *audit.Batch {
	c := chain.New("node-1", b.Token)
	for _, m := range b.Messages {
		c.Message(m)
	}
	for _, s := range b.Sessions {
		c.Session(s)
	}
	for _, d := range b.Decisions {
		c.Decision(d)
	}
	for _, a := range b.Actions {
		c.Action(a)
	}
	for _, d := range b.Drops {
		c.Drop(d)
	}
	b.Links = []*audit.Link{c.Link(audittest.Start)}
	return b
}

// cell returns what one question with one value is answered.
func cell(t *testing.T, environ []string, query string) string {
	t.Helper()
	got := typed(t, environ, "audit", "query", "--csv", query)
	_, value, _ := strings.Cut(strings.TrimSuffix(got.stdout, "\r\n"), "\r\n")
	if got.code != 0 {
		t.Errorf("%s: %s", query, got.stderr)
	}
	return value
}

func TestAuditForget(t *testing.T) {
	onBothStores(t, func(t *testing.T, environ []string) {
		forget := func(args ...string) command {
			return typed(t, environ, append([]string{"audit", "forget"}, args...)...)
		}
		if got := forget(); got.code != 2 || !strings.Contains(got.stderr, "--user") {
			t.Errorf("%+v", got)
		}
		if got := forget("--user", "alice"); got.code != 2 || !strings.Contains(got.stderr, "5 rows of the audit are about alice") {
			t.Errorf("without a terminal and --yes: %+v", got)
		}
		if got := forget("--user", "' OR '1'='1", "--yes"); got.code != 0 || got.stdout != "the audit knows no user ' OR '1'='1\n" {
			t.Errorf("%+v", got)
		}
		want := "audit_actions: 1 removed\naudit_decisions: 1 removed\naudit_messages: 2 removed\naudit_sessions: 1 removed\n"
		if got := forget("--user", "alice", "--yes"); got.code != 0 || got.stdout != want || got.stderr != "" {
			t.Errorf("%+v, want %s", got, want)
		}
		for _, table := range []string{"audit_messages", "audit_sessions", "audit_decisions", "audit_actions", "audit_drops"} {
			all := typed(t, environ, "audit", "query", "--json", "SELECT * FROM "+table).stdout
			for _, trace := range []string{"alice", "grüße", "192.0.2.7", "Firefox", "no shouting"} {
				if strings.Contains(all, trace) {
					t.Errorf("%s still says %q: %s", table, trace, all)
				}
			}
		}
		for query, want := range map[string]string{
			"SELECT count(*) FROM audit_sessions WHERE user = 'bob'":            "1",
			"SELECT sum(deliveries) FROM audit_deliveries":                      "8",
			"SELECT count(*) FROM audit_actions WHERE action = 'audit_forget'":  "1",
			"SELECT actor FROM audit_actions WHERE action = 'disconnect'":       "ops",
			"SELECT count(*) FROM audit_erasures":                               "5",
			"SELECT count(*) FROM audit_erasures WHERE kind = 'audit_messages'": "2",
		} {
			if got := cell(t, environ, query); got != want {
				t.Errorf("%s: %s, want %s", query, got, want)
			}
		}
		if got := typed(t, environ, "audit", "verify"); got.code != 0 {
			t.Errorf("the record cannot be verified afterwards: %+v", got)
		}
		if got := forget("--user", "alice", "--yes"); got.stdout != "the audit knows no user alice\n" {
			t.Errorf("a second time: %+v", got)
		}
		if got := forget("--user", "bob", "--yes"); got.code != 0 || !strings.Contains(got.stderr, "seems to be connected") {
			t.Errorf("bob: %+v", got)
		}
	}, chained(audittest.Story()))
}

func TestAuditForgetNeedsAStore(t *testing.T) {
	inFolder(t)
	for _, args := range [][]string{{"forget", "--user", "alice", "--yes"}, {"vacuum"}} {
		if got := typed(t, nil, append([]string{"audit"}, args...)...); got.code != 1 || !strings.Contains(got.stderr, "no audit database") {
			t.Errorf("%q: %+v", args, got)
		}
	}
}

func TestAuditVacuum(t *testing.T) {
	inFolder(t)
	s, err := store.Open(config.Audit{}, "data")
	must(t, err)
	t.Cleanup(func() { s.Close() })
	must(t, s.Write(t.Context(), &audit.Batch{Token: "a/1", Messages: audittest.Messages(0, 5000)}))
	must(t, s.Write(t.Context(), audittest.Story()))
	vacuum := func(want string, args ...string) {
		t.Helper()
		got := typed(t, nil, append([]string{"audit", "vacuum"}, args...)...)
		if got.code != 0 || got.stdout != want || got.stderr != "" {
			t.Errorf("%q: %+v, want %s", args, got, want)
		}
	}
	keep := []string{"--audit.keep.messages=876000h", "--audit.keep.decisions=876000h", "--audit.keep.sessions=876000h", "--audit.keep.actions=876000h"}
	vacuum("nothing is older, or more, than is kept\n", keep...)
	if got := cell(t, nil, "SELECT count(*) FROM audit_actions WHERE action = 'audit_vacuum'"); got != "0" {
		t.Errorf("%s actions were recorded about nothing", got)
	}
	vacuum("audit_messages: 2002 removed\n", append(keep, "--audit.sqlite.retention_rows=3000", "--compact")...)
	if got := cell(t, nil, "SELECT min(at) || ' ' || count(*) FROM audit_messages"); got != audittest.Dated("2026-11-21 10:00:02.124 3000") {
		t.Errorf("what is left: %s", got)
	}
}

func TestAuditVacuumByAge(t *testing.T) {
	inFolder(t)
	s, err := store.Open(config.Audit{}, "data")
	must(t, err)
	t.Cleanup(func() { s.Close() })
	messages := audittest.Messages(0, 10)
	for i, m := range messages {
		m.At = time.Now().Add(time.Duration(-i) * 24 * time.Hour)
	}
	must(t, s.Write(t.Context(), &audit.Batch{Token: "a/1", Messages: messages}))
	got := typed(t, nil, "audit", "vacuum", "--audit.keep.messages=84h")
	if got.code != 0 || got.stdout != "audit_messages: 6 removed\n" {
		t.Errorf("%+v", got)
	}
	if got := cell(t, nil, "SELECT count(*) FROM audit_messages"); got != "4" {
		t.Errorf("%s messages are left, want 4", got)
	}
	if got := typed(t, []string{"ZENCONN_AUDIT__CLICKHOUSE__DSN=clickhouse://127.0.0.1:1/x", "ZENCONN_DEMO=true"}, "audit", "vacuum"); got.code != 1 ||
		!strings.Contains(got.stderr, "ClickHouse removes by itself") {
		t.Errorf("%+v", got)
	}
}

func TestServerRemovesWhatIsTooOld(t *testing.T) {
	inFolder(t)
	s, err := store.Open(config.Audit{}, "data")
	must(t, err)
	messages := audittest.Messages(0, 5000)
	for i, m := range messages {
		if m.At = time.Now(); i < 4500 {
			m.At = time.Now().Add(-100 * 24 * time.Hour)
		}
	}
	must(t, s.Write(t.Context(), &audit.Batch{Token: "a/1", Messages: messages}))
	must(t, s.Close())
	serve(t)
	for deadline := time.Now().Add(patience); cell(t, nil, "SELECT count(*) FROM audit_messages") != "500"; {
		if time.Now().After(deadline) {
			t.Fatalf("%s messages are left, want 500", cell(t, nil, "SELECT count(*) FROM audit_messages"))
		}
		<-time.After(20 * time.Millisecond)
	}
	if got := cell(t, nil, "SELECT actor_kind FROM audit_actions WHERE action = 'audit_vacuum'"); got != "server" {
		t.Errorf("it was recorded as the act of %q", got)
	}
	// A user is forgotten while the server runs and has the file open.
	if got := typed(t, nil, "audit", "forget", "--user", "user-600", "--yes"); got.code != 0 || got.stdout != "audit_messages: 1 removed\n" {
		t.Errorf("%+v", got)
	}
}
