package protocol_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/zenconn/server/core/protocol"
)

type (
	command  = protocol.Command
	commands = []*protocol.Command
)

// protobufFrame is a frame as the SDKs send it.
func protobufFrame(t testing.TB, all ...*command) []byte {
	t.Helper()
	var frame []byte
	for _, m := range all {
		b, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		frame = append(binary.AppendUvarint(frame, uint64(len(b))), b...)
	}
	return frame
}

// TestCommands holds frames as the JavaScript SDK 5.8 sends them.
func TestCommands(t *testing.T) {
	for _, test := range []struct {
		name, json string
		want       commands
	}{
		{"pong", `{}`, commands{{}}},
		{"connect", `{"connect":{"name":"js"},"id":1}`,
			commands{{Id: 1, Connect: &protocol.ConnectRequest{Name: "js"}}}},
		{"connect with everything", `{"connect":{"token":"a.b.c","data":{"room": 1},"name":"js","version":"5","headers":{"x-a":"1"},` +
			`"subs":{"news":{"recover":true,"epoch":"xyz","offset":7}}},"id":1}`,
			commands{{Id: 1, Connect: &protocol.ConnectRequest{
				Token: "a.b.c", Data: []byte(`{"room": 1}`), Name: "js", Version: "5", Headers: map[string]string{"x-a": "1"},
				Subs: map[string]*protocol.SubscribeRequest{"news": {Recover: true, Epoch: "xyz", Offset: 7}},
			}}}},
		{"two subscribes", `{"subscribe":{"channel":"a","flag":1},"id":2}` + "\n" + `{"subscribe":{"channel":"b","token":"t",` +
			`"data":[],"positioned":true,"recoverable":true,"join_leave":true,"flag":3,"recover":true,"offset":9007199254740991,"epoch":"e",` +
			`"delta":"fossil","tf":{"op":"and","nodes":[{"key":"k","cmp":"in","vals":["1","2"]},{"key":"q","cmp":"eq","val":"v"}]}},"id":3}`,
			commands{
				{Id: 2, Subscribe: &protocol.SubscribeRequest{Channel: "a", Flag: 1}},
				{Id: 3, Subscribe: &protocol.SubscribeRequest{
					Channel: "b", Token: "t", Data: []byte(`[]`), Positioned: true, Recoverable: true, JoinLeave: true, Flag: 3,
					Recover: true, Offset: 1<<53 - 1, Epoch: "e", Delta: "fossil",
					Tf: &protocol.FilterNode{Op: "and", Nodes: []*protocol.FilterNode{
						{Key: "k", Cmp: "in", Vals: []string{"1", "2"}}, {Key: "q", Cmp: "eq", Val: "v"},
					}},
				}},
			}},
		{"unsubscribe", `{"unsubscribe":{"channel":"a"},"id":4}`,
			commands{{Id: 4, Unsubscribe: &protocol.UnsubscribeRequest{Channel: "a"}}}},
		{"publish", `{"publish":{"channel":"a","data":{"text":"he said \"hi\"","n":1.50}},"id":5}`,
			commands{{Id: 5, Publish: &protocol.PublishRequest{Channel: "a", Data: []byte(`{"text":"he said \"hi\"","n":1.50}`)}}}},
		{"publish null", `{"publish":{"channel":"a","data":null},"id":5}`,
			commands{{Id: 5, Publish: &protocol.PublishRequest{Channel: "a", Data: []byte(`null`)}}}},
		{"presence", `{"presence":{"channel":"a"},"id":6}`, commands{{Id: 6, Presence: &protocol.PresenceRequest{Channel: "a"}}}},
		{"presence stats", `{"presence_stats":{"channel":"a"},"id":7}`,
			commands{{Id: 7, PresenceStats: &protocol.PresenceStatsRequest{Channel: "a"}}}},
		{"history", `{"history":{"channel":"a","limit":-1,"since":{"offset":3,"epoch":"e"},"reverse":true},"id":8}`,
			commands{{Id: 8, History: &protocol.HistoryRequest{
				Channel: "a", Limit: -1, Since: &protocol.StreamPosition{Offset: 3, Epoch: "e"}, Reverse: true,
			}}}},
		{"ping", `{"ping":{},"id":9}`, commands{{Id: 9, Ping: &protocol.PingRequest{}}}},
		{"send", `{"send":{"data":"x"}}`, commands{{Send: &protocol.SendRequest{Data: []byte(`"x"`)}}}},
		{"rpc", `{"rpc":{"method":"m","data":true},"id":10}`,
			commands{{Id: 10, Rpc: &protocol.RPCRequest{Method: "m", Data: []byte(`true`)}}}},
		{"refresh", `{"refresh":{"token":"t"},"id":11}`, commands{{Id: 11, Refresh: &protocol.RefreshRequest{Token: "t"}}}},
		{"sub refresh", `{"sub_refresh":{"channel":"a","token":"t"},"id":12}`,
			commands{{Id: 12, SubRefresh: &protocol.SubRefreshRequest{Channel: "a", Token: "t"}}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := decode(protocol.JSON, []byte(test.json))
			if err != nil {
				t.Fatal(err)
			}
			same(t, got, test.want)
			if got, err = decode(protocol.Protobuf, protobufFrame(t, test.want...)); err != nil {
				t.Fatal(err)
			}
			same(t, got, test.want)
		})
	}
}

