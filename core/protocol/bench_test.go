package protocol_test

import (
	"testing"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/protocol"
)

func BenchmarkDecodePublish(b *testing.B) {
	publish := &command{Id: 1, Publish: &protocol.PublishRequest{Channel: "room:1", Data: chatMessage()}}
	for format, frame := range map[protocol.Format][]byte{
		protocol.JSON:     writeJSON(publish.ProtoReflect()),
		protocol.Protobuf: protobufFrame(b, publish),
	} {
		b.Run(format.String(), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(frame)))
			var m command
			var d protocol.Decoder
			for b.Loop() {
				d = format.Commands(frame)
				if err := d.Next(&m); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkAppendPublicationFrame(b *testing.B) {
	p := &core.Publication{
		Data: chatMessage(), Offset: 1000, Time: 1700000000000,
		Info: &core.ClientInfo{User: "alice", Client: core.NewID().String(), ConnInfo: []byte(`{"name":"Alice"}`)},
	}
	for _, format := range formats {
		e := protocol.WebSocketEncoding(format)
		b.Run(format.String(), func(b *testing.B) {
			b.ReportAllocs()
			buf := make([]byte, 0, 4096)
			for b.Loop() {
				buf = e.AppendPublicationFrame(buf[:0], "room:1", 0, p)
			}
		})
	}
}

func BenchmarkAppendReply(b *testing.B) {
	r := &reply{Id: 7, Subscribe: &protocol.SubscribeResult{Recoverable: true, Positioned: true, Epoch: "abcd", Offset: 12}}
	for _, format := range formats {
		b.Run(format.String(), func(b *testing.B) {
			b.ReportAllocs()
			buf := make([]byte, 0, 4096)
			for b.Loop() {
				buf = format.AppendReply(buf[:0], r)
			}
		})
	}
}

func BenchmarkValidJSON(b *testing.B) {
	data := chatMessage()
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if !protocol.ValidJSON(data) {
			b.Fatal("not valid")
		}
	}
}

// chatMessage is the data of a message of some 200 bytes.
func chatMessage() []byte {
	return []byte(`{"from":"alice","text":"The quick brown fox jumps over the lazy dog, and then it does so once more because it can.",` +
		`"sent":1700000000000,"reply_to":null,"mentions":["bob","carol"],"edited":false}`)
}
