package bench

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// traffic is the messages of a run: who publishes what, and what has to come of it.
//
// In a closed loop a publication is under way until all subscribers have it (or, without subscribers, until it is acknowledged);
// the reader that sees it done sends the next one at once. In an open loop publications go out when they are due, however the
// server does, and latency counts from then: a server that stalls is not rewarded with fewer measurements.
type traffic struct {
	options *Options
	network *network
	streams []*stream
	perSub  int // Streams that one subscriber gets.
	fanout  int // Deliveries of one publication.
	closed  bool

	turn      atomic.Uint64 // Counts through the streams.
	published atomic.Uint64
	from      atomic.Int64 // The measured time. The driver of the run sets both when it is so far.
	until     atomic.Int64 // Nothing is published from here on.
	stopOnce  sync.Once
	stopped   chan struct{} // Closed when going on makes no sense.
}

// stream is the publications of one publisher in one channel. Its fields change under its client's mu.
type stream struct {
	number  uint32
	channel string
	client  *client
	payload []byte
	next    uint64
	slots   []atomic.Uint64 // In a closed loop: number << 24 | subscribers that have not got it, at the number modulo their count.
}

const slotBits = 24 // More than maxConnections.

const never = 1 << 62 // A time of the run.

func newTraffic(o *Options, n *network) *traffic {
	t := &traffic{options: o, network: n, closed: o.Rate == 0, perSub: 1, fanout: o.Clients, stopped: make(chan struct{})}
	count, channel := o.Channels, o.channelName
	switch o.Scenario {
	case Fanout:
		t.perSub, count = o.Publishers, o.Publishers
		channel = func(int) string { return o.channelName(0) }
	case Echo:
		t.fanout = 1
	case History:
		t.fanout = 0
	case Recovery:
		t.fanout, t.closed = o.Clients/o.Channels, false
	case Subscriptions:
		t.perSub, count, t.fanout, t.closed = o.Channels, o.Clients*o.Channels, 1, false
	}
	ring := ringSize(o.InFlight)
	for i := range count {
		s := &stream{number: uint32(i), channel: channel(i), payload: newPayload(o.Size)}
		if t.closed && t.fanout > 0 {
			s.slots = make([]atomic.Uint64, ring)
		}
		t.streams = append(t.streams, s)
	}
	t.from.Store(never)
	t.until.Store(never)
	return t
}

func ringSize(n int) int {
	size := 1
	for size < n {
		size *= 2
	}
	return size
}

// stop ends the publishing before its time.
func (t *traffic) stop() { t.stopOnce.Do(func() { close(t.stopped) }) }

// subscriber prepares a client that is subscribed to a channel.
func (t *traffic) subscriber(c *client, channel int) {
	c.traffic, c.first, c.verifier = t, channel*t.perSub, NewVerifier(t.perSub)
}

// publisher prepares a client that publishes streams.
func (t *traffic) publisher(c *client, streams ...*stream) {
	c.traffic = t
	if t.fanout == 0 {
		c.pending = newPending(t.options)
	}
	for _, s := range streams {
		s.client = c
	}
}

// publish queues the next publication of a stream, due at the given time. It says no when the stream's connection has too much
// to do already, or has ended.
func (t *traffic) publish(s *stream, due int64) bool {
	c := s.client
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || len(c.out) > maxOutbound || !c.pending.add(c.nextID+1, due) {
		return false
	}
	seq := s.next
	s.next++
	if s.slots != nil {
		s.slots[seq&uint64(len(s.slots)-1)].Store(seq<<slotBits | uint64(t.fanout))
	}
	setMark(s.payload, mark{s.number, seq, due})
	c.nextID++
	c.message = c.codec.appendPublish(c.message[:0], c.nextID, s.channel, s.payload)
	c.sendLocked(c.op(), c.message)
	t.published.Add(1)
	return true
}

// again sends the next publication in place of one that is done. Its connection is flushed when the reader is through with what
// it read.
func (t *traffic) again(now int64, sh *shard) {
	if now >= t.until.Load() {
		return
	}
	s := t.streams[t.turn.Add(1)%uint64(len(t.streams))]
	if t.publish(s, now) {
		sh.flushLater(s.client)
	}
}

// reply takes a message of the server. The reader of c calls it, holding sh.mu.
func (t *traffic) reply(c *client, r reply, now int64, sh *shard) {
	switch r.kind {
	case kindPublication:
		t.delivered(c, r, now, sh)
	case kindPublished:
		t.acknowledged(c, r, now, sh)
	case kindResult:
		sh.subscribed++
	case kindError:
		command := "publish"
		if t.published.Load() == 0 {
			command = "subscribe"
		}
		sh.refused++
		sh.fault(refusal{command, r.code, r.text})
		t.stop()
	case kindUnsubscribe:
		sh.fault(fmt.Errorf("the server ended a subscription with %d %s", r.code, r.text))
		t.stop()
	}
}

func (t *traffic) delivered(c *client, r reply, now int64, sh *shard) {
	m, ok := readMark(r.mark)
	if !ok || r.size < t.options.Size {
		sh.damaged++
		return
	}
	if !t.check(c, m, sh) {
		return
	}
	t.measure(now, m.sent, sh)
	if t.closed && t.streams[m.stream].arrived(m.seq) {
		t.again(now, sh)
	}
}

