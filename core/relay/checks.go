package relay

import (
	"context"
	"sync"
	"time"

	"github.com/zenconn/server/core/hub"
)

// How channels are verified.
const (
	checkers     = 8                      // Goroutines for each urgency: one slow history must not hold up the others.
	checkTimeout = 5 * time.Second        // For one channel.
	laterDelay   = 250 * time.Millisecond // For what is on its way to arrive.
	soonDelay    = time.Second            // For the servers of the bus to tell each other of a new channel.
	soonPace     = time.Millisecond       // Between two channels: verifying one costs a tenth of that.
)

// checks are the channels to be verified with one urgency, the oldest first. Each is in the list at most once, so that the list is
// bounded by the number of channels.
type checks struct {
	delay time.Duration // Between Check and Verify.
	pace  time.Duration // Between one Verify and the next.
	wake  chan struct{}

	mu     sync.Mutex // Guards all below.
	list   []check
	listed map[string]struct{}
	next   time.Time // Not before.
}

type check struct {
	channel string
	due     time.Time
}

func newChecks(delay, pace time.Duration) *checks {
	return &checks{delay: delay, pace: pace, wake: make(chan struct{}, 1), listed: map[string]struct{}{}}
}

// Check implements hub.Relay.
func (r *Relay) Check(channel string, when hub.Urgency) { r.checks[when].add(channel) }

func (c *checks) add(channel string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, there := c.listed[channel]; there {
		return
	}
	c.listed[channel] = struct{}{}
	c.list = append(c.list, check{channel, time.Now().Add(c.delay)})
	c.rouse()
}

// rouse wakes one of those who wait.
func (c *checks) rouse() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// take returns the next channel if it is due, or else how long it takes until one is; below zero: there is none.
func (c *checks) take() (channel string, wait time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.list) == 0 {
		return "", -1
	}
	now, due := time.Now(), c.list[0].due
	if c.next.After(due) {
		due = c.next
	}
	if due.After(now) {
		return "", due.Sub(now)
	}
	channel = c.list[0].channel
	c.list[0] = check{}
	c.list = c.list[1:]
	delete(c.listed, channel)
	c.next = now.Add(c.pace)
	if len(c.list) > 0 {
		c.rouse()
	} else { // Neither shrinks by itself.
		c.list, c.listed = nil, map[string]struct{}{}
	}
	return channel, 0
}

// verify has the hub verify the channels of one urgency until ctx ends.
func (r *Relay) verify(ctx context.Context, h *hub.Hub, c *checks) {
	again := c
	if c == r.checks[hub.Now] {
		again = r.checks[hub.Later]
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		channel, wait := c.take()
		if wait == 0 {
			if r.verifyOne(ctx, h, channel) {
				again.add(channel)
			}
			continue
		}
		timer.Stop()
		if wait > 0 {
			timer.Reset(wait)
		}
		select {
		case <-c.wake:
		case <-timer.C:
		case <-ctx.Done():
		}
	}
}

// verifyOne has one channel verified. What is dropped meanwhile may not be in what is read now, and nobody is told of it again as long as
// nothing of the channel fits into its lane.
func (r *Relay) verifyOne(ctx context.Context, h *hub.Hub, channel string) (again bool) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	before, _ := r.losses(channel)
	again = h.Verify(ctx, channel)
	after, full := r.losses(channel)
	return again || after > before || after > 0 && full
}
