package join

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/zenconn/server/core/bus"
	"github.com/zenconn/server/plugins"
)

// How often a worker asks whether anything is new, besides when the bus is back and when it is told to.
const (
	lookAgain = 15 * time.Second
	lookSoon  = time.Second // At the beginning, and after nobody has answered: an agent that was restarted is on the bus before it answers.
)

// State is how a worker stands to its agent.
type State struct {
	Agent        string // UID of the agent; another one after the agent's restart.
	AgentName    string
	AgentVersion string
	Outdated     string // Why the worker must be started again to be as its agent wants it; empty: it need not.
}

// watcher is a Watch that is under way.
type watcher struct {
	joined *Joined
	state  State
	report func(State)
	change func([]plugins.Bundle) error

	revision string // What the worker runs on.
	refused  string // A revision whose plugins it could not change to,
	why      error  // for this reason.
	insist   bool   // They are to be tried again.
}

// Watch asks the agent again when it is told to, whenever the bus is back, and now and then, until ctx ends, and calls report with every
// change of the worker's state. When nothing but the plugins is new it calls change with them; plugins that it refuses stay refused until
// the agent says to look again. An agent that does not answer changes nothing: it is found when it is back under its name, or, by a worker
// from elsewhere, another one is.
func (j *Joined) Watch(ctx context.Context, report func(State), change func([]plugins.Bundle) error) {
	w := &watcher{
		joined: j, state: State{Agent: j.Agent, AgentName: j.AgentName, AgentVersion: j.AgentVersion}, report: report, change: change, revision: j.Revision,
	}
	back := make(chan struct{}, 1)
	stop := j.options.Bus.OnReconnect(func() {
		select {
		case back <- struct{}{}:
		default: // It will be asked anyway.
		}
	})
	defer stop()
	told := make(chan chan error)
	var listening sync.WaitGroup
	defer listening.Wait()
	listening.Go(func() { j.listen(ctx, told) })

	timer := time.NewTimer(lookSoon)
	defer timer.Stop()
	for {
		var asker chan error // nil: nobody waits.
		select {
		case <-ctx.Done():
			return
		case <-back:
		case <-timer.C:
		case asker = <-told:
			w.insist = true
		}
		err := w.look(ctx)
		next := lookAgain
		if err != nil {
			next = lookSoon
		}
		timer.Reset(next)
		if asker != nil {
			asker <- w.outcome(err)
		}
	}
}

// listen takes what the agent says until ctx ends. The bus may be away just now, for as long as it likes.
func (j *Joined) listen(ctx context.Context, told chan<- chan error) {
	for {
		stop, err := j.options.Bus.Handle(fmt.Sprintf(lookWorker, j.UID), func(asker context.Context, _ []byte) ([]byte, error) {
			return nil, beTold(ctx, asker, told)
		})
		if err == nil {
			<-ctx.Done()
			stop()
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(lookSoon):
		}
	}
}

// beTold has the watch look, and returns what came of it, while both want to know.
func beTold(ctx, asker context.Context, told chan<- chan error) error {
	outcome := make(chan error, 1)
	select {
	case told <- outcome:
	case <-ctx.Done():
		return errors.New("it is stopping")
	case <-asker.Done():
		return asker.Err()
	}
	select {
	case err := <-outcome:
		return err
	case <-ctx.Done():
		return errors.New("it is stopping")
	case <-asker.Done():
		return asker.Err()
	}
}

// outcome says why the worker is not as its agent wants it after a look that ended with err.
func (w *watcher) outcome(err error) error {
	switch {
	case err != nil:
		return err
	case w.state.Outdated != "":
		return errors.New("it must be started again: " + w.state.Outdated)
	case w.refused != "":
		return w.why
	}
	return nil
}

// look asks once and does what is to be done.
func (w *watcher) look(ctx context.Context) error {
	a, refused, err := w.ask(ctx)
	if err != nil {
		return err
	}
	now := w.state
	if refused != "" {
		now.Outdated = refused
	} else {
		now = State{Agent: a.Agent, AgentName: a.Node, AgentVersion: a.Version}
		if a.Description != w.revision && (a.Settings == "" || a.Settings != w.joined.settings) {
			now.Outdated = "the agent has another configuration now"
		}
	}
	if now != w.state {
		w.state = now
		w.report(now)
	}
	insist := w.insist
	w.insist = false
	switch {
	case now.Outdated != "", a.Description == w.revision && w.refused == "", a.Description == w.refused && !insist:
		return nil
	}
	_, bundles, err := w.joined.options.fetch(ctx, a)
	if err != nil {
		w.joined.options.Log.Warn("the agent's plugins cannot be fetched; trying again", "error", err)
		return err
	}
	if w.why = w.change(bundles); w.why != nil {
		w.refused = a.Description
	} else {
		w.revision, w.refused = a.Description, ""
	}
	return nil
}

// ask asks the agent once. refused is why it does not want this worker any more.
func (w *watcher) ask(ctx context.Context) (a answer, refused string, err error) {
	token, err := bus.Token(w.state.AgentName)
	if err != nil {
		return answer{}, "", err
	}
	o := w.joined.options
	a, err = o.ask(ctx, fmt.Sprintf(namedAgent, token), true)
	if errors.Is(err, bus.ErrNobody) && w.joined.Index == 0 {
		a, err = o.ask(ctx, anyAgent, true)
	}
	if why, ok := errors.AsType[RefusedError](err); ok {
		return answer{}, why.Error(), nil
	}
	return a, "", err
}
