package bench

import (
	"encoding/binary"
	"fmt"

	"github.com/zenconn/server/core/protocol"
)

// protobufCodec is the Protobuf form: messages with their length in front.
type protobufCodec struct{}

func (protobufCodec) binary() bool        { return true }
func (protobufCodec) subprotocol() string { return "centrifuge-protobuf" }
func (protobufCodec) pong() []byte        { return []byte{0} }

// appendCommand adds a command that is not sent in numbers.
func appendCommand(dst []byte, cmd *protocol.Command) []byte {
	b, err := cmd.MarshalVT()
	if err != nil {
		return dst // Cannot happen: the message has no required fields.
	}
	return append(binary.AppendUvarint(dst, uint64(len(b))), b...)
}

func (protobufCodec) appendConnect(dst []byte, id uint32, token string, data []byte) []byte {
	connect := &protocol.ConnectRequest{Token: token, Data: data, Name: "zenconn-bench"}
	return appendCommand(dst, &protocol.Command{Id: id, Connect: connect})
}

func (protobufCodec) appendSubscribe(dst []byte, id uint32, channel string, from *position) []byte {
	request := &protocol.SubscribeRequest{Channel: channel}
	if from != nil {
		request.Recover, request.Epoch, request.Offset = true, from.epoch, from.offset
	}
	return appendCommand(dst, &protocol.Command{Id: id, Subscribe: request})
}

func (protobufCodec) appendPresence(dst []byte, id uint32, channel string) []byte {
	return appendCommand(dst, &protocol.Command{Id: id, Presence: &protocol.PresenceRequest{Channel: channel}})
}

func (protobufCodec) appendHistory(dst []byte, id uint32, channel string) []byte {
	return appendCommand(dst, &protocol.Command{Id: id, History: &protocol.HistoryRequest{Channel: channel}})
}

// The tags of the messages that come in numbers: field number << 3 | wire type.
const (
	tagCommandID      = 1<<3 | 0
	tagCommandPublish = 7<<3 | 2
	tagPublishChannel = 1<<3 | 2
	tagPublishData    = 2<<3 | 2
	tagReplyID        = 1<<3 | 0
	tagReplyPush      = 4<<3 | 2
	tagReplyPublish   = 8<<3 | 2
)

// appendPublish writes the fields itself, so that nothing is allocated.
func (protobufCodec) appendPublish(dst []byte, id uint32, channel string, data []byte) []byte {
	request := 1 + uvarintLen(len(channel)) + len(channel) + 1 + uvarintLen(len(data)) + len(data)
	command := 1 + uvarintLen(int(id)) + 1 + uvarintLen(request) + request
	dst = binary.AppendUvarint(dst, uint64(command))
	dst = binary.AppendUvarint(append(dst, tagCommandID), uint64(id))
	dst = binary.AppendUvarint(append(dst, tagCommandPublish), uint64(request))
	dst = binary.AppendUvarint(append(dst, tagPublishChannel), uint64(len(channel)))
	dst = append(dst, channel...)
	dst = binary.AppendUvarint(append(dst, tagPublishData), uint64(len(data)))
	return append(dst, data...)
}

func uvarintLen(v int) int {
	n := 1
	for u := uint64(v); u >= 0x80; u >>= 7 {
		n++
	}
	return n
}

func (protobufCodec) cut(frame []byte) (message, rest []byte, err error) {
	length, n := binary.Uvarint(frame)
	if n <= 0 || length > uint64(len(frame)-n) {
		return nil, nil, errMalformed
	}
	end := n + int(length)
	return frame[n:end], frame[end:], nil
}

func (protobufCodec) decode(m []byte, hint *int) (reply, error) {
	switch {
	case len(m) == 0:
		return reply{kind: kindPing}, nil
	case m[0] == tagReplyPush:
		if mark := findMark(m, hint); mark != nil {
			return reply{kind: kindPublication, mark: mark, size: len(m)}, nil
		}
	case m[0] == tagReplyID:
		if id, n := binary.Uvarint(m[1:]); n > 0 && 1+n < len(m) && m[1+n] == tagReplyPublish {
			return reply{kind: kindPublished, id: uint32(id)}, nil
		}
	}
	return decodeProtobuf(m, hint)
}

func decodeProtobuf(m []byte, hint *int) (reply, error) {
	var in protocol.Reply
	if err := in.UnmarshalVT(m); err != nil {
		return reply{}, fmt.Errorf("%w: %w", errMalformed, err)
	}
	switch p := in.Push; {
	case p.GetPub() != nil:
		return reply{kind: kindPublication, mark: findMark(m, hint), size: len(m)}, nil
	case p.GetUnsubscribe() != nil:
		return reply{kind: kindUnsubscribe, code: p.Unsubscribe.Code, text: p.Unsubscribe.Reason}, nil
	case p.GetDisconnect() != nil:
		return reply{kind: kindDisconnect, code: p.Disconnect.Code, text: p.Disconnect.Reason}, nil
	case p != nil:
		return reply{}, nil
	case in.Error != nil:
		return reply{kind: kindError, id: in.Id, code: in.Error.Code, text: in.Error.Message}, nil
	case in.Publish != nil:
		return reply{kind: kindPublished, id: in.Id}, nil
	case in.Subscribe != nil:
		s := in.Subscribe
		r := reply{kind: kindResult, id: in.Id, at: position{s.Epoch, s.Offset}, recovered: s.Recovered}
		for _, p := range s.Publications {
			r.missed = append(r.missed, p.Data)
		}
		return r, nil
	default:
		return reply{
			kind: kindResult, id: in.Id, at: position{offset: in.History.GetOffset()}, members: len(in.Presence.GetPresence()),
		}, nil
	}
}
