package spool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"

	"github.com/zenconn/server/audit"
	"github.com/zenconn/server/audit/chain"
	"github.com/zenconn/server/core/bus"
)

// appendTimeout bounds one message's way into the stream, within the deadline of the batch.
const appendTimeout = 5 * time.Second

// headerRoom is what a message's headers take of what the bus allows, in bytes.
const headerRoom = 4 << 10

// Writer appends batches to the spool. It is an audit.Writer. Neither the bus nor the spool need be there: writing fails until they are.
type Writer struct {
	bus   *bus.Bus
	names names

	// Set by Open.
	conn *nats.Conn
	js   natsjs.JetStream

	// Owned by Write.
	encoder encoder
	token   string    // Of the batch that was written last.
	left    [][]byte  // Its messages that are not acknowledged.
	next    uint32    // Number of the first of them.
	told    time.Time // When the log heard of the head of the chain.

	log     *slog.Logger
	mu      sync.Mutex // Guards failure.
	failure error      // Of the last Write; nil: it succeeded.
}

// NewWriter returns a writer for an open bus. It tells the log, now and then, the head of its chain: with a log that is kept elsewhere nobody
// can write the record anew.
func NewWriter(b *bus.Bus, log *slog.Logger) *Writer {
	return &Writer{bus: b, names: namesOn(b), log: log}
}

// headInterval is how often the log hears of the head.
const headInterval = time.Hour

// Open connects, or begins to. The connection ends with the bus.
func (w *Writer) Open() (err error) {
	if w.conn, err = w.bus.Connect("audit"); err != nil {
		return err
	}
	w.js, err = natsjs.New(w.conn)
	return err
}

// Write appends the batch and returns when the bus has it. When it fails halfway, the same batch written again appends the rest.
func (w *Writer) Write(ctx context.Context, b *audit.Batch) error {
	err := w.write(ctx, b)
	w.mu.Lock()
	w.failure = err
	w.mu.Unlock()
	return err
}

func (w *Writer) write(ctx context.Context, b *audit.Batch) error {
	life, batch, ok := cutLast(b.Token)
	if _, err := parsePart(b.Token + "/0"); !ok || err != nil {
		return fmt.Errorf("%w: its token is %q, and not a name and a number", audit.ErrRefused, b.Token)
	}
	if problem := w.bus.Problem(); problem != "" {
		return errors.New(problem) // It takes seconds to get well; an attempt would only wait.
	}
	if b.Token != w.token {
		// The bus is known by other connections; until it has greeted this one, it is not known how much a message may hold.
		most := int(w.conn.MaxPayload()) - headerRoom
		if most <= 0 {
			return errors.New("the bus has not accepted the connection of the audit yet, or allows no messages of more than 4 KiB (max_payload)")
		}
		w.encoder.most = min(most, maxRecord)
		if w.encoder.chain == nil || w.encoder.chain.Life() != life {
			node, _, _ := strings.Cut(life, "/")
			w.encoder.chain = chain.New(node, life)
		}
		w.left, w.next, w.token = w.encoder.encode(b), 0, b.Token
	}
	for len(w.left) > 0 {
		if err := w.append(ctx, fmt.Sprintf("%s/%s/%d", life, batch, w.next), w.left[0]); err != nil {
			return err
		}
		w.left, w.next = w.left[1:], w.next+1
	}
	if head := w.encoder.chain.Head(); head.Number > 0 && time.Since(w.told) >= headInterval {
		w.told = time.Now()
		w.log.Info("the head of this process's audit chain; zenconn audit verify --head compares the store with it", "head", head.String())
	}
	return nil
}

// append stores one message. The next one is sent when this one is stored: the drain relies on the order.
func (w *Writer) append(ctx context.Context, name string, data []byte) error {
	ctx, cancel := context.WithTimeout(ctx, appendTimeout)
	defer cancel()
	m := &nats.Msg{Subject: w.names.subject, Data: data, Header: nats.Header{natsjs.MsgIDHeader: {name}}}
	_, err := w.js.PublishMsg(ctx, m, natsjs.WithRetryAttempts(0))
	return explain(err)
}

// explain makes a sentence of what the bus answers to an append.
func explain(err error) error {
	api, ok := errors.AsType[*natsjs.APIError](err)
	switch {
	case err == nil:
		return nil
	case ok && api.ErrorCode == storeFailed && api.Description == fullDescription:
		return fmt.Errorf("%w: the audit spool on the bus is full", audit.ErrFull)
	case errors.Is(err, natsjs.ErrNoStreamResponse), errors.Is(err, nats.ErrNoResponders):
		return fmt.Errorf("the bus has no audit spool (no agent has made it yet?): %w", err)
	}
	return fmt.Errorf("the audit spool on the bus: %w", err)
}

// What JetStream answers when a stream that discards new messages is full.
const (
	storeFailed     = 10077
	fullDescription = "maximum bytes exceeded"
)

// Problem says in a sentence what is wrong with the way to the spool, or "".
func (w *Writer) Problem() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failure == nil {
		return ""
	}
	return "audit events cannot be handed on, they wait in memory: " + w.failure.Error()
}
