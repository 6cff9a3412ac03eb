package api_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zenconn/server/core"
)

// What each method answers, to good requests and bad. The parts are of the answer, which always comes with status 200.
func TestAnswers(t *testing.T) {
	r := start(t, configuration(), calculator)
	r.connect("alice").subscribe("room")
	r.must("publish", `{"channel":"old","data":"first"}`, nil)
	for _, tt := range []struct{ method, body, want string }{
		{"publish", `{"channel":"closed:a","data":{}}`, `{"result":{}}`},
		{"publish", `{"channel":"new","data":null}`, `{"result":{"offset":1,"epoch":"`},
		{"publish", `{"channel":"new","b64data":"eyJhIjoxfQ=="}`, `{"result":{"offset":2,"epoch":"`},
		{"publish", `{"channel":"new","data":1,"skip_history":true}`, `{"result":{}}`},
		{"publish", `{"channel":"new","data":1,"delta":true,"unknown":[]}`, `{"result":{"offset":3,`},
		{"publish", `{"channel":"binary:a","b64data":"/w=="}`, `{"result":{"offset":1,`},
		{"publish", `{"data":{}}`, `{"error":{"code":107,"message":"bad request: a channel name has`},
		{"publish", `{"channel":"` + strings.Repeat("x", 256) + `","data":{}}`, `"code":107,`},
		{"publish", `{"channel":"nowhere:a","data":{}}`, `{"error":{"code":102,"message":"unknown channel"}}`},
		{"publish", `{"channel":"$system:a","data":{}}`, `"code":102,`},
		{"publish", `{"channel":"new"}`, `"code":107,"message":"bad request: data is missing"`},
		{"publish", `{"channel":"new","data":1,"b64data":"MQ=="}`, "exclude each other"},
		{"publish", `{"channel":"new","b64data":"%"}`, "b64data is not standard Base64"},
		{"publish", `{"channel":"new","b64data":"/w=="}`, "data is not JSON"},
		{"publish", `{"channel":"new","data":1,"version":1}`, `"code":108,`},
		{"publish", `{"channel":"new","data":1,"idempotency_key":"` + strings.Repeat("k", 256) + `"}`, `"code":107,`},
		{"broadcast", `{"channels":["b1","nowhere:b","closed:b"],"data":1}`,
			`,{"error":{"code":102,"message":"unknown channel"}},{"result":{}}]}}`},
		{"broadcast", `{"channels":[],"data":1}`, "channels is missing or empty"},
		{"broadcast", `{"channels":["a"]}`, "data is missing"},
		{"broadcast", `{"data":1,"channels":[` + strings.Repeat(`"a",`, 10_000) + `"a"]}`, `"code":106,`},
		{"subscribe", `{"user":"nobody","channel":"room"}`, `{"result":{}}`},
		{"subscribe", `{"channel":"room"}`, "user, client or session"},
		{"subscribe", `{"user":"alice","channel":"nowhere:a"}`, `"code":102,`},
		{"subscribe", `{"user":"alice","channel":"binary:a"}`, `"code":108,`},
		{"subscribe", `{"user":"alice","channel":"a","expire_at":1}`, `"code":110,`},
		{"subscribe", `{"user":"alice","channel":"a","b64info":"/w=="}`, "b64info does not hold JSON"},
		{"subscribe", `{"user":"alice","channel":"a","override":{"force_positioning":{"value":true}}}`, `"code":108,`},
		{"unsubscribe", `{"user":"nobody","channel":"room"}`, `{"result":{}}`},
		{"unsubscribe", `{"user":"alice"}`, `"code":107,`},
		{"unsubscribe", `{"channel":"room"}`, "user, client or session"},
		{"disconnect", `{"user":"nobody"}`, `{"result":{}}`},
		{"disconnect", `{"client":"no ID"}`, `{"result":{}}`},
		{"disconnect", `{}`, "user, client or session"},
		{"disconnect", `{"client":"a","session":"b"}`, "different sessions"},
		{"disconnect", `{"user":"nobody","disconnect":{"code":107}}`, "between 3000 and 4999"},
		{"disconnect", `{"user":"nobody","disconnect":{"code":5000}}`, "between 3000 and 4999"},
		{"disconnect", `{"user":"nobody","disconnect":{"reason":"` + strings.Repeat("x", 124) + `"}}`, "123 bytes"},
		{"refresh", `{"user":"nobody","expire_at":1}`, `{"result":{}}`},
		{"refresh", `{"expired":true}`, "user, client or session"},
		{"refresh", `{"user":"alice","expire_at":-1}`, `"code":107,`},
		{"refresh", `{"user":"alice","info":{}}`, `"code":108,`},
		{"send", `{"user":"nobody","data":1}`, `{"result":{"sessions":0}}`},
		{"send", `{"user":"alice"}`, "data is missing"},
		{"send", `{"data":1}`, "user, client or session"},
		{"presence", `{"channel":"room"}`, `"user":"alice","client":"`},
		{"presence", `{"channel":"empty"}`, `{"result":{"presence":{}}}`},
		{"presence", `{"channel":"closed:a"}`, `{"error":{"code":108,"message":"not available: the namespace keeps no presence"}}`},
		{"presence", ``, `"code":107,`},
		{"presence_stats", `{"channel":"room"}`, `{"result":{"num_clients":1,"num_users":1}}`},
		{"presence_stats", `{"channel":"closed:a"}`, `"code":108,`},
		{"presence_stats", `{"channel":"nowhere:a"}`, `"code":102,`},
		{"history", `{"channel":"old"}`, `{"result":{"publications":[],"offset":1,"epoch":"`},
		{"history", `{"channel":"old","limit":-1}`, `{"publications":[{"data":"first","offset":1}],"offset":1,`},
		{"history", `{"channel":"new","limit":1,"reverse":true}`, `"publications":[{"data":1,"offset":3}]`},
		{"history", `{"channel":"new","limit":1,"since":{"offset":1}}`, `"publications":[{"data":{"a":1},"offset":2}]`},
		{"history", `{"channel":"binary:a","limit":1}`, `"publications":[{"b64data":"/w==","offset":1}]`},
		{"history", `{"channel":"old","since":{"offset":1,"epoch":"other"}}`, `"code":112,`},
		{"history", `{"channel":"closed:a"}`, `"message":"not available: the namespace keeps no history"`},
		{"history_remove", `{"channel":"closed:a"}`, `"code":108,`},
		{"history_remove", `{"channel":"old"}`, `{"result":{}}`},
		{"history", `{"channel":"old","limit":-1}`, `{"publications":[],"offset":1,`},
		{"channels", ``, `{"result":{"channels":{"room":{"num_clients":1}}}}`},
		{"channels", `{"pattern":"r*m"}`, `"room"`},
		{"channels", `{"pattern":"roo?"}`, `"room"`},
		{"channels", `{"pattern":"oo"}`, `{"result":{"channels":{}}}`},
		{"channels", `{"pattern":"[r]oom"}`, `{"result":{"channels":{}}}`},
		{"channels", `{"pattern":"` + strings.Repeat("*", 256) + `"}`, `"code":107,`},
		{"info", ``, `"name":"test","version":"v0","num_clients":1,"num_users":1,"num_subs":1,"num_channels":1,"uptime":`},
		{"rpc", `{"method":"add","params":[1,2]}`, `{"result":{"data":3}}`},
		{"rpc", `{"method":"fail"}`, `{"error":{"code":444,"message":"no <luck>"}}`},
		{"rpc", `{"method":"close"}`, `{"error":{"code":103,"message":"go away"}}`},
		{"rpc", `{"method":"unknown"}`, `{"error":{"code":104,"message":"method not found"}}`},
		{"rpc", `{}`, "method is missing"},
		{"users", ``, `"num_users":1,"num_sessions":1}}`},
		{"users", `{"limit":10001}`, `"code":107,`},
		{"user_status", `{"users":["alice","bob"],"user":"carol"}`,
			`[{"user":"carol","online":false,"sessions":0},{"user":"alice","online":true,"sessions":1},{"user":"bob","online":false,"sessions":0}]`},
		{"user_status", `{}`, "user, or users"},
		{"sessions", `{"channel":"room","user":"alice"}`, `"user":"alice","node":"test","transport":"websocket","protocol":"json","remote_addr":"127.0.0.1"`},
		{"sessions", `{"channel":"empty"}`, `{"result":{"sessions":[]}}`},
		{"sessions", `{"node":"test","transport":"websocket","user":"alice"}`, `"user":"alice","node":"test","transport":"websocket"`},
		{"sessions", `{"node":"other"}`, `{"result":{"sessions":[]}}`},
		{"sessions", `{"transport":"tcp"}`, `{"result":{"sessions":[]}}`},
		{"sessions", `{"channel":"nowhere:a"}`, `"code":102,`},
		{"sessions", `{"limit":-1}`, `"code":107,`},
	} {
		if got := r.call(tt.method, tt.body); !strings.Contains(got, tt.want) {
			t.Errorf("%s %.200s\ngot  %.300s\nwant %s", tt.method, tt.body, got, tt.want)
		}
	}
}

