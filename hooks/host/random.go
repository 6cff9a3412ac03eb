package host

import (
	"context"
	"crypto/rand"
)

const maxRandom = 1024 // Bytes of one call.

func randomBytes(_ context.Context, _ *Plugin, c *Call) error {
	n := c.Args[0].Int
	if n < 0 || n > maxRandom {
		return failure("from 0 to %d bytes", maxRandom)
	}
	b := make([]byte, n)
	rand.Read(b) //nolint:errcheck // It never returns an error.
	c.Results[0].Text = string(b)
	return nil
}
