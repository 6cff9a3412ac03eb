package audit_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zenconn/server/audit"
	"github.com/zenconn/server/audit/clickhouse"
	"github.com/zenconn/server/audit/spool"
	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/bus"
	"github.com/zenconn/server/core/config"
	"github.com/zenconn/server/test/chaos"
	"github.com/zenconn/server/test/server"
)

// chatter makes up what happens in an installation, and counts for itself what the named questions ask about.
type chatter struct {
	begin, end time.Time
	n          int // Messages so far.

	channels map[string]*channelCount
	users    map[string]map[string]int // Kinds of events in the history of a user.
	denials  map[string]*denialCount
	slow     map[string]*slowCount
	then     time.Time       // When somebody asks who is connected,
	there    map[string]bool // and the sessions that are.
	example  core.ID         // A message,
	story    [2]int          // and the deliveries of its own node, and of another one.
}

type channelCount struct {
	messages, bytes, deliveries, drops int
	users                              map[string]bool
}

type denialCount struct {
	n     int
	users map[string]bool
}

type slowCount struct {
	sessions map[core.ID]bool
	lost     [3]int // By reason: slow, oldest, conflated.
}

func newChatter(n int) *chatter {
	end := time.Now().UTC().Truncate(time.Second).Add(-time.Minute)
	return &chatter{
		begin: end.Add(-6 * time.Hour), end: end, channels: map[string]*channelCount{}, users: map[string]map[string]int{},
		denials: map[string]*denialCount{}, slow: map[string]*slowCount{}, then: end.Add(-3 * time.Hour), there: map[string]bool{},
		example: id(1, n/2), story: [2]int{},
	}
}

// id is the n-th identifier of a kind.
func id(kind, n int) core.ID {
	one, err := core.ParseID(fmt.Sprintf("0193a5b0-%04x-7000-8000-%012x", kind, n))
	if err != nil {
		panic(err)
	}
	return one
}

func count[V any](all map[string]*V, key string) *V {
	if all[key] == nil {
		all[key] = new(V)
	}
	return all[key]
}

func (c *chatter) did(user, what string) {
	if c.users[user] == nil {
		c.users[user] = map[string]int{}
	}
	c.users[user][what]++
}

// batch makes the next messages, of all that there will be, and what happens beside them.
func (c *chatter) batch(size, all int) *audit.Batch {
	b := &audit.Batch{}
	for range size {
		k := c.n
		c.n++
		at := c.begin.Add(time.Duration(float64(c.end.Sub(c.begin)) * float64(k) / float64(all)))
		user, session := fmt.Sprintf("user-%d", k*k%9973), id(2, k/100)
		if k%20 == 7 {
			user = "busy"
		}
		// Most is said in few channels.
		channel := fmt.Sprintf("chat:room-%d", k%(1+k%997))
		payload := fmt.Appendf(nil, `{"text":"message %d of %s, about as long as people's are"}`, k, user)
		m := &audit.Message{
			At: at, ID: id(1, k), Node: "node-1", Namespace: "chat", Channel: channel, User: user, Session: session, ClientID: "web", Offset: uint64(k),
			Size: uint32(len(payload)), Deliveries: uint32(k % 7), Verdict: audit.MessageAllow, ContentType: "application/json", Payload: payload,
		}
		b.Messages = append(b.Messages, m)
		in := count(c.channels, channel)
		if in.users == nil {
			in.users = map[string]bool{}
		}
		in.messages, in.bytes, in.deliveries, in.users[user] = in.messages+1, in.bytes+len(payload), in.deliveries+k%7, true
		c.did(user, "message")
		if k%3 == 0 {
			b.Deliveries = append(b.Deliveries, &audit.Delivery{At: at, Message: m.ID, Node: "node-2", Namespace: "chat", Channel: channel, Deliveries: uint32(k % 5), Drops: uint32(k % 2)})
			in.deliveries, in.drops = in.deliveries+k%5, in.drops+k%2
		}
		if m.ID == c.example {
			c.story = [2]int{k % 7, -1}
			if k%3 == 0 {
				c.story[1] = k % 5
			}
		}
		if k%10 == 0 {
			c.decide(b, at, k, user, session)
		}
		if k%50 == 0 {
			c.drop(b, at, k, user, session)
		}
		if k%100 == 0 {
			c.visit(b, at, k, user, session)
		}
	}
	return b
}