func TestClientSeesPublications(t *testing.T) {
	r := start(t, configuration())
	c := r.connect("alice").subscribe("news")
	for _, body := range []string{
		`{"channel":"news","data":{"a": [1,` + "\n" + `2]},"tags":{"lang":"en"}}`, `{"channel":"news","data":{"a":"<>"},"skip_history":true}`,
	} {
		r.must("publish", body, nil)
	}
	type pub struct {
		Data   map[string]any
		Info   any
		Offset int
		Tags   map[string]string
	}
	for _, want := range []pub{
		{Data: map[string]any{"a": []any{1.0, 2.0}}, Offset: 1, Tags: map[string]string{"lang": "en"}}, {Data: map[string]any{"a": "<>"}},
	} {
		m := c.next()
		var got struct {
			Push struct {
				Channel string
				Pub     pub
			}
		}
		if err := json.Unmarshal([]byte(m), &got); err != nil || got.Push.Channel != "news" || !reflect.DeepEqual(got.Push.Pub, want) {
			t.Errorf("got %s (%v), want %+v", m, err, want)
		}
	}
	r.must("broadcast", `{"channels":["news","other"],"data":7}`, nil)
	if m := c.next(); !strings.Contains(m, `"data":7`) {
		t.Errorf("got %s", m)
	}
}

