// Package history keeps the last publications of channels, so that clients can read back and recover what they missed.
//
// Offsets count from 1 and have no gaps within an epoch. A channel has an epoch from the moment somebody asks for it, and keeps
// it while it is used; when its state is forgotten the next one gets a new epoch, so that an old position is refused and never
// silently wrong.
package history

import (
	"context"
	"time"

	"github.com/zenconn/server/core"
)

// Limits bound what is kept of one channel. They may differ from append to append: those of the last hold for all that is kept. A
// durable store is told them when it is made, and appends have to ask for the same.
type Limits struct {
	Size int           // Publications; 0: none, though their offsets count.
	TTL  time.Duration // Age; 0: any.
}

// Query asks for a part of a channel's history.
type Query struct {
	Since   *core.Position // Publications after it, or, in reverse, before it; nil: from the beginning, or the end.
	Limit   int            // Most publications to return; 0: none, only the position; negative: all.
	Reverse bool           // The newest first.
}

// Store keeps histories. A publication that has expired by itself (core.Publication.Expired) is no longer returned, and not missing either:
// its offset counts.
//
// All methods may be called concurrently, but appends to one channel must follow one another.
//
// The publications that a store returns are shared and must not be written. A deadline of ctx is kept.
type Store interface {
	// Append gives pub the next offset and stores it. It does not return nil before pub is stored.
	Append(ctx context.Context, channel string, pub *core.Publication, limits Limits) (core.Position, error)

	// Position returns the offset of the last publication, kept or not, and the epoch.
	Position(ctx context.Context, channel string) (core.Position, error)

	// Read returns a part of what is kept, and the position. What Since no longer reaches is left out without a word. A Since of
	// another epoch (an empty one is any) is core.ErrUnrecoverablePosition; offset 0 in reverse is core.ErrBadRequest.
	Read(ctx context.Context, channel string, q Query) ([]*core.Publication, core.Position, error)

	// Recover returns all publications after since, if the epoch is the same and none is missing; otherwise recovered is false and
	// there are none.
	Recover(ctx context.Context, channel string, since core.Position) (missed []*core.Publication, at core.Position, recovered bool, err error)

	// Remove forgets the publications, not the position.
	Remove(ctx context.Context, channel string) error
}
