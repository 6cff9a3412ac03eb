package jetstream

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"github.com/nats-io/nats.go"
)

// calls sends requests over one connection and hands the answers, of which a request may have several, to who asked.
type calls struct {
	conn  *nats.Conn
	inbox string // The beginning of the subjects for answers.

	mu      sync.Mutex // Guards all below.
	next    uint64
	waiting map[string]chan *nats.Msg
}

func newCalls(conn *nats.Conn) (*calls, error) {
	c := &calls{conn: conn, inbox: conn.NewInbox() + ".", waiting: map[string]chan *nats.Msg{}}
	_, err := conn.Subscribe(c.inbox+"*", c.answer)
	return c, err
}

func (c *calls) answer(m *nats.Msg) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if ch := c.waiting[m.Subject[len(c.inbox):]]; ch != nil {
		select {
		case ch <- m:
		default: // More answers than asked for.
		}
	}
}

// call is a request under way.
type call struct {
	calls   *calls
	token   string // Of the answers' subject; another one each time that something is sent.
	answers chan *nats.Msg
}

// begin sends a request that has at most n answers. end must be called.
func (c *calls) begin(m *nats.Msg, n int) (*call, error) {
	k := c.prepare(n)
	if err := k.send(m); err != nil {
		return nil, err
	}
	return k, nil
}

// prepare makes a call for requests that have at most n answers, of which one is under way at a time.
func (c *calls) prepare(n int) *call { return &call{calls: c, answers: make(chan *nats.Msg, n)} }

// send sends a request. Unless it fails, end must be called before the next one.
func (k *call) send(m *nats.Msg) error {
	for len(k.answers) > 0 { // To the request before, after nobody waited for them any more.
		<-k.answers
	}
	c := k.calls
	c.mu.Lock()
	c.next++
	var room [64]byte
	m.Reply = string(strconv.AppendUint(append(room[:0], c.inbox...), c.next, 36))
	k.token = m.Reply[len(c.inbox):]
	c.waiting[k.token] = k.answers
	c.mu.Unlock()
	if err := c.conn.PublishMsg(m); err != nil {
		k.end()
		return errUnavailable.because(err)
	}
	return nil
}

// end says that nobody waits for answers any more.
func (k *call) end() {
	k.calls.mu.Lock()
	delete(k.calls.waiting, k.token)
	k.calls.mu.Unlock()
}

// one waits for the only answer. Nobody there is errUnavailable.
func (k *call) one(ctx context.Context) (*nats.Msg, error) {
	defer k.end()
	select {
	case answer := <-k.answers:
		return answer, heard(answer)
	case <-ctx.Done():
		return nil, errUnavailable.because(fmt.Errorf("no answer: %w", context.Cause(ctx)))
	}
}

// heard says whether somebody has heard the request.
func heard(answer *nats.Msg) error {
	if answer.Header.Get("Status") == "503" {
		return errUnavailable.because(nats.ErrNoResponders)
	}
	return nil
}

// one sends a request and waits for its only answer.
func (c *calls) one(ctx context.Context, m *nats.Msg) (*nats.Msg, error) {
	k, err := c.begin(m, 1)
	if err != nil {
		return nil, err
	}
	return k.one(ctx)
}

// unavailable is an error that may be over in a moment; whether the request was carried out is not known.
type unavailable struct{ cause error }

var errUnavailable = &unavailable{}

func (u *unavailable) because(cause error) error { return &unavailable{cause} }
func (u *unavailable) Error() string             { return "the bus does not answer: " + u.cause.Error() }
func (u *unavailable) Unwrap() error             { return u.cause }

func isUnavailable(err error) bool {
	_, ok := errors.AsType[*unavailable](err)
	return ok
}

// errConflict says that somebody else has written in between.
var errConflict = errors.New("somebody else wrote at the same time")

// errUnderWay says that as well, and that it cannot be read yet.
var errUnderWay = fmt.Errorf("%w, and is not ready", errConflict)

