package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/zenconn/server/bench/launch"
)

// storeTime is how long the first events may take to come to the audit's store, after a run.
const storeTime = 20 * time.Second

// programs are the files that are run.
type programs struct {
	server, control, config string
	dir                     string // For what servers keep; removed in the end.
}

// start runs a server and returns when it is ready.
func (p *programs) start(ctx context.Context, s *server) (*launch.Process, error) {
	if !s.control {
		return launch.ZenConn(ctx, launch.Program{Path: p.server, Config: p.config, Dir: p.dir, Args: s.args, Environ: s.environ})
	}
	addr, err := launch.FreeAddr()
	if err != nil {
		return nil, err
	}
	return launch.Other(ctx, addr, p.control, "-addr", addr)
}

// checkAudit returns an error when the server's audit has lost events, or none of them has come to its store.
func checkAudit(ctx context.Context, p *launch.Process, patience time.Duration) error {
	late := time.After(patience)
	for {
		m, err := p.Metrics(ctx)
		switch {
		case err != nil:
			return err
		case m["zenconn_audit_dropped_total"] > 0:
			return fmt.Errorf("the audit dropped %.0f events", m["zenconn_audit_dropped_total"])
		case m["zenconn_audit_recorded_total"] == 0 || m["zenconn_audit_drain_events_total"] > 0:
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-late:
			return errors.New("nothing of the audit has come to its store")
		case <-time.After(100 * time.Millisecond):
		}
	}
}
