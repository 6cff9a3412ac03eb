package spool

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"time"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"

	"github.com/zenconn/server/audit"
)

// token names the claimed range for ever.
func (r *record) token() string {
	return fmt.Sprintf("spool/%x.%d/%d-%d", r.Stream, r.Age, r.First, r.Last)
}

// store writes the messages of the claim to the store, and notes in r.Lives which they were. It returns an error only when ctx has ended.
func (d *Drain) store(ctx context.Context, r *record, all []*message) error {
	r.Lives = maps.Clone(r.Lives)
	var merged audit.Batch
	for _, m := range all {
		p, err := parsePart(m.name)
		if err == nil {
			if !p.after(r.Lives[p.life]) {
				d.stats.repeated.Add(1)
				continue
			}
			r.remember(p, m.at)
		}
		if m.content == nil {
			if err := d.setAside(ctx, fmt.Sprintf("%x.%d/%d", r.Stream, r.Age, m.seq), m.data, m.failure.Error()); err != nil {
				return err
			}
			continue
		}
		merge(&merged, &m.content.Batch)
		if len(m.content.unknown) > 0 {
			var records []byte
			for _, record := range m.content.unknown {
				records = append(records, record...)
			}
			const why = "events of a kind that this program does not know: was the node that recorded them newer?"
			if err := d.setAside(ctx, fmt.Sprintf("%x.%d/%d", r.Stream, r.Age, m.seq), pack(records), why); err != nil {
				return err
			}
		}
	}
	if len(all) > 0 {
		r.forget(all[len(all)-1].at)
	}
	return d.writeTables(ctx, r.token(), &merged)
}

func merge(into, from *audit.Batch) {
	into.Messages = append(into.Messages, from.Messages...)
	into.Sessions = append(into.Sessions, from.Sessions...)
	into.Decisions = append(into.Decisions, from.Decisions...)
	into.Actions = append(into.Actions, from.Actions...)
	into.Deliveries = append(into.Deliveries, from.Deliveries...)
	into.Drops = append(into.Drops, from.Drops...)
	into.Links = append(into.Links, from.Links...)
}

// writeTables writes every kind of events by itself, so that it is known of each whether the store has taken it.
func (d *Drain) writeTables(ctx context.Context, token string, b *audit.Batch) error {
	return errors.Join(
		writeTable(ctx, d, token+"/chain", b.Links, kindLink, linkFields, func(b *audit.Batch, of []*audit.Link) { b.Links = of }), // First: see audit/chain.
		writeTable(ctx, d, token+"/messages", b.Messages, kindMessage, messageFields, func(b *audit.Batch, of []*audit.Message) { b.Messages = of }),
		writeTable(ctx, d, token+"/sessions", b.Sessions, kindSession, sessionFields, func(b *audit.Batch, of []*audit.Session) { b.Sessions = of }),
		writeTable(ctx, d, token+"/decisions", b.Decisions, kindDecision, decisionFields, func(b *audit.Batch, of []*audit.Decision) { b.Decisions = of }),
		writeTable(ctx, d, token+"/actions", b.Actions, kindAction, actionFields, func(b *audit.Batch, of []*audit.Action) { b.Actions = of }),
		writeTable(ctx, d, token+"/deliveries", b.Deliveries, kindDelivery, deliveryFields, func(b *audit.Batch, of []*audit.Delivery) { b.Deliveries = of }),
		writeTable(ctx, d, token+"/drops", b.Drops, kindDrop, dropFields, func(b *audit.Batch, of []*audit.Drop) { b.Drops = of }),
	)
}

// writeTable writes the events of one kind. Those that the store refuses for good are set aside, the others stored: the events are halved
// until the refused ones are alone. Whoever repeats the claim halves them in the same way, and with the same tokens.
func writeTable[E any](ctx context.Context, d *Drain, token string, events []*E, kind byte, fieldsOf func(fields, *E), put func(*audit.Batch, []*E)) error {
	var refused []*E
	var why error
	var write func(from, to int) error
	write = func(from, to int) error {
		b := &audit.Batch{Token: token}
		if to-from < len(events) {
			b.Token = fmt.Sprintf("%s/%d-%d", token, from, to)
		}
		put(b, events[from:to])
		err := d.write(ctx, b)
		switch {
		case !errors.Is(err, audit.ErrRefused):
			return err
		case to-from == 1:
			refused, why = append(refused, events[from]), err
			return nil
		}
		middle := (from + to) / 2
		if err := write(from, middle); err != nil {
			return err
		}
		return write(middle, to)
	}
	if len(events) == 0 || ctx.Err() != nil {
		return ctx.Err()
	}
	if err := write(0, len(events)); err != nil || len(refused) == 0 {
		return err
	}
	e := encoder{most: maxRecord}
	for _, event := range refused {
		encodeRecord(&e, kind, event, fieldsOf, nil)
	}
	e.flush()
	for i, part := range e.parts {
		if err := d.setAside(ctx, fmt.Sprintf("%s/%d", token, i), part, why.Error()); err != nil {
			return err
		}
	}
	return nil
}

// patience is how many times its usual time a store gets that is too slow for a batch: the batch cannot be made smaller any more.
const patience = 16

// write tries until the store has the batch, or refuses it for good, or ctx ends.
func (d *Drain) write(ctx context.Context, b *audit.Batch) error {
	timeout := d.options.WriteTimeout
	for pause := firstPause; ; pause = min(2*pause, maxPause) {
		began := time.Now()
		limited, cancel := context.WithTimeout(ctx, timeout)
		err := d.options.Sink.Write(limited, b)
		cancel()
		if err != nil && time.Since(began) >= timeout { // By the clock: a store says in its own words that its time was up.
			timeout = min(2*timeout, patience*d.options.WriteTimeout)
		}
		if err == nil || errors.Is(err, audit.ErrRefused) {
			d.stats.wrote(b, err)
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if d.stats.trouble(err) {
			d.options.Log.Error("cannot write to the audit store; the events wait in the spool", "events", b.Len(), "error", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-d.ending:
			return errEnding
		case <-time.After(pause + rand.N(pause/4)): //nolint:gosec // Nothing depends on its being unpredictable.
		}
	}
}

// setAside puts a message into the second stream, once for each name. It tries until it is there or ctx ends.
func (d *Drain) setAside(ctx context.Context, name string, data []byte, why string) error {
	m := &nats.Msg{Subject: d.names.asideTo, Data: data, Header: nats.Header{natsjs.MsgIDHeader: {name}, headerReason: {oneLine(why)}}}
	unsure := false // Whether an attempt has succeeded, of which the answer was lost.
	for pause := firstPause; ; pause = min(2*pause, maxPause) {
		limited, cancel := context.WithTimeout(ctx, appendTimeout)
		ack, err := d.js.PublishMsg(limited, m)
		cancel()
		if err == nil {
			if !ack.Duplicate || unsure {
				d.stats.setAside.Add(1)
				d.options.Log.Error("audit events could not be stored and were set aside", "why", why, "again", "zenconn audit retry")
			}
			return nil
		}
		unsure = true
		if d.stats.trouble(fmt.Errorf("audit events that the store refuses cannot be set aside: %w", explain(err))) {
			d.options.Log.Error("audit events that the store refuses cannot be set aside; the drain waits", "error", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

// oneLine makes a text fit for a header.
func oneLine(text string) string {
	line := []byte(text[:min(len(text), 1000)])
	for i, c := range line {
		if c == '\r' || c == '\n' {
			line[i] = ' '
		}
	}
	return string(line)
}
