package audittest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/zenconn/server/audit"
)

// question is one that all stores answer alike.
type question struct {
	name, query string
	answer      []string
}

var questions = []question{
	{
		"all columns of messages",
		"SELECT at, id, node, namespace, channel, user, session, client_id, offset, size, deliveries, verdict, content_type FROM audit_messages ORDER BY at",
		[]string{
			`["2026-11-21 10:00:02.123","0193a5b0-0000-7000-8000-00000000000a","node-1","chat","chat:tea","alice","0193a5b0-0000-7000-8000-000000000001","web",1,17,2,"modify","application/json"]`,
			`["2026-11-21 10:00:03.123","0193a5b0-0000-7000-8000-00000000000b","node-1","bin","bin:x","alice","0193a5b0-0000-7000-8000-000000000001","",1152921504606846976,3,0,"drop","application/octet-stream"]`,
		},
	},
	{"tags", "SELECT tags FROM audit_messages ORDER BY at", []string{`[{"a":"\"quoted\"","lang":"de"}]`, `[{}]`}},
	{"payload as text", "SELECT payload FROM audit_messages WHERE channel = 'chat:tea'", []string{`["{\"text\":\"grüße\"}"]`}},
	{"payload as bytes", "SELECT hex(payload) FROM audit_messages WHERE channel = 'bin:x'", []string{`["FF0080"]`}},
	{
		"sessions once, the closed one closed",
		`SELECT connected_at, disconnected_at, session, node, node_epoch, worker, user, transport, protocol, remote_addr, user_agent,
			msgs_in, msgs_out, bytes_in, bytes_out, close_code, close_reason, version FROM audit_sessions ORDER BY connected_at`,
		[]string{
			`["2026-11-21 10:00:00.123","2026-11-21 10:01:00.123","0193a5b0-0000-7000-8000-000000000001","node-1",1763700000,3,"alice","websocket","json","192.0.2.7","Firefox",3,2,150,100,3001,"shutdown",2]`,
			`["2026-11-21 10:00:01.123","1970-01-01 00:00:00.000","0193a5b0-0000-7000-8000-000000000002","node-1",1763700000,0,"bob","websocket","protobuf","2001:db8::1","",0,0,0,0,0,"",1]`,
		},
	},
	{
		"decisions",
		"SELECT at, id, node, hook, plugin, plugin_hash, verdict, reason, user, session, channel, message, remote_addr, latency_us FROM audit_decisions ORDER BY at",
		[]string{
			`["2026-11-21 10:00:04.123","0193a5b0-0000-7000-8000-000000000014","node-1","publish","manners","9f86d081884c","reject","no shouting","alice","0193a5b0-0000-7000-8000-000000000001","chat:tea","0193a5b0-0000-7000-8000-00000000000c","192.0.2.7",1500]`,
			`["2026-11-21 10:00:05.123","0193a5b0-0000-7000-8000-000000000015","node-1","connect","server","","timeout","","","00000000-0000-0000-0000-000000000000","","00000000-0000-0000-0000-000000000000","::",0]`,
		},
	},
	{
		"actions",
		"SELECT at, id, node, actor, actor_kind, action, target, ok, error, remote_addr, request, latency_us FROM audit_actions ORDER BY at",
		[]string{
			`["2026-11-21 10:00:06.123","0193a5b0-0000-7000-8000-00000000001e","node-1","ops","api","disconnect","alice",true,"","127.0.0.1","{\"user\":\"alice\"}",1000]`,
			`["2026-11-21 10:00:07.123","0193a5b0-0000-7000-8000-00000000001f","node-1","ops","api","publish","",false,"bad request","::","",0]`,
		},
	},
	{
		"deliveries add up",
		"SELECT message, node, namespace, channel, sum(deliveries), sum(drops) FROM audit_deliveries GROUP BY message, node, namespace, channel ORDER BY node",
		[]string{
			`["0193a5b0-0000-7000-8000-00000000000a","node-2","chat","chat:tea",7,3]`,
			`["0193a5b0-0000-7000-8000-00000000000a","node-3","chat","chat:tea",1,1]`,
		},
	},
	{
		"messages with the deliveries of all nodes",
		"SELECT id, channel, deliveries, drops, size FROM audit_messages_delivered WHERE user = 'alice' ORDER BY at",
		[]string{`["0193a5b0-0000-7000-8000-00000000000a","chat:tea",10,4,17]`, `["0193a5b0-0000-7000-8000-00000000000b","bin:x",0,0,3]`},
	},
	{
		"a message with the deliveries of all nodes",
		"SELECT deliveries FROM audit_messages_delivered WHERE id = '0193a5b0-0000-7000-8000-00000000000a'",
		[]string{`[10]`},
	},
	{
		"drops",
		"SELECT at, node, session, user, reason, messages FROM audit_drops",
		[]string{`["2026-11-21 10:00:08.123","node-2","0193a5b0-0000-7000-8000-000000000002","bob","oldest",17]`},
	},
	{"times compare", "SELECT count(*) FROM audit_messages WHERE at >= '2026-11-21 10:00:03' AND at < '2026-11-22'", []string{`[1]`}},
	{"identifiers compare", "SELECT user FROM audit_sessions WHERE session = '0193a5b0-0000-7000-8000-000000000002'", []string{`["bob"]`}},
	{"no rows", "SELECT at FROM audit_messages WHERE user = 'nobody'", nil},
}

