package worker_test

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/zenconn/server/core/protocol"
	"github.com/zenconn/server/core/session"
)

// TestChannelNumbers names channels by numbers for clients that ask for it and may have it, in every push that SDKs find a subscription
// by the number for.
func TestChannelNumbers(t *testing.T) {
	t.Parallel()
	c := open()
	ns := c.Namespaces["default"]
	c.Namespaces["named"] = ns
	ns.ChannelNumbers = true
	c.Namespaces["default"] = ns
	r := start(t, c)
	numbered, named := r.connect("numbered"), r.connect("named")
	number := func(id int, channel string) int64 {
		t.Helper()
		var reply struct{ Subscribe struct{ ID int64 } }
		numbered.send(fmt.Sprintf(`{"id":%d,"subscribe":{"channel":%q,"flag":3,"join_leave":true}}`, id, channel))
		if err := json.Unmarshal(numbered.expect(fmt.Sprintf(`"id":%d,"subscribe"`, id)), &reply); err != nil {
			t.Fatal(err)
		}
		return reply.Subscribe.ID
	}
	one, two := number(2, "one"), number(3, "two")
	if one <= 0 || two <= 0 || one == two {
		t.Fatalf("the channels have the numbers %d and %d", one, two)
	}
	if n := number(4, "named:three"); n != 0 {
		t.Errorf("a channel of a namespace without numbers has the number %d", n)
	}
	named.ask(2, `"subscribe":{"channel":"one"}`)
	numbered.expect(fmt.Sprintf(`{"push":{"id":%d,"join":{"info":{"user":"named"`, one))
	named.send(`{"id":3,"publish":{"channel":"one","data":"in one"}}`)
	numbered.expect(fmt.Sprintf(`{"push":{"id":%d,"pub":{"data":"in one"`, one))
	named.expect(`{"push":{"channel":"one","pub":{"data":"in one"`)
	named.ask(4, `"publish":{"channel":"two","data":"in two"}`)
	numbered.expect(fmt.Sprintf(`{"push":{"id":%d,"pub":{"data":"in two"`, two))
	named.ask(5, `"unsubscribe":{"channel":"one"}`)
	numbered.expect(fmt.Sprintf(`{"push":{"id":%d,"leave":{`, one))
	if err := r.worker.Server().Unsubscribe(t.Context(), session.Target{User: "numbered"}, "one"); err != nil {
		t.Fatal(err)
	}
	numbered.expect(`{"push":{"channel":"one","unsubscribe":{`)
	if again := number(6, "one"); again == one || again == two || again == 0 {
		t.Errorf("a channel that nobody was in has the number %d, which was %d; the other has %d", again, one, two)
	}
}

// TestChannelNumbersInProtobuf gives numbers to those who know what to do with them.
func TestChannelNumbersInProtobuf(t *testing.T) {
	t.Parallel()
	c := open()
	ns := c.Namespaces["default"]
	ns.ChannelNumbers = true
	c.Namespaces["default"] = ns
	r := start(t, c)
	for name, test := range map[string]struct {
		client, agent string
		numbered      bool
	}{
		"Go":                          {"go", "Go-http-client/1.1", true},
		"JavaScript":                  {"js", "", false},
		"JavaScript in a browser":     {"shop", "Mozilla/5.0 (X11; Linux x86_64)", false},
		"somebody without any a name": {"", "", true},
	} {
		t.Run(name, func(t *testing.T) {
			conn, _ := r.handshake("X-Bin-Protocol: 1", "User-Agent: "+test.agent)
			var replies []*protocol.Reply
			for id, cmd := range []*protocol.Command{
				{Connect: &protocol.ConnectRequest{Name: test.client}},
				{Subscribe: &protocol.SubscribeRequest{Channel: name, Flag: 1}},
				{Publish: &protocol.PublishRequest{Channel: name, Data: []byte(`{}`)}},
			} {
				cmd.Id = uint32(id + 1)
				message, err := cmd.MarshalVT()
				if err != nil {
					t.Fatal(err)
				}
				conn.write(maskedFrame(0x82, append(binary.AppendUvarint(nil, uint64(len(message))), message...)))
			}
			var number int64
			for seen := 0; seen < 4; seen = len(replies) { // Three answers, and the publication.
				replies = append(replies, conn.replies()...)
			}
			var push *protocol.Push
			for _, reply := range replies {
				if reply.Subscribe != nil {
					number = reply.Subscribe.Id
				}
				if reply.Push != nil {
					push = reply.Push
				}
			}
			if (number > 0) != test.numbered || push == nil || push.Id != number || (push.Channel == name) == test.numbered {
				t.Errorf("the number is %d, the push is %v", number, push)
			}
		})
	}
}

// replies reads a frame of Protobuf replies.
func (r *raw) replies() (all []*protocol.Reply) {
	r.t.Helper()
	_, payload := r.read()
	for len(payload) > 0 {
		size, n := binary.Uvarint(payload)
		one := new(protocol.Reply)
		if err := one.UnmarshalVT(payload[n : n+int(size)]); err != nil {
			r.t.Fatal(err)
		}
		all, payload = append(all, one), payload[n+int(size):]
	}
	return all
}
