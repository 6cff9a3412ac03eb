package protocol_test

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/protocol"
)

type reply = protocol.Reply

var formats = []protocol.Format{protocol.JSON, protocol.Protobuf}

// TestReplies holds the JSON form literally: which members are left out and which never are is what the SDKs rely on.
func TestReplies(t *testing.T) {
	info := &protocol.ClientInfo{User: "alice", Client: "c1", ConnInfo: []byte(`{"a":1}`), ChanInfo: []byte(`[]`)}
	pub := &protocol.Publication{Data: []byte(`{"x":1}`), Info: info, Offset: 3, Tags: map[string]string{"b": "2", "a": "1"}, Time: 1700000000000}
	const infoJSON = `{"user":"alice","client":"c1","conn_info":{"a":1},"chan_info":[]}`
	const pubJSON = `{"data":{"x":1},"info":` + infoJSON + `,"offset":3,"tags":{"a":"1","b":"2"},"time":1700000000000}`
	push := func(p *protocol.Push) *reply { p.Channel = "news"; return &reply{Push: p} }
	for _, test := range []struct {
		name  string
		reply *reply
		want  string
	}{
		{"ping", &reply{}, `{}`},
		{"error", &reply{Id: 1, Error: &protocol.Error{Code: 100, Message: "internal", Temporary: true}},
			`{"id":1,"error":{"code":100,"message":"internal","temporary":true}}`},
		{"connect", &reply{Id: 1, Connect: &protocol.ConnectResult{
			Client: "c", Version: "v", Expires: true, Ttl: 60, Data: []byte(`null`), Ping: 25, Pong: true, Session: "s", Node: "n", Time: 5,
			Subs: map[string]*protocol.SubscribeResult{"b": {}, "a": {Recoverable: true}},
		}}, `{"id":1,"connect":{"client":"c","version":"v","expires":true,"ttl":60,"data":null,"subs":{"a":{"recoverable":true},"b":{}},` +
			`"ping":25,"pong":true,"session":"s","node":"n","time":5}}`},
		{"subscribe", &reply{Id: 2, Subscribe: &protocol.SubscribeResult{
			Expires: true, Ttl: 1, Recoverable: true, Epoch: "e", Publications: []*protocol.Publication{pub, {}}, Recovered: true, Offset: 3,
			Positioned: true, Data: []byte(`1`), WasRecovering: true, Delta: true, Id: 4,
		}}, `{"id":2,"subscribe":{"expires":true,"ttl":1,"recoverable":true,"epoch":"e","publications":[` + pubJSON + `,{}],"recovered":true,` +
			`"offset":3,"positioned":true,"data":1,"was_recovering":true,"delta":true,"id":4}}`},
		{"subscribe, nothing to say", &reply{Id: 2, Subscribe: &protocol.SubscribeResult{}}, `{"id":2,"subscribe":{}}`},
		{"unsubscribe", &reply{Id: 3, Unsubscribe: &protocol.UnsubscribeResult{}}, `{"id":3,"unsubscribe":{}}`},
		{"publish", &reply{Id: 4, Publish: &protocol.PublishResult{}}, `{"id":4,"publish":{}}`},
		{"presence", &reply{Id: 5, Presence: &protocol.PresenceResult{Presence: map[string]*protocol.ClientInfo{"c2": {}, "c1": info}}},
			`{"id":5,"presence":{"presence":{"c1":` + infoJSON + `,"c2":{"user":"","client":""}}}}`},
		{"presence, nobody", &reply{Id: 5, Presence: &protocol.PresenceResult{}}, `{"id":5,"presence":{"presence":{}}}`},
		{"presence stats", &reply{Id: 6, PresenceStats: &protocol.PresenceStatsResult{NumClients: 2}},
			`{"id":6,"presence_stats":{"num_clients":2,"num_users":0}}`},
		{"history", &reply{Id: 7, History: &protocol.HistoryResult{Publications: []*protocol.Publication{pub}, Epoch: "e", Offset: 1<<64 - 1}},
			`{"id":7,"history":{"publications":[` + pubJSON + `],"epoch":"e","offset":18446744073709551615}}`},
		{"history, empty", &reply{Id: 7, History: &protocol.HistoryResult{}}, `{"id":7,"history":{"publications":[],"epoch":"","offset":0}}`},
		{"ping result", &reply{Id: 8, Ping: &protocol.PingResult{}}, `{"id":8,"ping":{}}`},
		{"rpc", &reply{Id: 9, Rpc: &protocol.RPCResult{Data: []byte(`{"n":1}`)}}, `{"id":9,"rpc":{"data":{"n":1}}}`},
		{"rpc, no data", &reply{Id: 9, Rpc: &protocol.RPCResult{}}, `{"id":9,"rpc":{}}`},
		{"refresh", &reply{Id: 10, Refresh: &protocol.RefreshResult{Client: "c", Version: "v", Expires: true, Ttl: 9}},
			`{"id":10,"refresh":{"client":"c","version":"v","expires":true,"ttl":9}}`},
		{"sub refresh", &reply{Id: 11, SubRefresh: &protocol.SubRefreshResult{Expires: true, Ttl: 9}},
			`{"id":11,"sub_refresh":{"expires":true,"ttl":9}}`},
		{"push publication", push(&protocol.Push{Pub: pub}), `{"push":{"channel":"news","pub":` + pubJSON + `}}`},
		{"push publication by number", &reply{Push: &protocol.Push{Id: 7, Pub: &protocol.Publication{Data: []byte(`""`), Delta: true, Channel: "x"}}},
			`{"push":{"id":7,"pub":{"data":"","delta":true,"channel":"x"}}}`},
		{"push join", push(&protocol.Push{Join: &protocol.Join{Info: info}}), `{"push":{"channel":"news","join":{"info":` + infoJSON + `}}}`},
		{"push leave", push(&protocol.Push{Leave: &protocol.Leave{Info: info}}), `{"push":{"channel":"news","leave":{"info":` + infoJSON + `}}}`},
		{"push unsubscribe", push(&protocol.Push{Unsubscribe: &protocol.Unsubscribe{Code: 2000, Reason: "server"}}),
			`{"push":{"channel":"news","unsubscribe":{"code":2000,"reason":"server"}}}`},
		{"push message", &reply{Push: &protocol.Push{Message: &protocol.Message{Data: []byte(`1`)}}}, `{"push":{"message":{"data":1}}}`},
		{"push subscribe", push(&protocol.Push{Subscribe: &protocol.Subscribe{
			Recoverable: true, Epoch: "e", Offset: 1, Positioned: true, Data: []byte(`1`)}}),
			`{"push":{"channel":"news","subscribe":{"recoverable":true,"epoch":"e","offset":1,"positioned":true,"data":1}}}`},
		{"push connect", &reply{Push: &protocol.Push{Connect: &protocol.Connect{Client: "c", Version: "v", Data: []byte(`1`),
			Subs: map[string]*protocol.SubscribeResult{"a": {}}, Expires: true, Ttl: 1, Ping: 2, Pong: true, Session: "s", Node: "n", Time: 3}}},
			`{"push":{"connect":{"client":"c","version":"v","data":1,"subs":{"a":{}},"expires":true,"ttl":1,"ping":2,"pong":true,` +
				`"session":"s","node":"n","time":3}}}`},
		{"push disconnect", &reply{Push: &protocol.Push{Disconnect: &protocol.Disconnect{Code: 3001, Reason: "shutdown", Reconnect: true}}},
			`{"push":{"disconnect":{"code":3001,"reason":"shutdown","reconnect":true}}}`},
		{"push refresh", &reply{Push: &protocol.Push{Refresh: &protocol.Refresh{Expires: true, Ttl: 5}}},
			`{"push":{"refresh":{"expires":true,"ttl":5}}}`},
		{"strings that need escaping", &reply{Error: &protocol.Error{Message: "\x00\x1f\"\\/\b\n\r\té\u2028😀<&>\x7f"}},
			`{"error":{"message":"\u0000\u001f\"\\/\u0008\n\r\té` + "\u2028" + `😀<&>` + "\x7f" + `"}}`},
		{"strings that are not UTF-8", &reply{Error: &protocol.Error{Message: "a\xffb\xed\xa0\x80c\xc3"}}, "{\"error\":{\"message\":\"a\ufffdb\ufffd\ufffd\ufffdc\ufffd\"}}"},
		{"newlines in data", &reply{Rpc: &protocol.RPCResult{Data: []byte("\n{\n\"a\": [1,\r\n2]\n}\n")}}, "{\"rpc\":{\"data\":{\"a\": [1,\r2]}}}"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := string(protocol.JSON.AppendReply(nil, test.reply)); got != test.want {
				t.Errorf("\n got %s\nwant %s", got, test.want)
			}
			for _, format := range formats {
				frame := format.AppendReply(nil, test.reply)
				if test.reply.Error.GetMessage() == "" && test.reply.Rpc == nil { // Those are changed on purpose.
					same(t, readReplies(t, format, frame), []*reply{test.reply})
				} else {
					same(t, readReplies(t, format, frame), []*reply{repaired(test.reply, format)})
				}
			}
		})
	}
}

