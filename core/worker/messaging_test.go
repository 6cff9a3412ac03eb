package worker_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/zenconn/server/audit"
	"github.com/zenconn/server/core/config"
)

func TestRulesOfNamespaces(t *testing.T) {
	c := open()
	for _, rule := range []string{"anyone", "user", "granted", "nobody"} {
		ns := config.DefaultNamespace()
		ns.Subscribe, ns.Publish = rule, rule
		c.Namespaces[rule] = ns
	}
	r := start(t, c)
	anonymous, named := r.connect(""), r.connect("alice")
	for _, tc := range []struct {
		who   *client
		rule  string
		error uint32
	}{
		{anonymous, "anyone", 0}, {anonymous, "user", 103}, {anonymous, "granted", 103}, {anonymous, "nobody", 103},
		{named, "anyone", 0}, {named, "user", 0}, {named, "granted", 103}, {named, "nobody", 103},
	} {
		for i, command := range []string{`"subscribe":{"channel":"%s:x"}`, `"publish":{"channel":"%s:x","data":{}}`} {
			got := tc.who.ask(10+i, fmt.Sprintf(command, tc.rule))
			if code := errorCode(got); code != tc.error {
				t.Errorf("%s: error %d, want %d", fmt.Sprintf(command, tc.rule), code, tc.error)
			}
		}
	}
	r.audit.mu.Lock()
	defer r.audit.mu.Unlock()
	refused := 0
	for _, e := range r.audit.events {
		if d, ok := e.(*audit.Decision); ok && d.Plugin == "server" && d.Verdict == audit.DecisionReject {
			refused++
		}
	}
	if refused != 10 {
		t.Errorf("%d refusals are written down, want 10", refused)
	}
}

func errorCode(r reply) uint32 {
	if r.Error == nil {
		return 0
	}
	return r.Error.Code
}

func TestExcludeSender(t *testing.T) {
	c := open()
	ns := c.Namespaces["default"]
	ns.ExcludeSender = true
	c.Namespaces["quiet"] = ns
	r := start(t, c)
	sender, other := r.connect("sender"), r.connect("other")
	for _, one := range []*client{sender, other} {
		one.ask(2, `"subscribe":{"channel":"quiet:x"}`)
		one.ask(3, `"subscribe":{"channel":"loud"}`)
	}
	sender.ask(4, `"publish":{"channel":"quiet:x","data":"one"}`)
	other.expect(`"one"`)
	other.ask(5, `"publish":{"channel":"loud","data":"two"}`)
	if first := sender.expect(`"pub":`); !strings.Contains(string(first), `"two"`) {
		t.Errorf("the sender got %s", first)
	}
}

func TestBinaryNamespaceIsForProtobufClients(t *testing.T) {
	c := open()
	ns := c.Namespaces["default"]
	ns.Content = "binary"
	c.Namespaces["raw"] = ns
	r := start(t, c)
	if got := r.connect("text").ask(2, `"subscribe":{"channel":"raw:x"}`); errorCode(got) != 108 {
		t.Errorf("a JSON client got %+v, want error 108", got)
	}
}

func TestSessionsPerUser(t *testing.T) {
	c := open()
	c.Client.Limits.SessionsPerUser = 2
	r := start(t, c)
	first := r.connect("alice")
	r.connect("alice")
	third := r.dial("")
	third.send(`{"id":1,"connect":{"data":{"user":"alice"}}}`)
	third.expectClose(3504)
	r.connect("bob")
	_ = first.conn.NetConn().Close()
	r.eventually("the first session has ended", func() bool { return r.metric("zenconn_connections") == 2 })
	r.connect("alice")
}

func TestShutdownTellsClientsToReconnect(t *testing.T) {
	r := start(t, open())
	clients := make([]*client, 50)
	for i := range clients {
		clients[i] = r.connect(fmt.Sprintf("user %d", i))
		clients[i].ask(2, `"subscribe":{"channel":"news"}`)
	}
	go r.stop()
	for _, c := range clients {
		c.expectClose(3001)
	}
	r.stop()
	if r.metric("zenconn_connections") != 0 || r.metric("zenconn_subscriptions") != 0 {
		t.Error("something is left after the shutdown")
	}
}

