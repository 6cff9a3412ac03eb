package worker_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/zenconn/server/audit"
	"github.com/zenconn/server/core/config"
	"github.com/zenconn/server/hooks"
)

func TestChannelsByPlugin(t *testing.T) {
	c := open()
	add(c, "room", func(ns *config.Namespace) {
		ns.Subscribe, ns.Publish, ns.HistorySize, ns.Recovery = "nobody", "nobody", 0, false
	})
	asked := make(chan string, 100)
	r := start(t, c, script(t, `
		function on_channel(ev)
			if ev.channel == "room:secret" then return false end
			if ev.channel == "room:no" then return false, "this room is closed" end
			if ev.channel == "room:broken" then error("oops") end
			if ev.namespace == "room" then
				ev.subscribe, ev.publish, ev.exclude_sender = "anyone", "anyone", true
				ev.history_size, ev.history_ttl, ev.recovery = 2, 60, true
			end
		end`), hooks.Link{Plugin: &witness{wants: []hooks.Hook{hooks.OnChannel}, tell: func(what string) { asked <- what }}})
	alice, bob := r.connect("alice"), r.connect("bob")
	for channel, want := range map[string]string{
		"room:secret": "102 unknown channel", "room:no": "102 this room is closed", "room:broken": "100 internal server error",
		"nowhere:x": "102 unknown channel",
	} {
		got := alice.ask(2, fmt.Sprintf(`"subscribe":{"channel":%q}`, channel))
		if got.Error == nil || fmt.Sprint(got.Error.Code, " ", got.Error.Message) != want {
			t.Errorf("%s: %+v, want %s", channel, got.Error, want)
		}
	}
	for _, who := range []*client{alice, bob} {
		if got := who.ask(3, `"subscribe":{"channel":"room:1"}`); got.Error != nil || !got.Subscribe.Recoverable {
			t.Fatalf("room:1: %+v, %+v", got.Error, got.Subscribe)
		}
	}
	for i := range 3 {
		if got := alice.ask(10+i, fmt.Sprintf(`"publish":{"channel":"room:1","data":%d}`, i)); got.Error != nil {
			t.Fatalf("publish: %+v", got.Error)
		}
	}
	bob.expect(`"offset":3`)
	if m := string(alice.expectReply(20, `"history":{"channel":"room:1","limit":-1}`)); strings.Contains(m, `"data":0`) || !strings.Contains(m, `"data":2`) {
		t.Errorf("history %s", m)
	}
	r.stop()
	close(asked)
	var names []string
	for name := range asked {
		names = append(names, name)
	}
	if !slices.Equal(names, []string{"channel room:1"}) { // Once, however often it was used; refusals came before.
		t.Errorf("asked about %q", names)
	}
}

// expectReply sends a command and returns its reply as it came; pushes that come before fail the test.
func (c *client) expectReply(id int, command string) []byte {
	c.t.Helper()
	c.send(fmt.Sprintf(`{"id":%d,%s}`, id, command))
	select {
	case m := <-c.messages:
		if !strings.Contains(string(m), fmt.Sprintf(`"id":%d,`, id)) {
			c.t.Fatalf("before the reply came %s", m)
		}
		return m
	case <-time.After(patience):
		c.t.Fatalf("no reply to %s", command)
	}
	return nil
}

