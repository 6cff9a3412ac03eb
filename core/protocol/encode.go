package protocol

import (
	"encoding/binary"
	"slices"

	"github.com/zenconn/server/core"
)

// AppendReply appends r to dst, which holds nothing but earlier replies of the same frame, and so joins them: in JSON with a
// newline between, in Protobuf with the length in front of each. A Reply without any field is the server's ping.
//
// Strings that are not UTF-8, which only server-side code can bring in, are repaired rather than sent, since they would make
// clients reject the whole frame. Bytes fields must be valid JSON in JSON frames, as ValidJSON defines it.
//
// It allocates nothing when dst has room, except for sorting maps of more than a few entries.
func (f Format) AppendReply(dst []byte, r *Reply) []byte {
	if f == Protobuf {
		return appendProtobufReply(dst, r)
	}
	if len(dst) > 0 {
		dst = append(dst, '\n')
	}
	return appendJSONReply(dst, r)
}

// appendPublication appends the push without joining it to what is in dst. A channel that has a number has no name. The messages it is
// made of stay on the stack.
func (f Format) appendPublication(dst []byte, channel string, number int64, p *core.Publication) []byte {
	pub := Publication{Data: p.Data, Offset: p.Offset, Tags: p.Tags, Time: p.Time}
	var info ClientInfo
	if p.Info != nil {
		info.User, info.Client = p.Info.User, p.Info.Client
		info.ConnInfo, info.ChanInfo = p.Info.ConnInfo, p.Info.ChanInfo
		pub.Info = &info
	}
	push := Push{Id: number, Channel: channel, Pub: &pub}
	r := Reply{Push: &push}
	if f == Protobuf {
		return appendProtobufReply(dst, &r)
	}
	return appendJSONReply(dst, &r)
}

func appendProtobufReply(dst []byte, r *Reply) []byte {
	size := r.SizeVT()
	dst = binary.AppendUvarint(dst, uint64(size))
	start := len(dst)
	dst = slices.Grow(dst, size)[:start+size]
	// The error is for messages the generated code does not know; these are all its own.
	_, _ = r.MarshalToSizedBufferVT(dst[start:])
	replyShape().repair(dst[start:])
	return dst
}
