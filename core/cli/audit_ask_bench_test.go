package cli_test

import (
	"cmp"
	"encoding/csv"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/zenconn/server/audit"
	"github.com/zenconn/server/audit/audittest"
	"github.com/zenconn/server/audit/store"
	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/cli"
	"github.com/zenconn/server/core/config"
	"github.com/zenconn/server/internal/testenv"
)

// BenchmarkAuditAsk asks all questions about a million messages, as a user would, and compares each answer with what was counted when
// the events were made:
//
//	go test -run '^$' -bench AuditAsk -benchtime 3x ./core/cli
func BenchmarkAuditAsk(b *testing.B) {
	b.Run("sqlite", func(b *testing.B) {
		path := filepath.Join(b.TempDir(), "audit.db")
		askWorld(b, config.Audit{SQLite: config.SQLite{Path: path}}, "ZENCONN_AUDIT__SQLITE__PATH="+path)
	})
	b.Run("clickhouse", func(b *testing.B) {
		dsn := clickHouseDatabase(b)
		askWorld(b, config.Audit{ClickHouse: config.ClickHouse{DSN: dsn}}, "ZENCONN_AUDIT__CLICKHOUSE__DSN="+dsn)
	})
}

func askWorld(b *testing.B, audited config.Audit, setting string) {
	b.Chdir(b.TempDir())
	w := newWorld()
	w.load(b, audited)
	environ := []string{setting, "ZENCONN_DEMO=true"}
	noon := w.begin.Add(12 * time.Hour)
	since := w.begin.Format(time.RFC3339Nano)
	for _, q := range []struct {
		name string
		args []string
		want [][]string // The first columns of all rows.
	}{
		{"top-channels", []string{"--since", since, "--limit", "100000"}, w.topChannels()},
		{"user-history", []string{w.user(0), "--limit", "100000"}, w.history(w.user(0))},
		{"denials", []string{"--since", since, "--limit", "100000"}, w.denials()},
		{"connections-at", []string{noon.Format(time.RFC3339Nano), "--limit", "1000000"}, w.connectedAt(noon)},
		{"slow-consumers", []string{"--since", since, "--limit", "100000"}, w.slow()},
		{"message", []string{w.messages[777_777].ID.String()}, w.story(777_777)},
	} {
		b.Run(q.name, func(b *testing.B) {
			var out, failed strings.Builder
			used := time.Hour
			for b.Loop() {
				out.Reset()
				before := testenv.CPU(b)
				if code := cli.RunEnviron(b.Context(), append(append([]string{"audit", "ask", q.name}, q.args...), "--csv"), environ, nil, &out, &failed); code != 0 {
					b.Fatal(failed.String())
				}
				used = min(used, testenv.CPU(b)-before)
			}
			b.StopTimer()
			rows, err := csv.NewReader(strings.NewReader(out.String())).ReadAll()
			must(b, err)
			if rows = rows[1:]; len(rows) != len(q.want) {
				b.Fatalf("%d rows, want %d", len(rows), len(q.want))
			}
			for i, want := range q.want {
				if !slices.Equal(rows[i][:len(want)], want) {
					b.Fatalf("row %d is %q, want %q", i, rows[i], want)
				}
			}
			b.ReportMetric(float64(len(rows)), "rows")
			b.ReportMetric(float64(used.Milliseconds()), "cpu-ms/least")
		})
	}
}

// world is what a busy day leaves.
type world struct {
	begin      time.Time
	messages   []*audit.Message
	sessions   []*audit.Session
	decisions  []*audit.Decision
	deliveries []*audit.Delivery
	drops      []*audit.Drop
}

func (w *world) user(n int) string { return fmt.Sprintf("user-%05d", n) }

