package relay

import (
	"context"
	"hash/maphash"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/bus"
	"github.com/zenconn/server/core/hub"
	"github.com/zenconn/server/core/metrics"
)

// Histories reads what the streams of histories repeat. Implemented by jetstream.Store. Live may be called concurrently.
type Histories interface {
	// Live returns the publication and the epoch of its offset; no publication when the message is none.
	Live(m *nats.Msg) (pub *core.Publication, epoch string, err error)
}

// Options are what a relay is made of. Zero durations take the value in brackets.
type Options struct {
	Bus       *bus.Bus
	Histories Histories // nil: no channel has one.
	Metrics   *metrics.Metrics
	Log       *slog.Logger

	// CheckInterval is after how long a channel with a history, in which nothing happens, is verified [40 s]. With very many channels
	// it takes longer: no more than some hundreds are verified in a second.
	CheckInterval time.Duration
}

// What is on its way to the hub.
const (
	lanes = 4       // Goroutines that take what comes; everything of a channel takes the same.
	queue = 1 << 14 // Messages that wait for each. What does not fit is dropped, counted, and verified.
	batch = 64      // Messages that are handed to the hub at a time.
)

const (
	checkInterval = 40 * time.Second
	writeTimeout  = 5 * time.Second  // For what we send to the bus, before the connection counts as broken.
	settleTimeout = 20 * time.Second // For the bus to know of new channels. A dead connection is found to be so before; who asks has a limit of his own.
)

// Relay implements hub.Relay over the bus. It is opened before members join, and run for a hub as long as there are any.
type Relay struct {
	// Fixed after construction.
	options Options
	log     *slog.Logger
	prefix  string // Of the subjects, with the dot.
	count   metrics.Live
	seed    maphash.Seed
	shards  [shardCount]interests
	lanes   [lanes]chan *nats.Msg
	settler *settler
	checks  [hub.Urgencies]*checks

	// Set by Open.
	conn *nats.Conn

	unsent atomic.Bool // The bus did not take the last message.
}

// New makes a relay.
func New(o Options) *Relay {
	if o.CheckInterval <= 0 {
		o.CheckInterval = checkInterval
	}
	r := &Relay{
		options: o, log: o.Log, prefix: o.Bus.Prefix() + liveSubjects, count: o.Metrics.Live, seed: maphash.MakeSeed(), settler: newSettler(),
		checks: [...]*checks{
			hub.Now:   newChecks(0, 0),
			hub.Later: newChecks(laterDelay, 0),
			hub.Soon:  newChecks(soonDelay, soonPace),
		},
	}
	for i := range r.lanes {
		r.lanes[i] = make(chan *nats.Msg, queue)
	}
	for i := range r.shards {
		r.shards[i].byChannel = map[string]*interest{}
	}
	return r
}

// Open connects to the bus, which must be open. An external one that does not answer is no error.
func (r *Relay) Open() error {
	conn, err := r.options.Bus.Connect("live", nats.NoEcho(), nats.FlusherTimeout(writeTimeout))
	if err != nil {
		return err
	}
	r.conn = conn
	report := conn.ErrorHandler()
	conn.SetErrorHandler(func(conn *nats.Conn, sub *nats.Subscription, err error) {
		if !r.dropped(sub, err) && report != nil {
			report(conn, sub, err)
		}
	})
	return nil
}

// Run brings what comes from the bus to the hub until ctx ends.
func (r *Relay) Run(ctx context.Context, h *hub.Hub) {
	var wg sync.WaitGroup
	for _, lane := range r.lanes {
		wg.Go(func() { r.receive(ctx, h, lane) })
	}
	for _, c := range r.checks {
		for range checkers {
			wg.Go(func() { r.verify(ctx, h, c) })
		}
	}
	wg.Go(func() { r.settler.run(ctx, r.flush) })
	wg.Go(func() { r.watch(ctx, h) })
	wg.Wait()
}

// Publish implements hub.Relay.
func (r *Relay) Publish(pub *core.Publication) {
	r.send(pub.Channel, "publication", message{kind: kindPublication, pub: pub})
}

// Announce implements hub.Relay.
func (r *Relay) Announce(channel string, change hub.Change, who core.ClientInfo) {
	if change == hub.Joined {
		r.send(channel, "join", message{kind: kindJoin, who: who})
	} else {
		r.send(channel, "leave", message{kind: kindLeave, who: who})
	}
}

// send tells the other nodes. Without the bus they are out of reach, and what is lost is counted.
func (r *Relay) send(channel, kind string, m message) {
	data, err := encode(m)
	if err == nil {
		var subject string
		if subject, err = r.subject(channel); err == nil {
			err = r.conn.Publish(subject, data)
		}
	}
	if err == nil {
		r.unsent.Store(false)
		r.count.Messages.WithLabelValues("out", kind).Inc()
		return
	}
	r.count.Dropped.WithLabelValues("bus").Inc()
	if !r.unsent.Swap(true) { // Once for an outage.
		r.log.Warn("what is published here without a history does not reach the other nodes", "error", err)
	}
}

func (r *Relay) subject(channel string) (string, error) {
	token, err := bus.Token(channel)
	return r.prefix + token, err
}
