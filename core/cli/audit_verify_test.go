package cli_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/zenconn/server/audit"
	"github.com/zenconn/server/audit/audittest"
	"github.com/zenconn/server/audit/chain"
	"github.com/zenconn/server/audit/store"
	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/config"
)

// vouched records messages with the link that vouches for them, and returns its head.
func vouched(t *testing.T, messages ...*audit.Message) chain.Head {
	t.Helper()
	s, err := store.Open(config.Audit{}, "data")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c := chain.New("node-1", "node-1/1-a")
	for _, m := range messages {
		c.Message(m)
	}
	b := &audit.Batch{Token: "node-1/1-a/1", Messages: messages, Links: []*audit.Link{c.Link(time.Now().Add(-time.Hour))}}
	if err := s.Write(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	return c.Head()
}

func said(text, user, payload string, verdict audit.MessageVerdict) *audit.Message {
	return &audit.Message{
		At: time.Now().Add(-2 * time.Hour), ID: core.NewID(), Namespace: "chat", Channel: "chat:" + text, User: user, Session: core.NewID(),
		Verdict: verdict, Payload: []byte(payload), Size: uint32(len(payload)),
	}
}

func TestAuditVerify(t *testing.T) {
	inFolder(t)
	head := vouched(t, said("tea", "alice", `"hello"`, audit.MessageAllow))
	got := typed(t, nil, "audit", "verify", "--head", head.String())
	const summary = "1 chain, 1 link that vouches for 1 event; 1 row compared\n"
	if got.code != 0 || !strings.HasPrefix(got.stdout, summary) || !strings.Contains(got.stdout, "Nothing was changed, removed or added.") || !strings.Contains(got.stdout, head.String()) {
		t.Errorf("%+v", got)
	}
	s, err := store.Open(config.Audit{}, "data")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Write(t.Context(), &audit.Batch{Token: "x/1/1", Messages: audittest.Messages(0, 1)}); err != nil {
		t.Fatal(err)
	}
	s.Close()
	got = typed(t, nil, "audit", "verify")
	if got.code != 1 || !strings.Contains(got.stdout, "The first broken link") || !strings.Contains(got.stdout, "unknown row") || !strings.Contains(got.stderr, ": 1 problem") {
		t.Errorf("%+v", got)
	}
	var report chain.Report
	got = typed(t, nil, "audit", "verify", "--json")
	if err := json.Unmarshal([]byte(got.stdout), &report); err != nil || got.code != 1 || report.Broken != 1 || report.Links != 1 {
		t.Errorf("%+v: %v", got, err)
	}
	for _, args := range [][]string{{"--head", "x"}, {"--since", "sometime"}} {
		if got := typed(t, nil, append([]string{"audit", "verify"}, args...)...); got.code != 2 {
			t.Errorf("%v: %+v", args, got)
		}
	}
}
