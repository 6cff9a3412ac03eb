package spool

import (
	"context"
	"errors"
	"fmt"
	"time"

	natsjs "github.com/nats-io/nats.go/jetstream"
)

// fetchBytes is how much is under way from the stream to the drain, in bytes of messages.
const fetchBytes = 16 << 20

// idleTime bounds how long a consumer is kept by the bus when nobody asks it.
const idleTime = 30 * time.Second

// pullTime is how long the bus may take to answer a request, and beatTime how often it shows meanwhile that it has not forgotten it. After twice
// the beat time nobody waits for it any more: the request went to a consumer that is gone, as after a long outage of the store, and no other
// answer comes. The library counts that time anew for every reading, so idleWait must be longer.
const (
	pullTime = 4 * time.Second
	beatTime = 2 * time.Second
	idleWait = 6 * time.Second // How long a message is waited for before somebody looks at the world again.
)

// message is one of the stream.
type message struct {
	seq     uint64
	at      time.Time // When it came to the stream.
	name    string    // See part.
	data    []byte
	content *decoded // nil: it cannot be read, for this reason:
	failure error
}

// reader reads the stream in its order, without gaps but those in the stream itself. Nothing is acknowledged: messages go when the drain
// removes them. It is used by one goroutine; close ends it.
type reader struct {
	stream natsjs.Stream
	next   uint64 // The message to read next.
	ahead  *message

	consumer string // Its name; "": there is none.
	iterator natsjs.MessagesContext
	fresh    bool // Nothing has come from the consumer yet.
}

// close ends the consumer.
func (r *reader) close(ctx context.Context) {
	if r.consumer == "" {
		return
	}
	r.iterator.Stop()
	_ = r.stream.DeleteConsumer(ctx, r.consumer) // When this fails the bus removes it after the idle time.
	r.consumer = ""
}

func (r *reader) open(ctx context.Context) error {
	consumer, err := r.stream.CreateConsumer(ctx, natsjs.ConsumerConfig{
		AckPolicy: natsjs.AckNonePolicy, DeliverPolicy: natsjs.DeliverByStartSequencePolicy, OptStartSeq: r.next,
		InactiveThreshold: idleTime, MemoryStorage: true, Replicas: 1, Description: "ZenConn: the drain of the audit spool",
	})
	if err != nil {
		return fmt.Errorf("reading the audit spool: %w", err)
	}
	iterator, err := consumer.Messages(natsjs.PullMaxBytes(fetchBytes), natsjs.PullExpiry(pullTime), natsjs.PullHeartbeat(beatTime))
	if err != nil {
		return fmt.Errorf("reading the audit spool: %w", err)
	}
	r.consumer, r.iterator, r.fresh = consumer.CachedInfo().Name, iterator, true
	return nil
}

// read returns the next message, decoded, or nil when there is none within a time or before enough ends.
func (r *reader) read(ctx, enough context.Context, within time.Duration) (*message, error) {
	if m := r.ahead; m != nil {
		r.ahead = nil
		return m, nil
	}
	limited, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	stop := context.AfterFunc(enough, cancel)
	defer stop()
	for {
		if r.consumer == "" {
			if err := r.open(ctx); err != nil {
				return nil, err
			}
		}
		m, err := r.iterator.Next(natsjs.NextContext(limited))
		if err != nil {
			if limited.Err() != nil {
				return nil, ctx.Err()
			}
			r.close(ctx)
			// The bus removes consumers that were idle while the store was down, and loses them when it starts again. Whether it is there at all,
			// the next attempt to make one tells.
			if !r.fresh || errors.Is(err, natsjs.ErrNoHeartbeat) {
				r.fresh = true
				continue
			}
			return nil, fmt.Errorf("reading the audit spool: %w", err)
		}
		meta, err := m.Metadata()
		if err != nil {
			return nil, fmt.Errorf("reading the audit spool: %w", err)
		}
		seq := meta.Sequence.Stream
		if seq < r.next {
			continue
		}
		if seq > r.next && !r.fresh { // Some were lost on the way, or are gone. A new consumer finds out.
			r.close(ctx)
			continue
		}
		r.fresh, r.next = false, seq+1
		return decodeMessage(&message{seq: seq, at: meta.Timestamp, name: m.Headers().Get(natsjs.MsgIDHeader), data: m.Data()}), nil
	}
}

func decodeMessage(m *message) *message {
	m.content, m.failure = decode(m.data)
	return m
}

// unread gives back the message that read returned last.
func (r *reader) unread(m *message) { r.ahead = m }

// limits say how much is stored at once.
type limits struct {
	events int
	bytes  int           // Of records.
	linger time.Duration // How long is waited for more, after the first message.
}

// gather returns the messages to store next: none if none comes within a time. When enough ends it waits for no more.
func (r *reader) gather(ctx, enough context.Context, within time.Duration, l limits) (all []*message, err error) {
	events, size := 0, 0
	var end time.Time
	for {
		m, err := r.read(ctx, enough, within)
		if err != nil {
			return nil, err
		}
		if m == nil {
			return all, nil
		}
		if m.content != nil {
			events += m.content.Len()
			size += m.content.raw
		}
		if len(all) > 0 && (events > l.events || size > l.bytes) {
			r.unread(m)
			return all, nil
		}
		if all = append(all, m); len(all) == 1 {
			end = time.Now().Add(l.linger)
		}
		if within = time.Until(end); within <= 0 {
			return all, nil
		}
	}
}

// exactly returns the messages from r.next to last. Those that the stream no longer has are missing.
func (r *reader) exactly(ctx context.Context, last uint64) (all []*message, err error) {
	for r.next <= last {
		m, err := r.read(ctx, ctx, idleWait)
		switch {
		case err != nil:
			return nil, err
		case m == nil:
			_, err := r.stream.GetMsg(ctx, last)
			if errors.Is(err, natsjs.ErrMsgNotFound) { // Somebody has removed it: whatever comes next, comes after it.
				return all, nil
			}
			if err != nil {
				return nil, err
			}
		case m.seq > last:
			r.unread(m)
			return all, nil
		default:
			all = append(all, m)
		}
	}
	return all, nil
}