func newWorld() *world {
	w := &world{begin: time.Now().Add(-24 * time.Hour).UTC().Truncate(24 * time.Hour)}
	r := rand.New(rand.NewPCG(1, 2))
	channels, users := rand.NewZipf(r, 1.2, 10, 4999), rand.NewZipf(r, 1.1, 50, 19_999)
	at := func() time.Time { return w.begin.Add(time.Duration(r.IntN(86_400_000)) * time.Millisecond) }
	payload := []byte(`{"text":"` + strings.Repeat("hello world ", 16) + `"}`)
	for i := range 1_000_000 {
		w.messages = append(w.messages, &audit.Message{
			At: w.begin.Add(time.Duration(i) * 86 * time.Millisecond), ID: audittest.ID(i), Node: fmt.Sprintf("node-%d", i%4), Namespace: "chat",
			Channel: fmt.Sprintf("chat:room-%04d", channels.Uint64()), User: w.user(int(users.Uint64())), Session: audittest.ID(1<<30 + i%100_000),
			Size: uint32(1 + r.IntN(500)), Deliveries: uint32(r.IntN(50)), Verdict: audit.MessageAllow, ContentType: "application/json", Payload: payload,
		})
	}
	for i := range 200_000 {
		m := w.messages[5*i+2]
		w.deliveries = append(w.deliveries, &audit.Delivery{
			At: m.At, Message: m.ID, Node: "node-x", Namespace: m.Namespace, Channel: m.Channel, Deliveries: uint32(r.IntN(20)), Drops: uint32(r.IntN(2)),
		})
	}
	for i := range 100_000 {
		s := &audit.Session{ConnectedAt: at(), Session: audittest.ID(1<<30 + i), Node: fmt.Sprintf("node-%d", i%4), User: w.user(int(users.Uint64())), Transport: "websocket", Version: 1}
		if r.IntN(3) > 0 {
			s.DisconnectedAt, s.Version = s.ConnectedAt.Add(time.Duration(1+r.IntN(43_200_000))*time.Millisecond), 3
		}
		w.sessions = append(w.sessions, s)
	}
	verdicts := []audit.DecisionVerdict{audit.DecisionAllow, audit.DecisionAllow, audit.DecisionReject, audit.DecisionDrop, audit.DecisionTimeout}
	for i := range 200_000 {
		w.decisions = append(w.decisions, &audit.Decision{
			At: at(), ID: audittest.ID(1<<31 + i), Node: "node-0", Hook: "publish", Plugin: fmt.Sprintf("plugin-%d", r.IntN(5)), PluginHash: "9f86d081884c",
			Verdict: verdicts[r.IntN(len(verdicts))], Reason: fmt.Sprintf("reason %d", r.IntN(7)), User: w.user(int(users.Uint64())),
		})
	}
	reasons := []string{"slow", "oldest", "conflated", "closed"}
	for i := range 100_000 {
		w.drops = append(w.drops, &audit.Drop{
			At: at(), Node: "node-0", Session: audittest.ID(1<<30 + i), User: w.user(int(users.Uint64())), Reason: reasons[r.IntN(4)], Messages: uint32(1 + r.IntN(100)),
		})
	}
	return w
}

func (w *world) load(b *testing.B, audited config.Audit) {
	s, err := store.Open(audited, "data")
	must(b, err)
	defer s.Close()
	n := 0
	write := func(batch *audit.Batch) {
		n++
		batch.Token = fmt.Sprintf("world/%d", n)
		must(b, s.Write(b.Context(), batch))
	}
	for some := range slices.Chunk(w.messages, 50_000) {
		write(&audit.Batch{Messages: some})
	}
	write(&audit.Batch{Sessions: w.sessions, Deliveries: w.deliveries})
	write(&audit.Batch{Decisions: w.decisions, Drops: w.drops})
}

// counted counts by a key; in order of the largest first count, and then of the key.
func counted[E any](events []E, key func(E) string, values ...func(E) int) (rows [][]string) {
	sums := map[string][]int{}
	for _, e := range events {
		k := key(e)
		if k == "" {
			continue
		}
		if sums[k] == nil {
			sums[k] = make([]int, len(values))
		}
		for i, value := range values {
			sums[k][i] += value(e)
		}
	}
	for k, sum := range sums {
		row := strings.Split(k, "|")
		for _, n := range sum {
			row = append(row, strconv.Itoa(n))
		}
		rows = append(rows, row)
	}
	first := len(rows[0]) - len(values)
	slices.SortFunc(rows, func(a, b []string) int {
		x, _ := strconv.Atoi(a[first])
		y, _ := strconv.Atoi(b[first])
		return cmp.Or(cmp.Compare(y, x), slices.Compare(a[:first], b[:first]))
	})
	return rows
}

func one[E any](E) int { return 1 }

