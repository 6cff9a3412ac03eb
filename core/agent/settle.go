package agent

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/zenconn/server/audit/settle"
	"github.com/zenconn/server/audit/spool"
	"github.com/zenconn/server/audit/stored"
	"github.com/zenconn/server/core/cluster"
	"github.com/zenconn/server/core/config"
	"github.com/zenconn/server/core/registry"
	"github.com/zenconn/server/core/supervise"
)

const (
	settleInterval = 24 * time.Hour         // For what had been set aside and was stored later.
	settleAgain    = time.Minute            // After something was found: by then it is stored, and there should be nothing.
	settleRetry    = 5 * time.Second        // After a failure, doubled with each further one,
	settleLongest  = 10 * time.Minute       // up to this.
	settlePause    = 100 * time.Millisecond // Between two pages: the audit shall keep up.
	metPatience    = 2 * time.Minute        // Time for workers that were found running to say who they are.
	metLook        = 200 * time.Millisecond
	partedFor      = time.Minute // In which the registry has written down how the sessions of a process ended that this agent has seen go.
	partedMost     = 256         // Of these; beyond it the oldest are forgotten.
	settleReason   = "the node was lost together with its agent"
)

// settling closes, in the audit, the sessions that processes of earlier lives of this agent have left open: nobody saw them die. Since the
// data directory is locked, everything that an agent on it ever was or started is dead, but for the workers that were found running. Whom this
// agent has met is not among those: when it goes, the registry closes its sessions, and knows when and why.
type settling struct {
	past      *past
	drain     *spool.Drain
	store     stored.Store
	members   *cluster.Members
	survivors []*supervise.Survivor
	over      func(pid int) bool // A survivor has ended.
	strangers bool               // Workers of earlier lives may run that are not among the survivors.
	recorder  registry.Recorder
	log       *slog.Logger

	settled atomic.Uint64

	mu     sync.Mutex
	parted []parting // Guarded by mu; the oldest first.
}

// parting is a process that this agent has seen go.
type parting struct {
	life settle.Life
	at   time.Time
}

// newSettling makes it; nil: recording is off.
func (a *Agent) newSettling(p *parts) *settling {
	if p.drain == nil {
		return nil
	}
	s := &settling{
		past: p.past, drain: p.drain, store: p.store, members: p.node.Members(), survivors: p.survivors, strangers: p.strangers,
		over: func(int) bool { return false }, recorder: p.node.Recorder(), log: a.log,
	}
	if p.crew != nil {
		s.over = p.crew.isOver
	}
	s.members.Watch(s.heard)
	p.node.Registerer().MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "zenconn_audit_settled_total",
		Help: "Ends of sessions that this agent recorded for processes of its earlier lives, which nobody saw die.",
	}, func() float64 { return float64(s.settled.Load()) }))
	return s
}

// heard notes who goes.
func (s *settling) heard(e cluster.Event) {
	if e.Kind != cluster.Gone {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.parted = append(s.parted, parting{settle.Life{Node: e.Member.Name, Started: e.Member.Started}, time.Now()})
	s.parted = s.parted[max(0, len(s.parted)-partedMost):]
}

// left returns who has gone since.
func (s *settling) left(since time.Time) (lives []settle.Life) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.parted = slices.DeleteFunc(s.parted, func(p parting) bool { return p.at.Before(since) })
	for _, p := range s.parted {
		lives = append(lives, p.life)
	}
	return lives
}

// run ends with ctx, if need be in the middle of the work. What is left is found by the next agent.
func (s *settling) run(ctx context.Context) {
	for retry := settleRetry; ; {
		pause := settleInterval
		n, err := s.settle(ctx)
		if n > 0 {
			pause = settleAgain
			s.log.Warn("sessions that processes before had left open are recorded as lost", "sessions", n, "last_seen", s.end())
		}
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			pause, retry = retry, min(2*retry, settleLongest)
			s.log.Warn("the audit cannot be searched for sessions that processes before have left open; it is tried again", "in", pause, "error", err)
		} else {
			retry = settleRetry
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
	}
}

// settle records the ends that are missing, and returns how many. Recorded twice they are the same.
func (s *settling) settle(ctx context.Context) (n int, err error) {
	since := time.Now().Add(-partedFor) // Of whom went before, all is stored when what follows has been awaited.
	if err := s.drain.Await(ctx); err != nil {
		return 0, err // Only ctx has ended.
	}
	scope, whole := s.scope(ctx, since)
	for page, err := range settle.Pages(ctx, s.store, scope) {
		if err != nil {
			return n, err
		}
		for _, open := range page {
			s.recorder.Record(settle.Ended(open, s.end(), registry.LostCode, settleReason))
		}
		s.recorder.Hasten()
		n += len(page)
		s.settled.Add(uint64(len(page)))
		select {
		case <-time.After(settlePause):
		case <-ctx.Done():
			return n, ctx.Err()
		}
	}
	if n > 0 || !whole {
		return n, nil
	}
	return 0, s.past.settled()
}

// end is when sessions ended that nobody saw end: when the agent before was last seen.
func (s *settling) end() time.Time {
	began := s.members.Self().Started
	if s.past.seen.IsZero() || s.past.seen.After(began) {
		return began
	}
	return s.past.seen
}

// scope returns whose sessions must have ended, and are not closed by those who have seen them go since. Not whole is one that leaves out
// somebody, because it is not known whether he lives.
func (s *settling) scope(ctx context.Context, since time.Time) (scope settle.Scope, whole bool) {
	members, unmet := s.meet(ctx)
	scope = settle.Scope{Agents: s.past.names, Before: s.members.Self().Started}
	for _, name := range s.past.names {
		for index := 1; index <= config.MaxWorkers && !s.strangers; index++ {
			if !slices.ContainsFunc(unmet, func(u *supervise.Survivor) bool { return u.Index == index }) {
				scope.Workers = append(scope.Workers, workerName(name, index))
			}
		}
	}
	lives := s.left(since)
	for _, m := range members {
		lives = append(lives, settle.Life{Node: m.Name, Started: m.Started})
	}
	for _, l := range lives {
		if slices.Contains(scope.Agents, l.Node) || slices.Contains(scope.Workers, l.Node) {
			scope.Living = append(scope.Living, l)
		}
	}
	return scope, len(unmet) == 0 && !s.strangers
}

// meet waits until it is known of all workers that were found running who they are, or that they have ended. It returns those of which
// it is not known in time: they live and do not reach the bus. The members are those by which it is known.
func (s *settling) meet(ctx context.Context) (members []cluster.Member, unmet []*supervise.Survivor) {
	deadline := time.NewTimer(metPatience)
	defer deadline.Stop()
	look := time.NewTicker(metLook)
	defer look.Stop()
	for {
		members = s.members.List()
		unmet = slices.DeleteFunc(slices.Clone(s.survivors), func(u *supervise.Survivor) bool {
			return s.over(u.PID) || slices.ContainsFunc(members, func(m cluster.Member) bool {
				return m.Index == u.Index && m.PID == u.PID && s.past.knows(m)
			})
		})
		if len(unmet) == 0 {
			return members, nil
		}
		select {
		case <-look.C:
		case <-deadline.C:
			return members, unmet
		case <-ctx.Done():
			return members, unmet
		}
	}
}
