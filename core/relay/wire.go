package relay

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/protocol"
)

// version is the first byte of a message. It is raised when a change is not understood by the version before; a new field does not
// need that.
const version = 1

// The kinds of messages.
const (
	kindPublication = iota + 1
	kindJoin
	kindLeave
)

// A message is its version, its kind, and fields: a byte that names the field, the length of the value as a varint, and the value.
// Fields that are not known are passed over.
const (
	fieldBody   = iota + 1 // The publication or the client's description, as in the client protocol, in Protobuf.
	fieldID                // Of the publication.
	fieldExcept            // The session that does not get it.
)

// message is what nodes tell each other about a channel.
type message struct {
	kind byte
	pub  *core.Publication // Of a publication.
	who  core.ClientInfo   // Of an announcement.
}

var errInvalid = errors.New("not a message of this version")

// encode makes a message's bytes.
func encode(m message) ([]byte, error) {
	var body []byte
	var err error
	if m.kind == kindPublication {
		body, err = protocol.FromPublication(m.pub).MarshalVT()
	} else {
		body, err = protocol.FromClientInfo(&m.who).MarshalVT()
	}
	if err != nil {
		return nil, fmt.Errorf("encode what other nodes shall know: %w", err)
	}
	data := make([]byte, 0, 2+1+binary.MaxVarintLen64+len(body)+2*(2+len(core.ID{})))
	data = append(data, version, m.kind)
	data = appendField(data, fieldBody, body)
	if m.pub != nil {
		data = appendField(data, fieldID, m.pub.ID[:])
		if !m.pub.Except.IsZero() {
			data = appendField(data, fieldExcept, m.pub.Except[:])
		}
	}
	return data, nil
}

func appendField(data []byte, field byte, value []byte) []byte {
	data = append(data, field)
	data = binary.AppendUvarint(data, uint64(len(value)))
	return append(data, value...)
}

// decode reads a message about a channel. It may keep parts of data.
func decode(channel string, data []byte) (m message, err error) {
	if len(data) < 2 || data[0] != version {
		return message{}, errInvalid
	}
	m.kind = data[1]
	var body []byte
	var id, except core.ID
	for rest := data[2:]; len(rest) > 0; {
		length, n := binary.Uvarint(rest[1:])
		if n <= 0 || length > uint64(len(rest)-1-n) {
			return message{}, errInvalid
		}
		value := rest[1+n : 1+n+int(length)]
		switch rest[0] {
		case fieldBody:
			body = value
		case fieldID:
			copy(id[:], value)
		case fieldExcept:
			copy(except[:], value)
		}
		rest = rest[1+n+int(length):]
	}
	switch m.kind {
	case kindPublication:
		var p protocol.Publication
		if err := p.UnmarshalVT(body); err != nil {
			return message{}, errInvalid
		}
		p.Offset = 0 // What has a place in a history does not come this way.
		m.pub = protocol.ToPublication(channel, &p)
		m.pub.ID, m.pub.Except = id, except
	case kindJoin, kindLeave:
		var info protocol.ClientInfo
		if err := info.UnmarshalVT(body); err != nil {
			return message{}, errInvalid
		}
		m.who = *protocol.ToClientInfo(&info)
	default:
		return message{}, errInvalid
	}
	return m, nil
}
