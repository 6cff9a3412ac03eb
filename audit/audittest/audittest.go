// Package audittest is what every audit store must pass: the same events written, the same questions asked, the same answers. It
// is imported by tests only.
package audittest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/zenconn/server/audit"
	"github.com/zenconn/server/core"
)

// Start is the time of the first event of Messages and Story: yesterday, or what is older than is kept would go, in some months, while a
// test looks at it.
var Start = time.Now().UTC().Truncate(day).Add(-day + 10*time.Hour + 123*time.Millisecond)

const day = 24 * time.Hour

// written is the day of Start in what tests ask and expect.
var written = time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)

var date = regexp.MustCompile(`\b202[67]-\d\d-\d\d`)

// Dated puts the day of Start into a text for 2026-11-21, and moves its other dates of that year and the next as far.
func Dated(text string) string {
	return date.ReplaceAllStringFunc(text, func(s string) string {
		t, err := time.Parse(time.DateOnly, s)
		if err != nil {
			return s
		}
		return t.Add(Start.Truncate(day).Sub(written)).Format(time.DateOnly)
	})
}

// ID returns an identifier that is always the same for n.
func ID(n int) core.ID {
	id, err := core.ParseID(fmt.Sprintf("0193a5b0-0000-7000-8000-%012x", n))
	if err != nil {
		panic(err)
	}
	return id
}

// Messages returns n messages such as a busy chat makes, one per millisecond, with identifiers from ID(first) on.
func Messages(first, n int) []*audit.Message {
	messages := make([]*audit.Message, n)
	payload := []byte(`{"text":"` + strings.Repeat("hello world ", 18) + `"}`)
	for i := range messages {
		k := first + i
		messages[i] = &audit.Message{
			At: Start.Add(time.Duration(k) * time.Millisecond), ID: ID(k), Node: "node-1", Namespace: "chat",
			Channel: fmt.Sprintf("chat:room-%d", k%100), User: fmt.Sprintf("user-%d", k%1000), Session: ID(1<<40 + k%1000),
			ClientID: "web", Offset: uint64(k), Size: uint32(len(payload)), Deliveries: 10, Verdict: audit.MessageAllow,
			ContentType: "application/json", Payload: payload,
		}
	}
	return messages
}

// Story returns a batch with every kind of event: alice connects, says two things, is refused once by a plugin, and leaves; bob
// is still there.
func Story() *audit.Batch {
	alice := audit.Session{
		ConnectedAt: Start, Session: ID(1), Node: "node-1", NodeEpoch: 1_763_700_000, Worker: 3, User: "alice", Transport: "websocket",
		Protocol: "json", RemoteAddr: netip.MustParseAddr("192.0.2.7"), UserAgent: "Firefox", Version: 1,
	}
	left := alice
	left.DisconnectedAt = Start.Add(time.Minute)
	left.MessagesIn, left.MessagesOut, left.BytesIn, left.BytesOut = 3, 2, 150, 100
	left.CloseCode, left.CloseReason, left.Version = 3001, "shutdown", 2
	bob := audit.Session{
		ConnectedAt: Start.Add(time.Second), Session: ID(2), Node: "node-1", NodeEpoch: 1_763_700_000, User: "bob", Transport: "websocket",
		Protocol: "protobuf", RemoteAddr: netip.MustParseAddr("2001:db8::1"), Version: 1,
	}
	return &audit.Batch{
		Token: "node-1/1/1",
		Messages: []*audit.Message{
			{
				At: Start.Add(2 * time.Second), ID: ID(10), Node: "node-1", Namespace: "chat", Channel: "chat:tea", User: "alice", Session: ID(1),
				ClientID: "web", Offset: 1, Size: 17, Deliveries: 2, Verdict: audit.MessageModify, ContentType: "application/json",
				Payload: []byte(`{"text":"grüße"}`), Tags: map[string]string{"lang": "de", "a": `"quoted"`},
			},
			{
				At: Start.Add(3 * time.Second), ID: ID(11), Node: "node-1", Namespace: "bin", Channel: "bin:x", User: "alice", Session: ID(1),
				Offset: 1 << 60, Size: 3, Verdict: audit.MessageDrop, ContentType: "application/octet-stream", Payload: []byte{0xff, 0, 0x80},
			},
		},
		Sessions: []*audit.Session{&alice, &bob, &left},
		Decisions: []*audit.Decision{
			{
				At: Start.Add(4 * time.Second), ID: ID(20), Node: "node-1", Hook: "publish", Plugin: "manners", PluginHash: "9f86d081884c",
				Verdict: audit.DecisionReject, Reason: "no shouting", User: "alice", Session: ID(1), Channel: "chat:tea", Message: ID(12),
				RemoteAddr: netip.MustParseAddr("::ffff:192.0.2.7"), Latency: 1500 * time.Microsecond,
			},
			{At: Start.Add(5 * time.Second), ID: ID(21), Node: "node-1", Hook: "connect", Plugin: "server", Verdict: audit.DecisionTimeout},
		},
		Actions: []*audit.Action{
			{
				At: Start.Add(6 * time.Second), ID: ID(30), Node: "node-1", Actor: "ops", ActorKind: "api", Action: "disconnect", Target: "alice",
				OK: true, RemoteAddr: netip.MustParseAddr("127.0.0.1"), Request: `{"user":"alice"}`, Latency: time.Millisecond,
			},
			{At: Start.Add(7 * time.Second), ID: ID(31), Node: "node-1", Actor: "ops", ActorKind: "api", Action: "publish", Error: "bad request"},
		},
		Deliveries: []*audit.Delivery{
			{At: Start.Add(2 * time.Second), Message: ID(10), Node: "node-2", Namespace: "chat", Channel: "chat:tea", Deliveries: 5},
			{At: Start.Add(2 * time.Second), Message: ID(10), Node: "node-3", Namespace: "chat", Channel: "chat:tea", Deliveries: 1, Drops: 1},
			{At: Start.Add(3 * time.Second), Message: ID(10), Node: "node-2", Namespace: "chat", Channel: "chat:tea", Deliveries: 2, Drops: 3},
		},
		Drops: []*audit.Drop{
			{At: Start.Add(8 * time.Second), Node: "node-2", Session: ID(2), User: "bob", Reason: "oldest", Messages: 17},
		},
	}
}

// Ask runs a query and returns the answer as text, one line of JSON per row; bytes that are no text are shown as %x.
func Ask(t testing.TB, store interface {
	Query(ctx context.Context, sql string) (audit.Rows, error)
}, query string) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), answerTime)
	defer cancel()
	rows, err := store.Query(ctx, query)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	var lines []string
	for rows.Next() {
		values, err := rows.Values()
		if err != nil {
			t.Fatalf("%s: %v", query, err)
		}
		for i, v := range values {
			if b, ok := v.([]byte); ok {
				values[i] = fmt.Sprintf("%x", b)
			}
		}
		line, err := json.Marshal(values)
		if err != nil {
			t.Fatalf("%s: %v", query, err)
		}
		lines = append(lines, string(line))
	}
	if err := rows.Err(); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return lines
}
