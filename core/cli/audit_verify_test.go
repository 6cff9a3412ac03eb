package cli_test

import (
	"encoding/json"
	"os"
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
	if got.code != 0 || !strings.Contains(got.stdout, "Nothing was changed, removed or added.") || !strings.Contains(got.stdout, head.String()) {
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
	if got.code != 1 || !strings.Contains(got.stdout, "The first broken link") || !strings.Contains(got.stdout, "unknown row") || !strings.Contains(got.stderr, "1 problems") {
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

func TestPluginReplay(t *testing.T) {
	inFolder(t)
	server := said("news", "", `"the server"`, audit.MessageAllow)
	server.Session = core.ID{}
	vouched(t,
		said("tea", "alice", `"hello"`, audit.MessageAllow), said("tea", "bob", `"darn"`, audit.MessageAllow), said("tea", "bob", `"was dropped"`, audit.MessageDrop),
		said("tea", "bob", `"changed"`, audit.MessageModify), said("tea", "eve", "", audit.MessageAllow), server,
	)
	script := `function on_publish(ev)
  if ev.data == '"darn"' then return false, 4003, "no swearing" end
  assert(ev.user == "alice" or ev.user == "bob")
end`
	if err := os.WriteFile("new.lua", []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	got := typed(t, nil, "plugin", "replay", "--plugin", "new.lua", "--from", "1d", "--json")
	var result struct {
		Asked, Same      int
		Changes, Skipped map[string]int
		Samples          []struct{ User, Was, Now, Reason string }
	}
	if err := json.Unmarshal([]byte(got.stdout), &result); err != nil || got.code != 0 {
		t.Fatalf("%+v: %v", got, err)
	}
	if result.Asked != 3 || result.Same != 1 || result.Changes["allow → reject"] != 1 || result.Changes["drop → allow"] != 1 || len(result.Skipped) != 3 {
		t.Errorf("%+v", result)
	}
	got = typed(t, nil, "plugin", "replay", "--plugin", "new.lua", "--from", "1d")
	for _, want := range []string{"3 events replayed, 1 decisions stay the same", "1 would change: allow → reject", "3 events could not be replayed", "no swearing"} {
		if !strings.Contains(got.stdout, want) {
			t.Errorf("%q is not in\n%s", want, got.stdout)
		}
	}
	for _, args := range [][]string{{}, {"--plugin", "new.lua"}, {"--plugin", "new.lua", "--from", "1d", "--hook", "rpc"}} {
		if got := typed(t, nil, append([]string{"plugin", "replay"}, args...)...); got.code != 2 {
			t.Errorf("%v: %+v", args, got)
		}
	}
}