func (c *chatter) decide(b *audit.Batch, at time.Time, k int, user string, session core.ID) {
	verdict := []audit.DecisionVerdict{audit.DecisionAllow, audit.DecisionReject, audit.DecisionTimeout}[k/10%3]
	reason := fmt.Sprintf("reason %d", k/10%4)
	b.Decisions = append(b.Decisions, &audit.Decision{
		At: at, ID: id(3, k), Node: "node-1", Hook: "publish", Plugin: "manners", PluginHash: "9f86d081884c", Verdict: verdict, Reason: reason, User: user, Session: session,
	})
	c.did(user, "decision")
	if verdict == audit.DecisionAllow {
		return
	}
	d := count(c.denials, string(verdict)+" "+reason)
	if d.users == nil {
		d.users = map[string]bool{}
	}
	d.n, d.users[user] = d.n+1, true
}

func (c *chatter) drop(b *audit.Batch, at time.Time, k int, user string, session core.ID) {
	reason := k / 50 % 4
	b.Drops = append(b.Drops, &audit.Drop{At: at, Node: "node-1", Session: session, User: user, Reason: []string{"slow", "oldest", "conflated", "closed"}[reason], Messages: uint32(1 + k%9)})
	c.did(user, "not delivered")
	if reason == 3 {
		return
	}
	s := count(c.slow, user)
	if s.sessions == nil {
		s.sessions = map[core.ID]bool{}
	}
	s.sessions[session] = true
	s.lost[reason] += 1 + k%9
}

// visit is a connection of a random length; every tenth is still there.
func (c *chatter) visit(b *audit.Batch, at time.Time, k int, user string, session core.ID) {
	s := &audit.Session{ConnectedAt: at, Session: session, Node: fmt.Sprintf("node-%d", k/100%3), User: user, Transport: "websocket", Protocol: "json", Version: 1}
	b.Sessions = append(b.Sessions, s)
	c.did(user, "connected")
	ends := at.Add(time.Duration(k/100%200) * time.Minute)
	if k/100%10 != 0 {
		closed := *s
		closed.Version, closed.DisconnectedAt, closed.CloseCode, closed.CloseReason = 3, ends, 3000, "left"
		b.Sessions = append(b.Sessions, &closed)
		c.did(user, "disconnected")
	}
	if !at.After(c.then) && (k/100%10 == 0 || ends.After(c.then)) {
		c.there[session.String()] = true
	}
}

// A million messages go through the spool into ClickHouse at full speed. Then every named question has the answer of an independent count.
func TestQuestions(t *testing.T) {
	t.Parallel()
	e := newEngine(t, 4<<30)
	dir := t.TempDir()
	yaml := fmt.Sprintf("audit: {clickhouse: {dsn: %q}}\n", e.dsn(e.address))
	if err := os.WriteFile(filepath.Join(dir, "zenconn.yaml"), []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	c := newChatter(*rows)
	fillStore(t, e, c)

	execute := func(args ...string) (stdout string, took time.Duration) {
		t.Helper()
		began := time.Now()
		code, stdout, stderr := server.Execute(t, dir, append(append([]string{"audit", "ask"}, args...), "--json", "--config", "zenconn.yaml", "--data", "data")...)
		if code != 0 {
			t.Fatalf("%q: %s", args, stderr)
		}
		return stdout, time.Since(began)
	}
	ask := func(args ...string) []map[string]any {
		t.Helper()
		if *full { // Of five times the shortest: what else the machine does is not the question's.
			least := time.Hour
			for range 5 {
				_, took := execute(args...)
				least = min(least, took)
			}
			if least > time.Second {
				t.Errorf("%q took %v", args, least)
			}
			t.Logf("%q took %v, the start of the command included", args, least.Round(time.Millisecond))
		}
		stdout, took := execute(append(slices.Clip(args), "--limit", "1000000")...)
		var answer []map[string]any
		for decoder := json.NewDecoder(strings.NewReader(stdout)); decoder.More(); {
			row := map[string]any{}
			if err := decoder.Decode(&row); err != nil {
				t.Fatal(err)
			}
			answer = append(answer, row)
		}
		t.Logf("%q: all %d rows in %v", args, len(answer), took.Round(time.Millisecond))
		return answer
	}
	compare := func(what string, got, want []string) {
		t.Helper()
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s: %d rows, want %d; %.500q, want %.500q", what, len(got), len(want), got, want)
		}
	}
	c.askChannels(compare, ask("top-channels"))
	c.askUsers(compare, ask)
	c.askDenials(compare, ask("denials"))
	c.askSlow(compare, ask("slow-consumers"))
	var there []string
	for _, row := range ask("connections-at", c.then.Format("2006-01-02 15:04:05")) {
		there = append(there, fmt.Sprint(row["session"]))
	}
	compare("connections-at", there, slices.Collect(keys(c.there)))
	var story []string
	for _, row := range ask("message", c.example.String()) {
		story = append(story, fmt.Sprintf("%v %v", row["what"], row["deliveries"]))
	}
	want := []string{fmt.Sprintf("published %d", c.story[0])}
	if c.story[1] >= 0 {
		want = append(want, fmt.Sprintf("delivered %d", c.story[1]))
	}
	compare("message", story, want)
}