// TestRepliesEveryField encodes every field of every reply, with values that need escaping and the widest numbers.
func TestRepliesEveryField(t *testing.T) {
	want := new(reply)
	n := 0
	fill(want.ProtoReflect(), 6, &n)
	for _, format := range formats {
		same(t, readReplies(t, format, format.AppendReply(nil, want)), []*reply{want})
	}
}

func TestRepliesAreJoined(t *testing.T) {
	p := &core.Publication{Data: []byte(`1`)}
	for format, want := range map[protocol.Format]string{
		protocol.JSON:     `{}` + "\n" + `{"push":{"channel":"a","pub":{"data":1}}}` + "\n" + `{"id":7}` + "\n" + `{}`,
		protocol.Protobuf: "\x00" + "\x0a\x22\x08\x12\x01a\x22\x03\x22\x011" + "\x02\x08\x07" + "\x00",
	} {
		frame := format.AppendReply(nil, &reply{})
		frame = protocol.WebSocketEncoding(format).AppendPublication(frame, "a", 0, p)
		frame = format.AppendReply(frame, &reply{Id: 7})
		frame = format.AppendReply(frame, &reply{})
		if string(frame) != want {
			t.Errorf("%s:\n got %q\nwant %q", format, frame, want)
		}
	}
}

func TestAppendPublicationIsAppendReply(t *testing.T) {
	for name, p := range map[string]*core.Publication{
		"nothing":    {},
		"data only":  {Data: []byte(`{}`)},
		"everything": fullPublication(),
		"empty info": {Data: []byte(`1`), Info: &core.ClientInfo{}},
	} {
		for _, format := range formats {
			push := &reply{Push: &protocol.Push{Channel: "a:b", Pub: protocol.FromPublication(p)}}
			got, want := protocol.WebSocketEncoding(format).AppendPublication(nil, "a:b", 0, p), format.AppendReply(nil, push)
			same(t, readReplies(t, format, got), []*reply{push})
			if !bytes.Equal(got, want) {
				t.Errorf("%s, %s:\n got %q\nwant %q", name, format, got, want)
			}
		}
	}
}

