package agent

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/api"
	"github.com/zenconn/server/core/cluster"
	"github.com/zenconn/server/core/supervise"
)

const (
	reportTimeout = 2 * time.Second // For another agent to say how its workers are.
	silentAfter   = 2 * time.Second // Of a member, before it is a problem.
)

// asker is the bus, as a fleet sees it.
type asker interface {
	Request(ctx context.Context, subject string, body []byte) ([]byte, error)
	Handle(subject string, answer func(ctx context.Context, body []byte) ([]byte, error)) (stop func(), err error)
}

// fleet implements api.Fleet: who is there is known from the bus, how workers are supervised from their agents.
type fleet struct {
	name       string // Of this agent.
	members    *cluster.Members
	bus        asker
	supervisor *supervise.Supervisor // nil: this agent has no worker processes.
	worker     func(index int) string
	log        *slog.Logger
}

// report is what an agent says of the workers it supervises.
type report struct {
	Places  []place           `json:"places"`
	Restart *api.FleetRestart `json:"restart,omitempty"`

	agent   cluster.Member
	missing error // Why there is none.
}

// place is where one worker is, or should be.
type place struct {
	Index    int             `json:"index"`
	Name     string          `json:"name"`
	PID      int             `json:"pid"`
	State    supervise.State `json:"state"`
	Restarts int             `json:"restarts"`
	NextTry  time.Duration   `json:"next_try"` // From now; 0: none is due.
	Crash    *api.FleetCrash `json:"crash,omitempty"`
}

func reportSubject(uid string) string { return "node." + uid + ".fleet" }

// run answers other agents until ctx ends.
func (f *fleet) run(ctx context.Context) error {
	stop, err := f.bus.Handle(reportSubject(f.members.UID()), func(context.Context, []byte) ([]byte, error) { return json.Marshal(f.report()) })
	if err != nil {
		return fmt.Errorf("questions about workers: %w", err)
	}
	defer stop()
	<-ctx.Done()
	return nil
}

// report says how this agent's own workers are.
func (f *fleet) report() report {
	var r report
	if f.supervisor == nil {
		return r
	}
	for _, status := range f.supervisor.Status() {
		p := place{Index: status.Index, Name: f.worker(status.Index), PID: status.PID, State: status.State, Restarts: status.Restarts}
		if !status.NextTry.IsZero() {
			p.NextTry = max(time.Until(status.NextTry), 0)
		}
		if last := status.LastExit; last != nil {
			p.Crash = &api.FleetCrash{At: last.At, Text: last.Text, Lines: append([]string{}, last.Lines...)}
		}
		r.Places = append(r.Places, p)
	}
	r.Restart = f.progress()
	return r
}

// progress is how far this agent's restart is; nil: there was none.
func (f *fleet) progress() *api.FleetRestart {
	p := f.supervisor.Progress()
	if p.Begun.IsZero() {
		return nil
	}
	r := &api.FleetRestart{Agent: f.name, Running: p.Running, Begun: p.Begun, Done: p.Done, Count: p.Count}
	if !p.Running {
		r.Over = &p.Over
	}
	if p.Err != nil {
		r.Error = p.Err.Error()
	}
	return r
}

// RestartWorkers implements api.Fleet.
func (f *fleet) RestartWorkers(context.Context) (*api.FleetRestart, error) {
	if f.supervisor == nil || len(f.supervisor.Status()) == 0 {
		return nil, core.ErrNotAvailable.Saying("there are no worker processes to restart: agent.workers is 0")
	}
	switch err := f.supervisor.BeginRestart(); {
	case errors.Is(err, supervise.ErrRestarting):
		return nil, core.ErrNotAvailable.Saying(err.Error())
	case err != nil:
		return nil, core.ErrNotAvailable.Saying("the server is starting or stopping").Because(err)
	}
	return f.progress(), nil
}

// Status implements api.Fleet.
func (f *fleet) Status(ctx context.Context) (*api.FleetStatus, error) {
	members := f.members.List()
	return arrange(members, f.reports(ctx, members)), nil
}

// reports asks all agents at once.
func (f *fleet) reports(ctx context.Context, members []cluster.Member) []report {
	ctx, cancel := context.WithTimeout(ctx, reportTimeout)
	defer cancel()
	var all []*report
	var asking sync.WaitGroup
	for _, m := range members {
		if m.Kind != cluster.Agent || m.Incompatible {
			continue
		}
		r := &report{agent: m}
		all = append(all, r)
		if m.Self {
			own := f.report()
			r.Places, r.Restart = own.Places, own.Restart
			continue
		}
		asking.Go(func() {
			body, err := f.bus.Request(ctx, reportSubject(m.UID), nil)
			if err == nil {
				err = json.Unmarshal(body, r)
			}
			if err != nil {
				r.missing = err
				f.log.Warn("an agent does not say how its workers are", "agent", m.Name, "error", err)
			}
		})
	}
	asking.Wait()
	reports := make([]report, len(all))
	for i, r := range all {
		reports[i] = *r
	}
	return reports
}

