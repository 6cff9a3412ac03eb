package cli_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/zenconn/server/audit"
	"github.com/zenconn/server/audit/ask"
	"github.com/zenconn/server/audit/audittest"
	"github.com/zenconn/server/audit/store"
	"github.com/zenconn/server/core/config"
)

// onBothStores runs a test with a store of each kind that holds the batches.
func onBothStores(t *testing.T, test func(t *testing.T, environ []string), batches ...*audit.Batch) {
	fill := func(t *testing.T, c config.Audit) {
		s, err := store.Open(c, "data")
		must(t, err)
		t.Cleanup(func() { s.Close() })
		for _, b := range batches {
			must(t, s.Write(t.Context(), b))
		}
	}
	t.Run("SQLite", func(t *testing.T) {
		inFolder(t)
		fill(t, config.Audit{})
		test(t, nil)
	})
	t.Run("ClickHouse", func(t *testing.T) {
		inFolder(t)
		dsn := clickHouseDatabase(t)
		fill(t, config.Audit{ClickHouse: config.ClickHouse{DSN: dsn}})
		test(t, []string{"ZENCONN_AUDIT__CLICKHOUSE__DSN=" + dsn, "ZENCONN_DEMO=true"})
	})
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestAuditAsk(t *testing.T) {
	tests := []struct{ args, want string }{
		{"top-channels --since 2026-11-21", "channel,messages,users,bytes,deliveries,drops|bin:x,1,1,3,0,0|chat:tea,1,1,17,10,4"},
		{"top-channels --since 2026-11-21 --until 10:00", "channel,messages,users,bytes,deliveries,drops"},
		{"user-history alice", "at,what,verdict,channel,detail,node,session|" +
			"2026-11-21 10:01:00.123,disconnected,,,3001 shutdown,node-1,0193a5b0-0000-7000-8000-000000000001|" +
			"2026-11-21 10:00:06.123,action,ok,,disconnect by api ops,node-1,|" +
			"2026-11-21 10:00:04.123,decision,reject,chat:tea,publish by manners 9f86d081884c: no shouting,node-1,0193a5b0-0000-7000-8000-000000000001|" +
			"2026-11-21 10:00:03.123,message,drop,bin:x,0xff0080,node-1,0193a5b0-0000-7000-8000-000000000001|" +
			"2026-11-21 10:00:02.123,message,modify,chat:tea,\"{\"\"text\"\":\"\"grüße\"\"}\",node-1,0193a5b0-0000-7000-8000-000000000001|" +
			"2026-11-21 10:00:00.123,connected,,,websocket from 192.0.2.7 Firefox,node-1,0193a5b0-0000-7000-8000-000000000001"},
		{"user-history bob", "at,what,verdict,channel,detail,node,session|" +
			"2026-11-21 10:00:08.123,not delivered,oldest,,17 messages,node-2,0193a5b0-0000-7000-8000-000000000002|" +
			"2026-11-21 10:00:01.123,connected,,,websocket from 2001:db8::1 ,node-1,0193a5b0-0000-7000-8000-000000000002"},
		{"denials --since 2026-11-21", "hook,plugin,plugin_hash,verdict,reason,n,users,latest|connect,server,,timeout,,1,1,2026-11-21 10:00:05.123|" +
			"publish,manners,9f86d081884c,reject,no shouting,1,1,2026-11-21 10:00:04.123"},
		{"connections-at 2026-11-21T10:00:00.500Z", "node,user,connected_at,disconnected_at,transport,remote_addr,session|" +
			"node-1,alice,2026-11-21 10:00:00.123,2026-11-21 10:01:00.123,websocket,192.0.2.7,0193a5b0-0000-7000-8000-000000000001"},
		{"connections-at 2026-11-21T10:02", "node,user,connected_at,disconnected_at,transport,remote_addr,session|" +
			"node-1,bob,2026-11-21 10:00:01.123,1970-01-01 00:00:00.000,websocket,2001:db8::1,0193a5b0-0000-7000-8000-000000000002"},
		{"slow-consumers --since 2026-11-21", "user,sessions,lost,when_disconnected,oldest,conflated,latest|bob,1,17,0,17,0,2026-11-21 10:00:08.123"},
		{"message 0193a5b0-0000-7000-8000-00000000000a", "at,what,verdict,node,user,channel,detail,deliveries,drops|" +
			"2026-11-21 10:00:02.123,published,modify,node-1,alice,chat:tea,\"{\"\"text\"\":\"\"grüße\"\"}\",2,0|" +
			"2026-11-21 10:00:02.123,delivered,,node-2,,chat:tea,,7,3|2026-11-21 10:00:02.123,delivered,,node-3,,chat:tea,,1,1"},
		{"message 0193a5b0-0000-7000-8000-00000000000c", "at,what,verdict,node,user,channel,detail,deliveries,drops|" +
			"2026-11-21 10:00:04.123,publish,reject,node-1,alice,chat:tea,manners 9f86d081884c: no shouting,0,0"},
	}
	onBothStores(t, func(t *testing.T, environ []string) {
		for _, test := range tests {
			args := append(append([]string{"audit", "ask"}, strings.Fields(audittest.Dated(test.args))...), "--csv")
			if i := slices.Index(args, "10:00"); i > 0 {
				args[i] = audittest.Dated("2026-11-21 10:00")
			}
			got := typed(t, environ, args...)
			want := audittest.Dated(test.want)
			if out := strings.TrimSuffix(strings.ReplaceAll(got.stdout, "\r\n", "|"), "|"); out != want || got.code != 0 || got.stderr != "" {
				t.Errorf("%s\ngot  %s %s\nwant %s", test.args, out, got.stderr, want)
			}
		}
	}, audittest.Story())
}

func TestAuditAskKeepsToTheLimit(t *testing.T) {
	onBothStores(t, func(t *testing.T, environ []string) {
		got := typed(t, environ, "audit", "ask", "user-history", "user-1", "--limit", "2", "--json")
		if strings.Count(got.stdout, "\n") != 2 || !strings.Contains(got.stderr, "more than 2 rows") {
			t.Errorf("%+v", got)
		}
		got = typed(t, environ, "audit", "ask", "user-history", "user-1", "--limit", "3", "--json")
		if strings.Count(got.stdout, "\n") != 3 || got.stderr != "" {
			t.Errorf("%+v", got)
		}
	}, &audit.Batch{Token: "a/1", Messages: audittest.Messages(0, 3000)})
}

// hostile are names that users choose and SQL would misunderstand, if it ever saw them.
var hostile = []string{
	`'`, `''`, `\'`, `\`, `\\'`, `"`, "`", `x' OR '1'='1`, `x'; DROP TABLE audit_messages; --`, `x\'; DROP TABLE audit_messages; --`,
	`' UNION ALL SELECT * FROM audit_messages --`, `/*`, `--`, `;`, `?`, `$1`, `@about`, `@limit`, `:about`, `{about:String}`, `{}`, `%`, `_`,
	"line\nbreak", "tab\tand\rreturn", "nul\x00", "\\N", "\\x27", "NULL", "\u2019", "\u02bc", "日本", "'||(SELECT user FROM audit_sessions)||'",
	"\xff'", strings.Repeat("'", 1000),
}

func TestAuditAskTakesNamesAsNames(t *testing.T) {
	at := audittest.Start
	story := &audit.Batch{Token: "hostile/1"}
	for i, name := range hostile {
		story.Messages = append(story.Messages, &audit.Message{
			At: at, ID: audittest.ID(1000 + i), Node: name, Namespace: name, Channel: name, User: name, ClientID: name, Verdict: audit.MessageAllow,
			ContentType: "application/json", Payload: []byte(name),
		})
		story.Sessions = append(story.Sessions, &audit.Session{ConnectedAt: at, Session: audittest.ID(2000 + i), Node: "n", User: name, UserAgent: name, Version: 1})
		story.Decisions = append(story.Decisions, &audit.Decision{
			At: at, ID: audittest.ID(3000 + i), Hook: "publish", Plugin: name, Verdict: audit.DecisionReject, Reason: name, User: name, Channel: name,
			Message: audittest.ID(1000 + i),
		})
		story.Actions = append(story.Actions, &audit.Action{At: at, ID: audittest.ID(4000 + i), Actor: name, ActorKind: "api", Action: "disconnect", Target: name})
		story.Drops = append(story.Drops, &audit.Drop{At: at, Session: audittest.ID(2000 + i), User: name, Reason: "slow", Messages: 1})
	}
	onBothStores(t, func(t *testing.T, environ []string) {
		rows := func(args ...string) int {
			got := typed(t, environ, append([]string{"audit", "ask", args[0], "--json"}, args[1:]...)...)
			if got.code != 0 || got.stderr != "" {
				t.Errorf("%q: %s", args, got.stderr)
			}
			return strings.Count(got.stdout, "\n")
		}
		for i, name := range hostile {
			if n := rows("user-history", "--", name); n != 5 {
				t.Errorf("the history of %q has %d rows, want 5", name, n)
			}
			if n := rows("message", audittest.ID(1000+i).String()); n != 2 {
				t.Errorf("the story of the message of %q has %d rows, want 2", name, n)
			}
		}
		for _, args := range [][]string{
			{"top-channels", "--since", "2026-11-21"}, {"denials", "--since", "2026-11-21"}, {"slow-consumers", "--since", "2026-11-21"},
			{"connections-at", "2026-11-21 11:00"},
		} {
			args[len(args)-1] = audittest.Dated(args[len(args)-1])
			if n := rows(args...); n != len(hostile) {
				t.Errorf("%q has %d rows, want %d", args, n, len(hostile))
			}
		}
	}, story)
	for _, name := range hostile {
		for _, args := range [][]string{
			{"audit", "ask", "message", "--", name}, {"audit", "ask", "connections-at", "--", name},
			{"audit", "ask", "top-channels", "--since=" + name}, {"audit", "ask", "denials", "--until=" + name},
		} {
			if got := typed(t, nil, args...); got.code != 2 || got.stdout != "" {
				t.Errorf("%q is taken: %+v", args, got)
			}
		}
	}
}

func TestAuditAskUsage(t *testing.T) {
	inFolder(t)
	for args, want := range map[string]string{
		"":                                 "say which: connections-at, denials, message, slow-consumers, top-channels, user-history",
		"user-history":                     "give it a USER; for example\n  zenconn audit ask user-history alice",
		"user-history a b":                 "2 arguments, want one: a USER; put quotes around one with spaces",
		"message nonsense":                 `"nonsense" is not the identifier of a message`,
		"connections-at noon":              `"noon" is not a time`,
		"connections-at 14:03 --since 24h": "unknown flag",
		"denials --limit 0":                "--limit",
		"denials --since 1h --until 2h":    "--since must be before --until",
		"denials --since soon":             `--since: "soon" is not a time`,
		"top-chanels":                      "did you mean top-channels?",
		"top-channels --json --csv":        "csv",
	} {
		if got := typed(t, nil, append([]string{"audit", "ask"}, strings.Fields(args)...)...); got.code != 2 || !strings.Contains(got.stderr, want) {
			t.Errorf("%s: %+v, want %q", args, got, want)
		}
	}
}

func TestParseTime(t *testing.T) {
	now := time.Date(2026, 11, 21, 14, 30, 0, 0, time.FixedZone("", 3600))
	for text, want := range map[string]string{
		"2026-11-20": "2026-11-20 00:00:00", "2026-11-20 14:03": "2026-11-20 14:03:00", "2026-11-20T14:03": "2026-11-20 14:03:00",
		"2026-11-20 14:03:05": "2026-11-20 14:03:05", "2026-11-20T14:03:05+02:00": "2026-11-20 12:03:05", "12:00": "2026-11-21 12:00:00",
		"90m": "2026-11-21 12:00:00", "7d": "2026-11-14 13:30:00",
	} {
		got, err := ask.ParseTime(text, now)
		if err != nil || got.Format(time.DateTime) != want {
			t.Errorf("%s: %v, %v; want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "-1h", "noon", "2026-13-01", "999999d", "25:00"} {
		if got, err := ask.ParseTime(text, now); err == nil {
			t.Errorf("%q is taken for %v", text, got)
		}
	}
}