func fullPublication() *core.Publication {
	return &core.Publication{
		ID: core.NewID(), Channel: "other", Offset: 12, Data: []byte(`{"text":"hello"}`), Tags: map[string]string{"k": "v"}, Time: 1700000000000,
		Info: &core.ClientInfo{User: "alice", Client: "c1", ConnInfo: []byte(`{"name":"Alice"}`), ChanInfo: []byte(`1`)},
	}
}

func TestConversions(t *testing.T) {
	p := fullPublication()
	p.ID = core.ID{} // The protocol does not carry it.
	back := protocol.ToPublication("other", protocol.FromPublication(p))
	if !reflect.DeepEqual(back, p) {
		t.Errorf("got %+v, want %+v", back, p)
	}
	if protocol.FromClientInfo(nil) != nil || protocol.ToClientInfo(nil) != nil {
		t.Error("nobody became somebody")
	}
}

func TestAllocations(t *testing.T) {
	p := fullPublication()
	result := &reply{Id: 1, Connect: &protocol.ConnectResult{Client: "c", Ping: 25, Pong: true, Data: []byte(`{}`)}}
	history := &reply{Id: 1, History: &protocol.HistoryResult{Publications: []*protocol.Publication{protocol.FromPublication(p)}}}
	publish := &command{Id: 1, Publish: &protocol.PublishRequest{Channel: "room:1", Data: []byte(`{"text":"hello \"you\""}`)}}
	frames := map[protocol.Format][]byte{
		protocol.JSON:     writeJSON(publish.ProtoReflect()),
		protocol.Protobuf: protobufFrame(t, publish),
	}
	buf := make([]byte, 0, 4096)
	budget := func(name string, most float64, f func()) {
		t.Helper()
		if got := testing.AllocsPerRun(100, f); got > most {
			t.Errorf("%s allocates %v times, want at most %v", name, got, most)
		}
	}
	for _, format := range formats {
		e := protocol.WebSocketEncoding(format)
		budget(format.String()+" ping", 0, func() { format.AppendReply(buf, &reply{}) })
		budget(format.String()+" connect reply", 0, func() { format.AppendReply(buf, result) })
		budget(format.String()+" history reply", 0, func() { format.AppendReply(buf, history) })
		budget(format.String()+" publication", 0, func() { e.AppendPublication(buf, "room:1", 0, p) })
		budget(format.String()+" publication frame", 0, func() { e.AppendPublicationFrame(buf, "room:1", 0, p) })
		budget(format.String()+" publication frame, numbered", 0, func() {
			(e | protocol.Numbered).AppendPublicationFrame(buf, "room:1", 7, p)
		})
		budget(format.String()+" frame", 0, func() { e.AppendFrame(buf, p.Data) })
		var m command
		var d protocol.Decoder
		most := 2.0 // The channel and the data.
		if format == protocol.Protobuf {
			most = 3 // And the request.
		}
		budget(format.String()+" publish command", most, func() {
			d = format.Commands(frames[format])
			if err := d.Next(&m); err != nil {
				t.Error(err)
			}
		})
	}
	budget("ValidJSON", 0, func() { protocol.ValidJSON(p.Data) })
}
