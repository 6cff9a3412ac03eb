package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/zenconn/server/core/metrics"
	"github.com/zenconn/server/core/session"
)

// CallsOptions are what Calls are made of.
type CallsOptions struct {
	Members *Members
	Bus     Bus // nil: this process is alone.
	Local   *session.Server
	Log     *slog.Logger
	Metrics *metrics.Metrics
}

// Calls does to all members' sessions and channels what a session.Server does to those of one: it has the same methods. What this
// process keeps is done without the bus; the others are asked at once, all together.
//
// Looks (presence, channels, users, sessions) show what the members told that answered within two seconds; for the others there is a
// warning and a count. Acts (subscribe, disconnect and so on) return an error with the names of those that did not answer before ctx
// ended; the rest has done it. A member that has gone meanwhile took its sessions along: that is no error. Incompatible members
// are not asked.
//
// All methods may be called concurrently.
type Calls struct {
	members *Members
	bus     Bus
	local   *session.Server
	log     *slog.Logger
	metrics *metrics.Metrics
	depot   *depot
	list    List // nil: this process has none.

	// Slots of calls that are under way; more wait. A process answers 64 of each class at a time, whoever asks.
	looking, acting chan struct{}

	mu   sync.Mutex           // Guards told.
	told map[string]time.Time // When there was a warning about a member, by UID.
}

// maxAsking is how many calls of a class this process has under way.
const maxAsking = 16

// NewCalls makes Calls.
func NewCalls(o CallsOptions) *Calls {
	return &Calls{
		members: o.Members, bus: o.Bus, local: o.Local, log: o.Log, metrics: o.Metrics, depot: newDepot(),
		looking: make(chan struct{}, maxAsking), acting: make(chan struct{}, maxAsking),
		told: make(map[string]time.Time),
	}
}

// Run answers what the other members ask until ctx ends. It must run before Members say that this process is ready, and while it
// has sessions.
func (c *Calls) Run(ctx context.Context) error {
	if c.bus == nil {
		<-ctx.Done()
		return nil
	}
	defer c.depot.close()
	looks, acts := answerers()
	var stops []func()
	defer func() {
		for _, stop := range stops {
			stop()
		}
	}()
	for class, handle := range map[string]func(context.Context, []byte) ([]byte, error){
		lookSubject: func(ctx context.Context, body []byte) ([]byte, error) { return c.reply(ctx, looks, body) },
		actSubject:  func(ctx context.Context, body []byte) ([]byte, error) { return c.reply(ctx, acts, body) },
		partSubject: func(_ context.Context, body []byte) ([]byte, error) { return c.depot.part(body) },
	} {
		stop, err := c.bus.Handle("node."+c.members.UID()+class, handle)
		if err != nil {
			return fmt.Errorf("cluster: %w", err)
		}
		stops = append(stops, stop)
	}
	<-ctx.Done()
	return nil
}

// What follows node.<uid> in the subjects of questions.
const (
	lookSubject = ".call.look"
	actSubject  = ".call.act"
	partSubject = ".call.part"
)

// reply answers one question.
func (c *Calls) reply(ctx context.Context, known map[string]answerer, body []byte) ([]byte, error) {
	var q question
	if err := json.Unmarshal(body, &q); err != nil {
		return nil, fmt.Errorf("the question cannot be read: %w", err)
	}
	do := known[q.Verb]
	if do == nil {
		return nil, fmt.Errorf("this process does not know the question %.40q: is the program older?", q.Verb)
	}
	text, err := answerOf(do(ctx, c.local, q.With))
	if err != nil {
		return nil, err
	}
	return c.depot.pack(text)
}
