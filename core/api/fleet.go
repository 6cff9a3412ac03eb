package api

import (
	"context"
	"time"

	"github.com/zenconn/server/core"
)

// Fleet is the processes of all agents, for status and restart. Both methods may be called concurrently and keep the deadline of ctx. An
// error that is a *core.Error is told to the caller; any other is a fault, of which only the log tells.
type Fleet interface {
	// Status returns how all processes stand, in the order in which they are shown. An agent that does not answer has its Problem.
	Status(ctx context.Context) (*FleetStatus, error)

	// RestartWorkers begins to replace the worker processes of this agent, and returns without waiting for it: Status tells how far it
	// is.
	RestartWorkers(ctx context.Context) (*FleetRestart, error)
}

// FleetStatus is the result of status.
type FleetStatus struct {
	Nodes    []FleetNode    `json:"nodes"`
	Restarts []FleetRestart `json:"restarts"` // The last of each agent that had one.
}

// FleetNode is one process, or the place of one that is not there just now.
type FleetNode struct {
	UID           string      `json:"uid"` // Another one after each start; empty: there is no process, or it is not on the bus yet.
	Name          string      `json:"name"`
	Kind          string      `json:"kind"`   // agent or worker.
	Agent         string      `json:"agent"`  // Name of the agent that supervises it; empty: none does.
	Worker        int         `json:"worker"` // Which of the agent's workers it is, from 1; 0: it is none.
	Version       string      `json:"version"`
	PID           int         `json:"pid"`
	State         string      `json:"state"`   // starting, ready, replacing, draining, backing off, crash loop or stopped.
	Problem       string      `json:"problem"` // A sentence; empty: none.
	Uptime        int64       `json:"uptime"`  // Seconds.
	Sessions      int         `json:"sessions"`
	Users         int         `json:"users"`
	Channels      int         `json:"channels"`
	Subscriptions int         `json:"subscriptions"`
	MessagesIn    float64     `json:"messages_in"`  // Commands of clients, per second.
	MessagesOut   float64     `json:"messages_out"` // Publications queued for clients, per second.
	Memory        int64       `json:"memory"`       // Resident bytes.
	Restarts      int         `json:"restarts"`     // Starts after an end that nobody asked for.
	LastCrash     *FleetCrash `json:"last_crash,omitempty"`
}

// FleetCrash is the last end of a worker that nobody asked for.
type FleetCrash struct {
	At    time.Time `json:"at"`
	Text  string    `json:"text"`  // Such as "exit status 2".
	Lines []string  `json:"lines"` // The last it wrote to standard error.
}

// FleetRestart is how far the restart of an agent's workers is, or how it ended.
type FleetRestart struct {
	Agent   string     `json:"agent"` // Its name.
	Running bool       `json:"running"`
	Begun   time.Time  `json:"begun"`
	Over    *time.Time `json:"over,omitempty"`
	Done    int        `json:"done"`            // Workers that were replaced.
	Count   int        `json:"count"`           // Workers there are.
	Error   string     `json:"error,omitempty"` // Why it was given up.
}

var errNoFleet = core.ErrNotAvailable.Saying("this server does not know its processes")

type statusRequest struct{}

func (*statusRequest) run(ctx context.Context, c *Commands) (any, error) {
	if c.options.Fleet == nil {
		return nil, errNoFleet
	}
	return c.options.Fleet.Status(ctx)
}

func (*statusRequest) about() (string, any) { return "", nil }

type restartRequest struct {
	What string `json:"what"`
}

func (r *restartRequest) run(ctx context.Context, c *Commands) (any, error) {
	switch {
	case r.What != "workers":
		return nil, core.ErrBadRequest.Saying(`say what to restart: {"what":"workers"}`)
	case c.options.Fleet == nil:
		return nil, errNoFleet
	}
	return c.options.Fleet.RestartWorkers(ctx)
}

func (r *restartRequest) about() (string, any) { return r.What, r }