// check takes note of a publication that c got, and says whether it is a new one.
func (t *traffic) check(c *client, m mark, sh *shard) bool {
	switch c.verifier.See(int(m.stream)-c.first, m.seq) {
	case Duplicate:
		sh.duplicate++
		return false
	case Stray:
		sh.stray++
		return false
	case Reordered:
		sh.reordered++
	}
	sh.received++
	return true
}

// arrived says whether this was the last subscriber that had to get publication seq.
func (s *stream) arrived(seq uint64) bool {
	slot := &s.slots[seq&uint64(len(s.slots)-1)]
	for {
		v := slot.Load()
		if v>>slotBits != seq || v&(1<<slotBits-1) == 0 {
			return false // Its place has been taken: it is later than can be.
		}
		if slot.CompareAndSwap(v, v-1) {
			return (v-1)&(1<<slotBits-1) == 0
		}
	}
}

func (t *traffic) acknowledged(c *client, r reply, now int64, sh *shard) {
	sh.answered++
	if t.fanout > 0 {
		return
	}
	c.mu.Lock()
	due, ok := c.pending.take(r.id)
	c.mu.Unlock()
	if !ok {
		sh.stray++
		return
	}
	t.measure(now, due, sh)
	if t.closed {
		t.again(now, sh)
	}
}

// measure counts what happened now and began at due, if this is the time to.
func (t *traffic) measure(now, due int64, sh *shard) {
	if now >= t.from.Load() && now < t.until.Load() {
		sh.measured++
		sh.latency.Record(time.Duration(now - due))
	}
}

// start lets the publications flow from now on and returns a function that waits for the end of what it started.
func (t *traffic) start() (wait func()) {
	begin := t.network.now()
	if !t.closed {
		var pacer sync.WaitGroup
		pacer.Go(func() { t.pace(begin) })
		return pacer.Wait
	}
	for range t.options.InFlight {
		t.publish(t.streams[t.turn.Add(1)%uint64(len(t.streams))], begin)
	}
	for _, s := range t.streams {
		if s.client.flush() != nil {
			s.client.abort()
		}
	}
	return func() {}
}

// pace publishes at the rate asked for.
func (t *traffic) pace(begin int64) {
	interval := float64(time.Second) / t.options.Rate
	for k := 0; ; k++ {
		due := begin + int64(float64(k)*interval)
		s := t.streams[k%len(t.streams)]
		if !t.waitUntil(due) {
			return
		}
		for !t.publish(s, due) {
			if s.client.isClosed() || !t.waitUntil(t.network.now()+int64(time.Millisecond)) {
				return
			}
		}
		if s.client.flush() != nil {
			s.client.abort()
		}
	}
}

// paceStep is how long the pacer sleeps at least at rates that make several due in that time: to sleep and wake up for each of tens of
// thousands a second would cost more than to publish them. What is late for that counts as latency.
const paceStep = 500 * time.Microsecond

// pause returns how long the pacer sleeps when the next publication is due in so long.
func (t *traffic) pause(left time.Duration) time.Duration {
	const several = 5
	if t.options.Rate*paceStep.Seconds() >= several {
		left = max(left, paceStep)
	}
	return min(left, 20*time.Millisecond)
}

// waitUntil sleeps until the time is at; no means that the run has ended before.
func (t *traffic) waitUntil(at int64) bool {
	for {
		select {
		case <-t.stopped:
			return false
		default:
		}
		now := t.network.now()
		if now >= t.until.Load() {
			return false
		}
		if now >= at {
			return true
		}
		sleep(t.pause(time.Duration(at - now)))
	}
}

// expected returns how many deliveries the publications so far have to lead to.
func (t *traffic) expected() uint64 { return t.published.Load() * uint64(t.fanout) }

// missing counts what the subscribers did not get, when nothing is under way any more. What the server refused was not to come.
func (t *traffic) missing(subscribers []*client, refused uint64) uint64 {
	var missing uint64
	for _, c := range subscribers {
		for i := range t.perSub {
			missing += c.verifier.Missing(i, t.streams[c.first+i].next)
		}
	}
	return missing - min(missing, refused*uint64(t.fanout))
}

// pending knows when the publish commands of one connection were due that have not been answered.
type pending struct {
	ids  []uint32 // 0: free.
	dues []int64
}

// openPending is how many commands of a connection may wait for their answers when they are sent at a fixed rate.
const openPending = 1 << 14

func newPending(o *Options) *pending {
	size := openPending
	if o.Rate == 0 {
		size = 4 * ringSize(o.InFlight) // Answers may overtake each other.
	}
	return &pending{make([]uint32, size), make([]int64, size)}
}

// add takes note of a command; no means that too many are waiting. A nil pending takes note of nothing.
func (p *pending) add(id uint32, due int64) bool {
	if p == nil {
		return true
	}
	i := int(id) & (len(p.ids) - 1)
	if p.ids[i] != 0 {
		return false
	}
	p.ids[i], p.dues[i] = id, due
	return true
}

// take returns when command id was due, once.
func (p *pending) take(id uint32) (due int64, ok bool) {
	i := int(id) & (len(p.ids) - 1)
	if id == 0 || p.ids[i] != id {
		return 0, false
	}
	p.ids[i] = 0
	return p.dues[i], true
}

var errStalled = errors.New("nothing arrived any more for a while although publications were under way; the run was ended")
