package lua_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/hooks"
	"github.com/zenconn/server/hooks/hooktest"
	"github.com/zenconn/server/hooks/host"
	"github.com/zenconn/server/hooks/lua"
)

// Every Lua block of the guide begins with its file's name, and is run here under that name.
func TestGuide(t *testing.T) {
	guide, err := os.ReadFile("../../docs/hooks.md")
	if err != nil {
		t.Fatal(err)
	}
	checks := map[string]func(t *testing.T, c *hooks.Chain){
		"first.lua": checkFirst, "login.lua": checkLogin, "rooms.lua": checkRooms, "words.lua": checkWords, "calls.lua": checkCalls,
		"route.lua": checkRoute, "refresh.lua": checkRefresh, "channels.lua": checkChannels, "goodbye.lua": checkGoodbye,
		"redact.lua": checkRedact, "limit.lua": checkLimit, "ask.lua": checkAsk,
	}
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if string(body) != `{"token":"good"}` || r.Header.Get("Content-Type") != "application/json" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		fmt.Fprint(w, `{"user":"alice"}`)
	}))
	t.Cleanup(backend.Close)
	options := lua.Options{
		Config: map[string]any{"keys": map[string]any{"header": "alice"}, "words": []any{"darn", "heck"}, "url": backend.URL},
		Rights: host.Rights{KV: true, HTTP: []string{strings.TrimPrefix(backend.URL, "http://")}}, Services: host.New(host.Options{}),
	}
	for _, block := range regexp.MustCompile("(?s)```lua\n(.*?)```").FindAllSubmatch(guide, -1) {
		name := regexp.MustCompile(`^-- (\w+\.lua)`).FindSubmatch(block[1])
		if name == nil || checks[string(name[1])] == nil {
			t.Errorf("no check for the block that begins %.60q", block[1])
			continue
		}
		t.Run(string(name[1]), func(t *testing.T) {
			p, err := lua.LoadSource(string(name[1]), block[1], options)
			if err != nil {
				t.Fatal(err)
			}
			c := hooks.NewChain([]hooks.Link{{Plugin: p, Deadline: time.Minute}}, failing{t})
			defer c.Close()
			checks[string(name[1])](t, c)
		})
		delete(checks, string(name[1]))
	}
	for name := range checks {
		t.Errorf("the guide has no %s", name)
	}
}

// failing is an observer that takes no fault.
type failing struct{ t *testing.T }

func (f failing) Decided(d hooks.Decision) {
	if d.Fault != nil {
		f.t.Error(d.Fault)
	}
}

func wantAnswer(t *testing.T, got hooks.Answer, want string) {
	t.Helper()
	if s := strings.TrimSpace(fmt.Sprintf("%s %d %s", got.Verdict, got.Code, got.Reason)); s != want {
		t.Errorf("answer %q, want %q", s, want)
	}
}

// wantTime checks a time that is so many seconds after one between before and now.
func wantTime(t *testing.T, got, before, after int64) {
	t.Helper()
	if now := time.Now().Unix(); got < before+after || got > now+after {
		t.Errorf("expires %d, want %d to %d", got, before+after, now+after)
	}
}

func checkFirst(t *testing.T, c *hooks.Chain) {
	wantAnswer(t, c.Connect(t.Context(), &hooks.Connect{User: "mallory"}), "deny 403 mallory is not welcome here")
	wantAnswer(t, c.Connect(t.Context(), &hooks.Connect{User: "alice"}), "pass 0")
	e := hooktest.NewPublish(`"darn it"`)
	wantAnswer(t, c.Publish(t.Context(), e), "pass 0")
	if string(e.Data) != `"d**n it"` {
		t.Errorf("data %s", e.Data)
	}
}

func checkLogin(t *testing.T, c *hooks.Chain) {
	e := &hooks.Connect{Client: hooktest.NewClient()}
	e.Client.Header = func(name string) string { return map[string]string{"X-Api-Key": "header"}[name] }
	wantAnswer(t, c.Connect(t.Context(), e), "allow 0")
	if _, news := e.Subs["news"]; e.User != "alice" || string(e.Info) != `{"name":"alice"}` || !news ||
		!e.Grants.Allow(core.MayPublish, "room:1") {
		t.Errorf("%+v", e)
	}
	wantAnswer(t, c.Connect(t.Context(), &hooks.Connect{}), "deny 101 unknown key")
}

func checkRooms(t *testing.T, c *hooks.Chain) {
	for channel, want := range map[string]string{
		"dm:bob,alice": "allow 0", "dm:bob,carol": "deny 103 this conversation is private", "other": "pass 0",
	} {
		wantAnswer(t, c.Subscribe(t.Context(), &hooks.Subscribe{Client: hooktest.NewClient(), Channel: channel}), want)
	}
}

func checkWords(t *testing.T, c *hooks.Chain) {
	for data, want := range map[string]string{
		`{"text":"darn, darned heck","n":1}`: `pass 0`, `{"text":"buy now!"}`: "drop 0", `7`: "deny 107 a message needs a text",
	} {
		e := hooktest.NewPublish(data)
		wantAnswer(t, c.Publish(t.Context(), e), want)
		if want == "pass 0" && string(e.Data) != `{"text":"****, darned ****","n":1}` {
			t.Errorf("data %s", e.Data)
		}
	}
}

