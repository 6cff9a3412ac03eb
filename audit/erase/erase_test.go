package erase_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/zenconn/server/audit"
	"github.com/zenconn/server/audit/audittest"
	"github.com/zenconn/server/audit/chain"
	"github.com/zenconn/server/audit/erase"
	"github.com/zenconn/server/audit/sqlite"
	"github.com/zenconn/server/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// recorded returns a store with a story and its chain.
func recorded(t *testing.T) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(filepath.Join(t.TempDir(), "audit.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	b, c := audittest.Story(), chain.New("node-1", "node-1/1-a")
	for _, m := range b.Messages {
		c.Message(m)
	}
	for _, session := range b.Sessions {
		c.Session(session)
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
	b.Links = []*audit.Link{c.Link(audittest.Start.Add(time.Minute))}
	if err := s.Write(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	return s
}

func verify(t *testing.T, s *sqlite.Store) *chain.Report {
	t.Helper()
	report, err := chain.Verify(t.Context(), s, chain.VerifyOptions{Now: time.Now().Add(365 * 24 * time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	return report
}

var by = erase.By{Node: "laptop", Actor: "ops"}

func TestUserIsForgotten(t *testing.T) {
	s := recorded(t)
	rows, err := erase.User(t.Context(), s, "alice", by)
	if err != nil || rows["audit_messages"] != 2 || rows["audit_sessions"] != 1 || rows["audit_decisions"] != 1 {
		t.Fatalf("%v, %v", rows, err)
	}
	for _, table := range []string{"audit_messages", "audit_sessions", "audit_decisions"} {
		if got := audittest.Ask(t, s, "SELECT count(*) FROM "+table+" WHERE user = 'alice'"); got[0] != "[0]" {
			t.Errorf("%s has %s rows of the user", table, got[0])
		}
	}
	if got := audittest.Ask(t, s, "SELECT count(*) FROM audit_sessions WHERE user = 'bob'"); got[0] != "[1]" {
		t.Error("another user is gone as well")
	}
	if got := audittest.Ask(t, s, "SELECT at, actor, target, request FROM audit_actions WHERE action = 'disconnect'"); len(got) != 1 ||
		got[0] != audittest.Dated(`["2026-11-21 10:00:06.123","ops","",""]`) {
		t.Errorf("of the action about the user is left %q", got)
	}
	if report := verify(t, s); report.Broken != 0 || report.Erased != 5 {
		t.Errorf("%+v", report)
	}
	if got := audittest.Ask(t, s, "SELECT actor, ok FROM audit_actions WHERE action = 'audit_forget'"); len(got) != 1 || got[0] != `["ops",true]` {
		t.Errorf("the erasure is recorded as %q", got)
	}
	if rows, err := erase.User(t.Context(), s, "alice", by); err != nil || len(rows) != 0 {
		t.Errorf("again: %v, %v", rows, err)
	}
	// An erasure is no pretext for another one.
	if err := s.Delete(t.Context(), "audit_sessions", "user = 'bob'"); err != nil {
		t.Fatal(err)
	}
	if report := verify(t, s); report.Broken != 1 {
		t.Errorf("a session that nobody erased is gone: %+v", report)
	}
}

func TestSignatureIsNeeded(t *testing.T) {
	s := recorded(t)
	if _, err := erase.User(t.Context(), s, "alice", by); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(t.Context(), "audit_actions", "action = 'audit_forget'"); err != nil {
		t.Fatal(err)
	}
	if report := verify(t, s); report.Broken == 0 {
		t.Error("nobody notices that the signature is gone")
	}
}

func TestHostileNames(t *testing.T) {
	s := recorded(t)
	for _, user := range []string{"' OR 1=1 --", `\' OR 1=1 --`, "x\x00", "\xff", "%"} {
		if rows, err := erase.User(t.Context(), s, user, by); err != nil || len(rows) != 0 {
			t.Errorf("%q: %v, %v", user, rows, err)
		}
	}
	if _, err := erase.User(t.Context(), s, "", by); err == nil {
		t.Error("all who are anonymous were forgotten")
	}
}

func TestOldRowsAreRemoved(t *testing.T) {
	s := recorded(t)
	before := audittest.Start.Add(2500 * time.Millisecond)
	if err := erase.Before(t.Context(), s, map[string]time.Time{"audit_messages": before}, by); err != nil {
		t.Fatal(err)
	}
	if got := audittest.Ask(t, s, "SELECT count(*) FROM audit_messages"); got[0] != "[1]" {
		t.Errorf("%s messages are left", got[0])
	}
	if report := verify(t, s); report.Broken != 0 || report.Expired != 1 {
		t.Errorf("%+v", report)
	}
	if err := erase.Before(context.Background(), s, map[string]time.Time{"sqlite_master": before}, by); err == nil {
		t.Error("any table can be trimmed")
	}
}
