package cli_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/zenconn/server/audit"
	"github.com/zenconn/server/audit/audittest"
	"github.com/zenconn/server/audit/store"
	"github.com/zenconn/server/core/cli"
	"github.com/zenconn/server/core/config"
)

// tailed is a running zenconn audit tail.
type tailed struct {
	out    output
	cancel context.CancelFunc
	code   chan int
}

func tailing(t *testing.T, environ []string, args ...string) *tailed {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r := &tailed{cancel: cancel, code: make(chan int, 1)}
	go func() {
		r.code <- cli.RunEnviron(ctx, append([]string{"audit", "tail"}, args...), environ, strings.NewReader(""), &r.out, &r.out)
	}()
	t.Cleanup(func() {
		cancel()
		if code := <-r.code; code != 0 {
			t.Errorf("audit tail ended with %d: %s", code, r.out.String())
		}
	})
	return r
}

// want waits until the output has so many lines with a text, and not more.
func (r *tailed) want(t *testing.T, lines int, text string) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; {
		n := 0
		for line := range strings.Lines(r.out.String()) {
			if strings.Contains(line, text) {
				n++
			}
		}
		if n == lines {
			return
		}
		if n > lines || time.Now().After(deadline) {
			t.Fatalf("%d lines with %q, want %d:\n%.2000s", n, text, lines, r.out.String())
		}
		<-time.After(20 * time.Millisecond)
	}
}

func TestAuditTail(t *testing.T) {
	test := func(t *testing.T, c config.Audit, environ []string) {
		s, err := store.Open(c, "data")
		must(t, err)
		t.Cleanup(func() { s.Close() })
		n := 0
		write := func(b *audit.Batch) {
			n++
			b.Token = fmt.Sprintf("tail/%d", n)
			must(t, s.Write(t.Context(), b))
		}
		begin := time.Now()
		message := func(id int, after time.Duration, user, text string) *audit.Message {
			return &audit.Message{
				At: begin.Add(after), ID: audittest.ID(id), Node: "n", Channel: "chat:tea", User: user, Verdict: audit.MessageAllow,
				ContentType: "application/json", Payload: []byte(text),
			}
		}
		write(&audit.Batch{Messages: []*audit.Message{message(1, -time.Second, "alice", "before")}})
		since := "--since=" + begin.Format(time.RFC3339Nano)
		all := tailing(t, environ, since, "--json")
		people := tailing(t, environ, since)
		alice := tailing(t, environ, since, "--user", "alice", "--kind", "message,session")
		session := tailing(t, environ, since, "--session", audittest.ID(7).String())
		channel := tailing(t, environ, since, "--channel", "chat:other")
		plugin := tailing(t, environ, since, "--plugin", "manners")
		nobody := tailing(t, environ, since, "--user", "' OR '1'='1")

		open := &audit.Session{ConnectedAt: begin.Add(time.Second), Session: audittest.ID(7), Node: "n", User: "alice", Transport: "websocket", Version: 1}
		write(&audit.Batch{
			Messages: []*audit.Message{message(2, 4*time.Second, "alice", "first"), message(3, 4*time.Second, "bob", "second")},
			Sessions: []*audit.Session{open},
			Decisions: []*audit.Decision{{
				At: begin.Add(time.Second), ID: audittest.ID(8), Hook: "publish", Plugin: "manners", Verdict: audit.DecisionReject,
				Reason: "no\x1b[2Jshouting", User: "bob", Channel: "chat:other",
			}},
			Actions:    []*audit.Action{{At: begin.Add(time.Second), ID: audittest.ID(9), Actor: "ops", ActorKind: "api", Action: "disconnect", Target: "bob", OK: true}},
			Drops:      []*audit.Drop{{At: begin.Add(time.Second), Session: audittest.ID(7), User: "alice", Reason: "oldest", Messages: 17}},
			Deliveries: []*audit.Delivery{{At: begin.Add(time.Second), Message: audittest.ID(2), Node: "m", Deliveries: 1}},
		})
		all.want(t, 2, `{"kind":"message","at":"`)
		// Another node's event, which is older and comes later.
		write(&audit.Batch{Messages: []*audit.Message{message(4, 500*time.Millisecond, "alice", "late")}})
		all.want(t, 3, `{"kind":"message","at":"`)
		for _, one := range []*tailed{people, alice, session} {
			one.want(t, 1, " session ")
		}
		closed := *open
		closed.DisconnectedAt, closed.CloseCode, closed.CloseReason, closed.Version = begin.Add(5*time.Second), 3000, "gone home", 3
		write(&audit.Batch{Sessions: []*audit.Session{&closed}})
		all.want(t, 1, `"close_reason":"gone home"`)
		write(&audit.Batch{Messages: []*audit.Message{message(5, 6*time.Second, "alice", "the last one")}})
		for _, one := range []*tailed{all, people, alice} {
			one.want(t, 1, "the last one")
		}
		// Everything once, after many looks.
		for kind, n := range map[string]int{"message": 4, "session": 2, "decision": 1, "action": 1, "drop": 1} {
			all.want(t, n, `{"kind":"`+kind+`",`)
		}
		all.want(t, 9, "")
		people.want(t, 9, "")
		people.want(t, 1, ` decision bob chat:other reject publish manners no\x1b[2Jshouting`)
		people.want(t, 1, ` drop     alice oldest 17`)
		alice.want(t, 5, "")
		session.want(t, 3, "")
		channel.want(t, 1, "")
		plugin.want(t, 1, "")
		nobody.want(t, 0, "")
	}
	t.Run("SQLite", func(t *testing.T) {
		inFolder(t)
		test(t, config.Audit{}, nil)
	})
	t.Run("ClickHouse", func(t *testing.T) {
		inFolder(t)
		dsn := clickHouseDatabase(t)
		test(t, config.Audit{ClickHouse: config.ClickHouse{DSN: dsn}}, []string{"ZENCONN_AUDIT__CLICKHOUSE__DSN=" + dsn, "ZENCONN_DEMO=true"})
	})
}

func TestAuditTailUsage(t *testing.T) {
	inFolder(t)
	for args, want := range map[string]string{
		"":                                 "no audit database",
		"--kind rumour":                    `there is no kind "rumour"`,
		"--kind action --channel chat:tea": "no kind of event has all of that",
		"--plugin manners --kind message":  "no kind of event has all of that",
		"--since soon":                     "--since",
	} {
		if got := typed(t, nil, append([]string{"audit", "tail"}, strings.Fields(args)...)...); got.code == 0 || !strings.Contains(got.stderr, want) {
			t.Errorf("%s: %+v, want %q", args, got, want)
		}
	}
}
