package relay

import (
	"hash/maphash"
	"sync"

	"github.com/nats-io/nats.go"
)

// shardCount spreads the channels so that those who come and go do not meet.
const shardCount = 64

// interests are the channels of one shard that we hear.
type interests struct {
	mu        sync.Mutex // Guards all below.
	byChannel map[string]*interest
}

// interest is a channel that is heard.
type interest struct {
	count int                // How often it was subscribed.
	sub   *nats.Subscription // nil: the connection was closed.
}

// Subscribe implements hub.Relay.
func (r *Relay) Subscribe(channel string) {
	hash := maphash.String(r.seed, channel)
	s := &r.shards[hash%shardCount]
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.byChannel[channel]
	if i == nil {
		i = &interest{sub: r.listen(channel, r.lane(hash))}
		s.byChannel[channel] = i
	}
	i.count++
}

// lane returns where everything of a channel of that hash goes.
func (r *Relay) lane(hash uint64) chan *nats.Msg { return r.lanes[hash/shardCount%lanes] }

// losses returns how many messages of a channel did not fit into its lane since it is heard, and whether that is full now.
func (r *Relay) losses(channel string) (messages int, full bool) {
	hash := maphash.String(r.seed, channel)
	s := &r.shards[hash%shardCount]
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := s.byChannel[channel]; i != nil && i.sub != nil {
		messages, _ = i.sub.Dropped() // It fails when the connection is closed.
	}
	lane := r.lane(hash)
	return messages, len(lane) == cap(lane)
}

// Unsubscribe implements hub.Relay.
func (r *Relay) Unsubscribe(channel string) {
	s := &r.shards[maphash.String(r.seed, channel)%shardCount]
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.byChannel[channel]
	if i.count--; i.count > 0 {
		return
	}
	delete(s.byChannel, channel)
	if i.sub != nil {
		_ = i.sub.Unsubscribe() // It fails when the connection is closed, which ends it too.
	}
}

// listen has what concerns a channel put into a lane. The bus is told in the background.
func (r *Relay) listen(channel string, lane chan *nats.Msg) *nats.Subscription {
	subject, err := r.subject(channel)
	if err == nil {
		var sub *nats.Subscription
		if sub, err = r.conn.ChanSubscribe(subject, lane); err == nil {
			return sub
		}
	}
	r.log.Error("what other nodes publish in a channel is not heard", "channel", channel, "error", err) // The connection was closed.
	return nil
}