func TestClientSeesWhatIsDoneToIt(t *testing.T) {
	r := start(t, configuration())
	r.must("publish", `{"channel":"news","data":1}`, nil)
	var at struct{ Epoch string }
	r.must("publish", `{"channel":"news","data":2}`, &at)
	alice, second, bob := r.connect("alice"), r.connect("alice"), r.connect("bob")

	r.must("subscribe", fmt.Sprintf(`{"client":%q,"channel":"news","info":{"role":"x"},"data":{"why":1},"recover_since":{"offset":1,"epoch":%q}}`,
		alice.id, at.Epoch), nil)
	if m := alice.next(); !strings.HasPrefix(m, `{"push":{"channel":"news","subscribe":{"recoverable":true,"epoch":"`+at.Epoch+`","offset":2,"positioned":true,"data":{"why":1}}}`) {
		t.Errorf("subscribe: %s", m)
	}
	if m := alice.next(); !strings.HasPrefix(m, `{"push":{"channel":"news","pub":{"offset":2,"data":2`) && !strings.Contains(m, `"data":2`) {
		t.Errorf("recovered: %s", m)
	}
	if got := r.call("presence", `{"channel":"news"}`); !strings.Contains(got, `"client":"`+alice.id+`","chan_info":{"role":"x"}`) {
		t.Errorf("presence: %s", got)
	}
	r.must("subscribe", `{"user":"alice","channel":"news","override":{"presence":{"value":false},"force_recovery":{"value":false},"join_leave":{"value":false}}}`, nil)
	if m := second.next(); m != `{"push":{"channel":"news","subscribe":{"epoch":"`+at.Epoch+`","offset":2}}}` {
		t.Errorf("subscribe: %s", m)
	}
	alice.stays() // It was subscribed already, and nobody was announced.
	bob.stays()
	if got := r.call("presence_stats", `{"channel":"news"}`); !strings.Contains(got, `"num_clients":1,`) {
		t.Errorf("presence of the hidden: %s", got)
	}
	if got := r.call("channels", ``); !strings.Contains(got, `"news":{"num_clients":2}`) {
		t.Errorf("channels: %s", got)
	}

	r.must("unsubscribe", fmt.Sprintf(`{"user":"alice","session":%q,"channel":"news"}`, second.id), nil)
	if m := second.next(); m != `{"push":{"channel":"news","unsubscribe":{"code":2000,"reason":"server unsubscribe"}}}` {
		t.Errorf("unsubscribe: %s", m)
	}
	alice.stays()

	r.must("send", `{"user":"alice","data":{"text":"hi"}}`, nil)
	for _, c := range []*client{alice, second} {
		if m := c.next(); m != `{"push":{"message":{"data":{"text":"hi"}}}}` {
			t.Errorf("message: %s", m)
		}
	}

	r.must("refresh", fmt.Sprintf(`{"user":"alice","expire_at":%d}`, time.Now().Add(time.Hour).Unix()), nil)
	for _, c := range []*client{alice, second} {
		if m := c.next(); !strings.HasPrefix(m, `{"push":{"refresh":{"expires":true,"ttl":3`) {
			t.Errorf("refresh: %s", m)
		}
	}
	r.must("refresh", `{"user":"alice"}`, nil)
	for _, c := range []*client{alice, second} {
		if m := c.next(); m != `{"push":{"refresh":{}}}` {
			t.Errorf("refresh: %s", m)
		}
	}

	r.must("disconnect", fmt.Sprintf(`{"user":"bob","client":%q}`, alice.id), nil) // Not bob's.
	r.must("disconnect", fmt.Sprintf(`{"user":"alice","whitelist":[%q],"disconnect":{"code":4500,"reason":"one is enough"}}`, alice.id), nil)
	second.expectClose(4500, "one is enough")
	alice.stays()
	r.must("disconnect", `{"user":"bob"}`, nil)
	bob.expectClose(3503, "force disconnect")
	r.must("refresh", `{"user":"alice","expire_at":1}`, nil)
	alice.expectClose(3005, "connection expired")
	carol := r.connect("carol")
	r.must("refresh", `{"user":"carol","expired":true}`, nil)
	carol.expectClose(3005, "connection expired")
	r.eventually("nobody is there", func() bool {
		return strings.HasSuffix(r.call("users", ``), `"users":[],"num_users":0,"num_sessions":0}}`)
	})
}

