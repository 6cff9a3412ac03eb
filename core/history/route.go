package history

import (
	"context"
	"time"

	"github.com/zenconn/server/core"
)

// Route is a Store that asks, for each channel, the one it returns.
type Route func(channel string) Store

// Append implements Store.
func (r Route) Append(ctx context.Context, channel string, pub *core.Publication, limits Limits) (core.Position, error) {
	return r(channel).Append(ctx, channel, pub, limits)
}

// Start implements Starter.
func (r Route) Start(deadline time.Time, channel string, pub *core.Publication, limits Limits, then Then) {
	Start(r(channel), deadline, channel, pub, limits, then)
}

// Position implements Store.
func (r Route) Position(ctx context.Context, channel string) (core.Position, error) {
	return r(channel).Position(ctx, channel)
}

// Read implements Store.
func (r Route) Read(ctx context.Context, channel string, q Query) ([]*core.Publication, core.Position, error) {
	return r(channel).Read(ctx, channel, q)
}

// Recover implements Store.
func (r Route) Recover(ctx context.Context, channel string, since core.Position) ([]*core.Publication, core.Position, bool, error) {
	return r(channel).Recover(ctx, channel, since)
}

// Remove implements Store.
func (r Route) Remove(ctx context.Context, channel string) error {
	return r(channel).Remove(ctx, channel)
}
