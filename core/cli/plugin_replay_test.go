package cli_test

import (
	"encoding/json"
	"maps"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/zenconn/server/audit"
	"github.com/zenconn/server/audit/store"
	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/config"
)

// replayed is what replay prints as JSON.
type replayed struct {
	Hook             string
	Asked, Same      int
	Changes, Skipped map[string]int
	Samples          []struct{ User, Channel, Was, Now, Reason string }
}

// replaying feeds what is recorded to a script.
func replaying(t *testing.T, script string, args ...string) (r replayed) {
	t.Helper()
	if err := os.WriteFile("gate.lua", []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	got := typed(t, nil, append([]string{"plugin", "replay", "--plugin", "gate.lua", "--json"}, args...)...)
	if err := json.Unmarshal([]byte(got.stdout), &r); err != nil || got.code != 0 {
		t.Fatalf("%+v: %v", got, err)
	}
	return r
}

// remember stores a batch.
func remember(t *testing.T, b *audit.Batch) {
	t.Helper()
	s, err := store.Open(config.Audit{}, "data")
	must(t, err)
	must(t, s.Write(t.Context(), b))
	must(t, s.Close())
}

func opened(ago time.Duration, user, addr, agent string) *audit.Session {
	return &audit.Session{
		ConnectedAt: time.Now().Add(-ago), Session: core.NewID(), Node: "n", User: user, Transport: "websocket", Protocol: "json",
		RemoteAddr: netip.MustParseAddr(addr), UserAgent: agent, Version: 1,
	}
}

func decided(ago time.Duration, hook, plugin string, verdict audit.DecisionVerdict, s *audit.Session, channel string) *audit.Decision {
	return &audit.Decision{
		At: time.Now().Add(-ago), ID: core.NewID(), Node: "n", Hook: hook, Plugin: plugin, Verdict: verdict, User: s.User, Session: s.Session,
		Channel: channel, RemoteAddr: s.RemoteAddr,
	}
}

// A connection that was opened is asked about as it came: as the user of its token, from its address, with its transport.
func TestPluginReplayConnect(t *testing.T) {
	inFolder(t)
	alice, bob := opened(time.Hour, "alice", "192.0.2.7", "Firefox"), opened(2*time.Hour, "bob", "198.51.100.9", "curl")
	old := opened(48*time.Hour, "old", "192.0.2.1", "Firefox")
	mallory, dave := opened(time.Hour, "", "203.0.113.1", ""), opened(time.Hour, "dave", "203.0.113.2", "")
	remember(t, &audit.Batch{
		Token: "a/1", Sessions: []*audit.Session{alice, bob, old},
		Decisions: []*audit.Decision{
			decided(time.Hour, "connect", "gate", audit.DecisionReject, mallory, ""),   // By the version of before.
			decided(time.Hour, "connect", "server", audit.DecisionReject, mallory, ""), // By the rules.
			decided(time.Hour, "connect", "bans", audit.DecisionReject, dave, ""),      // By another plugin.
			decided(time.Hour, "publish", "gate", audit.DecisionReject, alice, "chat:tea"),
		},
	})
	const script = `function on_connect(ev)
  assert(ev.user == "alice" or ev.user == "bob" or ev.user == "old" or ev.user == "", ev.user)
  if ev.user_agent == "curl" then return false, 4001, "no robots" end
  if ev.remote_addr == "192.0.2.7" then assert(ev.transport == "websocket") return true end
  return nil
end`
	r := replaying(t, script, "--hook", "connect", "--from", "1d")
	if r.Hook != "connect" || r.Asked != 4 || r.Same != 2 {
		t.Errorf("%+v", r)
	}
	// alice stays; bob is refused; mallory, refused by this plugin, is left to the rules now; and whom the rules refused they still refuse.
	if want := map[string]int{"allow → reject": 1, "reject → left to the rules": 1}; !maps.Equal(r.Changes, want) {
		t.Errorf("changes %v, want %v", r.Changes, want)
	}
	if want := map[string]int{"another plugin had decided": 1}; !maps.Equal(r.Skipped, want) {
		t.Errorf("skipped %v, want %v", r.Skipped, want)
	}
	if len(r.Samples) != 2 || r.Samples[0].User != "bob" || r.Samples[0].Reason != "no robots" {
		t.Errorf("samples %+v", r.Samples)
	}
	if r := replaying(t, script, "--hook", "connect", "--from", "7d", "--to", "1d"); r.Asked != 1 || r.Same != 1 {
		t.Errorf("of the days before: %+v", r)
	}
	if r := replaying(t, "function on_connect(ev) error('broken') end", "--hook", "connect", "--from", "1d", "--samples", "0"); r.Changes["allow → error"] != 2 || len(r.Samples) != 0 {
		t.Errorf("with a plugin that fails: %+v", r)
	}
}

// A subscription is asked about with the client's user and connection.
func TestPluginReplaySubscribe(t *testing.T) {
	inFolder(t)
	alice, bob := opened(3*time.Hour, "alice", "192.0.2.7", "Firefox"), opened(3*time.Hour, "bob", "198.51.100.9", "curl")
	remember(t, &audit.Batch{
		Token: "a/1", Sessions: []*audit.Session{alice, bob},
		Decisions: []*audit.Decision{
			decided(time.Hour, "subscribe", "gate", audit.DecisionAllow, alice, "chat:tea"),
			decided(time.Hour, "subscribe", "gate", audit.DecisionAllow, bob, "chat:tea"),
			decided(time.Hour, "subscribe", "gate", audit.DecisionReject, bob, "chat:secret"),
			decided(time.Hour, "subscribe", "server", audit.DecisionReject, alice, "chat:secret"),
			decided(time.Hour, "subscribe", "rooms", audit.DecisionAllow, alice, "room:1"),
			decided(time.Hour, "subscribe", "gate", audit.DecisionTimeout, alice, "chat:tea"), // Decided nothing.
		},
	})
	r := replaying(t, `function on_subscribe(ev)
  assert(ev.remote_addr ~= "" and ev.transport == "websocket")
  if ev.user == "bob" then return false, 4003, "not bob" end
  if ev.channel == "chat:secret" then return true end
  return ev.channel == "chat:tea"
end`, "--hook", "subscribe", "--from", "1d")
	if r.Asked != 4 || r.Same != 2 {
		t.Errorf("%+v", r)
	}
	if want := map[string]int{"allow → reject": 1, "reject → allow": 1}; !maps.Equal(r.Changes, want) {
		t.Errorf("changes %v, want %v", r.Changes, want)
	}
	if want := map[string]int{"another plugin had decided": 1}; !maps.Equal(r.Skipped, want) {
		t.Errorf("skipped %v, want %v", r.Skipped, want)
	}
	for _, s := range r.Samples {
		switch {
		case s.User == "bob" && s.Channel == "chat:tea" && s.Was == "allow" && s.Now == "reject" && s.Reason == "not bob":
		case s.User == "alice" && s.Channel == "chat:secret" && s.Was == "reject" && s.Now == "allow":
		default:
			t.Errorf("sample %+v", s)
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
	for _, want := range []string{"3 events replayed, 1 decision stays the same", "1 would change: allow → reject", "3 events could not be replayed", "no swearing"} {
		if !strings.Contains(got.stdout, want) {
			t.Errorf("%q is not in\n%s", want, got.stdout)
		}
	}
	for args, want := range map[string]string{
		"":                                      "replay needs --plugin and --from",
		"--plugin new.lua":                      "replay needs --plugin and --from",
		"--plugin new.lua --from 1d --hook rpc": "--hook: want publish, connect or subscribe",
		"--plugin x --from x":                   `--from: "x" is not a time`,
		"--plugin x --from 1d --to x":           `--to: "x" is not a time`,
		"--plugin x --from 1h --to 2h":          "--from must be before --to",
		"--plugin x --from 1d --samples many":   `--samples: "many" is not a whole number`,
	} {
		got := typed(t, nil, append([]string{"plugin", "replay"}, strings.Fields(args)...)...)
		if got.code != 2 || !strings.HasPrefix(got.stderr, "zenconn: "+want) {
			t.Errorf("%s: %+v, want %s", args, got, want)
		}
	}
}
