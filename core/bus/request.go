package bus

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// Version is that of the requests between processes. A process answers requests of its own version only; it is raised when a
// change is not understood by the version before.
const Version = 1

const (
	headerVersion  = "Zc-Version" // In an answer only when it is that of the request which does not fit.
	headerTimeout  = "Zc-Timeout" // Milliseconds the asker waits.
	headerError    = "Zc-Error"
	requestTimeout = 5 * time.Second // For askers without a deadline.
	maxHandling    = 64              // Requests that one Handle carries out at a time; more are refused.
)

// ErrNobody is returned when nobody answers requests on a subject.
var ErrNobody = errors.New("nobody on the bus answers")

// ErrIncompatible is returned when whoever answers speaks another Version. Asking again would not help.
var ErrIncompatible = errors.New("the programs are of versions that do not understand each other")

// RemoteError is what the process that was asked answered instead of a result.
type RemoteError string

func (e RemoteError) Error() string { return string(e) }

// Busy is the RemoteError of a process that has too many requests to answer. It has not begun with this one, and may be asked again.
const Busy RemoteError = "too many requests at a time"

// Request asks whoever handles a subject, which follows the prefix, and returns the answer. It waits until ctx ends, or five
// seconds when ctx has no deadline.
func (b *Bus) Request(ctx context.Context, subject string, body []byte) ([]byte, error) {
	if !b.Connected() {
		return nil, fmt.Errorf("%s: %w", subject, ErrDown)
	}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, requestTimeout)
		defer cancel()
	}
	deadline, _ := ctx.Deadline()
	m := &nats.Msg{Subject: b.subject(subject), Data: body, Header: nats.Header{
		headerVersion: {strconv.Itoa(Version)}, headerTimeout: {strconv.FormatInt(time.Until(deadline).Milliseconds(), 10)},
	}}
	answer, err := b.main.RequestMsgWithContext(ctx, m)
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return nil, fmt.Errorf("%s: %w", subject, ErrNobody)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", subject, err)
	}
	if text := answer.Header.Get(headerError); text != "" && answer.Header.Get(headerVersion) != "" {
		return nil, fmt.Errorf("%s: %w: %w", subject, ErrIncompatible, RemoteError(text))
	} else if text != "" {
		return nil, fmt.Errorf("%s: %w", subject, RemoteError(text))
	}
	return answer.Data, nil
}

func (b *Bus) subject(subject string) string { return b.Prefix() + "." + subject }

// Handle answers requests on a subject, which follows the prefix, until stop is called. answer may be called concurrently; its context
// ends when the asker no longer waits. stop returns when the last answer has been given.
func (b *Bus) Handle(subject string, answer func(ctx context.Context, body []byte) ([]byte, error)) (stop func(), err error) {
	return b.HandleQueue(subject, "", answer)
}

// HandleQueue is Handle for several processes that can answer the same requests: one of those that name the same queue gets each.
func (b *Bus) HandleQueue(subject, queue string, answer func(ctx context.Context, body []byte) ([]byte, error)) (stop func(), err error) {
	var handling sync.WaitGroup
	slots := make(chan struct{}, maxHandling)
	end, err := b.subscribe(subject, queue, func(m *nats.Msg) {
		if version := m.Header.Get(headerVersion); version != strconv.Itoa(Version) {
			b.reply(m, nil, fmt.Errorf("%w: this process speaks version %d of the requests, not %.20q", ErrIncompatible, Version, version))
			return
		}
		select {
		case slots <- struct{}{}:
		default:
			b.reply(m, nil, Busy)
			return
		}
		handling.Go(func() {
			defer func() { <-slots }()
			ctx, cancel := context.WithTimeout(context.Background(), askedTimeout(m.Header.Get(headerTimeout)))
			defer cancel()
			body, err := answer(ctx, m.Data)
			if ctx.Err() == nil { // Else nobody waits any more.
				b.reply(m, body, err)
			}
		})
	})
	if err != nil {
		return nil, err
	}
	return func() { end(); handling.Wait() }, nil
}

// askedTimeout reads how long the asker waits.
func askedTimeout(header string) time.Duration {
	milliseconds, err := strconv.ParseInt(header, 10, 64)
	timeout := time.Duration(milliseconds) * time.Millisecond
	if err != nil || timeout <= 0 || timeout > time.Hour {
		return requestTimeout
	}
	return timeout
}

// reply answers a request. Who asked may be gone, and the bus too: there is nobody to tell.
func (b *Bus) reply(m *nats.Msg, body []byte, err error) {
	answer := &nats.Msg{Data: body}
	if err != nil {
		answer = &nats.Msg{Header: nats.Header{headerError: {oneLine(err.Error())}}}
		if errors.Is(err, ErrIncompatible) {
			answer.Header.Set(headerVersion, strconv.Itoa(Version))
		}
	}
	if err := m.RespondMsg(answer); err != nil {
		b.log.log.Debug("an answer could not be sent", "subject", m.Subject, "error", err)
	}
}

// oneLine makes a text fit for a header.
func oneLine(text string) string {
	line := []byte(text)
	for i, c := range line {
		if c == '\r' || c == '\n' {
			line[i] = ' '
		}
	}
	return string(line)
}
