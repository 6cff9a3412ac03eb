package history

import (
	"context"
	"time"

	"github.com/zenconn/server/core"
)

// Starter is a Store whose appends need not be waited for.
type Starter interface {
	// Start does what Append does, and tells then how it ended: once, on any goroutine, perhaps before it returns, and soon after the
	// deadline at the latest. It does not wait. To one channel the next append must not be started before then was told.
	Start(deadline time.Time, channel string, pub *core.Publication, limits Limits, then Then)
}

// Then hears how an append ended. Appended may do what takes some microseconds; others wait for its return.
type Then interface {
	Appended(at core.Position, err error)
}

// Start appends without waiting if the store can do that; otherwise then is told before it returns. No deadline is the zero one.
func Start(s Store, deadline time.Time, channel string, pub *core.Publication, limits Limits, then Then) {
	switch s := s.(type) {
	case Starter:
		s.Start(deadline, channel, pub, limits, then)
	case *Memory: // It waits for nothing, and so needs no timer.
		then.Appended(s.Append(context.Background(), channel, pub, limits))
	default:
		ctx, cancel := Until(deadline)
		defer cancel()
		then.Appended(s.Append(ctx, channel, pub, limits))
	}
}

// Until makes a context of a deadline; the zero one is none.
func Until(deadline time.Time) (context.Context, context.CancelFunc) {
	if deadline.IsZero() {
		return context.Background(), func() {}
	}
	return context.WithDeadline(context.Background(), deadline)
}
