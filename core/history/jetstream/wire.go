package jetstream

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/protocol"
)

// The headers of what we store. A publication's body is its message of the client protocol, in Protobuf; nobody but us on the bus, it has
// an envelope in front of it instead of headers.
const (
	headerEpoch  = "Zc-Epoch"
	headerOffset = "Zc-Offset"
	headerID     = "Zc-Id"    // Of a publication, for the audit and to find out whether an attempt was carried out.
	headerState  = "Zc-State" // Of a position.

	headerExpires = "Zc-Expires" // Of a publication that expires by itself, in Unix seconds.
	headerExcept  = "Zc-Except"  // Of a publication that a session does not get live: that session's ID.
)

// The states of a position.
const (
	stateOpen   = "open"
	stateClosed = "closed"
)

// record is a stored message: a publication, a marker or a position.
type record struct {
	at      core.Position
	id      string // Of a publication; "": it is none.
	expires int64  // Of a publication, Unix seconds; 0: not by itself.
	except  string // Of a publication, the session that does not get it live; "": none.
	state   string // Of a position.
	seq     uint64 // Its number in the stream.
	time    time.Time
	body    []byte
}

func message(subject string, at core.Position) *nats.Msg {
	return &nats.Msg{Subject: subject, Header: nats.Header{
		headerEpoch: {at.Epoch}, headerOffset: {strconv.FormatUint(at.Offset, 10)},
	}}
}

// describe fills in a publication's message with headers, which every version of us reads.
func describe(m *nats.Msg, at core.Position, pub *core.Publication) (err error) {
	m.Header = message("", at).Header
	m.Header[headerID] = []string{pub.ID.String()}
	if pub.ExpireAt != 0 {
		m.Header[headerExpires] = []string{strconv.FormatInt(pub.ExpireAt, 10)}
	}
	if !pub.Except.IsZero() {
		m.Header[headerExcept] = []string{pub.Except.String()}
	}
	if m.Data, err = protocol.FromPublication(pub).MarshalVT(); err != nil {
		return fmt.Errorf("encode a publication: %w", err)
	}
	return nil
}

// publication returns what a record of a publication holds.
func (r *record) publication(channel string) (*core.Publication, error) {
	var m protocol.Publication
	if err := m.UnmarshalVT(r.body); err != nil {
		return nil, fmt.Errorf("a stored publication cannot be read: %w", err)
	}
	pub := protocol.ToPublication(channel, &m)
	pub.Offset, pub.ExpireAt = r.at.Offset, r.expires
	pub.ID, _ = core.ParseID(r.id) // The zero ID names nothing.
	pub.Except, _ = core.ParseID(r.except)
	return pub, nil
}

// record returns what the headers of a stored message say.
func headersOf(h nats.Header) (r record, err error) {
	r = record{id: h.Get(headerID), state: h.Get(headerState), except: h.Get(headerExcept)}
	r.at.Epoch = h.Get(headerEpoch)
	if r.at.Offset, err = strconv.ParseUint(h.Get(headerOffset), 10, 64); err != nil || r.at.Epoch == "" {
		return record{}, errors.New("a stored message has no position: is something else writing to our subjects?")
	}
	if text := h.Get(headerExpires); text != "" {
		if r.expires, err = strconv.ParseInt(text, 10, 64); err != nil {
			return record{}, fmt.Errorf("a stored message expires at %.40q: is something else writing to our subjects?", text)
		}
	}
	return r, nil
}

// numbered reads an answer to a direct get, or what a stream repeats, but for its time.
func numbered(m *nats.Msg) (r record, err error) {
	if r, err = contents(m.Header, m.Data); err != nil {
		return record{}, err
	}
	if r.seq, err = strconv.ParseUint(m.Header.Get(headerSequence), 10, 64); err != nil {
		return record{}, fmt.Errorf("the bus answers nonsense: %w", err)
	}
	return r, nil
}

// directRecord reads the answer to a direct get.
func directRecord(m *nats.Msg) (r record, err error) {
	if r, err = numbered(m); err != nil {
		return record{}, err
	}
	if r.time, err = time.Parse(time.RFC3339Nano, m.Header.Get("Nats-Time-Stamp")); err != nil {
		return record{}, fmt.Errorf("the bus answers nonsense: %w", err)
	}
	return r, nil
}

// leaderRecord reads the answer of a stream's leader; nil when there is no such message.
func leaderRecord(data []byte) (*record, error) {
	var answer struct {
		Error *struct {
			Code        int    `json:"code"`
			Cause       int    `json:"err_code"`
			Description string `json:"description"`
		} `json:"error"`
		Message struct {
			Seq    uint64    `json:"seq"`
			Header string    `json:"hdrs"`
			Data   string    `json:"data"`
			Time   time.Time `json:"time"`
		} `json:"message"`
	}
	if err := json.Unmarshal(data, &answer); err != nil {
		return nil, fmt.Errorf("the bus answers nonsense: %w", err)
	}
	if e := answer.Error; e != nil {
		if e.Code == 404 {
			return nil, nil
		}
		return nil, refused(e.Cause, e.Description)
	}
	raw, err := base64.StdEncoding.DecodeString(answer.Message.Header)
	var header nats.Header
	if err == nil && len(raw) > 0 {
		header, err = nats.DecodeHeadersMsg(raw)
	}
	var body []byte
	if err == nil {
		body, err = base64.StdEncoding.DecodeString(answer.Message.Data)
	}
	if err != nil {
		return nil, fmt.Errorf("the bus answers nonsense: %w", err)
	}
	r, err := contents(header, body)
	if err != nil {
		return nil, err
	}
	r.seq, r.time = answer.Message.Seq, answer.Message.Time
	return &r, nil
}
