package bench

import (
	"errors"
	"net"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// network reads from the connections of a run until it is closed. A plain TCP connection is given to one of few event loops where
// the system has them; any other has a goroutine of its own.
type network struct {
	epoch  time.Time // The zero of all times of the run.
	shards []*shard
	loops  []*loop // One per shard; none where connections have goroutines.

	closing atomic.Bool // From here on, a connection that ends is no surprise.
	readers sync.WaitGroup

	mu    sync.Mutex
	conns map[*client]net.Conn // Those with a goroutine.
}

// newNetwork starts readers event loops; 0 means half the processors, a negative number a goroutine per connection.
func newNetwork(readers int) (*network, error) {
	n := &network{epoch: time.Now(), conns: map[*client]net.Conn{}}
	count := readers
	if count <= 0 {
		count = max(runtime.GOMAXPROCS(0)/2, 1)
	}
	for range count {
		n.shards = append(n.shards, new(shard))
	}
	if readers < 0 || !haveLoops {
		return n, nil
	}
	for _, s := range n.shards {
		l, err := newLoop(n, s)
		if err != nil {
			n.close(nil)
			return nil, err
		}
		n.loops = append(n.loops, l)
		n.readers.Go(l.run)
	}
	return n, nil
}

// now returns the time since the run began, in nanoseconds.
func (n *network) now() int64 { return int64(time.Since(n.epoch)) }

// shardOf returns where the connection's figures are collected.
func (n *network) shardOf(c *client) *shard { return n.shards[c.number%len(n.shards)] }

// adopt takes over a connection that has been set up.
func (n *network) adopt(c *client, conn net.Conn) error {
	i := c.number % len(n.shards)
	if tcp, ok := conn.(*net.TCPConn); ok && len(n.loops) > 0 {
		return n.loops[i].adopt(c, tcp)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.conns[c] = conn
	n.readers.Go(func() {
		n.over(c, n.read(c, conn, n.shards[i]), n.shards[i])
		n.mu.Lock()
		defer n.mu.Unlock()
		delete(n.conns, c)
	})
	return nil
}

// read works off what a connection receives until it ends, and says why it did.
func (n *network) read(c *client, conn net.Conn, s *shard) error {
	buf := make([]byte, 4<<10)
	for {
		kept := copy(buf, c.rest)
		if kept == len(buf) {
			buf = append(buf, make([]byte, len(c.rest)+len(buf))...)
			kept = copy(buf, c.rest)
		}
		got, err := conn.Read(buf[kept:])
		if got > 0 {
			var dirty []*client
			s.mu.Lock()
			s.bytes += uint64(got)
			ended := c.received(buf[:kept+got], n.now(), s)
			dirty, s.dirty = s.dirty, nil // The shard is shared: others may read at the same time.
			s.mu.Unlock()
			for _, d := range dirty {
				if d.flush() != nil {
					d.abort()
				}
			}
			if ended != nil {
				return ended
			}
		}
		if err != nil {
			return why(err)
		}
	}
}

// over is called when a connection has ended.
func (n *network) over(c *client, err error, s *shard) {
	c.close()
	if n.closing.Load() || c.isLeaving() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended++
	s.fault(err)
	if c.traffic != nil {
		c.traffic.stop()
	}
}

// close says goodbye to the server, gives it a moment to close the connections, and then ends them all.
func (n *network) close(clients []*client) {
	n.closing.Store(true)
	n.leave(clients)
	for _, l := range n.loops {
		l.stop()
	}
	n.mu.Lock()
	for c := range n.conns {
		c.abort()
	}
	n.mu.Unlock()
	n.readers.Wait()
}

// leave says goodbye for some clients, and cuts off those that the server does not close in time. None of them is read afterwards.
func (n *network) leave(clients []*client) {
	for _, c := range clients {
		c.goodbye()
	}
	deadline := time.Now().Add(goodbyeTime)
	for _, c := range clients {
		for !c.isClosed() && time.Now().Before(deadline) {
			time.Sleep(time.Millisecond)
		}
		c.abort()
	}
}

// goodbyeTime is how long the server has to close connections that said goodbye.
const goodbyeTime = time.Second

// mark stores the time of this moment, at which no reader is at work, and returns how many bytes have come until then: what they work off
// before is measured as before, and all that comes later as after.
func (n *network) mark(moment *atomic.Int64) (bytes uint64) {
	for _, s := range n.shards {
		s.mu.Lock()
		bytes += s.bytes
	}
	moment.Store(n.now())
	for _, s := range n.shards {
		s.mu.Unlock()
	}
	return bytes
}

// sum adds up what the shards know. latency, when not nil, receives their latencies.
func (n *network) sum(latency *Histogram) *shard {
	total := new(shard)
	for _, s := range n.shards {
		s.mu.Lock()
		total.bytes += s.bytes
		total.received += s.received
		total.answered += s.answered
		total.measured += s.measured
		total.duplicate += s.duplicate
		total.reordered += s.reordered
		total.stray += s.stray
		total.damaged += s.damaged
		total.refused += s.refused
		total.subscribed += s.subscribed
		total.ended += s.ended
		for text, count := range s.faults {
			if total.faults == nil {
				total.faults = map[string]uint64{}
			}
			total.faults[text] += count
		}
		if latency != nil {
			latency.Add(&s.latency)
		}
		s.mu.Unlock()
	}
	return total
}

// netSocket is a connection that Go's own poller writes to.
type netSocket struct{ net.Conn }

// writeTimeout is how long the server may take nothing.
const writeTimeout = 10 * time.Second

func (s netSocket) write(p []byte) (int, error) {
	if err := s.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return 0, err
	}
	n, err := s.Write(p)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = errors.New("the server takes nothing")
	}
	return n, err
}

func (s netSocket) shutdown() { s.Close() } //nolint:errcheck // Its reader learns of it.
func (s netSocket) close()    { s.Close() } //nolint:errcheck // Nothing is left to lose.
