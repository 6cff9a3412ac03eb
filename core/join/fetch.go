package join

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/zenconn/server/core/bus"
)

// partTries is how often a chunk is asked for: an agent refuses while too many workers fetch at a time.
const partTries = 8

// fetcher gets bytes by their hash from one agent.
type fetcher struct {
	bus     *bus.Bus
	subject string
	cache   *cache
}

// kept returns the bytes from the cache, or fetches and keeps them.
func (f *fetcher) kept(ctx context.Context, hash string, size int64) ([]byte, error) {
	if b := f.cache.get(hash); b != nil {
		return b, nil
	}
	b, err := f.fetch(ctx, hash, size)
	if err == nil {
		f.cache.put(hash, b)
	}
	return b, err
}

// fetch gets the bytes and checks that they are those.
func (f *fetcher) fetch(ctx context.Context, hash string, size int64) ([]byte, error) {
	var b []byte // It grows with what comes: the size is only a claim.
	for int64(len(b)) < size {
		chunk, err := f.part(ctx, part{Hash: hash, Offset: int64(len(b))})
		if err != nil {
			return nil, err
		}
		if len(chunk) == 0 {
			return nil, errors.New("the agent no longer has it; its configuration has changed meanwhile")
		}
		b = append(b, chunk...)
	}
	if int64(len(b)) != size || hashOf(b) != hash {
		return nil, errors.New("what came is not what its hash promises")
	}
	return b, nil
}

// part gets one chunk.
func (f *fetcher) part(ctx context.Context, p part) ([]byte, error) {
	body, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	for try := 1; ; try++ {
		chunk, err := f.bus.Request(ctx, f.subject, body)
		if err == nil {
			return chunk, nil
		}
		if _, refused := errors.AsType[bus.RemoteError](err); !refused || try == partTries {
			return nil, fmt.Errorf("at byte %d: %w", p.Offset, err)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(time.Duration(try) * retryFirst):
		}
	}
}
