package spool

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"
)

// headerReason says why a message was set aside.
const headerReason = "Zc-Audit-Reason"

// Retry puts everything that was set aside back into the spool, and returns how many messages that were. What still cannot be stored is
// set aside again. It may be called on any drain that is open, leader or not, and again when it failed: nothing is stored twice.
func (d *Drain) Retry(ctx context.Context) (retried int, err error) {
	aside, err := d.js.Stream(ctx, d.names.aside)
	if err != nil {
		return 0, fmt.Errorf("what was set aside of the audit cannot be read: %w", err)
	}
	info := aside.CachedInfo()
	life := fmt.Sprintf("retry-%x", info.Created.UnixNano())
	for seq := info.State.FirstSeq; seq <= info.State.LastSeq; seq++ {
		m, err := aside.GetMsg(ctx, seq)
		if errors.Is(err, natsjs.ErrMsgNotFound) {
			continue
		}
		if err != nil {
			return retried, fmt.Errorf("what was set aside of the audit cannot be read: %w", err)
		}
		// The number in the second stream is the batch's: the spool recognizes it when it comes again.
		name := part{life: life, batch: seq}.String()
		back := &nats.Msg{Subject: d.names.subject, Data: m.Data, Header: nats.Header{natsjs.MsgIDHeader: {name}}}
		if _, err := d.js.PublishMsg(ctx, back); err != nil {
			return retried, explain(err)
		}
		if err := aside.DeleteMsg(ctx, seq); err != nil {
			return retried, fmt.Errorf("what was set aside of the audit is in the spool again, but not removed: %w", err)
		}
		retried++
	}
	return retried, nil
}
