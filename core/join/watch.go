package join

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/zenconn/server/core/bus"
)

// How often a worker asks whether anything is new, besides when the bus is back.
const (
	lookAgain = 15 * time.Second
	lookSoon  = time.Second // After nobody has answered: an agent that was restarted is on the bus before it answers.
)

// State is how a worker stands to its agent.
type State struct {
	Agent        string // UID of the agent; another one after the agent's restart.
	AgentName    string
	AgentVersion string
	Outdated     string // Why the worker must be started again to be as its agent wants it; empty: it need not.
}

// Watch asks the agent again whenever the bus is back, and now and then, until ctx ends, and calls report with every change of the
// worker's state. An agent that does not answer changes nothing: it is found when it is back under its name, or, by a worker from
// elsewhere, another one is.
func (j *Joined) Watch(ctx context.Context, report func(State)) {
	back := make(chan struct{}, 1)
	stop := j.options.Bus.OnReconnect(func() {
		select {
		case back <- struct{}{}:
		default: // It will be asked anyway.
		}
	})
	defer stop()
	timer := time.NewTimer(lookAgain)
	defer timer.Stop()
	state := State{Agent: j.Agent, AgentName: j.AgentName, AgentVersion: j.AgentVersion}
	for {
		select {
		case <-ctx.Done():
			return
		case <-back:
		case <-timer.C:
		}
		now, err := j.look(ctx, state)
		if err != nil {
			timer.Reset(lookSoon)
			continue
		}
		timer.Reset(lookAgain)
		if now != state {
			state = now
			report(state)
		}
	}
}

// look asks once.
func (j *Joined) look(ctx context.Context, s State) (State, error) {
	token, err := bus.Token(s.AgentName)
	if err != nil {
		return s, err
	}
	a, err := j.options.ask(ctx, fmt.Sprintf(namedAgent, token), true)
	if errors.Is(err, bus.ErrNobody) && j.Index == 0 {
		a, err = j.options.ask(ctx, anyAgent, true)
	}
	if refused, ok := errors.AsType[RefusedError](err); ok {
		s.Outdated = refused.Error()
		return s, nil
	}
	if err != nil {
		return s, err
	}
	s = State{Agent: a.Agent, AgentName: a.Node, AgentVersion: a.Version}
	if a.Description != j.Revision {
		s.Outdated = "the agent has another configuration or other plugins now"
	}
	return s, nil
}
