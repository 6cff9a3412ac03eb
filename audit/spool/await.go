package spool

import (
	"context"
	"time"
)

// awaitInterval is how often Await looks.
const awaitInterval = 250 * time.Millisecond

// Await returns nil when all that was in the spool at the beginning has been stored or set aside, by this drain or by that of another agent.
// While the bus does not answer, or the store takes nothing, it waits; an error means that ctx has ended. It may be called while Run runs.
func (d *Drain) Await(ctx context.Context) error {
	look := time.NewTicker(awaitInterval)
	defer look.Stop()
	var goal uint64 // The last message at the beginning; 0: not known yet.
	for {
		if first, last, err := d.ends(ctx); err == nil {
			if goal == 0 {
				goal = last
			}
			// What is stored is removed. A stream that ends before the goal is another one.
			if first > goal || last < goal {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-look.C:
		}
	}
}

// ends returns the numbers of the first message in the spool and of the last. When there is none the first is the greater one.
func (d *Drain) ends(ctx context.Context) (first, last uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, recordTimeout)
	defer cancel()
	stream, err := d.js.Stream(ctx, d.names.stream)
	if err != nil {
		return 0, 0, err
	}
	info := stream.CachedInfo() // As of now: it was asked for.
	if info.State.Msgs == 0 {
		return info.State.LastSeq + 1, info.State.LastSeq, nil
	}
	return info.State.FirstSeq, info.State.LastSeq, nil
}