// TestCommandsEveryField sends every field of every command, with values that need escaping and the widest numbers.
func TestCommandsEveryField(t *testing.T) {
	want := new(command)
	n := 0
	fill(want.ProtoReflect(), 5, &n)
	got, err := decode(protocol.JSON, writeJSON(want.ProtoReflect()))
	if err != nil {
		t.Fatal(err)
	}
	// encoding/json compacts raw JSON, so it has to be read again.
	expected, err := readCommands(protocol.JSON, writeJSON(want.ProtoReflect()))
	if err != nil {
		t.Fatal(err)
	}
	same(t, got, expected)
	if got, err = decode(protocol.Protobuf, protobufFrame(t, want)); err != nil {
		t.Fatal(err)
	}
	same(t, got, commands{want})
}

func TestCommandsJSONTolerance(t *testing.T) {
	publish := func(channel, data string) *command {
		return &command{Id: 1, Publish: &protocol.PublishRequest{Channel: channel, Data: []byte(data)}}
	}
	for _, test := range []struct {
		name, json string
		want       commands
	}{
		{"newline at the end", "{}\n", commands{{}}},
		{"blanks and empty lines around", " \r\n\t{} \n \n{\"id\":1}\r\n", commands{{}, {Id: 1}}},
		{"blanks within", "{ \"id\" :\t1 ,\n\"publish\" : { \"channel\" : \"a\" , \"data\" :  [ 1 ,\n2 ]\t} }", commands{publish("a", "[ 1 ,\n2 ]")}},
		{"unknown members", `{"new":{"a":[{},[],"]"]},"id":1,"publish":{"key":null,"channel":"a","type":1e9,"data":1}}`, commands{publish("a", "1")}},
		{"null is absent", `{"id":1,"connect":null,"publish":{"channel":null,"data":1},"rpc":null}`, commands{publish("", "1")}},
		{"null entries are absent", `{"connect":{"subs":{"a":{},"a":null},"headers":{"h":null}},"subscribe":{"tf":{"vals":[null],"nodes":[null]}}}`,
			commands{{Connect: &protocol.ConnectRequest{}, Subscribe: &protocol.SubscribeRequest{Tf: &protocol.FilterNode{}}}}},
		{"the last of two wins", `{"id":7,"id":1,"publish":{"channel":"b","data":2},"publish":{"data":1}}`, commands{publish("", "1")}},
		{"null after a value", `{"id":1,"publish":{"channel":"b","channel":null,"data":1}}`, commands{publish("", "1")}},
		{"names are exact", `{"ID":9,"id":1,"publish":{"Channel":"b","data":1}}`, commands{publish("", "1")}},
		{"escapes in names", `{"\u0069d":1,"publish":{"chan\u006eel":"a","data":1}}`, commands{publish("a", "1")}},
		{"escapes", `{"id":1,"publish":{"channel":"\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00","data":"\/\u00e9"}}`,
			commands{publish("\"\\/\b\f\n\r\té😀", `"\/\u00e9"`)}},
		{"halves of surrogate pairs", `{"id":1,"publish":{"channel":"\ud83d|\ude00|\ud83d\u0041|\ud83d","data":"\ud83d"}}`,
			commands{publish("\ufffd|\ufffd|\ufffdA|\ufffd", `"\ud83d"`)}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := decode(protocol.JSON, []byte(test.json))
			if err != nil {
				t.Fatal(err)
			}
			same(t, got, test.want)
		})
	}
}