func TestPublishIsRouted(t *testing.T) {
	c := open()
	add(c, "queue", func(ns *config.Namespace) { ns.Publish, ns.ExcludeSender = "nobody", true })
	r := start(t, c, script(t, `
		function on_publish(ev)
			local how = json.decode(ev.data)
			if how == "elsewhere" then ev.redirect = "queue:x" end
			if how == "elsewhere, to me too" then ev.redirect, ev.exclude_sender = "queue:x", false end
			if how == "nowhere" then ev.redirect = "none:x" end
			if how == "not kept" then ev.skip_history = true end
			if how == "expired" then ev.expire_at = 1 end
			if how == "not to me" then ev.exclude_sender = true end
			if how == "empty" then ev.data = "" end
		end`))
	alice, bob := r.connect("alice"), r.connect("bob")
	for _, who := range []*client{alice, bob} {
		who.ask(2, `"subscribe":{"channel":"x"}`)
		who.ask(3, `"subscribe":{"channel":"queue:x"}`)
	}
	for _, tt := range []struct {
		data      string
		error     uint32
		channel   string
		toAlice   bool
		position  bool
		deliverTo uint32 // Sessions, as the audit says.
	}{
		{"plain", 0, "x", true, true, 2},
		{"elsewhere", 0, "queue:x", false, true, 1},
		{"elsewhere, to me too", 0, "queue:x", true, true, 2},
		{"nowhere", 100, "", false, false, 0},
		{"not kept", 0, "x", true, false, 2},
		{"expired", 0, "x", true, true, 2},
		{"not to me", 0, "x", false, true, 1},
		{"empty", 100, "", false, false, 0},
	} {
		t.Run(tt.data, func(t *testing.T) {
			r.audit.mu.Lock()
			r.audit.events = nil
			r.audit.mu.Unlock()
			alice.send(fmt.Sprintf(`{"id":5,"publish":{"channel":"x","data":%q}}`, tt.data))
			if tt.error != 0 {
				alice.expect(fmt.Sprintf(`"error":{"code":%d`, tt.error))
				return
			}
			if tt.toAlice {
				alice.expect(fmt.Sprintf(`"channel":%q,"pub":`, tt.channel))
			} else if m := <-alice.messages; !strings.Contains(string(m), `"id":5`) {
				t.Errorf("the sender got %s", m)
			}
			m := string(bob.expect(fmt.Sprintf(`"data":%q`, tt.data)))
			if !strings.Contains(m, fmt.Sprintf(`"channel":%q`, tt.channel)) || strings.Contains(m, `"offset"`) != tt.position {
				t.Errorf("the subscriber got %s", m)
			}
			var record *audit.Message
			r.eventually("the message is written down", func() bool {
				r.audit.mu.Lock()
				defer r.audit.mu.Unlock()
				for _, e := range r.audit.events {
					if m, ok := e.(*audit.Message); ok {
						record = m
					}
				}
				return record != nil
			})
			if record.Channel != tt.channel || record.Deliveries != tt.deliverTo || record.Offset != 0 != tt.position {
				t.Errorf("written down %+v", record)
			}
			if tt.toAlice && tt.channel != "" {
				drain(alice)
			}
		})
	}
	history := string(bob.expectReply(9, `"history":{"channel":"x","limit":-1}`))
	for data, kept := range map[string]bool{"plain": true, "not kept": false, "expired": false, "not to me": true, "elsewhere": false} {
		if strings.Contains(history, fmt.Sprintf("%q", data)) != kept {
			t.Errorf("%s: kept should be %v in %s", data, kept, history)
		}
	}
}

// drain asks something, so that all that came before has been read.
func drain(c *client) { c.ask(99, `"rpc":{"method":"none"}`) }

// JSON clients listen there: what a binary channel takes may not be redirected to it.
func TestRedirectKeepsJSON(t *testing.T) {
	c := open()
	add(c, "raw", func(ns *config.Namespace) { ns.Content = "binary" })
	r := start(t, c, script(t, `function on_publish(ev) ev.redirect = ev.channel == "x" and "raw:x" or "x" ev.data = '{"a":1' end`))
	client := r.connect("alice")
	if code := errorCode(client.ask(2, `"publish":{"channel":"x","data":{}}`)); code != 0 {
		t.Errorf("into the binary channel: error %d", code)
	}
	if code := errorCode(client.ask(3, `"publish":{"channel":"raw:x","data":{}}`)); code != 100 {
		t.Errorf("out of the binary channel: error %d", code)
	}
}

func TestSubscriptionGrants(t *testing.T) {
	c := open()
	add(c, "room", func(ns *config.Namespace) { ns.Publish = "granted" })
	r := start(t, c, script(t, `function on_subscribe(ev) if ev.channel == "room:1" then ev:grant{allow = {"pub"}} end end`))
	client := r.connect("alice")
	publish := func(id int, channel string) uint32 {
		return errorCode(client.ask(id, fmt.Sprintf(`"publish":{"channel":%q,"data":{}}`, channel)))
	}
	if code := publish(2, "room:1"); code != 103 {
		t.Errorf("before: error %d", code)
	}
	client.ask(3, `"subscribe":{"channel":"room:1"}`)
	client.ask(4, `"subscribe":{"channel":"room:2"}`)
	if one, two := publish(5, "room:1"), publish(6, "room:2"); one != 0 || two != 103 {
		t.Errorf("subscribed: errors %d and %d", one, two)
	}
	client.ask(7, `"unsubscribe":{"channel":"room:1"}`)
	if code := publish(8, "room:1"); code != 103 {
		t.Errorf("after: error %d", code)
	}
}