// Test runs the suite. open returns a fresh and empty store, which the suite closes.
func Test(t *testing.T, open func(t *testing.T) audit.Sink) {
	t.Run("Questions", func(t *testing.T) {
		s := opened(t, open)
		write(t, s, Story())
		for _, q := range questions {
			t.Run(q.name, func(t *testing.T) {
				var want []string
				for _, row := range q.answer {
					want = append(want, Dated(row))
				}
				if got := Ask(t, s, Dated(q.query)); !slices.Equal(got, want) {
					t.Errorf("%s\ngot  %q\nwant %q", q.query, got, want)
				}
			})
		}
	})
	t.Run("Sessions keep the later version", func(t *testing.T) { testSessions(t, opened(t, open)) })
	t.Run("Queries cannot write", func(t *testing.T) {
		s := opened(t, open)
		write(t, s, Story())
		ctx := t.Context()
		if rows, err := s.Query(ctx, "DELETE FROM audit_messages WHERE user = 'alice'"); err == nil {
			for rows.Next() {
			}
			if rows.Err() == nil {
				t.Error("a query deleted messages")
			}
			rows.Close()
		}
		if got := Ask(t, s, "SELECT count(*) FROM audit_messages"); got[0] != "[2]" {
			t.Errorf("after a refused DELETE there are %s messages", got[0])
		}
	})
	t.Run("Mistakes are told", func(t *testing.T) {
		s := opened(t, open)
		rows, err := s.Query(t.Context(), "SELECT nonsense FROM audit_messages")
		if err == nil {
			for rows.Next() {
			}
			err = errors.Join(rows.Err(), rows.Close())
		}
		if err == nil || !strings.Contains(err.Error(), "nonsense") {
			t.Errorf("the error does not name the unknown column: %v", err)
		}
	})
	t.Run("Impossible rows are refused for good", func(t *testing.T) {
		s := opened(t, open)
		wrong := &audit.Batch{Token: "a", Messages: Messages(0, 3)}
		wrong.Messages[1].Verdict = "no such verdict"
		if err := s.Write(t.Context(), wrong); !errors.Is(err, audit.ErrRefused) {
			t.Errorf("Write of an unknown verdict: %v, want ErrRefused", err)
		}
		write(t, s, &audit.Batch{Token: "b", Messages: Messages(0, 3)})
		if got := Ask(t, s, "SELECT count(*) FROM audit_messages"); got[0] != "[3]" {
			t.Errorf("after it and a good batch of 3 there are %s messages", got[0])
		}
	})
	t.Run("A batch that comes again is stored once", func(t *testing.T) {
		s := opened(t, open)
		for range 3 {
			write(t, s, Story())
		}
		for query, answer := range map[string]string{
			"SELECT count(*) FROM audit_messages": "[2]", "SELECT count(*) FROM audit_decisions": "[2]", "SELECT count(*) FROM audit_drops": "[1]",
			"SELECT sum(deliveries) FROM audit_deliveries": "[8]",
		} {
			if got := Ask(t, s, query); !slices.Equal(got, []string{answer}) {
				t.Errorf("%s: %q, want %s", query, got, answer)
			}
		}
	})
	t.Run("An ended context ends a write", func(t *testing.T) {
		s := opened(t, open)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.Write(ctx, &audit.Batch{Token: "t", Messages: Messages(0, 100)}); err == nil || errors.Is(err, audit.ErrRefused) {
			t.Errorf("Write with an ended context: %v", err)
		}
		write(t, s, &audit.Batch{Token: "t", Messages: Messages(0, 100)})
		if got := Ask(t, s, "SELECT count(*) FROM audit_messages"); got[0] != "[100]" {
			t.Errorf("after the second attempt there are %s messages, want 100", got[0])
		}
	})
}

