package relay

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/zenconn/server/core/bus"
	"github.com/zenconn/server/core/history/jetstream"
	"github.com/zenconn/server/core/hub"
)

const liveSubjects = jetstream.LiveSubjects

// receive hands what comes in one lane to the hub until ctx ends. What comes together is handed over together, so that it leaves
// together.
func (r *Relay) receive(ctx context.Context, h *hub.Hub, lane <-chan *nats.Msg) {
	pubs := make([]hub.Live, 0, batch)
	for {
		select {
		case m := <-lane:
			pubs = r.take(h, m, pubs)
		case <-ctx.Done():
			return
		}
		for n := 1; n < batch && len(lane) > 0; n++ {
			pubs = r.take(h, <-lane, pubs)
		}
		h.Deliver(pubs)
		clear(pubs)
		pubs = pubs[:0]
	}
}

// take reads one message and adds the publication to those that are handed over next. An announcement is handed over at once: its
// order among publications means nothing.
func (r *Relay) take(h *hub.Hub, m *nats.Msg, pubs []hub.Live) []hub.Live {
	live, kind, err := r.read(h, m)
	if err != nil {
		r.count.Dropped.WithLabelValues("invalid").Inc()
		r.log.Debug("a message of another node cannot be read", "subject", m.Subject, "error", err)
		return pubs
	}
	r.count.Messages.WithLabelValues("in", kind).Inc()
	if live.Pub != nil {
		pubs = append(pubs, live)
	}
	return pubs
}

// read returns the publication of a message, if it is one, and carries out what else it is.
func (r *Relay) read(h *hub.Hub, m *nats.Msg) (live hub.Live, kind string, err error) {
	if jetstream.Repeated(m) {
		if r.options.Histories == nil {
			return live, "", errInvalid
		}
		live.Pub, live.Epoch, err = r.options.Histories.Live(m)
		return live, "history", err
	}
	channel, err := bus.Name(strings.TrimPrefix(m.Subject, r.prefix))
	if err != nil {
		return live, "", err
	}
	message, err := decode(channel, m.Data)
	switch {
	case err != nil:
		return live, "", err
	case message.kind == kindJoin:
		h.Announced(channel, hub.Joined, message.who)
		return live, "join", nil
	case message.kind == kindLeave:
		h.Announced(channel, hub.Left, message.who)
		return live, "leave", nil
	}
	live.Pub = message.pub
	return live, "publication", nil
}

// dropped deals with a full lane: what did not fit is read from the history, if there is one. It reports whether err is that. It is
// called once for each channel until the channel's next message fits.
func (r *Relay) dropped(sub *nats.Subscription, err error) bool {
	if sub == nil || !errors.Is(err, nats.ErrSlowConsumer) {
		return false
	}
	r.count.Dropped.WithLabelValues("slow").Inc()
	if channel, err := bus.Name(strings.TrimPrefix(sub.Subject, r.prefix)); err == nil {
		r.Check(channel, hub.Later) // The lane is full of what the hub has yet to deliver.
	}
	return true
}

// watch has the hub verify all channels when publications may have been missed, and now and then those in which nothing happens: what
// the bus loses it does not tell.
func (r *Relay) watch(ctx context.Context, h *hub.Hub) {
	connected := r.conn.StatusChanged(nats.CONNECTED)
	defer r.conn.RemoveStatusListener(connected)
	// The leader of a stream may have gone after it had stored a publication and before it repeated it.
	elected := make(chan *nats.Msg, 256)
	if sub, err := r.conn.ChanSubscribe(leaderElected+"*", elected); err == nil {
		defer func() { _ = sub.Unsubscribe() }() // It fails when the connection is closed, which ends it too.
	}
	ticker := time.NewTicker(r.options.CheckInterval)
	defer ticker.Stop()
	for {
		var since time.Time
		select {
		case <-ctx.Done():
			return
		case <-connected:
			// nats.go has told the bus of our channels by now. What is published before the bus has taken that in is missed as well.
			if err := r.flush(ctx); err != nil {
				r.log.Debug("the bus is back and does not answer", "error", err)
			}
			since = time.Now()
		case m := <-elected:
			if !strings.HasPrefix(m.Subject, leaderElected+r.options.Bus.Prefix()+"_") {
				continue
			}
			since = time.Now()
		case <-ticker.C:
			since = time.Now().Add(-r.options.CheckInterval / 2)
		}
		for channel := range h.Quiet(since) {
			r.checks[hub.Soon].add(channel)
		}
	}
}

// leaderElected begins the subjects on which JetStream tells of a stream's new leader.
const leaderElected = "$JS.EVENT.ADVISORY.STREAM.LEADER_ELECTED."
