package hub

import (
	"context"
	"time"

	"github.com/zenconn/server/core"
)

// Relay carries what happens in channels between the hubs of an installation. Implemented by core/relay. All methods may be called
// concurrently, and none but Settle waits for anything.
type Relay interface {
	// Subscribe has the channel's publications of other nodes, and those that its history repeats, brought to Deliver, until
	// Unsubscribe was called as often.
	Subscribe(channel string)
	Unsubscribe(channel string)

	// Settle returns nil when the bus knows of all channels that were subscribed before the call.
	Settle(ctx context.Context) error

	// Publish brings a publication without a place in a history to the members on other nodes, those that can be reached.
	Publish(pub *core.Publication)

	// Announce brings to members on other nodes that somebody came to the channel, or left it.
	Announce(channel string, change Change, who core.ClientInfo)

	// Check has Verify called for the channel, once for any number of calls until then, and again as long as it asks for it.
	Check(channel string, when Urgency)
}

// Change is what happened to the membership of somebody.
type Change uint8

// The changes.
const (
	Joined Change = iota
	Left
)

// Urgency says when a channel has to be verified.
type Urgency uint8

// The urgencies.
const (
	Now   Urgency = iota // A publication is missing.
	Later                // One is missing, but should be on its way here.
	Soon                 // Nothing is known to be missing; as load permits.

	Urgencies = iota
)

// Live is a publication that comes from the bus. Its offset is 0 when it has no place in a history.
type Live struct {
	Pub   *core.Publication
	Epoch string // Of the offset.
}

// Owner is who made a member. Its method may be called from anywhere, and by several goroutines.
type Owner interface {
	// Lost says that the member misses publications and gets none any more. It must leave at once.
	Lost(m *Member)
}

// How long a member waits for what it misses.
const (
	// fillTime is how long the history may be out of reach while a publication is known to be missing.
	fillTime = 10 * time.Second
	// lagTime is how long a history may not know what was delivered live already, or not have all of what it knows: its replicas
	// follow one another within milliseconds.
	lagTime = 3 * time.Second
	// lagPause is when somebody who has to wait for that asks again.
	lagPause = 50 * time.Millisecond
)

// maxWaiting is how many publications of a channel wait for one that is missing. What comes beyond that is read from the history.
const maxWaiting = 1024
