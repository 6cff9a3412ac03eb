package settle_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/zenconn/server/audit"
	"github.com/zenconn/server/audit/audittest"
	"github.com/zenconn/server/audit/clickhouse"
	"github.com/zenconn/server/audit/settle"
	"github.com/zenconn/server/audit/sqlite"
	"github.com/zenconn/server/core"
	"github.com/zenconn/server/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// stores opens each kind of store, empty.
var stores = map[string]func(t *testing.T) audit.Sink{"SQLite": openSQLite, "ClickHouse": openClickHouse}

func openSQLite(t *testing.T) audit.Sink {
	t.Helper()
	s, err := sqlite.Open(filepath.Join(t.TempDir(), "audit.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func openClickHouse(t *testing.T) audit.Sink {
	t.Helper()
	dsn := audittest.ClickHouse(t, testenv.ClickHouse(t))
	s, err := clickhouse.Open(clickhouse.Options{DSN: dsn.String(), Timeout: 5 * time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// inAll runs a test on every kind of store.
func inAll(t *testing.T, test func(*testing.T, audit.Sink)) {
	t.Helper()
	for name, open := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
}

func write(t *testing.T, s audit.Sink, sessions ...*audit.Session) {
	t.Helper()
	if err := s.Write(t.Context(), &audit.Batch{Token: "node/" + rand.Text() + "/1", Sessions: sessions}); err != nil {
		t.Fatal(err)
	}
}

// pages returns all that is found, and how it came.
func pages(t *testing.T, s audit.Sink, scope settle.Scope) (all []*audit.Session, sizes []int) {
	t.Helper()
	for page, err := range settle.Pages(t.Context(), s, scope) {
		if err != nil {
			t.Fatal(err)
		}
		all, sizes = append(all, page...), append(sizes, len(page))
	}
	return all, sizes
}

var (
	start = audittest.Start // An agent's, that looks for what was left.
	epoch = uint64(start.Unix())
)

// opened is a session that is open, of the process that was started an hour before.
func opened(n int, node string, worker uint16, at time.Time) *audit.Session {
	return &audit.Session{
		ConnectedAt: at, Session: audittest.ID(n), Node: node, NodeEpoch: epoch - 3600, Worker: worker, User: "O'Neil \\ 'x", Transport: "websocket",
		Protocol: "json", RemoteAddr: netip.MustParseAddr("192.0.2.7"), UserAgent: "Firefox", Version: audit.VersionOpen(0),
	}
}

// with returns a session that differs.
func with(s *audit.Session, how func(*audit.Session)) *audit.Session {
	how(s)
	return s
}

// Only sessions are found that are open, and whose process must be dead.
func TestWhoIsFound(t *testing.T) {
	t.Parallel()
	before := start.Add(-time.Minute)
	scope := settle.Scope{
		Agents: []string{"host", "old-name"}, Workers: []string{"host-1", "host-2"}, Before: start,
		Living: []settle.Life{{Node: "host", Started: start}, {Node: "host-2", Started: start.Add(-30 * time.Second)}},
	}
	survivor := uint64(start.Add(-30 * time.Second).Unix())
	cases := []struct {
		name    string
		session *audit.Session
		found   bool
	}{
		{"of the agent's life before", opened(0, "host", 0, before), true},
		{"of a worker", opened(0, "host-1", 1, before), true},
		{"under a name of before", opened(0, "old-name", 0, before), true},
		{"of another node", opened(0, "other", 0, before), false},
		{"of a node that came to the agent and has a worker's name", opened(0, "host-1", 0, before), false},
		{"of another agent's worker that has the agent's name", opened(0, "host", 1, before), false},
		{"closed", with(opened(0, "host", 0, before), func(s *audit.Session) { s.Version = audit.VersionClosed(0) }), false},
		{"lost", with(opened(0, "host", 0, before), func(s *audit.Session) { s.Version = audit.VersionLost(0) }), false},
		{"open again", with(opened(0, "host", 0, before), func(s *audit.Session) { s.Version = audit.VersionOpen(1) }), true},
		{"open for the last time", with(opened(0, "host", 0, before), func(s *audit.Session) { s.Version = audit.VersionOpen(audit.MaxIncarnation) }), true},
		{"of the agent itself", with(opened(0, "host", 0, start), func(s *audit.Session) { s.NodeEpoch = epoch }), false},
		{"of the second of the agent's start, but before", with(opened(0, "host", 0, start.Add(-time.Millisecond)), func(s *audit.Session) { s.NodeEpoch = epoch }), true},
		{"of a worker that lives", with(opened(0, "host-2", 2, start.Add(-20*time.Second)), func(s *audit.Session) { s.NodeEpoch = survivor }), false},
		{"of the first moment of a worker that lives", with(opened(0, "host-2", 2, start.Add(-30*time.Second)), func(s *audit.Session) { s.NodeEpoch = survivor }), false},
		{"of the worker that was in its place", opened(0, "host-2", 2, start.Add(-31*time.Second)), true},
		{"of one that was there in the same second", with(opened(0, "host-2", 2, start.Add(-30*time.Second-time.Millisecond)), func(s *audit.Session) { s.NodeEpoch = survivor }), true},
		{"of one that was there beside it", opened(0, "host-2", 2, start.Add(-time.Second)), true},
	}
	var all []*audit.Session
	for i := range cases {
		cases[i].session.Session = audittest.ID(i + 1)
		all = append(all, cases[i].session)
	}
	inAll(t, func(t *testing.T, s audit.Sink) {
		write(t, s, all...)
		found := map[core.ID]audit.Session{}
		list, _ := pages(t, s, scope)
		for _, open := range list {
			found[open.Session] = *open
		}
		for _, tt := range cases {
			open, there := found[tt.session.Session]
			if there != tt.found || there && open != *tt.session {
				t.Errorf("%s: found: %v, %+v", tt.name, there, open)
			}
		}
	})
}

// Whoever begins again finds what is left, and a session that was ended is not found again. Its own word outweighs.
func TestEnded(t *testing.T) {
	t.Parallel()
	inAll(t, func(t *testing.T, s audit.Sink) {
		const many = 2*settle.PageSize + 100
		scope := settle.Scope{Agents: []string{"host"}, Workers: []string{"host-1"}, Before: start}
		var all []*audit.Session
		for n := range many {
			// Most of them began in the same millisecond, which is what the pages must not be confused by.
			at := start.Add(-time.Hour + time.Duration(max(n-many/2, 0))*time.Second/10)
			node := [...]string{"host", "host-1"}[n%2]
			all = append(all, with(opened(n, node, uint16(n%2), at), func(s *audit.Session) { s.Session = core.NewID() })) //nolint:gosec // 0 or 1.
		}
		write(t, s, all...)
		found, sizes := pages(t, s, scope)
		if !slices.Equal(sizes, []int{settle.PageSize, settle.PageSize, 100}) {
			t.Errorf("pages of %v", sizes)
		}
		ids := map[core.ID]bool{}
		for _, open := range found {
			ids[open.Session] = true
		}
		if len(ids) != many {
			t.Fatalf("%d different sessions of %d", len(ids), many)
		}

		seen := start.Add(-30 * time.Minute)
		end := func(sessions []*audit.Session) {
			var ended []*audit.Session
			for _, open := range sessions {
				ended = append(ended, settle.Ended(open, seen, 1006, "lost"))
			}
			write(t, s, ended...)
		}
		end(found[:700]) // And then the process was killed.
		left, _ := pages(t, s, scope)
		if len(left) != many-700 {
			t.Errorf("%d are left", len(left))
		}
		end(found) // Some for the second time.
		if left, sizes := pages(t, s, scope); len(left) != 0 || len(sizes) != 0 {
			t.Errorf("%d are left", len(left))
		}
		const sums = `SELECT count(*), min(version), max(version), min(close_code), max(close_reason), min(disconnected_at) FROM audit_sessions`
		want := fmt.Sprintf(`[%d,2,2,1006,"lost","%s"]`, many, seen.Format("2006-01-02 15:04:05.000"))
		if got := audittest.Ask(t, s, sums); got[0] != want {
			t.Errorf("sessions %s, want %s", got[0], want)
		}
		if got := audittest.Ask(t, s, "SELECT count(*) FROM audit_sessions WHERE disconnected_at < connected_at"); got[0] != "[0]" {
			t.Errorf("%s ended before they began", got[0])
		}
		own := *found[0]
		own.DisconnectedAt, own.CloseCode, own.CloseReason, own.Version = start, 3000, "bye", audit.VersionClosed(0)
		write(t, s, &own)
		end(found[:1])
		if got := audittest.Ask(t, s, "SELECT close_reason FROM audit_sessions WHERE session = '"+own.Session.String()+"'"); got[0] != `["bye"]` {
			t.Errorf("the session's own word is lost: %s", got)
		}
	})
}

// Nobody is asked about nobody.
func TestNobody(t *testing.T) {
	t.Parallel()
	for page, err := range settle.Pages(t.Context(), broken{}, settle.Scope{Before: start}) {
		t.Error(page, err)
	}
}

// The first error ends the search, and is told.
func TestBroken(t *testing.T) {
	t.Parallel()
	n := 0
	for page, err := range settle.Pages(t.Context(), broken{}, settle.Scope{Agents: []string{"host"}, Before: start}) {
		n++
		if page != nil || !errors.Is(err, errBroken) {
			t.Error(page, err)
		}
	}
	if n != 1 {
		t.Errorf("told %d times", n)
	}
}

var errBroken = errors.New("broken")

type broken struct{}

func (broken) Query(context.Context, string) (audit.Rows, error) { return nil, errBroken }

// Among millions of sessions SQLite looks at those only that are open.
func TestIndex(t *testing.T) {
	t.Parallel()
	s := openSQLite(t)
	scope := settle.Scope{Agents: []string{"host"}, Workers: []string{"host-1"}, Before: start, Living: []settle.Life{{Node: "host", Started: start}}}
	plan := strings.Join(audittest.Ask(t, s, "EXPLAIN QUERY PLAN SELECT * FROM audit_sessions "+scope.Clauses()), "\n")
	if !strings.Contains(plan, "USING INDEX audit_sessions_open (node=? AND connected_at") || strings.Contains(plan, "SCAN") {
		t.Errorf("the plan is\n%s", plan)
	}
}
