package bench

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
)

// jsonCodec is the JSON form: one object a line.
type jsonCodec struct{}

func (jsonCodec) binary() bool        { return false }
func (jsonCodec) subprotocol() string { return "centrifuge-json" }
func (jsonCodec) pong() []byte        { return []byte("{}") }

func appendID(dst []byte, id uint32) []byte {
	dst = append(dst, `{"id":`...)
	return strconv.AppendUint(dst, uint64(id), 10)
}

func appendString(dst []byte, s string) []byte {
	quoted, err := json.Marshal(s)
	if err != nil {
		return append(dst, `""`...) // Cannot happen with a string.
	}
	return append(dst, quoted...)
}

func (jsonCodec) appendConnect(dst []byte, id uint32, token string, data []byte) []byte {
	dst = append(appendID(dst, id), `,"connect":{"name":"zenconn-bench"`...)
	if token != "" {
		dst = appendString(append(dst, `,"token":`...), token)
	}
	if len(data) > 0 {
		dst = append(append(dst, `,"data":`...), data...)
	}
	return append(dst, `}}`...)
}

func (jsonCodec) appendSubscribe(dst []byte, id uint32, channel string, from *position) []byte {
	dst = appendString(append(appendID(dst, id), `,"subscribe":{"channel":`...), channel)
	if from != nil {
		dst = appendString(append(dst, `,"recover":true,"epoch":`...), from.epoch)
		dst = strconv.AppendUint(append(dst, `,"offset":`...), from.offset, 10)
	}
	return append(dst, `}}`...)
}

// appendPublish does not allocate: Options.Check has seen that the channel needs no escapes.
func (jsonCodec) appendPublish(dst []byte, id uint32, channel string, data []byte) []byte {
	dst = append(appendID(dst, id), `,"publish":{"channel":"`...)
	dst = append(append(dst, channel...), `","data":`...)
	return append(append(dst, data...), `}}`...)
}

func (jsonCodec) appendHistory(dst []byte, id uint32, channel string) []byte {
	dst = appendString(append(appendID(dst, id), `,"history":{"channel":`...), channel)
	return append(dst, `}}`...)
}

func (jsonCodec) appendPresence(dst []byte, id uint32, channel string) []byte {
	dst = appendString(append(appendID(dst, id), `,"presence":{"channel":`...), channel)
	return append(dst, `}}`...)
}

func (jsonCodec) cut(frame []byte) (message, rest []byte, err error) {
	message, rest, _ = bytes.Cut(frame, []byte("\n"))
	return message, rest, nil
}

// decode knows the two messages that come in numbers by how they begin; the rest, and these when another server orders its
// fields differently, takes the long way.
func (jsonCodec) decode(m []byte, hint *int) (reply, error) {
	if bytes.HasPrefix(m, []byte(`{"push":`)) {
		if mark := findMark(m, hint); mark != nil {
			return reply{kind: kindPublication, mark: mark, size: len(m)}, nil
		}
	} else if id, ok := jsonPublished(m); ok {
		return reply{kind: kindPublished, id: id}, nil
	}
	return decodeJSON(m, hint)
}

// jsonPublished recognizes {"id":7,"publish":{…}}.
func jsonPublished(m []byte) (id uint32, ok bool) {
	rest, ok := bytes.CutPrefix(m, []byte(`{"id":`))
	if !ok {
		return 0, false
	}
	for i, c := range rest {
		if c < '0' || c > '9' {
			return id, i > 0 && bytes.HasPrefix(rest[i:], []byte(`,"publish":{`))
		}
		id = id*10 + uint32(c-'0')
	}
	return 0, false
}

func decodeJSON(m []byte, hint *int) (reply, error) {
	if len(bytes.TrimSpace(m)) == 0 {
		return reply{}, nil // The line break at the end of a frame.
	}
	type coded struct {
		Code    uint32
		Message string
		Reason  string
	}
	var in struct {
		ID        uint32
		Error     *coded
		Publish   *struct{}
		History   *struct{ Offset uint64 }
		Presence  *struct{ Presence map[string]json.RawMessage }
		Subscribe *struct {
			Epoch        string
			Offset       uint64
			Recovered    bool
			Publications []struct{ Data json.RawMessage }
		}
		Push *struct {
			Pub         json.RawMessage
			Unsubscribe *coded
			Disconnect  *coded
		}
	}
	if err := json.Unmarshal(m, &in); err != nil {
		return reply{}, fmt.Errorf("%w: %w", errMalformed, err)
	}
	switch p := in.Push; {
	case p != nil && p.Pub != nil:
		return reply{kind: kindPublication, mark: findMark(m, hint), size: len(m)}, nil
	case p != nil && p.Unsubscribe != nil:
		return reply{kind: kindUnsubscribe, code: p.Unsubscribe.Code, text: p.Unsubscribe.Reason}, nil
	case p != nil && p.Disconnect != nil:
		return reply{kind: kindDisconnect, code: p.Disconnect.Code, text: p.Disconnect.Reason}, nil
	case p != nil:
		return reply{}, nil
	case in.ID == 0 && in.Error == nil:
		return reply{kind: kindPing}, nil
	case in.Error != nil:
		return reply{kind: kindError, id: in.ID, code: in.Error.Code, text: in.Error.Message}, nil
	case in.Publish != nil:
		return reply{kind: kindPublished, id: in.ID}, nil
	case in.History != nil:
		return reply{kind: kindResult, id: in.ID, at: position{offset: in.History.Offset}}, nil
	case in.Presence != nil:
		return reply{kind: kindResult, id: in.ID, members: len(in.Presence.Presence)}, nil
	case in.Subscribe != nil:
		s := in.Subscribe
		r := reply{kind: kindResult, id: in.ID, at: position{s.Epoch, s.Offset}, recovered: s.Recovered}
		for _, p := range s.Publications {
			r.missed = append(r.missed, p.Data)
		}
		return r, nil
	default:
		return reply{kind: kindResult, id: in.ID}, nil
	}
}