func checkCalls(t *testing.T, c *hooks.Chain) {
	e := &hooks.RPC{Method: "time"}
	wantAnswer(t, c.Call(t.Context(), e), "allow 0")
	if !strings.HasPrefix(string(e.Reply), `{"now":1`) {
		t.Errorf("reply %s", e.Reply)
	}
	wantAnswer(t, c.Call(t.Context(), &hooks.RPC{Method: "other"}), "pass 0")
}

func checkRoute(t *testing.T, c *hooks.Chain) {
	publish := func(user, data string) *hooks.Publish {
		e := hooktest.NewPublish(data)
		e.Client.User = user
		wantAnswer(t, c.Publish(t.Context(), e), "pass 0")
		return e
	}
	if e := publish("alice", `{"typing":true}`); !e.SkipHistory || e.ExcludeSender == nil || !*e.ExcludeSender || e.Redirect != "" {
		t.Errorf("typing: %+v", e)
	}
	if e := publish("", `{"text":"hi"}`); e.Redirect != "moderation:room:1" || e.SkipHistory {
		t.Errorf("a stranger's: %+v", e)
	}
	before := time.Now().Unix()
	wantTime(t, publish("alice", `{"seconds":60}`).ExpireAt, before, 60)
	if e := publish("alice", `{"text":"hi"}`); e.Redirect != "" || e.SkipHistory || e.ExcludeSender != nil || e.ExpireAt != 0 {
		t.Errorf("ordinary: %+v", e)
	}
}

func checkRefresh(t *testing.T, c *hooks.Chain) {
	e, before := &hooks.Refresh{Token: "header"}, time.Now().Unix()
	wantAnswer(t, c.Refresh(t.Context(), e), "allow 0")
	wantTime(t, e.ExpireAt, before, 3600)
	wantAnswer(t, c.Refresh(t.Context(), &hooks.Refresh{Token: "other"}), "deny 4500 your account is closed")
	wantAnswer(t, c.Refresh(t.Context(), &hooks.Refresh{Token: "other", Channel: "x"}), "pass 0")
}

func checkChannels(t *testing.T, c *hooks.Chain) {
	namespace := hooks.ChannelOptions{Subscribe: "anyone", Publish: "anyone", SlowConsumer: "disconnect"}
	private, news := namespace, namespace
	private.Subscribe, private.Publish, private.Presence = "granted", "granted", true
	news.Publish, news.HistorySize, news.HistoryTTL, news.Recovery = "nobody", 100, time.Hour, true
	for name, want := range map[string]hooks.ChannelOptions{"room:private-1": private, "room:news-1": news, "lobby": namespace} {
		space, _, found := strings.Cut(name, ":")
		if !found {
			space = "default"
		}
		e := &hooks.Channel{Channel: name, Namespace: space, Options: namespace}
		wantAnswer(t, c.Channel(t.Context(), e), "pass 0")
		if e.Options != want {
			t.Errorf("%s: %+v", name, e.Options)
		}
	}
	e := &hooks.Channel{Channel: "room:x", Namespace: "room", Options: namespace}
	wantAnswer(t, c.Channel(t.Context(), e), "deny 103 rooms are called room:private-… or room:news-…")
}

func checkGoodbye(t *testing.T, c *hooks.Chain) {
	wantAnswer(t, c.Send(t.Context(), &hooks.Send{Client: hooktest.NewClient(), Input: []byte(`"hi"`)}), "pass 0")
	c.Unsubscribe(t.Context(), &hooks.Unsubscribe{Client: hooktest.NewClient(), Channel: "x"}) // Faults fail the test.
	c.Disconnect(t.Context(), &hooks.Disconnect{Client: hooktest.NewClient(), Code: 3008, Reason: "slow"})
}

func checkRedact(t *testing.T, c *hooks.Chain) {
	wantAnswer(t, c.Audit(t.Context(), &hooks.Audit{Kind: "message", Channel: "doctor:1"}), "drop 0")
	e := &hooks.Audit{Kind: "message", Channel: "x", Payload: []byte(`{"card":"4111 1111 1111 1111"}`)}
	wantAnswer(t, c.Audit(t.Context(), e), "pass 0")
	if string(e.Payload) != `{"card":"****"}` {
		t.Errorf("payload %s", e.Payload)
	}
	e = &hooks.Audit{Kind: "session", RemoteAddr: "192.0.2.77"}
	wantAnswer(t, c.Audit(t.Context(), e), "pass 0")
	if e.RemoteAddr != "192.0.2.0" {
		t.Errorf("address %s", e.RemoteAddr)
	}
	if a := c.Audit(t.Context(), &hooks.Audit{Kind: "message", Channel: "x", Payload: []byte("harmless")}); a.Modified {
		t.Error("nothing was changed, and it says so")
	}
}

func checkLimit(t *testing.T, c *hooks.Chain) {
	for range 10 {
		wantAnswer(t, c.Publish(t.Context(), hooktest.NewPublish("{}")), "pass 0")
	}
	var answers []string // The minute may end here.
	for range 11 {
		a := c.Publish(t.Context(), hooktest.NewPublish("{}"))
		answers = append(answers, a.Reason)
	}
	if !slices.Contains(answers, "ten messages a minute are enough") {
		t.Errorf("answers %q", answers)
	}
}

func checkAsk(t *testing.T, c *hooks.Chain) {
	e := &hooks.Connect{Token: "good"}
	wantAnswer(t, c.Connect(t.Context(), e), "allow 0")
	if e.User != "alice" {
		t.Errorf("user %q", e.User)
	}
	wantAnswer(t, c.Connect(t.Context(), &hooks.Connect{Token: "bad"}), "deny 101 unknown token")
}
