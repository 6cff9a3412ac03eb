package agent

import (
	"context"
	"log/slog"
	"time"

	"github.com/zenconn/server/audit/erase"
	"github.com/zenconn/server/audit/store"
	"github.com/zenconn/server/core/config"
)

const (
	retentionInterval = 24 * time.Hour
	retentionRetry    = 10 * time.Minute // After a failure.
)

// Retention returns how much of the audit is kept in a store that does not remove anything by itself; false: there is no such store.
func Retention(c config.Audit) (erase.Limits, bool) {
	k := c.Keep
	return erase.Limits{Rows: c.SQLite.RetentionRows, Keep: map[string]time.Duration{
		"audit_messages": k.Messages, "audit_deliveries": k.Messages, "audit_drops": k.Messages, "audit_decisions": k.Decisions,
		"audit_sessions": k.Sessions, "audit_actions": k.Actions, "audit_chain": k.Actions, "audit_erasures": k.Actions,
	}}, store.Embedded(c)
}

// retention removes, at the start and once a day, what is not to be kept.
type retention struct {
	store  erase.Store
	limits erase.Limits
	by     erase.By
	log    *slog.Logger
}

// run ends with ctx, if need be in the middle of the work. What is left is found the next time.
func (r *retention) run(ctx context.Context) {
	for {
		pause := retentionInterval
		removed, err := erase.Trim(ctx, r.store, r.limits, time.Now(), r.by)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			pause = retentionRetry
			r.log.Warn("what is too old could not be removed from the audit; it is tried again", "error", err)
		case len(removed) > 0:
			r.log.Info("removed from the audit what is too old, or too much", "rows", removed)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
	}
}
