package audit

import "context"

// Redactor sees every event before it is stored, and says what is stored of it; but no Delivery and no Drop, which only count.
type Redactor interface {
	// Redact returns what is stored instead of the event: the event itself, a changed copy of the same type, or nil for nothing. It must not
	// write to the event, whose content others share. The recorder's own goroutine calls it, for one event after the other; when ctx
	// ends no time is left, and nothing it returns then is stored.
	Redact(ctx context.Context, e Event) Event
}

// redact replaces the events of a batch, which then may be empty, and gives the room of what is gone back to the queue. It happens
// once per batch, however often the batch is written.
func (r *Recorder) redact(ctx context.Context, b *Batch) {
	if r.options.Redactor == nil {
		return
	}
	events, bytes := b.Len(), b.payload()
	b.Messages = redacted(ctx, r.options.Redactor, b.Messages)
	b.Sessions = redacted(ctx, r.options.Redactor, b.Sessions)
	b.Decisions = redacted(ctx, r.options.Redactor, b.Decisions)
	b.Actions = redacted(ctx, r.options.Redactor, b.Actions)
	gone := events - b.Len()
	r.mu.Lock()
	r.redactedOut += uint64(gone)
	r.mu.Unlock()
	r.queue.free(gone, bytes-b.payload())
}

// redacted works in place: the slots belong to the recorder, the events do not.
func redacted[E Event](ctx context.Context, by Redactor, events []E) []E {
	kept := events[:0]
	for _, e := range events {
		if ctx.Err() != nil { // The batch will not be written; its count must stay right.
			kept = append(kept, e)
			continue
		}
		if stored, ok := by.Redact(ctx, e).(E); ok {
			kept = append(kept, stored)
		}
	}
	clear(events[len(kept):])
	return kept
}