// A subscription that the server makes expires, and tells who comes when asked to.
func TestSubscribeWithJoins(t *testing.T) {
	r := start(t, configuration())
	c := r.connect("alice")
	r.must("subscribe", fmt.Sprintf(`{"user":"alice","channel":"room","expire_at":%d,"override":{"force_push_join_leave":{"value":true}}}`,
		time.Now().Add(time.Hour).Unix()), nil)
	c.expect(`"subscribe":{`)
	r.connect("bob").subscribe("room")
	c.expect(`"join":{"info":{"user":"bob"`)
}

func TestLimitOfChannels(t *testing.T) {
	c := configuration()
	c.Client.Limits.Channels = 1
	r := start(t, c)
	r.connect("alice").subscribe("a").stays()
	if got := r.call("subscribe", `{"user":"alice","channel":"b"}`); !strings.Contains(got, `"code":106,`) {
		t.Errorf("got %s", got)
	}
}

func TestUsersAndSessions(t *testing.T) {
	r := start(t, configuration())
	first := r.connect("alice").subscribe("a", "b")
	r.connect("alice")
	r.connect("bob").subscribe("a")
	r.connect("")
	type userList struct {
		Users []struct {
			User                    string
			Sessions, Subscriptions int
			ConnectedAt             time.Time `json:"connected_at"`
			MessagesIn              int       `json:"messages_in"`
			BytesOut                int       `json:"bytes_out"`
		}
		Next        string
		NumUsers    int `json:"num_users"`
		NumSessions int `json:"num_sessions"`
	}
	var users userList
	r.must("users", `{"limit":1}`, &users)
	if len(users.Users) != 1 || users.Next != "alice" || users.NumUsers != 2 || users.NumSessions != 4 {
		t.Fatalf("first page: %+v", users)
	}
	a := users.Users[0]
	if a.User != "alice" || a.Sessions != 2 || a.Subscriptions != 2 || a.MessagesIn != 4 || a.BytesOut == 0 || time.Since(a.ConnectedAt) > time.Minute {
		t.Errorf("alice: %+v", a)
	}
	users = userList{}
	r.must("users", `{"limit":2,"after":"alice"}`, &users)
	if len(users.Users) != 1 || users.Users[0].User != "bob" || users.Next != "" {
		t.Errorf("second page: %+v", users)
	}

	var seen []string
	for after, pages := "", 0; ; pages++ {
		var sessions struct {
			Sessions []struct {
				ID, User, Name string
				Channels       int
			}
			Next string
		}
		r.must("sessions", fmt.Sprintf(`{"limit":3,"after":%q}`, after), &sessions)
		for _, s := range sessions.Sessions {
			if _, err := core.ParseID(s.ID); err != nil || s.Name != "tests" || s.ID == first.id && s.Channels != 2 {
				t.Errorf("session %+v", s)
			}
			seen = append(seen, s.User)
		}
		if after = sessions.Next; after == "" || pages > 3 {
			break
		}
	}
	slices.Sort(seen) // Those of the same millisecond come in any order.
	if got := strings.Join(seen, ","); got != ",alice,alice,bob" {
		t.Errorf("sessions of %s", got)
	}
	if got := r.call("sessions", `{"user":"alice","channel":"a"}`); strings.Count(got, `"id":`) != 1 || !strings.Contains(got, first.id) {
		t.Errorf("alice in a: %s", got)
	}
}