func TestCommandsMalformed(t *testing.T) {
	field := func(number protowire.Number, value []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), value)
	}
	framed := func(b []byte) string { return string(protowire.AppendBytes(nil, b)) }
	deepFilter := func(levels int) []byte {
		var node []byte
		for range levels {
			node = field(6, node)
		}
		return field(5, field(13, node)) // Of a subscribe command.
	}
	for _, test := range []struct {
		name   string
		format protocol.Format
		frame  string
		want   string // Part of the error.
	}{
		{"nothing", protocol.JSON, "", "at byte 0: no command"},
		{"blanks only", protocol.JSON, " \n ", "no command"},
		{"text", protocol.JSON, "hello", "want an object"},
		{"array", protocol.JSON, "[]", "want an object"},
		{"null", protocol.JSON, "null", "want an object"},
		{"protobuf", protocol.JSON, "\x02\x08\x01", "want an object"},
		{"cut off", protocol.JSON, `{"id":1`, "at byte 7: want a comma or the end"},
		{"cut off in a name", protocol.JSON, `{"id`, "a string without end"},
		{"cut off in an escape", protocol.JSON, `{"a":"\u00`, "an unknown escape"},
		{"cut off after a backslash", protocol.JSON, `{"a":"\`, "an unknown escape"},
		{"unknown escape", protocol.JSON, `{"a":"\x41"}`, "an unknown escape"},
		{"no newline between", protocol.JSON, `{} {}`, "at byte 3: want a newline between commands"},
		{"garbage after", protocol.JSON, "{}\nx", "want an object"},
		{"comma too many", protocol.JSON, `{"id":1,}`, "want a string"},
		{"no colon", protocol.JSON, `{"id" 1}`, "want a colon"},
		{"no quotes", protocol.JSON, `{id:1}`, "want a string"},
		{"wrong bracket", protocol.JSON, `{"a":[1}`, "want a comma or the end"},
		{"number as text", protocol.JSON, `{"id":"1"}`, "want a value"},
		{"text as number", protocol.JSON, `{"publish":{"channel":1}}`, "want a string"},
		{"text as boolean", protocol.JSON, `{"subscribe":{"recover":"true"}}`, "want true or false"},
		{"object as list", protocol.JSON, `{"subscribe":{"tf":{"vals":{}}}}`, "want an array"},
		{"message as text", protocol.JSON, `{"publish":"x"}`, "want an object"},
		{"fraction", protocol.JSON, `{"id":1.0}`, "want an unsigned integer of 32 bits"},
		{"exponent", protocol.JSON, `{"id":1e2}`, "want an unsigned integer of 32 bits"},
		{"negative", protocol.JSON, `{"id":-1}`, "want an unsigned integer of 32 bits"},
		{"too large for 32 bits", protocol.JSON, `{"id":4294967296}`, "want an unsigned integer of 32 bits"},
		{"too large for 64 bits", protocol.JSON, `{"subscribe":{"offset":18446744073709551616}}`, "want an unsigned integer of 64 bits"},
		{"limit too large", protocol.JSON, `{"history":{"limit":2147483648}}`, "want an integer of 32 bits"},
		{"leading zero", protocol.JSON, `{"id":01}`, "want a comma or the end"},
		{"leading plus", protocol.JSON, `{"id":+1}`, "want a value"},
		{"half a number", protocol.JSON, `{"send":{"data":1.}}`, "want digits after the point"},
		{"half an exponent", protocol.JSON, `{"send":{"data":1e+}}`, "want digits in the exponent"},
		{"half a word", protocol.JSON, `{"send":{"data":tru}}`, "want a value"},
		{"no value", protocol.JSON, `{"send":{"data":}}`, "want a value"},
		{"control character", protocol.JSON, "{\"a\":\"\x00\"}", "a control character in a string"},
		{"newline in a string", protocol.JSON, "{\"send\":{\"data\":\"long enough for words\n\"}}", "a control character in a string"},
		{"bad UTF-8 in a string", protocol.JSON, "{\"publish\":{\"channel\":\"\xff\"}}", "not UTF-8"},
		{"bad UTF-8 in data", protocol.JSON, "{\"send\":{\"data\":\"\xc0\xaf\"}}", "not UTF-8"},
		{"bad UTF-8 in the second command", protocol.JSON, "{}\n{\"\xed\xa0\x80\":1}", "not UTF-8"},
		{"data nested too deeply", protocol.JSON, `{"send":{"data":` + strings.Repeat("[", 100_000), "nested too deeply"},
		{"unknown member nested too deeply", protocol.JSON, strings.Repeat(`{"a":`, 100_000), "nested too deeply"},
		{"filter nested too deeply", protocol.JSON, `{"subscribe":{"tf":` + strings.Repeat(`{"nodes":[`, 33), "a tag filter nested too deeply"},

		{"nothing", protocol.Protobuf, "", "at byte 0: no command"},
		{"json", protocol.Protobuf, `{"id":1}`, "reaches beyond the frame"},
		{"cut off", protocol.Protobuf, "\x03\x08\x01", "reaches beyond the frame"},
		{"half a length", protocol.Protobuf, "\x80", "want the length of a command"},
		{"length that overflows", protocol.Protobuf, strings.Repeat("\xff", 10) + "\x01", "want the length of a command"},
		{"length of 2^63", protocol.Protobuf, "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", "reaches beyond the frame"},
		{"garbage after", protocol.Protobuf, "\x00\x05", "at byte 1: the length of a command"},
		{"field zero", protocol.Protobuf, framed([]byte{0x00, 0x01}), "malformed message"},
		{"field beyond its message", protocol.Protobuf, framed([]byte{0x3a, 0x05, 0x0a}), "malformed message"},
		{"string beyond its message", protocol.Protobuf, framed(append(field(7, []byte{0x0a, 0x05, 'a'}), "bcde"...)), "malformed message"},
		{"wrong wire type", protocol.Protobuf, framed([]byte{0x38, 0x01}), "a field of the wrong type"},
		{"wrong wire type in a map", protocol.Protobuf, framed(field(4, field(6, []byte{0x08, 0x01}))), "a field of the wrong type"},
		{"bad UTF-8", protocol.Protobuf, framed(field(7, field(1, []byte("\xff")))), "not UTF-8"},
		{"bad UTF-8 in a map", protocol.Protobuf, framed(field(4, field(6, field(2, []byte("\xff"))))), "not UTF-8"},
		{"filter nested too deeply", protocol.Protobuf, framed(deepFilter(50)), "nested too deeply"},
		{"filter nested without end", protocol.Protobuf, framed(deepFilter(10_000)), "nested too deeply"},
	} {
		t.Run(test.format.String()+"/"+test.name, func(t *testing.T) {
			_, err := decode(test.format, []byte(test.frame))
			if _, ok := errors.AsType[*protocol.FrameError](err); !ok {
				t.Fatalf("error %v, want a FrameError", err)
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %q, want %q in it", err, test.want)
			}
		})
	}
}

// TestCommandsBeforeMalformed checks that what stood before a problem is handed out, and nothing after it.
func TestCommandsBeforeMalformed(t *testing.T) {
	for format, frame := range map[protocol.Format]string{
		protocol.JSON:     "{\"id\":1}\n{\"id\":}\n{\"id\":3}",
		protocol.Protobuf: "\x02\x08\x01\x02\x08\xff\x02\x08\x03",
	} {
		d := format.Commands([]byte(frame))
		var m command
		if err := d.Next(&m); err != nil || m.Id != 1 {
			t.Errorf("%s: first command %v, error %v", format, m.Id, err)
		}
		first := d.Next(&m)
		if again := d.Next(&m); first == nil || errors.Is(first, io.EOF) || !errors.Is(again, first) {
			t.Errorf("%s: errors %v and %v, want the same twice", format, first, again)
		}
	}
}

func TestCommandOwnsItsMemory(t *testing.T) {
	want := new(command)
	n := 0
	fill(want.ProtoReflect(), 4, &n)
	frames := map[protocol.Format][]byte{
		protocol.JSON:     writeJSON(want.ProtoReflect()),
		protocol.Protobuf: protobufFrame(t, want),
	}
	for format, frame := range frames {
		expected, err := decode(format, bytes.Clone(frame))
		if err != nil {
			t.Fatal(err)
		}
		got, err := decode(format, frame)
		if err != nil {
			t.Fatal(err)
		}
		clear(frame)
		same(t, got, expected)
	}
}

// TestMapEntryWithoutValue checks that a subscription of which Protobuf sends only the name is an empty one, not a nil.
func TestMapEntryWithoutValue(t *testing.T) {
	got, err := decode(protocol.Protobuf, []byte("\x07\x22\x05\x1a\x03\x0a\x01a"))
	if err != nil {
		t.Fatal(err)
	}
	if request, ok := got[0].GetConnect().GetSubs()["a"]; !ok || request == nil {
		t.Errorf("got %v, want an empty request for a", got[0])
	}
}

func TestDepthLimits(t *testing.T) {
	nested := func(depth int) string { return strings.Repeat("[", depth) + strings.Repeat("]", depth) }
	objects := func(depth int) string { return strings.Repeat(`{"a":`, depth) + "1" + strings.Repeat("}", depth) }
	for _, test := range []struct {
		name string
		data string
		want bool
	}{
		{"arrays", nested(512), true},
		{"one array more", nested(513), false},
		{"objects", objects(512), true},
		{"one object more", objects(513), false},
		{"many side by side", "[" + strings.Repeat("[{}],", 2000) + "0]", true},
	} {
		if got := protocol.ValidJSON([]byte(test.data)); got != test.want {
			t.Errorf("ValidJSON of %s: %v, want %v", test.name, got, test.want)
		}
	}
	frame := `{"subscribe":{"tf":` + strings.Repeat(`{"nodes":[`, 31) + `{"op":"x"}` + strings.Repeat("]}", 31) + `}}`
	got, err := decode(protocol.JSON, []byte(frame))
	if err != nil {
		t.Fatalf("a filter of 32 levels: %v", err)
	}
	if again, err := decode(protocol.Protobuf, protobufFrame(t, got...)); err != nil {
		t.Errorf("a filter of 32 levels: %v", err)
	} else {
		same(t, again, got)
	}
}

func TestValidJSON(t *testing.T) {
	for text, want := range map[string]bool{
		`{}`: true, ` [1, -0.5e+3, "\u00e9", true, false, null] `: true, `"é"`: true, `0`: true, "\n1\n": true,
		``: false, ` `: false, `{`: false, `[1,]`: false, `01`: false, `1 2`: false, `nul`: false, `'a'`: false, `NaN`: false,
		"\"\xff\"": false, "\"\t\"": false, `"\u12G4"`: false, "\xef\xbb\xbf{}": false, `{"a":1,}`: false, `[}`: false,
	} {
		if got := protocol.ValidJSON([]byte(text)); got != want {
			t.Errorf("ValidJSON(%q) is %v, want %v", text, got, want)
		}
	}
}