func keys[V any](all map[string]V) func(func(string) bool) {
	return func(yield func(string) bool) {
		for key := range all {
			if !yield(key) {
				return
			}
		}
	}
}

type comparison func(what string, got, want []string)

func (c *chatter) askChannels(compare comparison, answer []map[string]any) {
	var got, want []string
	for _, row := range answer {
		got = append(got, fmt.Sprintf("%v %v %v %v %v %v", row["channel"], row["messages"], row["users"], row["bytes"], row["deliveries"], row["drops"]))
	}
	for name, n := range c.channels {
		want = append(want, fmt.Sprintf("%s %d %d %d %d %d", name, n.messages, len(n.users), n.bytes, n.deliveries, n.drops))
	}
	compare("top-channels", got, want)
}

// askUsers asks about the one who did most, and about some that have names like any other.
func (c *chatter) askUsers(compare comparison, ask func(...string) []map[string]any) {
	all := slices.SortedFunc(keys(c.users), func(a, b string) int { return cmp.Or(c.users[b]["message"]-c.users[a]["message"], cmp.Compare(a, b)) })
	for _, user := range []string{all[0], all[len(all)/2], all[len(all)-1], "nobody"} {
		counts := map[string]int{}
		for _, row := range ask("user-history", user) {
			counts[fmt.Sprint(row["what"])]++
		}
		var got, want []string
		for what, n := range counts {
			got = append(got, fmt.Sprintf("%s %d", what, n))
		}
		for what, n := range c.users[user] {
			want = append(want, fmt.Sprintf("%s %d", what, n))
		}
		compare("user-history "+user, got, want)
	}
}

func (c *chatter) askDenials(compare comparison, answer []map[string]any) {
	var got, want []string
	for _, row := range answer {
		got = append(got, fmt.Sprintf("%v %v %v %v", row["verdict"], row["reason"], row["n"], row["users"]))
	}
	for what, n := range c.denials {
		want = append(want, fmt.Sprintf("%s %d %d", what, n.n, len(n.users)))
	}
	compare("denials", got, want)
}

func (c *chatter) askSlow(compare comparison, answer []map[string]any) {
	var got, want []string
	for _, row := range answer {
		got = append(got, fmt.Sprintf("%v %v %v %v %v %v", row["user"], row["sessions"], row["lost"], row["when_disconnected"], row["oldest"], row["conflated"]))
	}
	for user, n := range c.slow {
		want = append(want, fmt.Sprintf("%s %d %d %d %d %d", user, len(n.sessions), n.lost[0]+n.lost[1]+n.lost[2], n.lost[0], n.lost[1], n.lost[2]))
	}
	compare("slow-consumers", got, want)
}

// fillStore sends all that happens through a spool into the engine.
func fillStore(t *testing.T, e *engine, c *chatter) {
	t.Helper()
	store, err := clickhouse.Open(clickhouse.Options{DSN: e.dsn(e.address)})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	way := bus.New(bus.Options{Config: config.Default().Bus, Data: t.TempDir(), Node: "test", Log: slog.New(slog.DiscardHandler)})
	if err := way.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer way.Close()
	writer, drain := spool.NewWriter(way, slog.New(slog.DiscardHandler)), spool.NewDrain(spool.Options{Bus: way, Sink: store, Size: 8 << 30})
	for _, open := range []func() error{writer.Open, drain.Open} {
		if err := open(); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	running.Go(func() { drain.Run(ctx) })
	began, events := time.Now(), 0
	for k := 1; c.n < *rows; k++ {
		b := c.batch(min(10_000, *rows-c.n), *rows)
		b.Token = fmt.Sprintf("node-1/1/%d", k)
		events += b.Len()
		chaos.Await(t, chaos.Patience, "the spool takes a batch", func() string {
			if err := writer.Write(t.Context(), b); err != nil {
				return err.Error()
			}
			return ""
		})
	}
	chaos.Await(t, 10*chaos.Patience, "all is stored", func() string {
		if s := drain.Stats(); s.Refused > 0 || s.Messages > 0 || s.Events < uint64(events) {
			return fmt.Sprintf("%+v", s)
		}
		return ""
	})
	t.Logf("%d events, %d of them messages, went through the spool into ClickHouse in %v", events, c.n, time.Since(began).Round(time.Millisecond))
}
