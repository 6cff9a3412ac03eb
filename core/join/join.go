package join

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"time"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/bus"
	"github.com/zenconn/server/core/config"
	"github.com/zenconn/server/plugins"
)

// The pace of trying again; a random part of it is added.
const (
	retryFirst = 100 * time.Millisecond
	retryMost  = 2 * time.Second
	sayAgain   = 15 * time.Second // The log says the same thing so often.
	patience   = 30 * time.Second
)

// Options are what a worker knows before it joins.
type Options struct {
	Bus     *bus.Bus // Open.
	Version string   // Of the program.
	UID     core.ID  // This worker's, on the bus.
	PID     int
	Host    string // Name of this machine.
	Name    string // That a worker from elsewhere would like to have; empty: after its machine.
	Data    string // Directory for what it keeps; empty: it keeps nothing.

	// Of a child that an agent started; zero for a worker from elsewhere.
	Agent    string        // The agent's UID.
	Index    int           // From 1.
	Patience time.Duration // It gives up when the agent has been gone for so long: the next one starts its own. 0: half a minute.

	Log *slog.Logger
}

// Joined is what a worker runs on.
type Joined struct {
	UID          core.ID // As in the options.
	Name         string  // Of this node.
	Index        int     // Of a child of the agent, from 1; 0: from elsewhere.
	Agent        string  // UID of the agent that answered.
	AgentName    string
	AgentVersion string
	Revision     string // Names the configuration and the plugins: the same revision, the same content.

	settings string // What answer.Settings was.

	Config  *config.Config // With this worker's data directory, and nothing that is only the agent's.
	Plugins []plugins.Bundle

	options Options
}

// RefusedError is why an agent does not want this worker. Trying again would not help.
type RefusedError string

func (e RefusedError) Error() string { return string(e) }

// Join asks an agent what this process has to do, and has the bus hold to the agent's terms. While there is none, or the bus is not
// there, it goes on trying until ctx ends. Its errors are a RefusedError, or that ctx has ended, or that the agent that started this
// process is gone.
func Join(ctx context.Context, o Options) (*Joined, error) {
	wait, lonely, most := retryFirst, time.Time{}, cmp.Or(o.Patience, patience)
	said := &saying{log: o.Log}
	for {
		j, err := o.attempt(ctx)
		if err == nil {
			return j, nil
		}
		if refused, ok := errors.AsType[RefusedError](err); ok {
			return nil, refused
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if !errors.Is(err, bus.ErrNobody) || o.Agent == "" {
			lonely = time.Time{}
		} else if lonely.IsZero() {
			lonely = time.Now()
		} else if time.Since(lonely) > most {
			return nil, fmt.Errorf("the agent that started this worker has been gone for %s", most)
		}
		said.why(err, o.Bus.Problem())
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(wait + rand.N(wait)): //nolint:gosec // Only so that not all come at once.
		}
		wait = min(2*wait, retryMost)
	}
}

// attempt joins once.
func (o Options) attempt(ctx context.Context) (*Joined, error) {
	subject := anyAgent
	if o.Agent != "" {
		subject = fmt.Sprintf(ofAgent, o.Agent)
	}
	a, err := o.ask(ctx, subject, false)
	if err != nil {
		return nil, err
	}
	d, bundles, err := o.fetch(ctx, a)
	if err != nil {
		return nil, err
	}
	c, err := config.Import("from the agent", d.Config)
	if err != nil {
		return nil, RefusedError(fmt.Sprintf("the agent (zenconn %.100s) has a configuration that this worker (zenconn %s) does not understand; "+
			"run the same version of zenconn on both: %v", a.Version, o.Version, err))
	}
	if o.Data != "" {
		c.Data = o.Data
	}
	j := &Joined{
		UID: o.UID, Name: a.Name, Index: a.Index, Agent: a.Agent, AgentName: a.Node, AgentVersion: a.Version, Revision: a.Description, settings: a.Settings,
		Config: c, Plugins: bundles, options: o,
	}
	o.Bus.Agree(bus.Terms{Replicas: a.Replicas, Disk: a.Disk})
	return j, nil
}

// fetch gets what an answer tells to fetch.
func (o Options) fetch(ctx context.Context, a answer) (description, []plugins.Bundle, error) {
	f := &fetcher{bus: o.Bus, subject: fmt.Sprintf(bundleAgent, a.Agent), cache: &cache{log: o.Log}}
	if o.Data != "" {
		f.cache.dir = filepath.Join(o.Data, "bundles")
	}
	b, err := f.fetch(ctx, a.Description, a.Size)
	if err != nil {
		return description{}, nil, fmt.Errorf("configuration: %w", err)
	}
	d, err := decodeDescription(b)
	if err != nil {
		return description{}, nil, err
	}
	var bundles []plugins.Bundle
	for _, p := range d.Plugins {
		source, err := f.kept(ctx, p.Hash, p.Size)
		if err != nil {
			return description{}, nil, fmt.Errorf("plugin %s: %w", p.Name, err)
		}
		bundles = append(bundles, p.bundle(source))
	}
	f.cache.sweep()
	return d, bundles, nil
}

// errLater is the answer of an agent that wants to be asked again.
var errLater = errors.New("the agent says: not yet")

// ask asks on a subject who this worker is. again says that it was told before.
func (o Options) ask(ctx context.Context, subject string, again bool) (answer, error) {
	body, err := json.Marshal(request{
		Protocol: Protocol, Version: o.Version, UID: o.UID.String(), PID: o.PID, Host: o.Host, Index: o.Index, Name: o.Name, Again: again,
	})
	if err != nil {
		return answer{}, err
	}
	reply, err := o.Bus.Request(ctx, subject, body)
	if errors.Is(err, bus.ErrIncompatible) {
		return answer{}, RefusedError(fmt.Sprintf("run the same version of zenconn as the agent, not %s: %.1000s", o.Version, err))
	}
	if err != nil {
		return answer{}, err
	}
	a, err := decodeAnswer(reply, o.Index)
	switch {
	case err != nil:
		return answer{}, err
	case a.Later:
		return answer{}, fmt.Errorf("%w: %.200s", errLater, a.Refused)
	case a.Protocol != Protocol:
		return answer{}, RefusedError(incompatible(a.Version, a.Protocol, o.Version, Protocol))
	case a.Refused != "":
		return answer{}, RefusedError(fmt.Sprintf("the agent refuses this worker: %.1000s", a.Refused))
	}
	return a, nil
}

// saying tells in the log why joining takes so long: at once, and then now and then.
type saying struct {
	log  *slog.Logger
	text string
	at   time.Time
}

// why tells about an error. problem is what is wrong with the bus, or "".
func (s *saying) why(err error, problem string) {
	text := "it failed"
	switch {
	case problem != "":
		text = "its bus cannot be reached"
	case errors.Is(err, bus.ErrNobody):
		text = "no agent answers on the bus: is the server running, with the same bus.prefix?"
	case errors.Is(err, errLater):
		text = "it cannot take this worker yet"
	}
	if text == s.text && time.Since(s.at) < sayAgain {
		return
	}
	s.text, s.at = text, time.Now()
	s.log.Warn("this worker cannot join its agent; trying again", "why", text, "error", err)
}