// errOutrun says that as well, and that we have observed what was written.
var errOutrun = fmt.Errorf("%w, and is known", errConflict)

// errTooMuch says that the answers to one request were more than the server sends.
var errTooMuch = errors.New("the history is too large to be read at once")

// refusal is what the bus says instead of an answer.
type refusal string

func (r refusal) Error() string { return "the bus refuses: " + string(r) }

// refused is the error for what JetStream says instead of an answer. That a cluster has no leader is over in a moment.
func refused(code int, description string) error {
	if code == leaderless || code == notLeader {
		return errUnavailable.because(refusal(description))
	}
	return refusal(description)
}

// lastRequest asks for the last message on the subjects that match.
func lastRequest(subject string) ([]byte, error) {
	return json.Marshal(map[string]string{"last_by_subj": subject})
}

// What JetStream answers to a write on a subject whose last message is not the expected one.
const (
	wrongLastSequence = 10071
	writeUnderWay     = 10164 // Another one is being replicated.
)

// What the servers of a cluster answer while they have not agreed on a leader.
const (
	leaderless = 10008
	notLeader  = 10009
)

// The headers that JetStream understands.
const (
	expectedLast        = "Nats-Expected-Last-Subject-Sequence"
	expectedLastSubject = "Nats-Expected-Last-Subject-Sequence-Subject"
)

// guarded makes a message fail with errConflict unless the last one on the subjects that match guard is number last (0: there is
// none).
func guarded(m *nats.Msg, guard string, last uint64) *nats.Msg {
	if m.Header == nil {
		m.Header = nats.Header{}
	}
	m.Header[expectedLast] = []string{strconv.FormatUint(last, 10)}
	if guard != m.Subject {
		m.Header[expectedLastSubject] = []string{guard}
	}
	return m
}

// store writes a message and returns its number in the stream.
func (c *calls) store(ctx context.Context, m *nats.Msg) (uint64, error) {
	k, err := c.begin(m, 1)
	if err != nil {
		return 0, err
	}
	return k.ack(ctx)
}

// ack waits for the answer to a write and returns the message's number in the stream.
func (k *call) ack(ctx context.Context) (uint64, error) {
	answer, err := k.one(ctx)
	if err != nil {
		return 0, err
	}
	return stored(answer.Data)
}

// stored reads the answer to a write: the message's number in the stream.
func stored(answer []byte) (uint64, error) {
	if seq, ok := plainlyStored(answer); ok {
		return seq, nil
	}
	var ack struct {
		Seq   uint64 `json:"seq"`
		Error *struct {
			Code        int    `json:"err_code"`
			Description string `json:"description"`
		} `json:"error"`
	}
	switch err := json.Unmarshal(answer, &ack); {
	case err != nil:
		return 0, fmt.Errorf("the bus answers nonsense: %w", err)
	case ack.Error != nil && ack.Error.Code == wrongLastSequence:
		return 0, errConflict
	case ack.Error != nil && ack.Error.Code == writeUnderWay:
		return 0, errUnderWay
	case ack.Error != nil:
		return 0, refused(ack.Error.Code, ack.Error.Description)
	}
	return ack.Seq, nil
}

// plainlyStored reads the common answer, which says {"stream":"name","seq":1}: what reads any JSON takes a deep stack for it, and
// those who write have small ones.
func plainlyStored(answer []byte) (seq uint64, ok bool) {
	rest, ok := bytes.CutPrefix(answer, []byte(`{"stream":"`))
	if !ok {
		return 0, false
	}
	_, rest, ok = bytes.Cut(rest, []byte(`","seq":`))
	if !ok {
		return 0, false
	}
	digits, ok := bytes.CutSuffix(rest, []byte("}"))
	if !ok {
		return 0, false
	}
	seq, err := strconv.ParseUint(string(digits), 10, 64)
	return seq, err == nil
}
