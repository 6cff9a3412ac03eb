package websocket

import (
	"encoding/binary"
	"strings"
	"unicode/utf8"

	"github.com/zenconn/server/core"
)

// goodbye makes the closing frame of a disconnect. A connection that the peer ended gets none.
func goodbye(d core.Disconnect) []byte {
	if d.Code == core.DisconnectConnectionClosed.Code {
		return nil
	}
	const maxReason = maxControl - 2
	reason := d.Reason
	for len(reason) > maxReason || !utf8.ValidString(reason) {
		_, size := utf8.DecodeLastRuneInString(reason)
		reason = strings.ToValidUTF8(reason[:len(reason)-size], "")
	}
	frame := append(make([]byte, 0, 4+len(reason)), bitFin|opClose, byte(2+len(reason)))
	return append(binary.BigEndian.AppendUint16(frame, uint16(d.Code)), reason...)
}

// controlFrame makes a frame of ours with at most 125 bytes.
func controlFrame(op byte, payload []byte) []byte {
	return append(append(make([]byte, 0, 2+len(payload)), bitFin|op, byte(len(payload))), payload...)
}

// farewellOf reads the payload of a client's closing frame (RFC 6455 §5.5.1): the code, 1005 when there is none, and the answer to it,
// which repeats the code.
func farewellOf(payload []byte) (code uint32, answer []byte, err error) {
	if len(payload) == 0 {
		return 1005, nil, nil
	}
	if len(payload) == 1 {
		return 0, nil, errProtocol
	}
	code = uint32(binary.BigEndian.Uint16(payload))
	switch {
	case code < 1000, code >= 1004 && code <= 1006, code >= 1014 && code < 3000, code >= 5000: // §7.4: not to be sent.
		return 0, nil, errProtocol
	case !utf8.Valid(payload[2:]):
		return 0, nil, errUTF8
	}
	return code, payload[:2], nil
}
