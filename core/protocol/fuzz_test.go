package protocol_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/protocol"
)

// The seeds of the fuzz targets lie in testdata/fuzz.

func FuzzCommandsJSON(f *testing.F) {
	f.Fuzz(func(t *testing.T, frame []byte) { compareCommands(t, protocol.JSON, frame) })
}

func FuzzCommandsProtobuf(f *testing.F) {
	f.Fuzz(func(t *testing.T, frame []byte) { compareCommands(t, protocol.Protobuf, frame) })
}

// compareCommands wants what the oracle says of a frame, except where the decoder is stricter on purpose.
func compareCommands(t *testing.T, f protocol.Format, given []byte) {
	frame := bytes.Clone(given) // The fuzzer's bytes must not be written to.
	got, err := decode(f, frame)
	if !bytes.Equal(frame, given) {
		t.Fatal("the frame was written to")
	}
	clear(frame) // The commands must not notice.
	want, wantErr := readCommands(f, given)
	if err != nil {
		frameErr, ok := errors.AsType[*protocol.FrameError](err)
		if !ok || frameErr.Format != f || frameErr.Offset > len(given) {
			t.Fatalf("error %#v, want a FrameError", err)
		}
		stricter := strings.Contains(frameErr.Problem, "nested too deeply") || strings.Contains(frameErr.Problem, "of the wrong type")
		if wantErr == nil && !stricter {
			t.Fatalf("error %v, but the oracle reads %v", err, want)
		}
		return
	}
	if wantErr != nil {
		t.Fatalf("got %v, but the oracle says %v", got, wantErr)
	}
	for _, m := range slices.Concat(got, want) { // How unknown fields were written is of no interest.
		discardUnknown(m.ProtoReflect())
	}
	same(t, got, want)
}

func FuzzValidJSON(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		want := json.Valid(b) && utf8.Valid(b)
		if got := protocol.ValidJSON(b); got != want && bytes.Count(b, []byte("["))+bytes.Count(b, []byte("{")) <= 512 {
			t.Errorf("ValidJSON(%q) is %v, want %v", b, got, want)
		}
	})
}

// FuzzReplies joins replies with strings and JSON of any kind in one frame and takes them apart again.
func FuzzReplies(f *testing.F) {
	f.Fuzz(func(t *testing.T, channel, text string, data []byte, number int64, count uint8) {
		if !protocol.ValidJSON(data) {
			data = nil
		}
		p := &core.Publication{Channel: channel, Data: data, Offset: uint64(number), Time: number}
		if count&1 != 0 {
			p.Info = &core.ClientInfo{User: text, Client: channel, ConnInfo: data}
		}
		if text != "" {
			p.Tags = map[string]string{text: channel}
		}
		push := &protocol.Reply{Push: &protocol.Push{Channel: channel, Pub: protocol.FromPublication(p)}}
		given := []*protocol.Reply{
			push,
			{},
			{Id: uint32(number), Error: &protocol.Error{Code: uint32(count), Message: text, Temporary: count&2 != 0}},
			{Id: uint32(count), Rpc: &protocol.RPCResult{Data: data}},
			{Connect: &protocol.ConnectResult{Client: channel, Subs: map[string]*protocol.SubscribeResult{text: {Data: data}}}},
		}[:1+count%5]
		for _, format := range []protocol.Format{protocol.JSON, protocol.Protobuf} {
			var frame []byte
			for _, r := range given {
				frame = format.AppendReply(frame, r)
			}
			want := make([]*protocol.Reply, len(given))
			for i, r := range given {
				want[i] = repaired(r, format)
			}
			same(t, readReplies(t, format, frame), want)

			encoding := protocol.WebSocketEncoding(format)
			fast := encoding.AppendPublication(nil, channel, 0, p)
			if slow := format.AppendReply(nil, push); !bytes.Equal(fast, slow) {
				t.Errorf("AppendPublication %q\nAppendReply       %q", fast, slow)
			}
			if got, want := encoding.AppendPublicationFrame(nil, channel, 0, p), encoding.AppendFrame(nil, fast); !bytes.Equal(got, want) {
				t.Errorf("AppendPublicationFrame %q\nAppendFrame            %q", got, want)
			}
		}
	})
}

// repaired is what a client should read of r: strings in UTF-8, and in JSON no newlines between tokens.
func repaired(r *protocol.Reply, f protocol.Format) *protocol.Reply {
	text := func(s *string) {
		if f == protocol.JSON {
			*s = string([]rune(*s))
			return
		}
		var b strings.Builder
		for i := 0; i < len(*s); {
			c, size := utf8.DecodeRuneInString((*s)[i:])
			if c == utf8.RuneError && size == 1 {
				c = '?'
			}
			b.WriteRune(c)
			i += size
		}
		*s = b.String()
	}
	raw := func(b *[]byte) {
		if f == protocol.JSON {
			*b = bytes.TrimSpace(bytes.ReplaceAll(*b, []byte("\n"), nil))
		}
	}
	r = clone(r)
	if push := r.Push; push != nil {
		text(&push.Channel)
		raw(&push.Pub.Data)
		if info := push.Pub.Info; info != nil {
			text(&info.User)
			text(&info.Client)
			raw(&info.ConnInfo)
		}
		for key, value := range push.Pub.Tags {
			delete(push.Pub.Tags, key)
			text(&key)
			text(&value)
			push.Pub.Tags[key] = value
		}
	}
	if r.Error != nil {
		text(&r.Error.Message)
	}
	if r.Rpc != nil {
		raw(&r.Rpc.Data)
	}
	if r.Connect != nil {
		text(&r.Connect.Client)
		for key, sub := range r.Connect.Subs {
			delete(r.Connect.Subs, key)
			text(&key)
			raw(&sub.Data)
			r.Connect.Subs[key] = sub
		}
	}
	return r
}

func clone(r *protocol.Reply) *protocol.Reply { return proto.Clone(r).(*protocol.Reply) }
