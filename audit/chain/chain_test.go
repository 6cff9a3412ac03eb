package chain_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/zenconn/server/audit"
	"github.com/zenconn/server/audit/audittest"
	"github.com/zenconn/server/audit/chain"
	"github.com/zenconn/server/audit/clickhouse"
	"github.com/zenconn/server/audit/sqlite"
	"github.com/zenconn/server/core"
	"github.com/zenconn/server/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// store is what the tests tamper with.
type store interface {
	audit.Sink
	Delete(ctx context.Context, table, where string) error
}

// stores runs a test with every store.
func stores(t *testing.T, test func(t *testing.T, open func(t *testing.T) store)) {
	t.Run("sqlite", func(t *testing.T) {
		test(t, func(t *testing.T) store {
			s, err := sqlite.Open(filepath.Join(t.TempDir(), "audit.db"))
			return opened(t, s, err)
		})
	})
	t.Run("clickhouse", func(t *testing.T) {
		server := testenv.ClickHouse(t)
		test(t, func(t *testing.T) store {
			s, err := clickhouse.Open(clickhouse.Options{DSN: audittest.ClickHouse(t, server).String(), Timeout: 5 * time.Minute})
			return opened(t, s, err)
		})
	})
}

func opened(t *testing.T, s store, err error) store {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// recorder writes batches with their links, as the spool does.
type recorder struct {
	t     *testing.T
	store store
	chain *chain.Chain
	n     int
}

func record(t *testing.T, s store, life string) *recorder {
	return &recorder{t: t, store: s, chain: chain.New("node-1", "node-1/"+life)}
}

// now is a time at which everything that the tests record was recorded long ago.
var now = audittest.Start.Add(24 * time.Hour)

func (r *recorder) write(b audit.Batch) {
	r.t.Helper()
	for _, m := range b.Messages {
		r.chain.Message(m)
	}
	for _, s := range b.Sessions {
		r.chain.Session(s)
	}
	for _, d := range b.Decisions {
		r.chain.Decision(d)
	}
	for _, a := range b.Actions {
		r.chain.Action(a)
	}
	for _, d := range b.Drops {
		r.chain.Drop(d)
	}
	r.n++
	b.Token = fmt.Sprintf("%s/%d", r.chain.Life(), r.n)
	if l := r.chain.Link(audittest.Start.Add(3*time.Hour + time.Duration(r.n)*time.Minute)); l != nil {
		b.Links = []*audit.Link{l}
	}
	put(r.t, r.store, b)
}

// put writes a batch as it is.
func put(t *testing.T, s store, b audit.Batch) {
	t.Helper()
	if b.Token == "" {
		b.Token = "test/" + rand.Text() + "/1"
	}
	if err := s.Write(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, s store, table, where string) {
	t.Helper()
	if err := s.Delete(t.Context(), table, where); err != nil {
		t.Fatal(err)
	}
}

func verify(t *testing.T, s store, o chain.VerifyOptions) *chain.Report {
	t.Helper()
	if o.Now.IsZero() {
		o.Now = now
	}
	report, err := chain.Verify(t.Context(), s, o)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// extremes are events that stores keep in ways of their own.
func extremes() audit.Batch {
	at := audittest.Start.Add(90 * time.Minute).Add(987_654 * time.Nanosecond)
	return audit.Batch{
		Messages: []*audit.Message{
			{At: at, ID: audittest.ID(900), Offset: 1<<64 - 1, Verdict: audit.MessageAllow, Payload: []byte{0, 0xff}, Decisions: []core.ID{audittest.ID(1), audittest.ID(2)}},
			{At: at, ID: audittest.ID(901), Channel: "\xff'\\", User: "a\x00b", Verdict: audit.MessageDrop, Tags: map[string]string{"\xffx": "<&>\xfe\xfe", "": ""}},
			{At: at, ID: audittest.ID(902), Verdict: audit.MessageModify, Size: 1<<32 - 1, PayloadHash: audit.PayloadHash(nil)},
		},
		Sessions: []*audit.Session{{
			ConnectedAt: at, Session: audittest.ID(903), NodeEpoch: 1<<64 - 1, RemoteAddr: netip.MustParseAddr("fe80::1%eth0"), Version: 255, Worker: 1<<16 - 1,
		}},
		Decisions: []*audit.Decision{
			{At: at, ID: audittest.ID(904), Verdict: audit.DecisionError, Latency: -time.Second, Reason: strings.Repeat("x", 100_000)},
			{At: at, ID: audittest.ID(905), Verdict: audit.DecisionTimeout, Latency: 1<<63 - 1, RemoteAddr: netip.MustParseAddr("::ffff:192.0.2.7")},
		},
		Actions: []*audit.Action{{At: at, ID: audittest.ID(906), OK: true, Request: "{}"}},
		Drops:   []*audit.Drop{{At: at, Session: audittest.ID(907), Messages: 1<<32 - 1}, {At: at, Session: audittest.ID(907), Messages: 1<<32 - 1}},
	}
}

// life records two chains of some hours.
func life(t *testing.T, s store) *chain.Chain {
	t.Helper()
	a, b := record(t, s, "1-a"), record(t, s, "2-b")
	a.write(*audittest.Story())
	a.write(audit.Batch{Messages: audittest.Messages(1000, 500)})
	b.write(audit.Batch{Messages: audittest.Messages(2000, 500)})
	b.write(extremes())
	b.write(audit.Batch{Deliveries: audittest.Story().Deliveries}) // No link.
	a.write(audit.Batch{Messages: audittest.Messages(7_200_000, 500)})
	a.write(audit.Batch{Sessions: []*audit.Session{{ConnectedAt: audittest.Start, Session: core.NewID(), Node: "node-1", Version: 1}}})
	return a.chain
}

func TestChainsVerify(t *testing.T) {
	stores(t, func(t *testing.T, open func(t *testing.T) store) {
		s := open(t)
		if report := verify(t, s, chain.VerifyOptions{}); report.Broken != 0 || report.Links != 0 {
			t.Errorf("an empty store: %+v", report)
		}
		head := life(t, s).Head()
		for name, o := range map[string]chain.VerifyOptions{
			"all": {}, "since a while": {Since: audittest.Start.Add(1200 * time.Millisecond)}, "since an hour": {Since: audittest.Start.Add(80 * time.Minute)},
			"to a head": {Heads: []chain.Head{head}}, "while it is recorded": {Now: audittest.Start.Add(3 * time.Hour)},
		} {
			report := verify(t, s, o)
			if report.Broken != 0 || report.Links == 0 || report.Rows == 0 || report.Pending+report.Expired+report.Erased != 0 {
				t.Errorf("%s: %+v", name, report)
			}
		}
		report := verify(t, s, chain.VerifyOptions{})
		if report.Lives != 2 || report.Links != 6 || report.Events != 1500+10+9+1 || report.Heads[0] == report.Heads[1] {
			t.Errorf("%+v", report)
		}
		parsed, err := chain.ParseHead(head.String())
		if err != nil || parsed != head {
			t.Errorf("the head %s is read as %v, %v", head, parsed, err)
		}
	})
}

func TestTampering(t *testing.T) {
	story := audittest.Story()
	changed := *story.Messages[0]
	changed.Payload = []byte(`{"text":"never said"}`)
	promoted := *story.Sessions[1]
	promoted.User = "mallory"
	where := func(id core.ID) string { return "id = '" + id.String() + "'" }
	for _, tt := range []struct {
		name   string
		tamper func(t *testing.T, s store)
		want   string // What, and where, of a problem.
	}{
		{"a changed message", func(t *testing.T, s store) {
			remove(t, s, "audit_messages", where(changed.ID))
			put(t, s, audit.Batch{Messages: []*audit.Message{&changed}})
		}, "row audit_messages"},
		{"a removed message", func(t *testing.T, s store) { remove(t, s, "audit_messages", where(audittest.ID(1100))) }, "missing row audit_messages"},
		{"an added message", func(t *testing.T, s store) { put(t, s, audit.Batch{Messages: audittest.Messages(99_000, 1)}) }, "unknown row audit_messages"},
		{"a message twice", func(t *testing.T, s store) { put(t, s, audit.Batch{Messages: audittest.Messages(1000, 1)}) }, "unknown row audit_messages"},
		{"a removed decision", func(t *testing.T, s store) { remove(t, s, "audit_decisions", "verdict = 'reject'") }, "missing row audit_decisions"},
		{"a removed action", func(t *testing.T, s store) { remove(t, s, "audit_actions", "action = 'disconnect'") }, "missing row audit_actions"},
		{"one of two equal drops", func(t *testing.T, s store) {
			drops := extremes().Drops
			remove(t, s, "audit_drops", "session = '"+drops[0].Session.String()+"'")
			put(t, s, audit.Batch{Drops: drops[:1]})
		}, "missing row audit_drops"},
		{"a removed session", func(t *testing.T, s store) { remove(t, s, "audit_sessions", "user = 'bob'") }, "missing row audit_sessions"},
		{"a changed session", func(t *testing.T, s store) {
			remove(t, s, "audit_sessions", "user = 'bob'")
			put(t, s, audit.Batch{Sessions: []*audit.Session{&promoted}})
		}, "changed row audit_sessions"},
		{"a session that never ended", func(t *testing.T, s store) {
			remove(t, s, "audit_sessions", "user = 'alice'")
			put(t, s, audit.Batch{Sessions: story.Sessions[:1]})
		}, "changed row audit_sessions"},
		{"an added session", func(t *testing.T, s store) {
			put(t, s, audit.Batch{Sessions: []*audit.Session{{ConnectedAt: audittest.Start, Session: audittest.ID(5000), Version: 1}}})
		}, "unknown row audit_sessions"},
		{"a removed link", func(t *testing.T, s store) { remove(t, s, "audit_chain", "life = 'node-1/1-a' AND number = 2") }, "missing link audit_chain"},
		{"the first link removed", func(t *testing.T, s store) { remove(t, s, "audit_chain", "life = 'node-1/1-a' AND number = 1") }, "missing link audit_chain"},
		{"a link and its rows removed", func(t *testing.T, s store) {
			remove(t, s, "audit_chain", "life = 'node-1/1-a' AND number = 2")
			remove(t, s, "audit_messages", "id IN ("+ids(1000, 500)+")")
		}, "missing link audit_chain"},
		{"a link written anew", func(t *testing.T, s store) {
			remove(t, s, "audit_chain", "life = 'node-1/1-a' AND number = 2")
			remove(t, s, "audit_messages", "id IN ("+ids(1000, 500)+")")
			forged := chain.New("node-1", "node-1/1-a")
			forged.Message(audittest.Messages(1000, 1)[0])
			forged.Link(now)
			forged.Message(audittest.Messages(1000, 1)[0])
			put(t, s, audit.Batch{Messages: audittest.Messages(1000, 1), Links: []*audit.Link{forged.Link(audittest.Start)}})
		}, "changed link audit_chain"},
		{"an erasure that nobody signed", func(t *testing.T, s store) {
			remove(t, s, "audit_messages", where(changed.ID))
			put(t, s, audit.Batch{Erasures: []*audit.Erasure{{
				At: audittest.Start, ID: core.NewID(), Kind: "audit_messages", Event: changed.ID, Content: chain.Of(story.Messages[0]).String(),
			}}})
		}, "unknown erasure audit_erasures"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := onDisk(t)
			life(t, s)
			tt.tamper(t, s)
			report := verify(t, s, chain.VerifyOptions{})
			if report.Broken == 0 || len(report.Problems) == 0 {
				t.Fatal("nobody notices")
			}
			if !slices.ContainsFunc(report.Problems, func(p chain.Problem) bool { return strings.Contains(p.What+" "+p.Where, tt.want) }) {
				t.Errorf("got %v, want %s", report.Problems, tt.want)
			}
		})
	}
}

func ids(first, n int) string {
	var list []string
	for i := range n {
		list = append(list, "'"+audittest.ID(first+i).String()+"'")
	}
	return strings.Join(list, ", ")
}

// The end of a chain proves nothing about what came behind it: for that a head must have been kept elsewhere.
func TestHeads(t *testing.T) {
	s := onDisk(t)
	head := life(t, s).Head()
	remove(t, s, "audit_chain", fmt.Sprintf("life = '%s' AND number = %d", head.Life, head.Number))
	remove(t, s, "audit_sessions", "user = '' AND version = 1")
	if report := verify(t, s, chain.VerifyOptions{}); report.Broken != 0 {
		t.Errorf("without a head: %+v", report)
	}
	report := verify(t, s, chain.VerifyOptions{Heads: []chain.Head{head}})
	if report.Broken != 1 || report.Problems[0].What != "missing link" {
		t.Errorf("with the head: %+v", report)
	}
	for _, bad := range []string{"", "x", "#1:00", "life#x:00", head.String()[:len(head.String())-1]} {
		if _, err := chain.ParseHead(bad); err == nil {
			t.Errorf("%q is taken for a head", bad)
		}
	}
}

func onDisk(t *testing.T) store {
	t.Helper()
	s, err := sqlite.Open(filepath.Join(t.TempDir(), "audit.db"))
	return opened(t, s, err)
}

// What is gone because its time is over is no problem, and neither is what is being written.
func TestWhatMayBeMissing(t *testing.T) {
	s := onDisk(t)
	life(t, s)
	remove(t, s, "audit_messages", audittest.Dated("at < '2026-11-21 10:00:02'"))
	keep := chain.Keep{"audit_messages": 22*time.Hour + 30*time.Minute}
	report := verify(t, s, chain.VerifyOptions{Keep: keep})
	if report.Broken != 0 || report.Expired == 0 {
		t.Errorf("old messages are gone: %+v", report)
	}
	if report := verify(t, s, chain.VerifyOptions{Keep: chain.Keep{"audit_messages": 30 * time.Hour}}); report.Broken == 0 {
		t.Error("messages are gone before their time, and nobody notices")
	}
	late := record(t, s, "3-c")
	late.chain.Message(audittest.Messages(9000, 1)[0])
	put(t, s, audit.Batch{Links: []*audit.Link{late.chain.Link(now.Add(-time.Second))}})
	if report := verify(t, s, chain.VerifyOptions{Keep: chain.Keep{"audit_messages": 23*time.Hour + 59*time.Minute + 55*time.Second}}); report.Broken != 0 || report.Pending != 1 {
		t.Errorf("a message is on its way: %+v", report)
	}
}

// BenchmarkMessage is what the chain costs for each event.
func BenchmarkMessage(b *testing.B) {
	c, m := chain.New("node", "node/1"), audittest.Messages(0, 1)[0]
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		c.Message(m)
		if n++; n%1000 == 0 {
			c.Link(now)
		}
	}
}
