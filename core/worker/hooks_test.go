package worker_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/zenconn/server/core/auth"
	"github.com/zenconn/server/core/config"
	"github.com/zenconn/server/hooks"
	"github.com/zenconn/server/hooks/lua"
)

// script is a plugin of this source.
func script(t *testing.T, source string) hooks.Link {
	t.Helper()
	p, err := lua.LoadSource("test.lua", []byte(source), lua.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return hooks.Link{Plugin: p, Deadline: patience}
}

// add puts a namespace like the default one, with changes, into the configuration.
func add(c *config.Config, name string, change func(*config.Namespace)) {
	ns := c.Namespaces["default"]
	change(&ns)
	c.Namespaces[name] = ns
}

const refreshing = `
function on_connect(ev) ev.user, ev.expire_at = "alice", math.floor(time.now() / 1000) + 1000 return true end
function on_subscribe(ev) ev.expire_at = math.floor(time.now() / 1000) + 1000 end
function on_refresh(ev)
  if ev.token == "deny" then return false end
  if ev.token == "close" then return false, 4500, "enough" end
  if ev.token == "fault" then error("oops") end
  if ev.token == "late" then ev.expire_at = 7 return true end
  if ev.token == "pass" then return end
  assert(ev.user == "alice" and ev.expire_at > 0)
  ev.info = json.encode({seen = ev.channel or "everywhere"})
  ev.expire_at = ev.expire_at + 1000
  return true
end`

func TestRefreshByPlugin(t *testing.T) {
	for _, tt := range []struct {
		token, want string
		close       uint16
	}{
		{"more", `"refresh":{"client":`, 0},
		{"pass", `"error":{"code":101,`, 3507},
		{"fault", `"error":{"code":100,`, 0},
		{"late", `"error":{"code":110,`, 3507},
		{"deny", `"error":{"code":103,`, 3507},
		{"close", ``, 4500},
	} {
		t.Run(tt.token, func(t *testing.T) {
			c := open()
			c.Auth.Type = "hook"
			r := start(t, c, script(t, refreshing))
			client := r.connect("")
			client.send(fmt.Sprintf(`{"id":2,"refresh":{"token":%q}}`, tt.token))
			if tt.want != "" {
				client.expect(tt.want)
			}
			if tt.close != 0 {
				client.expectClose(tt.close)
				return
			}
			client.ask(3, `"subscribe":{"channel":"x"}`)
			client.send(`{"id":4,"publish":{"channel":"x","data":1}}`)
			pub := string(client.expect(`"pub":`))
			if seen := strings.Contains(pub, `"conn_info":{"seen":"everywhere"}`); seen != (tt.token == "more") {
				t.Errorf("published %s", pub)
			}
		})
	}
}

func TestSubRefreshByPlugin(t *testing.T) {
	for _, tt := range []struct {
		token, want string
		ends        bool
	}{
		{"more", `"sub_refresh":{"expires":true,"ttl":`, false},
		{"pass", `"error":{"code":101,`, true},
		{"fault", `"error":{"code":100,`, false},
		{"deny", `"error":{"code":103,`, true},
	} {
		t.Run(tt.token, func(t *testing.T) {
			c := open()
			c.Auth.Type = "hook"
			r := start(t, c, script(t, refreshing))
			client := r.connect("")
			client.ask(2, `"subscribe":{"channel":"x"}`)
			client.send(fmt.Sprintf(`{"id":3,"sub_refresh":{"channel":"x","token":%q}}`, tt.token))
			client.expect(tt.want)
			if tt.ends {
				client.expect(`"unsubscribe":{"code":2000,`)
				if again := client.ask(4, `"subscribe":{"channel":"x"}`); again.Error != nil {
					t.Errorf("not ended: %+v", again.Error)
				}
				return
			}
			client.send(`{"id":4,"publish":{"channel":"x","data":1}}`)
			pub := string(client.expect(`"pub":`))
			if seen := strings.Contains(pub, `"chan_info":{"seen":"x"}`); seen != (tt.token == "more") {
				t.Errorf("published %s", pub)
			}
		})
	}
}

// With tokens, a bad one is refused without asking; of a good one, the plugin may make less.
func TestRefreshByTokenAndPlugin(t *testing.T) {
	c := open()
	c.Auth.Type, c.Auth.JWT.HMACSecret = "jwt", strings.Repeat("s", 32)
	token := func(user string) string {
		text, err := auth.Sign(c.Auth.JWT, &auth.ConnectClaims{RegisteredClaims: jwt.RegisteredClaims{Subject: user}}, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	asked := make(chan struct{}, 10)
	r := start(t, c, script(t, `function on_refresh(ev) if ev.expire_at > 2000 then ev.expire_at = ev.expire_at - 1800 end end`),
		hooks.Link{Plugin: &witness{wants: []hooks.Hook{hooks.OnRefresh}, tell: func(string) { asked <- struct{}{} }}})
	client := r.dial("")
	client.send(fmt.Sprintf(`{"id":1,"connect":{"token":%q}}`, token("alice")))
	client.expect(`"connect":{`)
	var reply struct {
		Refresh struct {
			Expires bool
			TTL     int
		}
	}
	if err := json.Unmarshal(client.expectReply(2, fmt.Sprintf(`"refresh":{"token":%q}`, token("alice"))), &reply); err != nil {
		t.Fatal(err)
	}
	if !reply.Refresh.Expires || reply.Refresh.TTL < 1700 || reply.Refresh.TTL > 1800 {
		t.Errorf("refreshed to %+v", reply.Refresh)
	}
	client.send(fmt.Sprintf(`{"id":3,"refresh":{"token":%q}}`, token("mallory")))
	client.expectClose(3500)
	if n := len(asked); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

func TestRefreshWithoutPlugin(t *testing.T) {
	c := open()
	client := start(t, c).connect("alice")
	if code := errorCode(client.ask(2, `"refresh":{"token":"x"}`)); code != 108 {
		t.Errorf("error %d", code)
	}
}

func TestSend(t *testing.T) {
	got := make(chan string, 10)
	p := &witness{wants: []hooks.Hook{hooks.OnSend}, tell: func(what string) { got <- what }}
	r := start(t, open(), hooks.Link{Plugin: p}, script(t, `
		function on_send(ev)
			if ev.data == '"close"' then return false, 4001, "as you wish" end
			if ev.data == '"error"' then return false, 403, "no" end
		end`))
	client := r.connect("alice")
	client.send(`{"send":{"data":{"a":1}}}`)
	client.send(`{"send":{"data":"error"}}`)
	if reply := client.ask(2, `"ping":{}`); reply.Error != nil {
		t.Errorf("after a refused message: %+v", reply)
	}
	client.send(`{"send":{"data":"close"}}`)
	client.expectClose(4001)
	for _, want := range []string{`send alice {"a":1}`, `send alice "error"`, `send alice "close"`} {
		if what := <-got; what != want {
			t.Errorf("got %s, want %s", what, want)
		}
	}
}

// witness tells what it is told.
type witness struct {
	wants []hooks.Hook
	tell  func(string)
}

func (w *witness) Name() string        { return "witness" }
func (w *witness) Hash() string        { return "0" }
func (w *witness) Close() error        { return nil }
func (w *witness) Hooks() []hooks.Hook { return w.wants }

func (w *witness) Send(_ context.Context, e *hooks.Send) (hooks.Answer, error) {
	w.tell(fmt.Sprintf("send %s %s", e.Client.User, e.Input))
	return hooks.Answer{Verdict: hooks.Allow}, nil
}

func (w *witness) Refresh(_ context.Context, e *hooks.Refresh) (hooks.Answer, error) {
	w.tell("refresh " + e.Channel)
	return hooks.Answer{Verdict: hooks.Pass}, nil
}

func (w *witness) Unsubscribe(_ context.Context, e *hooks.Unsubscribe) (hooks.Answer, error) {
	w.tell(fmt.Sprintf("unsubscribe %s %s %d %s", e.Client.User, e.Channel, e.Code, e.Reason))
	return hooks.Answer{Verdict: hooks.Deny}, nil
}

func (w *witness) Disconnect(_ context.Context, e *hooks.Disconnect) (hooks.Answer, error) {
	w.tell(fmt.Sprintf("disconnect %s %d %s", e.Client.User, e.Code, e.Reason))
	return hooks.Answer{Verdict: hooks.Deny}, nil
}

func (w *witness) Channel(_ context.Context, e *hooks.Channel) (hooks.Answer, error) {
	w.tell("channel " + e.Channel)
	return hooks.Answer{Verdict: hooks.Pass}, nil
}

func TestEndsAreTold(t *testing.T) {
	told := make(chan string, 100)
	r := start(t, open(), hooks.Link{Plugin: &witness{
		wants: []hooks.Hook{hooks.OnUnsubscribe, hooks.OnDisconnect}, tell: func(what string) { told <- what },
	}})
	r.dial("").conn.WriteClose(1000, nil) // Never connected: nothing is told.
	client := r.connect("alice")
	for i, channel := range []string{"a", "b"} {
		client.ask(2+i, fmt.Sprintf(`"subscribe":{"channel":%q}`, channel))
	}
	client.ask(5, `"unsubscribe":{"channel":"a"}`)
	client.ask(6, `"unsubscribe":{"channel":"a"}`) // It has left already.
	client.conn.WriteClose(4321, []byte("bye"))
	refused := r.connect("bob")
	refused.send(`{"id":2,"connect":{}}`)
	refused.expectClose(3501)
	var got []string
	for range 4 {
		select {
		case what := <-told:
			got = append(got, what)
		case <-time.After(patience):
			t.Fatalf("told only %q", got)
		}
	}
	var alice, bob []string
	for _, what := range got {
		if strings.Contains(what, "alice") {
			alice = append(alice, what)
		} else {
			bob = append(bob, what)
		}
	}
	if want := []string{"unsubscribe alice a 0 the client unsubscribed", "unsubscribe alice b 1 the session ended",
		"disconnect alice 4321 closed by client"}; !slices.Equal(alice, want) {
		t.Errorf("of alice %q, want %q", alice, want)
	}
	if want := []string{"disconnect bob 3501 bad request: already connected"}; !slices.Equal(bob, want) {
		t.Errorf("of bob %q, want %q", bob, want)
	}
	r.stop()
	if len(told) != 0 {
		t.Errorf("then told %s", <-told)
	}
}

// When the server stops, every end is told or counted, and a plugin that is stuck does not hold it up.
func TestEndsAtShutdown(t *testing.T) {
	t.Parallel() // It mostly waits.
	for name, stuck := range map[string]bool{"quick": false, "stuck": true} {
		t.Run(name, func(t *testing.T) {
			var mu sync.Mutex
			told := 0
			c := open()
			if c.Shutdown.Timeout = 10 * patience; stuck {
				c.Shutdown.Timeout = 5 * time.Second // Of which a part is for the plugins, too short for all they are to be told.
			}
			r := start(t, c, hooks.Link{Deadline: patience, Plugin: &witness{wants: []hooks.Hook{hooks.OnDisconnect}, tell: func(string) {
				if stuck {
					<-time.After(300 * time.Millisecond)
				}
				mu.Lock()
				defer mu.Unlock()
				told++
			}}})
			const sessions = 60
			for i := range sessions {
				r.connect(fmt.Sprint("user", i))
			}
			r.stop()
			mu.Lock()
			defer mu.Unlock()
			untold := int(r.metric("zenconn_hook_untold_total", "shutdown"))
			if told+untold != sessions || !stuck && untold != 0 {
				t.Errorf("%d told and %d counted of %d", told, untold, sessions)
			}
		})
	}
}