// Whatever the client and the server do to the same channel at once, the client knows in the end what holds.
func TestChangesFromBothSides(t *testing.T) {
	r := start(t, configuration())
	c := r.connect("alice")
	const rounds = 60
	var wg sync.WaitGroup
	for _, method := range []string{"subscribe", "unsubscribe"} {
		wg.Go(func() {
			for range rounds {
				r.must(method, `{"user":"alice","channel":"room"}`, nil)
			}
		})
	}
	wg.Go(func() {
		for i := range rounds {
			c.send(fmt.Sprintf(`{"id":%d,"subscribe":{"channel":"room"}}`, 10_000+2*i) + "\n" +
				fmt.Sprintf(`{"id":%d,"unsubscribe":{"channel":"room"}}`, 10_001+2*i))
		}
	})
	wg.Wait()
	c.send(`{"id":9,"ping":{}}`)
	subscribed := false
	for m := ""; !strings.HasPrefix(m, `{"id":9,`); {
		m = c.next()
		switch {
		case strings.Contains(m, `"unsubscribe":{`):
			subscribed = false
		case strings.Contains(m, `"subscribe":{`):
			subscribed = true
		case strings.Contains(m, `"error"`) && !strings.Contains(m, `"code":105,`):
			t.Errorf("got %s", m)
		}
	}
	want := `{"result":{"channels":{}}}`
	if subscribed {
		want = `{"result":{"channels":{"room":{"num_clients":1}}}}`
	}
	if got := r.call("channels", ``); got != want {
		t.Errorf("%s, but the client knows %s", got, want)
	}
}

// Who ends while the server subscribes it is gone from the channel afterwards, and nobody is left believing otherwise.
func TestSubscribeWhileSessionsEnd(t *testing.T) {
	r := start(t, configuration())
	watcher := r.connect("watcher")
	watcher.send(`{"id":2,"subscribe":{"channel":"room","join_leave":true}}`)
	watcher.expect(`{"id":2,"subscribe":`)
	var wg sync.WaitGroup
	for i := range 40 {
		user := fmt.Sprintf("user%d", i)
		c := r.connect(user)
		wg.Go(func() { r.must("subscribe", fmt.Sprintf(`{"user":%q,"channel":"room"}`, user), nil) })
		wg.Go(func() { _ = c.conn.NetConn().Close() })
	}
	wg.Wait()
	r.eventually("only the watcher is left", func() bool {
		return r.call("channels", ``) == `{"result":{"channels":{"room":{"num_clients":1}}}}` && strings.Contains(r.call("info", ``), `"num_clients":1,`)
	})
	there := map[string]bool{}
	r.eventually("everybody has left", func() bool {
		for len(watcher.messages) > 0 {
			var m struct {
				Push struct {
					Join, Leave *struct{ Info struct{ User string } }
				}
			}
			if err := json.Unmarshal([]byte(watcher.next()), &m); err != nil {
				t.Fatal(err)
			}
			if m.Push.Join != nil {
				there[m.Push.Join.Info.User] = true
			}
			if m.Push.Leave != nil {
				delete(there, m.Push.Leave.Info.User)
			}
		}
		delete(there, "watcher")
		return len(there) == 0
	})
}
