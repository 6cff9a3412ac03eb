package session

import (
	"context"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/metrics"
	"github.com/zenconn/server/hooks"
)

// What waits to be told to plugins.
const (
	noticesWaiting = 1 << 16         // Notices; beyond it new ones are dropped and counted.
	noticesGrace   = 2 * time.Second // The usual Notices.Grace.
)

// Notices tells the plugins what has happened to sessions: that they left a channel, that they ended. It does so behind the back of
// whoever ended them, so that neither a fan-out nor a shutdown waits for a plugin. What happened to one session is told in its order.
type Notices struct {
	// Grace is the time, at the end, to tell what still waits; the rest is dropped and counted. It is not changed after Run has begun.
	Grace time.Duration

	hooks   *hooks.Chain
	metrics *metrics.Metrics
	log     *slog.Logger
	lanes   []chan *notice // A session's notices take the same lane.
	untold  atomic.Uint64
}

// notice is the event of either hook.
type notice struct {
	hook    hooks.Hook
	client  hooks.Client
	channel string
	code    uint32
	reason  string
}

// NewNotices makes notices for the chain's plugins. Run tells them.
func NewNotices(chain *hooks.Chain, m *metrics.Metrics, log *slog.Logger) *Notices {
	n := &Notices{Grace: noticesGrace, hooks: chain, metrics: m, log: log}
	n.lanes = make([]chan *notice, 2*runtime.GOMAXPROCS(0)) // Also when no plugin wants to know: the next one may.
	for i := range n.lanes {
		n.lanes[i] = make(chan *notice, noticesWaiting/len(n.lanes))
	}
	return n
}

// Run tells until ctx ends, and then for a while what still waits. No session may be left by then.
func (n *Notices) Run(ctx context.Context) {
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	var telling, deadline sync.WaitGroup
	defer deadline.Wait()
	deadline.Go(func() { n.endLate(ctx, life, end) })
	for _, lane := range n.lanes {
		telling.Go(func() { n.serve(ctx, life, lane) })
	}
	telling.Wait()
	end()
	if untold := n.untold.Load(); untold > 0 {
		n.log.Warn("plugins were not told of the end of some sessions or subscriptions", "events", untold)
	}
}

// endLate ends life some time after ctx, unless it ends before.
func (n *Notices) endLate(ctx, life context.Context, end context.CancelFunc) {
	select {
	case <-ctx.Done():
	case <-life.Done():
		return
	}
	select {
	case <-time.After(n.Grace):
		end()
	case <-life.Done():
	}
}

func (n *Notices) serve(ctx, life context.Context, lane chan *notice) {
	for {
		select {
		case one := <-lane:
			n.tell(life, one)
		case <-ctx.Done():
			if len(lane) == 0 {
				return
			}
		}
	}
}

func (n *Notices) tell(life context.Context, one *notice) {
	switch {
	case life.Err() != nil:
		n.drop(one.hook, "shutdown")
	case one.hook == hooks.OnUnsubscribe:
		n.hooks.Unsubscribe(life, &hooks.Unsubscribe{Client: one.client, Channel: one.channel, Code: one.code, Reason: one.reason})
	default:
		n.hooks.Disconnect(life, &hooks.Disconnect{Client: one.client, Code: one.code, Reason: one.reason})
	}
}

func (n *Notices) drop(hook hooks.Hook, why string) {
	n.untold.Add(1)
	n.metrics.Untold.WithLabelValues(string(hook), why).Inc()
}

// unsubscribed notes that a session left a channel.
func (n *Notices) unsubscribed(s *Session, channel string, code uint32, reason string) {
	if n.hooks.Has(hooks.OnUnsubscribe) {
		n.add(s.id, &notice{hook: hooks.OnUnsubscribe, client: s.clientNow(), channel: channel, code: code, reason: reason})
	}
}

// disconnected notes that a session ended.
func (n *Notices) disconnected(s *Session, d core.Disconnect) {
	if n.hooks.Has(hooks.OnDisconnect) {
		n.add(s.id, &notice{hook: hooks.OnDisconnect, client: s.clientNow(), code: d.Code, reason: d.Reason})
	}
}

func (n *Notices) add(id core.ID, one *notice) {
	select {
	case n.lanes[int(id[15])%len(n.lanes)] <- one:
	default:
		n.drop(one.hook, "full")
	}
}
