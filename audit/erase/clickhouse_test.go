package erase_test

import (
	"testing"
	"time"

	"github.com/zenconn/server/audit"
	"github.com/zenconn/server/audit/audittest"
	"github.com/zenconn/server/audit/chain"
	"github.com/zenconn/server/audit/clickhouse"
	"github.com/zenconn/server/audit/erase"
	"github.com/zenconn/server/internal/testenv"
)

// On ClickHouse rows are removed by mutations, which must have been made when User returns.
func TestUserIsForgottenByClickHouse(t *testing.T) {
	dsn := audittest.ClickHouse(t, testenv.ClickHouse(t))
	s, err := clickhouse.Open(clickhouse.Options{DSN: dsn.String(), Timeout: 5 * time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
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
	rows, err := erase.User(t.Context(), s, "alice", by)
	if err != nil || rows["audit_messages"] != 2 || rows["audit_sessions"] != 1 || rows["audit_decisions"] != 1 {
		t.Fatalf("%v, %v", rows, err)
	}
	if got := audittest.Ask(t, s, "SELECT (SELECT count() FROM audit_messages WHERE user = 'alice') + (SELECT count() FROM audit_sessions WHERE user = 'alice')"); got[0] != "[0]" {
		t.Errorf("%s rows are left", got[0])
	}
	report, err := chain.Verify(t.Context(), s, chain.VerifyOptions{Now: time.Now().Add(365 * 24 * time.Hour)})
	if err != nil || report.Broken != 0 || report.Erased != 5 {
		t.Errorf("%+v, %v", report, err)
	}
}
