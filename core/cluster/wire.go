package cluster

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/zenconn/server/core"
)

// question is what one process asks another. Processes of the same bus.Version understand the same form; one that does not know a
// verb says so.
type question struct {
	Verb string          `json:"verb"`
	With json.RawMessage `json:"with"`
}

// answer is what comes back: one of its fields.
type answer struct {
	Result any    `json:"result,omitempty"`
	Error  *coded `json:"error,omitempty"` // A *core.Error: the caller is told.
	Fault  string `json:"fault,omitempty"` // Any other error, for the log.
}

// read is answer at the end that reads it.
type read[A any] struct {
	Result A      `json:"result"`
	Error  *coded `json:"error"`
	Fault  string `json:"fault"`
}

type coded struct {
	Code      uint32 `json:"code"`
	Message   string `json:"message"`
	Temporary bool   `json:"temporary,omitempty"`
}

func answerOf(result any, err error) ([]byte, error) {
	a := answer{Result: result}
	if err != nil {
		a.Result = nil
		if e, ok := errors.AsType[*core.Error](err); ok {
			a.Error = &coded{e.Code, e.Message, e.Temporary}
		} else {
			a.Fault = err.Error()
		}
	}
	return json.Marshal(a)
}

// fault is what another process says went wrong in it.
type fault string

func (f fault) Error() string { return string(f) }

func readAnswer[A any](body []byte) (A, error) {
	var a read[A]
	if err := json.Unmarshal(body, &a); err != nil {
		return a.Result, fmt.Errorf("the answer cannot be read: %w", err)
	}
	switch {
	case a.Error != nil:
		return a.Result, &core.Error{Code: a.Error.Code, Message: a.Error.Message, Temporary: a.Error.Temporary}
	case a.Fault != "":
		return a.Result, fault(a.Fault)
	}
	return a.Result, nil
}

// A message on the bus has a limited size, 1 MiB unless its owner says otherwise. A larger answer is handed over in parts, for which
// the asker comes back. The first byte of an answer says which it is.
const (
	whole = 'w' // The answer follows.
	parts = 'p' // A token, the size of all, and the first part follow.

	partSize  = 512 << 10
	tokenSize = 16
	headSize  = 1 + tokenSize + 8
	maxAnswer = 128 << 20        // Bytes of one answer: some 600,000 members of a channel.
	maxKept   = 256 << 20        // Bytes of all answers that wait for their askers.
	keptTime  = 10 * time.Second // So long.
)

var (
	errTooLarge  = errors.New("the answer is too large")
	errTruncated = errors.New("the answer is truncated")
)

type token [tokenSize]byte

// depot keeps large answers until they have been fetched.
type depot struct {
	mu     sync.Mutex // Guards all below.
	closed bool
	bytes  int
	kept   map[token]*keptAnswer
}

type keptAnswer struct {
	body  []byte
	timer *time.Timer
}

func newDepot() *depot { return &depot{kept: make(map[token]*keptAnswer)} }

// pack makes the message that answers a question.
func (d *depot) pack(body []byte) ([]byte, error) {
	if len(body) <= partSize {
		return append([]byte{whole}, body...), nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(body) > maxAnswer || d.bytes+len(body) > maxKept || d.closed {
		return nil, errTooLarge
	}
	var key token
	rand.Read(key[:]) //nolint:errcheck // crypto/rand.Read never returns an error since Go 1.24.
	d.kept[key] = &keptAnswer{body: body, timer: time.AfterFunc(keptTime, func() { d.drop(key) })}
	d.bytes += len(body)
	head := make([]byte, 0, headSize+partSize)
	head = append(append(head, parts), key[:]...)
	head = binary.BigEndian.AppendUint64(head, uint64(len(body)))
	return append(head, body[:partSize]...), nil
}

// part answers who comes for more: a token and an offset.
func (d *depot) part(request []byte) ([]byte, error) {
	if len(request) != tokenSize+8 {
		return nil, errors.New("that asks for no part of an answer")
	}
	key, offset := token(request), binary.BigEndian.Uint64(request[tokenSize:])
	d.mu.Lock()
	k := d.kept[key]
	d.mu.Unlock()
	if k == nil || offset >= uint64(len(k.body)) {
		return nil, errors.New("the answer is not kept any longer")
	}
	rest := k.body[offset:]
	if len(rest) <= partSize {
		d.drop(key)
		return rest, nil
	}
	return rest[:partSize], nil
}

func (d *depot) drop(key token) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if k := d.kept[key]; k != nil {
		k.timer.Stop()
		d.bytes -= len(k.body)
		delete(d.kept, key)
	}
}

// close forgets everything and takes nothing more.
func (d *depot) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	for key, k := range d.kept {
		k.timer.Stop()
		d.bytes -= len(k.body)
		delete(d.kept, key)
	}
}

// unpack reads what pack made. more fetches the parts that are missing.
func unpack(message []byte, more func(request []byte) ([]byte, error)) ([]byte, error) {
	switch {
	case len(message) == 0:
		return nil, errTruncated
	case message[0] == whole:
		return message[1:], nil
	case message[0] != parts || len(message) <= headSize:
		return nil, errTruncated
	}
	size := binary.BigEndian.Uint64(message[1+tokenSize:])
	if size > maxAnswer {
		return nil, errTooLarge
	}
	request := append([]byte(nil), message[1:1+tokenSize]...)
	body := append(make([]byte, 0, len(message)), message[headSize:]...) // It grows with what really comes.
	for uint64(len(body)) < size {
		part, err := more(binary.BigEndian.AppendUint64(request[:tokenSize:tokenSize], uint64(len(body))))
		if err != nil {
			return nil, err
		}
		if len(part) == 0 {
			return nil, errTruncated
		}
		body = append(body, part...)
	}
	if uint64(len(body)) > size {
		return nil, errTruncated
	}
	return body, nil
}
