package host

import (
	"context"
	"time"
	"unicode/utf8"
)

// KV keeps what plugins store. Its methods may be called concurrently, return soon after ctx ends, and keep nothing of value. Keys are 1
// to MaxKey bytes of UTF-8, values at most MaxValue bytes of any kind; ttl is 0 or a millisecond at least. Revisions are positive and grow.
//
// An error is not shown to the plugin, which learns only that the store does not answer, except a Failure.
type KV interface {
	Get(ctx context.Context, plugin, key string) (value []byte, revision uint64, err error) // Revision 0: there is none.
	Set(ctx context.Context, plugin, key string, value []byte, ttl time.Duration) (revision uint64, err error)

	// Swap stores the value only if the key's revision is the given one, 0 when it must have no value. It returns 0 when it is not.
	Swap(ctx context.Context, plugin, key string, value []byte, ttl time.Duration, revision uint64) (next uint64, err error)
	Delete(ctx context.Context, plugin, key string) error
}

// The limits of what plugins store.
const (
	MaxKey   = 255
	MaxValue = 64 << 10
	maxTTL   = 10 * 366 * 24 * time.Hour
)

func checkKey(c *Call) error {
	if n := len(c.Args[0].Text); n == 0 || n > MaxKey {
		return failure("the key has %d bytes; it must have 1 to %d", n, MaxKey)
	}
	if !utf8.ValidString(c.Args[0].Text) {
		return failure("the key is not UTF-8")
	}
	return nil
}

func checkEntry(c *Call, ttl int64) error {
	if err := checkKey(c); err != nil {
		return err
	}
	if n := len(c.Args[1].Text); n > MaxValue {
		return failure("the value has %d bytes; it may have %d", n, MaxValue)
	}
	if ttl < 0 || ttl > maxTTL.Milliseconds() {
		return failure("the ttl must be from 0 to ten years")
	}
	return nil
}

// stored makes what the plugin learns of what the store says.
func (p *Plugin) stored(ctx context.Context, err error) error {
	if err == nil || ctx.Err() != nil {
		return err
	}
	if f, ok := err.(Failure); ok { //nolint:errorlint // A wrapped one has a sentence around it that is not for the plugin.
		return f
	}
	p.log.Failed("the store of plugins does not answer", err)
	return Failure("the store does not answer")
}

func kvGet(ctx context.Context, p *Plugin, c *Call) error {
	if err := checkKey(c); err != nil {
		return err
	}
	value, revision, err := p.services.kv.Get(ctx, p.name, c.Args[0].Text)
	if err != nil {
		return p.stored(ctx, err)
	}
	if revision == 0 {
		return ErrAbsent
	}
	c.Results[0].Text, c.Results[1].Int = string(value), int64(revision) //nolint:gosec // Counts from 1.
	return nil
}

func kvSet(ctx context.Context, p *Plugin, c *Call) error {
	ttl := c.Args[2].Int
	if err := checkEntry(c, ttl); err != nil {
		return err
	}
	revision, err := p.services.kv.Set(ctx, p.name, c.Args[0].Text, []byte(c.Args[1].Text), time.Duration(ttl)*time.Millisecond)
	c.Results[0].Int = int64(revision) //nolint:gosec // Counts from 1.
	return p.stored(ctx, err)
}

func kvSwap(ctx context.Context, p *Plugin, c *Call) error {
	ttl := c.Args[3].Int
	if err := checkEntry(c, ttl); err != nil {
		return err
	}
	if c.Args[2].Int < 0 {
		return failure("a revision is not negative")
	}
	revision := uint64(c.Args[2].Int) //nolint:gosec // Not negative.
	next, err := p.services.kv.Swap(ctx, p.name, c.Args[0].Text, []byte(c.Args[1].Text), time.Duration(ttl)*time.Millisecond, revision)
	if err != nil {
		return p.stored(ctx, err)
	}
	if next == 0 {
		return ErrAbsent
	}
	c.Results[0].Int = int64(next) //nolint:gosec // Counts from 1.
	return nil
}

func kvDelete(ctx context.Context, p *Plugin, c *Call) error {
	if err := checkKey(c); err != nil {
		return err
	}
	return p.stored(ctx, p.services.kv.Delete(ctx, p.name, c.Args[0].Text))
}