func (w *world) topChannels() [][]string {
	rows := counted(w.messages, func(m *audit.Message) string { return m.Channel }, one,
		func(m *audit.Message) int { return int(m.Size) }, func(m *audit.Message) int { return int(m.Deliveries) })
	users := map[string]map[string]bool{}
	for _, m := range w.messages {
		if users[m.Channel] == nil {
			users[m.Channel] = map[string]bool{}
		}
		users[m.Channel][m.User] = true
	}
	others := map[string][]string{}
	for _, row := range counted(w.deliveries, func(d *audit.Delivery) string { return d.Channel },
		func(d *audit.Delivery) int { return int(d.Deliveries) }, func(d *audit.Delivery) int { return int(d.Drops) }) {
		others[row[0]] = row[1:]
	}
	for i, row := range rows {
		deliveries, _ := strconv.Atoi(row[3])
		more, drops := 0, "0"
		if o := others[row[0]]; o != nil {
			more, _ = strconv.Atoi(o[0])
			drops = o[1]
		}
		rows[i] = []string{row[0], row[1], strconv.Itoa(len(users[row[0]])), row[2], strconv.Itoa(deliveries + more), drops}
	}
	return rows
}

func (w *world) history(user string) (rows [][]string) {
	add := func(at time.Time, what string) {
		rows = append(rows, []string{at.UTC().Format("2006-01-02 15:04:05.000"), what})
	}
	for _, m := range w.messages {
		if m.User == user {
			add(m.At, "message")
		}
	}
	for _, s := range w.sessions {
		if s.User == user {
			add(s.ConnectedAt, "connected")
			if s.Version == 3 {
				add(s.DisconnectedAt, "disconnected")
			}
		}
	}
	for _, d := range w.decisions {
		if d.User == user {
			add(d.At, "decision")
		}
	}
	for _, d := range w.drops {
		if d.User == user {
			add(d.At, "not delivered")
		}
	}
	slices.SortFunc(rows, func(a, b []string) int { return cmp.Or(cmp.Compare(b[0], a[0]), cmp.Compare(a[1], b[1])) })
	return rows
}

func (w *world) denials() [][]string {
	return counted(w.decisions, func(d *audit.Decision) string {
		if d.Verdict == audit.DecisionAllow {
			return ""
		}
		return strings.Join([]string{d.Hook, d.Plugin, d.PluginHash, string(d.Verdict), d.Reason}, "|")
	}, one)
}

func (w *world) connectedAt(at time.Time) (rows [][]string) {
	for _, s := range w.sessions {
		if !s.ConnectedAt.After(at) && (s.Version == 1 || s.DisconnectedAt.After(at)) {
			rows = append(rows, []string{s.Node, s.User, s.ConnectedAt.UTC().Format("2006-01-02 15:04:05.000"), s.Session.String()})
		}
	}
	slices.SortFunc(rows, func(a, b []string) int {
		return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[2], b[2]), cmp.Compare(a[3], b[3]))
	})
	for i, row := range rows {
		rows[i] = row[:3]
	}
	return rows
}

func (w *world) slow() [][]string {
	rows := counted(w.drops, func(d *audit.Drop) string {
		if d.Reason == "closed" {
			return ""
		}
		return d.User
	}, func(d *audit.Drop) int { return int(d.Messages) })
	sessions := map[string]map[core.ID]bool{}
	for _, d := range w.drops {
		if d.Reason != "closed" {
			if sessions[d.User] == nil {
				sessions[d.User] = map[core.ID]bool{}
			}
			sessions[d.User][d.Session] = true
		}
	}
	for i, row := range rows {
		rows[i] = []string{row[0], strconv.Itoa(len(sessions[row[0]])), row[1]}
	}
	return rows
}

func (w *world) story(n int) [][]string {
	m := w.messages[n]
	at := m.At.UTC().Format("2006-01-02 15:04:05.000")
	rows := [][]string{{at, "published", "allow", m.Node, m.User, m.Channel}}
	for _, d := range w.deliveries {
		if d.Message == m.ID {
			rows = append(rows, []string{at, "delivered", "", d.Node, "", m.Channel, "", strconv.Itoa(int(d.Deliveries)), strconv.Itoa(int(d.Drops))})
		}
	}
	return rows
}