// testSessions writes the records of a session that is lost with its node, comes back with it, and closes, in orders in which they may
// arrive: after each, the store shows the last true word of those it got.
func testSessions(t *testing.T, s audit.Sink) {
	const open, lost, closed = "open", "lost", "closed"
	type said struct {
		what        string
		incarnation uint8
	}
	for n, test := range []struct {
		name   string
		orders [][]said
		want   string // version, close_code
	}{
		{"closed", [][]said{{{open, 0}, {closed, 0}}, {{closed, 0}, {open, 0}}}, "[3,3000]"},
		{"lost", [][]said{{{open, 0}, {lost, 0}}, {{lost, 0}, {open, 0}}}, "[2,1006]"},
		{"closed, and then taken for lost", [][]said{{{open, 0}, {closed, 0}, {lost, 0}}, {{lost, 0}, {open, 0}, {closed, 0}}}, "[3,3000]"},
		{"back", [][]said{{{open, 0}, {lost, 0}, {open, 1}}, {{open, 1}, {lost, 0}, {open, 0}}}, "[4,0]"},
		{"back and closed", [][]said{{{open, 0}, {lost, 0}, {open, 1}, {closed, 1}}, {{closed, 1}, {lost, 0}, {open, 1}, {open, 0}}}, "[6,3000]"},
		{"back and lost again", [][]said{{{open, 0}, {lost, 0}, {open, 1}, {lost, 1}}, {{lost, 1}, {open, 1}, {lost, 0}, {open, 0}}}, "[5,1006]"},
		{"back so often that nobody counts any more", [][]said{{{open, 84}, {lost, 84}, {open, 99}, {closed, 99}}}, "[255,3000]"},
	} {
		for m, order := range test.orders {
			id := ID(100 + 10*n + m)
			for i, one := range order {
				record := &audit.Session{ConnectedAt: Start, Session: id, Node: "node-1", User: "alice"}
				switch one.what {
				case open:
					record.Version = audit.VersionOpen(one.incarnation)
				case lost:
					record.Version, record.DisconnectedAt, record.CloseCode = audit.VersionLost(one.incarnation), Start.Add(time.Second), 1006
				case closed:
					record.Version, record.DisconnectedAt, record.CloseCode = audit.VersionClosed(one.incarnation), Start.Add(time.Second), 3000
				}
				write(t, s, &audit.Batch{Token: fmt.Sprintf("node/%d/%d/%d", n, m, i), Sessions: []*audit.Session{record}})
			}
			query := fmt.Sprintf("SELECT version, close_code FROM audit_sessions WHERE session = '%s'", id)
			if got := Ask(t, s, query); !slices.Equal(got, []string{test.want}) {
				t.Errorf("%s, order %d: got %q, want %s", test.name, m, got, test.want)
			}
		}
	}
}

func opened(t *testing.T, open func(t *testing.T) audit.Sink) audit.Sink {
	t.Helper()
	s := open(t)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

func write(t *testing.T, s audit.Sink, b *audit.Batch) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), answerTime)
	defer cancel()
	if err := s.Write(ctx, b); err != nil {
		t.Fatalf("Write: %v", err)
	}
}