// arrange puts together what is known of the processes and what their agents say of them: problems first, then agent by agent.
func arrange(members []cluster.Member, reports []report) *api.FleetStatus {
	status := &api.FleetStatus{Nodes: []api.FleetNode{}, Restarts: []api.FleetRestart{}}
	agents := make(map[string]report, len(reports))
	for _, r := range reports {
		agents[r.agent.UID] = r
		if r.Restart != nil {
			status.Restarts = append(status.Restarts, *r.Restart)
		}
	}
	seen := make(map[string]bool) // Places with a process, as agent and name.
	for _, m := range members {
		n := nodeOf(m)
		if r, ok := agents[m.UID]; ok && r.missing != nil {
			n.Problem = cmp.Or(n.Problem, "does not say how its workers are")
		}
		if m.Agent != "" {
			supervised(&n, m, agents, members)
			seen[m.Agent+" "+m.Name] = true
		}
		status.Nodes = append(status.Nodes, n)
	}
	for _, r := range reports {
		for _, p := range r.Places {
			if !seen[r.agent.UID+" "+p.Name] {
				n := api.FleetNode{Name: p.Name, Kind: string(cluster.Worker), Agent: r.agent.Name, PID: p.PID}
				fill(&n, p)
				status.Nodes = append(status.Nodes, n)
			}
		}
	}
	slices.SortStableFunc(status.Nodes, func(a, b api.FleetNode) int {
		return cmp.Or(
			order(a.Problem == "", b.Problem == ""),
			cmp.Compare(cmp.Or(a.Agent, a.Name), cmp.Or(b.Agent, b.Name)),
			cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Worker, b.Worker), cmp.Compare(a.Name, b.Name), cmp.Compare(b.Uptime, a.Uptime),
		)
	})
	return status
}

func order(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

func nodeOf(m cluster.Member) api.FleetNode {
	n := api.FleetNode{
		UID: m.UID, Name: m.Name, Kind: string(m.Kind), Version: m.Version, PID: m.PID, State: string(m.State), Problem: m.Problem,
		Uptime:   int64(max(time.Since(m.Started)+m.Skew, 0) / time.Second), // By its own clock.
		Sessions: m.Sessions, Users: m.Users, Channels: m.Channels, Subscriptions: m.Subscriptions,
		MessagesIn: m.MessagesIn, MessagesOut: m.MessagesOut, Memory: m.Memory,
	}
	if m.Outdated != "" {
		n.Problem = cmp.Or(n.Problem, "must be started again: "+m.Outdated)
	}
	n.Problem = cmp.Or(n.Problem, m.Complaint)
	if m.Silence >= silentAfter {
		n.Problem = cmp.Or(n.Problem, fmt.Sprintf("not heard for %v", m.Silence.Round(time.Second)))
	}
	return n
}

// supervised adds to a worker's process what its agent says of its place.
func supervised(n *api.FleetNode, m cluster.Member, agents map[string]report, members []cluster.Member) {
	r, ok := agents[m.Agent]
	if !ok {
		n.Problem = cmp.Or(n.Problem, "its agent is not there")
		return
	}
	n.Agent = r.agent.Name
	for _, other := range members {
		if other.UID != m.UID && other.Agent == m.Agent && other.Name == m.Name {
			n.Problem = "" // While one replaces the other they have the same name.
		}
	}
	for _, p := range r.Places {
		switch {
		case p.PID == m.PID:
			member := n.State
			fill(n, p)
			if p.State == supervise.StateReady {
				n.State = member // The process itself knows best.
			}
		case p.Name == m.Name: // The replacement, or what is being replaced.
			n.Worker = p.Index
		}
	}
}

// fill adds what is known of a place.
func fill(n *api.FleetNode, p place) {
	n.Worker, n.State, n.Restarts, n.LastCrash = p.Index, string(p.State), p.Restarts, p.Crash
	if p.State != supervise.StateBackingOff && p.State != supervise.StateCrashLoop {
		return
	}
	n.Problem = "ended"
	if p.Crash != nil {
		n.Problem += ": " + p.Crash.Text
	}
	if p.NextTry > 0 {
		n.Problem += fmt.Sprintf("; the next try is in %v", p.NextTry.Round(100*time.Millisecond))
	}
}
