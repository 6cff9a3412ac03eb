package join

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"

	"golang.org/x/time/rate"

	"github.com/zenconn/server/core/bus"
	"github.com/zenconn/server/core/config"
	"github.com/zenconn/server/plugins"
)

// How often workers may ask to join: all of a large installation at once, and then as fast as a cluster can restart.
const (
	joinsPerSecond = 100
	joinsAtOnce    = 1000
)

// HostOptions are what the agent's side is made of.
type HostOptions struct {
	Bus     *bus.Bus
	Name    string // The agent's node name.
	UID     string // The agent's, on the bus.
	Version string // Of the program.
	Log     *slog.Logger
}

// Host answers workers that want to join. All methods may be called concurrently.
type Host struct {
	options HostOptions
	limit   *rate.Limiter
	now     atomic.Pointer[generation] // nil until the first Set.
}

// NewHost makes the agent's side. Until Set is called, workers are told to wait.
func NewHost(o HostOptions) *Host {
	return &Host{options: o, limit: rate.NewLimiter(joinsPerSecond, joinsAtOnce)}
}

// Set says what workers get from now on. Those that have joined find out by themselves, sooner when they are told: they change to other
// plugins, and report another configuration with their State. It fails when something
// in the configuration cannot be sent, or a file that it names cannot be read, and changes nothing then.
func (h *Host) Set(c *config.Config, bundles []plugins.Bundle) error {
	g, err := newGeneration(c, bundles)
	if err != nil {
		return err
	}
	h.now.Store(g)
	return nil
}

// Run answers until ctx ends.
func (h *Host) Run(ctx context.Context) error {
	token, err := bus.Token(h.options.Name)
	if err != nil {
		return fmt.Errorf("agent.name: %w", err)
	}
	var stops []func()
	defer func() {
		for _, stop := range stops {
			stop()
		}
	}()
	type answers = func(context.Context, []byte) ([]byte, error)
	for _, s := range []struct {
		subject, queue string
		answer         answers
	}{
		{anyAgent, "agents", h.join},
		{fmt.Sprintf(ofAgent, h.options.UID), "", h.join},
		{fmt.Sprintf(namedAgent, token), "", h.join},
		{fmt.Sprintf(bundleAgent, h.options.UID), "", h.part},
	} {
		stop, err := h.options.Bus.HandleQueue(s.subject, s.queue, s.answer)
		if err != nil {
			return err
		}
		stops = append(stops, stop)
	}
	<-ctx.Done()
	return nil
}

// join answers one worker.
func (h *Host) join(_ context.Context, body []byte) ([]byte, error) {
	r, err := decodeRequest(body)
	if err != nil {
		return nil, err
	}
	a := h.decide(r)
	a.Protocol, a.Version, a.Agent, a.Node = Protocol, h.options.Version, h.options.UID, h.options.Name
	terms := h.options.Bus.Terms()
	a.Replicas, a.Disk = terms.Replicas, terms.Disk
	worker := slog.Group("worker", "name", a.Name, "index", r.Index, "host", r.Host, "pid", r.PID, "uid", r.UID, "version", r.Version)
	switch {
	case a.Refused != "" && !a.Later:
		h.options.Log.Warn("a worker was refused", worker, slog.String("reason", a.Refused))
	case a.Refused == "" && !r.Again:
		h.options.Log.Info("a worker joins", worker)
	}
	return json.Marshal(a)
}

// decide says who a worker is, or why it cannot be one.
func (h *Host) decide(r request) answer {
	if r.Protocol != Protocol {
		return answer{Refused: incompatible(h.options.Version, Protocol, r.Version, r.Protocol)}
	}
	g := h.now.Load()
	if g == nil {
		return answer{Refused: "the agent is still starting", Later: true}
	}
	if !h.limit.Allow() {
		return answer{Refused: "too many workers join at a time", Later: true}
	}
	if r.Index > 0 {
		if r.Index > g.workers {
			return answer{Refused: fmt.Sprintf("there is no worker %d: agent.workers is %d", r.Index, g.workers)}
		}
		return g.answer(fmt.Sprintf("%s-%d", h.options.Name, r.Index), r.Index, g.child)
	}
	name, err := h.nameOf(r)
	if err != nil {
		return answer{Refused: err.Error()}
	}
	return g.answer(name, 0, g.elsewhere)
}

func (g *generation) answer(name string, index int, hash string) answer {
	return answer{Name: name, Index: index, Description: hash, Size: int64(len(g.bytes[hash])), Settings: g.settings[hash]}
}

// nameOf names a worker from elsewhere: as it wants, or after its machine. Two with one name are a nuisance to the reader of the logs and
// no more, because UIDs tell them apart.
func (h *Host) nameOf(r request) (string, error) {
	switch {
	case r.Name != "" && !config.ValidNodeName(r.Name):
		return "", fmt.Errorf("%.150q cannot be the name of a worker: want up to 128 letters, digits, dots, - and _ (--name)", r.Name)
	case r.Name == h.options.Name:
		return "", fmt.Errorf("%q is the name of the agent itself: give the worker another one (--name)", r.Name)
	case r.Name != "":
		return r.Name, nil
	case config.ValidNodeName(r.Host) && r.Host != h.options.Name:
		return r.Host, nil
	}
	return h.options.Name + "-remote", nil
}

// Tell has a worker ask now whether anything is new, and returns when it runs on what Set has said last, or why it does not.
func (h *Host) Tell(ctx context.Context, uid string) error {
	_, err := h.options.Bus.Request(ctx, fmt.Sprintf(lookWorker, uid), nil)
	return err
}

// incompatible says why two programs cannot work together, and what to do about it.
func incompatible(agent string, agentProtocol int, worker string, workerProtocol int) string {
	return fmt.Sprintf("the agent is zenconn %.100s (protocol %d) and the worker is zenconn %.100s (protocol %d), which do not understand each other: "+
		"run the same version of zenconn on both", agent, agentProtocol, worker, workerProtocol)
}

// part answers with a piece of a description or of a plugin.
func (h *Host) part(_ context.Context, body []byte) ([]byte, error) {
	var p part
	if err := json.Unmarshal(body, &p); err != nil {
		return nil, errors.New("malformed request for a bundle")
	}
	g := h.now.Load()
	if g == nil {
		return nil, nil
	}
	b := g.bytes[p.Hash]
	if p.Offset < 0 || p.Offset >= int64(len(b)) {
		return nil, nil
	}
	return b[p.Offset:min(p.Offset+chunkSize, int64(len(b)))], nil
}