// A subscriber that comes and goes while somebody publishes sees every publication exactly once and in order.
func TestRecoveryAmidPublications(t *testing.T) {
	c := open()
	c.Client.Limits.CommandsPerSecond = 0
	ns := c.Namespaces["default"]
	ns.HistorySize = 10_000
	c.Namespaces["default"] = ns
	r := start(t, c)
	speaker, listener := r.connect("speaker"), r.connect("listener")

	const total = 3000
	published := make(chan struct{})
	go func() {
		defer close(published)
		for i := range total {
			if speaker.conn.WriteString(fmt.Sprintf(`{"id":%d,"publish":{"channel":"news","data":%d}}`, i+2, i)) != nil {
				return
			}
		}
	}()
	seen, epoch := uint64(0), ""
	see := func(offset uint64, data json.RawMessage) {
		t.Helper()
		if offset != seen+1 || string(data) != fmt.Sprint(seen) {
			t.Fatalf("got offset %d with %s after offset %d", offset, data, seen)
		}
		seen = offset
	}
	for id := 2; seen < total; id += 2 {
		got := listener.ask(id, fmt.Sprintf(`"subscribe":{"channel":"news","recover":%t,"epoch":%q,"offset":%d}`, epoch != "", epoch, seen))
		if epoch != "" && !got.Subscribe.Recovered {
			t.Fatalf("not recovered at offset %d: %+v", seen, got.Subscribe)
		}
		if epoch == "" {
			seen = got.Subscribe.Offset
		}
		epoch = got.Subscribe.Epoch
		for _, p := range got.Subscribe.Publications {
			see(p.Offset, p.Data)
		}
		// Some live ones, then away. What comes until the answer still counts.
		listener.send(fmt.Sprintf(`{"id":%d,"unsubscribe":{"channel":"news"}}`, id+1))
		for done := false; !done; {
			var m reply
			if err := json.Unmarshal(listener.expect("{"), &m); err != nil {
				t.Fatal(err)
			}
			switch {
			case m.Push != nil && m.Push.Pub != nil:
				see(m.Push.Pub.Offset, m.Push.Pub.Data)
			case m.ID == uint32(id+1):
				done = true
			}
		}
	}
	<-published
}

func TestRecoveryRefused(t *testing.T) {
	c := open()
	ns := c.Namespaces["default"]
	ns.HistorySize = 2
	c.Namespaces["default"] = ns
	r := start(t, c)
	one := r.connect("alice")
	first := one.ask(2, `"subscribe":{"channel":"news"}`)
	if first.Subscribe.Epoch == "" || !first.Subscribe.Recoverable {
		t.Fatalf("a channel nobody has published to: %+v", first.Subscribe)
	}
	for i := range 5 {
		one.ask(3+i, `"publish":{"channel":"news","data":1}`)
	}
	other := r.connect("bob")
	request := fmt.Sprintf(`"subscribe":{"channel":"news","recover":true,"epoch":%q,"offset":1`, first.Subscribe.Epoch)
	if got := other.ask(2, request+`,"flag":2}`); errorCode(got) != 112 {
		t.Errorf("with flag 2: %+v, want error 112", got)
	}
	if got := other.ask(3, request+`}`); got.Subscribe == nil || got.Subscribe.Recovered || !got.Subscribe.WasRecovering || got.Subscribe.Offset != 5 {
		t.Errorf("without: %+v", got.Subscribe)
	}
}

func TestConflationKeepsTheNewest(t *testing.T) {
	c := open()
	ns := config.DefaultNamespace()
	ns.Subscribe, ns.Publish, ns.SlowConsumer = "anyone", "anyone", "conflate"
	c.Namespaces["ticker"] = ns
	c.Client.Limits.QueueSize, c.Client.Limits.QueueMessages = 64<<10, 10
	c.Client.Limits.CommandsPerSecond = 0
	r := start(t, c)
	speaker, slow := r.connect("speaker"), r.connect("slow")
	slow.ask(2, `"subscribe":{"channel":"ticker:x"}`)
	slow.messages = make(chan []byte) // From here on it reads only when the test does.
	payload := strings.Repeat("x", 16<<10)
	n := 0
	for ; r.metric("zenconn_frames_dropped_total", "conflated") == 0 && n < 5000; n++ {
		speaker.ask(n+2, fmt.Sprintf(`"publish":{"channel":"ticker:x","data":{"n":%d,"x":%q}}`, n, payload))
	}
	slow.expect(fmt.Sprintf(`"n":%d,`, n-1))
	if r.audit.closed(3008) != nil {
		t.Error("the slow client was disconnected")
	}
}
