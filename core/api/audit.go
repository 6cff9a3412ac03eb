package api

import (
	"context"

	"github.com/zenconn/server/core"
)

// Audit is what operators may do about the audit's way to its store. Its method may be called concurrently and keeps the deadline of ctx.
type Audit interface {
	// Retry has batches tried again that could not be stored and were set aside. It returns how many there were.
	Retry(ctx context.Context) (batches int, err error)
}

// AuditRetried is the result of audit_retry.
type AuditRetried struct {
	Batches int `json:"batches"`
}

type auditRetryRequest struct{}

func (*auditRetryRequest) run(ctx context.Context, c *Commands) (any, error) {
	if c.options.Audit == nil {
		return nil, core.ErrNotAvailable.Saying("this server does not store the audit")
	}
	n, err := c.options.Audit.Retry(ctx)
	if err != nil {
		return nil, err
	}
	return &AuditRetried{n}, nil
}

func (*auditRetryRequest) about() (string, any) { return "", nil }
