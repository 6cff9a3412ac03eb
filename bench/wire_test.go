package bench

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/zenconn/server/core/protocol"
)

func TestPayloadCarriesItsMark(t *testing.T) {
	for _, size := range []int{MinSize, MinSize + 1, 200, 5000} {
		p := newPayload(size)
		want := mark{0xFEDCBA98, 1<<48 - 1, 1<<62 + 12345}
		setMark(p, want)
		if len(p) != size || !json.Valid(p) {
			t.Fatalf("size %d: %d bytes %q", size, len(p), p)
		}
		hint := 0
		if got, ok := readMark(findMark(p, &hint)); !ok || got != want {
			t.Errorf("size %d: read %v %v, want %v", size, got, ok, want)
		}
	}
	for name, b := range map[string]string{"cut off": "zcb:00", "no digits": "zcb:0000000g0000000000000000000000000000"} {
		if _, ok := readMark([]byte(b)); ok {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestCommands(t *testing.T) {
	data := newPayload(300)
	t.Run("protobuf", func(t *testing.T) {
		for _, id := range []uint32{1, 127, 128, 1 << 31} {
			frame := protobufCodec{}.appendPublish(nil, id, "news:a", data)
			length, n := binary.Uvarint(frame)
			var cmd protocol.Command
			if err := cmd.UnmarshalVT(frame[n:]); err != nil || int(length) != len(frame)-n {
				t.Fatalf("length %d of %d: %v", length, len(frame)-n, err)
			}
			if cmd.Id != id || cmd.GetPublish().GetChannel() != "news:a" || !bytes.Equal(cmd.GetPublish().GetData(), data) {
				t.Errorf("got %v", &cmd)
			}
		}
	})
	t.Run("json", func(t *testing.T) {
		frame := jsonCodec{}.appendPublish(nil, 7, "news:a", data)
		want := `{"id":7,"publish":{"channel":"news:a","data":` + string(data) + `}}`
		if string(frame) != want {
			t.Errorf("got %s", frame)
		}
		connect := jsonCodec{}.appendConnect(nil, 1, `to"ken`, []byte(`{"user":"x"}`))
		if want := `{"id":1,"connect":{"name":"zenconn-bench","token":"to\"ken","data":{"user":"x"}}}`; string(connect) != want {
			t.Errorf("got %s", connect)
		}
	})
}

// Every reply, in JSON as servers write it and as they might, and in Protobuf.
func TestReplies(t *testing.T) {
	data := string(newPayload(MinSize))
	pub := &protocol.Publication{Data: []byte(data)}
	for name, test := range map[string]struct {
		json []string
		pb   *protocol.Reply
		want reply
	}{
		"ping": {[]string{`{}`}, &protocol.Reply{}, reply{kind: kindPing}},
		"publication": {
			[]string{`{"push":{"channel":"c","pub":{"data":` + data + `}}}`, `{ "push" : {"pub":{"data":` + data + `},"channel":"c"}}`},
			&protocol.Reply{Push: &protocol.Push{Channel: "c", Pub: pub}}, reply{kind: kindPublication},
		},
		"foreign publication": {
			[]string{`{"push":{"channel":"c","pub":{"data":{"text":"hi"}}}}`},
			&protocol.Reply{Push: &protocol.Push{Channel: "c", Pub: &protocol.Publication{Data: []byte("hi")}}}, reply{kind: kindPublication},
		},
		"published": {
			[]string{`{"id":12,"publish":{}}`, `{"publish":{},"id":12}`},
			&protocol.Reply{Id: 12, Publish: &protocol.PublishResult{}}, reply{kind: kindPublished, id: 12},
		},
		"refused": {
			[]string{`{"id":3,"error":{"code":111,"message":"too many requests","temporary":true}}`},
			&protocol.Reply{Id: 3, Error: &protocol.Error{Code: 111, Message: "too many requests"}},
			reply{kind: kindError, id: 3, code: 111, text: "too many requests"},
		},
		"connected": {
			[]string{`{"id":1,"connect":{"client":"a","ping":25,"pong":true}}`},
			&protocol.Reply{Id: 1, Connect: &protocol.ConnectResult{Client: "a"}}, reply{kind: kindResult, id: 1},
		},
		"history": {
			[]string{`{"id":2,"history":{"offset":9,"epoch":"x"}}`},
			&protocol.Reply{Id: 2, History: &protocol.HistoryResult{Offset: 9}}, reply{kind: kindResult, id: 2, at: position{offset: 9}},
		},
		"presence": {
			[]string{`{"id":2,"presence":{"presence":{"a":{"client":"a"},"b":{"client":"b"}}}}`},
			&protocol.Reply{Id: 2, Presence: &protocol.PresenceResult{Presence: map[string]*protocol.ClientInfo{"a": {}, "b": {}}}},
			reply{kind: kindResult, id: 2, members: 2},
		},
		"recovered": {
			[]string{`{"id":2,"subscribe":{"recovered":true,"epoch":"x","offset":7,"publications":[{"data":{"n":6},"offset":6},{"data":{"n":7},"offset":7}]}}`},
			&protocol.Reply{Id: 2, Subscribe: &protocol.SubscribeResult{
				Recovered: true, Epoch: "x", Offset: 7, Publications: []*protocol.Publication{{Data: []byte(`{"n":6}`)}, {Data: []byte(`{"n":7}`)}},
			}},
			reply{
				kind: kindResult, id: 2, at: position{"x", 7}, recovered: true, missed: [][]byte{[]byte(`{"n":6}`), []byte(`{"n":7}`)},
			},
		},
		"join": {
			[]string{`{"push":{"channel":"c","join":{"info":{"client":"a"}}}}`},
			&protocol.Reply{Push: &protocol.Push{Channel: "c", Join: &protocol.Join{}}}, reply{},
		},
		"unsubscribed": {
			[]string{`{"push":{"channel":"c","unsubscribe":{"code":2000,"reason":"why"}}}`},
			&protocol.Reply{Push: &protocol.Push{Unsubscribe: &protocol.Unsubscribe{Code: 2000, Reason: "why"}}},
			reply{kind: kindUnsubscribe, code: 2000, text: "why"},
		},
		"disconnected": {
			[]string{`{"push":{"disconnect":{"code":3008,"reason":"slow"}}}`},
			&protocol.Reply{Push: &protocol.Push{Disconnect: &protocol.Disconnect{Code: 3008, Reason: "slow"}}},
			reply{kind: kindDisconnect, code: 3008, text: "slow"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			check := func(codec codec, message []byte) {
				hint := 0
				for range 2 { // The second time with a hint.
					got, err := codec.decode(message, &hint)
					if err != nil {
						t.Fatalf("%q: %v", message, err)
					}
					if marked := name == "publication"; marked != (got.mark != nil) {
						t.Errorf("%q: mark %q", message, got.mark)
					}
					got.mark, got.size = nil, 0
					if want := test.want; got.kind != want.kind || got.id != want.id || got.code != want.code || got.text != want.text ||
						got.at != want.at || got.recovered != want.recovered || got.members != want.members ||
						!slices.EqualFunc(got.missed, want.missed, bytes.Equal) {
						t.Errorf("%q: got %+v, want %+v", message, got, want)
					}
				}
			}
			for _, text := range test.json {
				check(jsonCodec{}, []byte(text))
			}
			b, err := test.pb.MarshalVT()
			if err != nil {
				t.Fatal(err)
			}
			message, rest, err := protobufCodec{}.cut(append(binary.AppendUvarint(nil, uint64(len(b))), append(b, 1)...))
			if err != nil || len(rest) != 1 {
				t.Fatalf("rest %q, %v", rest, err)
			}
			check(protobufCodec{}, message)
		})
	}
	hint := 0
	if _, err := (jsonCodec{}).decode([]byte(`{"id":`), &hint); !errors.Is(err, errMalformed) {
		t.Errorf("half a message: %v", err)
	}
	if _, _, err := (protobufCodec{}).cut([]byte{5, 1}); !errors.Is(err, errMalformed) {
		t.Errorf("half a message: %v", err)
	}
}

// What a client makes of frames does not depend on where the network cut them.
func TestFramesInPieces(t *testing.T) {
	t.Parallel() // It mostly waits.
	server := func(op byte, fin bool, payload string) []byte {
		b := appendFrame(nil, op, 0, []byte(payload))
		head := len(b) - len(payload) - 4
		b[1] &^= maskBit
		if !fin {
			b[0] &^= finBit
		}
		return append(b[:head], b[head+4:]...)
	}
	long := `{"id":3,"error":{"code":100,"message":"` + string(bytes.Repeat([]byte{'x'}, 70_000)) + `"}}`
	stream := bytes.Join([][]byte{
		server(opText, true, `{"id":1,"publish":{}}`+"\n"+`{"id":2,"publish":{}}`),
		server(opPing, true, "hello"),
		server(opText, false, long[:10]), server(opPong, true, ""), server(opContinuation, false, long[10:200]), server(opContinuation, true, long[200:]),
		server(opText, true, `{}`),
		server(opText, true, `{"id":4,"publish":{}}`),
	}, nil)
	for _, step := range []int{1, 2, 7, 1000, len(stream)} {
		sink := &collector{}
		c := &client{codec: jsonCodec{}, socket: sink}
		var ids []uint32
		c.onReply = func(r reply) error {
			ids = append(ids, r.id)
			return nil
		}
		var sh shard
		for at := 0; at < len(stream); at += step {
			buf := append(append([]byte(nil), c.rest...), stream[at:min(at+step, len(stream))]...)
			if err := c.received(buf, 0, &sh); err != nil {
				t.Fatal(err)
			}
			sh.flush()
		}
		if len(ids) != 4 || ids[0] != 1 || ids[3] != 4 {
			t.Errorf("steps of %d: replies to %v", step, ids)
		}
		want := append(appendFrame(nil, opPong, 0, []byte("hello")), appendFrame(nil, opText, 0, []byte("{}"))...)
		if !bytes.Equal(sink.got, want) {
			t.Errorf("steps of %d: answered %q, want %q", step, sink.got, want)
		}
	}
	var closed ending
	c := &client{codec: jsonCodec{}, socket: &collector{}}
	err := c.received(server(opClose, true, "\x0b\xc0slow"), 0, new(shard))
	if !errors.As(err, &closed) || closed.code != 3008 || closed.text != "slow" {
		t.Errorf("a close frame: %v", err)
	}
	for name, frame := range map[string][]byte{
		"masked":           {0x81, 0x80, 0, 0, 0, 0},
		"too large":        {0x82, 127, 0, 0, 0, 1, 0, 0, 0, 0},
		"unknown":          {0x83, 0},
		"fragment of none": {0x80, 0},
	} {
		if err := c.received(frame, 0, new(shard)); err == nil {
			t.Errorf("a frame that is %s: accepted", name)
		}
	}
}

// A delivered publication costs the generator no allocation, nor does one that is sent.
func TestTrafficDoesNotAllocate(t *testing.T) {
	for _, protocolName := range []string{JSON, Protobuf} {
		o := Defaults(Fanout)
		o.Protocol, o.Clients, o.Publishers = protocolName, 1, 1
		n := &network{epoch: time.Now(), shards: []*shard{new(shard)}}
		tr := newTraffic(&o, n)
		c := &client{codec: newCodec(protocolName), socket: discard{}}
		tr.subscriber(c, 0)
		tr.publisher(c, tr.streams[0])
		var seq uint64
		deliver := pushFrame(t, protocolName, tr.streams[0].payload)
		at := bytes.Index(deliver, []byte(markTag)) + len(markTag) + streamLen
		tr.until.Store(0) // Nothing is sent in answer.
		got := testing.AllocsPerRun(1000, func() {
			if !tr.publish(tr.streams[0], 0) || c.flush() != nil {
				t.Fatal("not published")
			}
			putHex(deliver[at:at+seqLen], seq)
			seq++
			if err := c.received(deliver, 1, n.shards[0]); err != nil {
				t.Fatal(err)
			}
		})
		if sum := n.sum(nil); got != 0 || sum.received != seq || sum.duplicate+sum.reordered+sum.damaged+sum.stray != 0 {
			t.Errorf("%s: %v allocations; received %d of %d", protocolName, got, sum.received, seq)
		}
	}
}

// pushFrame returns a server's frame with one publication.
func pushFrame(t *testing.T, protocolName string, data []byte) []byte {
	t.Helper()
	message := append(append([]byte(`{"push":{"channel":"c","pub":{"data":`), data...), `}}}`...)
	if protocolName == Protobuf {
		b, err := (&protocol.Reply{Push: &protocol.Push{Channel: "c", Pub: &protocol.Publication{Data: data}}}).MarshalVT()
		if err != nil {
			t.Fatal(err)
		}
		message = append(binary.AppendUvarint(nil, uint64(len(b))), b...)
	}
	return append(binary.BigEndian.AppendUint16([]byte{finBit | opBinary, 126}, uint16(len(message))), message...)
}

type collector struct{ got []byte }

func (c *collector) write(p []byte) (int, error) {
	c.got = append(c.got, p...)
	return len(p), nil
}
func (c *collector) shutdown() {}
func (c *collector) close()    {}

type discard struct{}

func (discard) write(p []byte) (int, error) { return len(p), nil }
func (discard) shutdown()                   {}
func (discard) close()                      {}

func TestProcFiles(t *testing.T) {
	stat := []byte("4242 (a ) (b) S 1 4242 4242 0 -1 4194560 100 0 0 0 12 34 5 6 20 0 9 0 1000 1 2 3\n")
	if got, err := parseStatCPU(stat); err != nil || got != 460*time.Millisecond {
		t.Errorf("CPU %v, %v", got, err)
	}
	status := []byte("Name:\tzenconn\nVmPeak:\t 99 kB\nVmRSS:\t    2048 kB\nThreads:\t9\n")
	if got, err := parseStatusRSS(status); err != nil || got != 2<<20 {
		t.Errorf("memory %d, %v", got, err)
	}
	for _, bad := range []string{"", "1 (x", "1 (x) S 1 2", "1 (x) S 1 4242 4242 0 -1 4194560 100 0 0 0 x y 5"} {
		if _, err := parseStatCPU([]byte(bad)); !errors.Is(err, errProcFormat) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	for _, bad := range []string{"", "VmRSS:\n", "VmRSS: 5 MB\n", "VmRSS: x kB\n"} {
		if _, err := parseStatusRSS([]byte(bad)); !errors.Is(err, errProcFormat) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
