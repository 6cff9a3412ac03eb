package outbound

import (
	"cmp"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/protocol"
)

// Limits bound what may wait in one queue. What the kernel has taken no longer counts.
type Limits struct {
	Messages     int
	Bytes        int
	WriteTimeout time.Duration // How long a full socket may take nothing before the connection is given up.
	Goodbye      time.Duration // How long a full socket may take for what is left when the queue has ended; 0: 5 s.
}

// Policy says what happens to the frames of a lane when the queue is full.
type Policy uint8

// The policies.
const (
	Disconnect Policy = iota // The client is closed with 3008.
	DropOldest               // The oldest waiting frames that may be dropped make room.
	Conflate                 // Waiting frames of the same lane make room: only the newest stays.
)

// Lane is a stream of frames that are treated alike when the queue is full: the publications of one channel. Frames without a
// lane are never dropped.
type Lane struct{ Policy Policy }

// Drops counts what was not delivered, by reason. It is shared by all queues of a process.
type Drops interface {
	Dropped(reason DropReason, frames int)
}

// DropReason says why a frame was not delivered.
type DropReason uint8

// The reasons.
const (
	DroppedSlow      DropReason = iota // Discarded when a slow client was disconnected.
	DroppedOldest                      // Made room for a newer frame.
	DroppedConflated                   // Replaced by a newer frame of its lane.
	DroppedClosed                      // Still waiting when the connection ended.
)

// String returns the reason as the metrics name it.
func (r DropReason) String() string {
	switch r {
	case DroppedSlow:
		return "slow"
	case DroppedOldest:
		return "oldest"
	case DroppedConflated:
		return "conflated"
	case DroppedClosed:
		return "closed"
	}
	return "unknown"
}

type item struct {
	frame    []byte
	lane     *Lane
	messages int32 // How many it holds.
	started  bool  // Half of it has left already: the rest must follow, whatever the policy.
}

// messagesIn returns how many messages frames hold.
func messagesIn(items []item) (n int) {
	for _, it := range items {
		n += int(it.messages)
	}
	return n
}

// Queue is the way out of one connection. It is a net.Conn, so that a protocol library that writes by itself (control frames)
// shares the order; its Close ends the queue only, the socket lives until Destroy.
//
// All methods are safe for concurrent use.
type Queue struct {
	net.Conn // The socket. Reads go straight to it.

	// Fixed after construction.
	raw      syscall.RawConn // nil where the socket cannot be written without blocking.
	encoding protocol.Encoding
	deflate  *protocol.Deflate // Where the encoding is Deflated.
	limits   Limits
	drops    Drops
	closing  func(core.Disconnect) []byte // Makes the frame that says goodbye; may return nil.
	flusher  *flusher

	mu        sync.Mutex // Guards all below; held for memory work only, never across a system call.
	items     []item
	bytes     int  // Of items and of what a writer has taken and not yet written.
	taken     int  // Frames a writer has taken and not yet written.
	listed    bool // On the flusher's list.
	writing   bool // Someone is in flush, or waits for the socket.
	waiting   bool // Someone waits for the socket.
	hurried   bool // He may not wait longer than Limits.Goodbye, all in all.
	ended     bool // Nothing more is accepted.
	reason    core.Disconnect
	drained   bool // Ended, and all written.
	messages  uint64
	written   uint64
	destroyed bool
}

// Result says what became of a frame.
type Result uint8

// The results of Enqueue.
const (
	Waiting Result = iota // Queued; somebody else already takes care of flushing.
	Dirty                 // Queued, and the caller must see to it that Flush is called, for example with a Gather.
	Overrun               // Not queued: the queue was full and this ended it. The caller must see to it that Flush is called.
	Refused               // Not queued: the queue has ended.
)

// New makes the queue of a connection. goodbye makes the last frame of a disconnect and may return nil.
func New(conn net.Conn, encoding protocol.Encoding, limits Limits, drops Drops, flushers *Flushers,
	goodbye func(core.Disconnect) []byte,
) *Queue {
	return &Queue{
		Conn: conn, raw: rawConn(conn), encoding: encoding, limits: limits, drops: drops, closing: goodbye,
		flusher: flushers.pick(),
	}
}

// Encoding returns how frames for this connection must be encoded.
func (q *Queue) Encoding() protocol.Encoding { return q.encoding }

// Compress says what compresses the frames of a Deflated connection. It comes before everything else.
func (q *Queue) Compress(d *protocol.Deflate) { q.deflate = d }

// Deflate returns what compresses the frames of a Deflated connection.
func (q *Queue) Deflate() *protocol.Deflate { return q.deflate }

// Raw returns the access to the socket's descriptor, for who reads; nil where there is none.
func (q *Queue) Raw() syscall.RawConn { return q.raw }

// Enqueue adds one frame, which must not change afterwards. When the queue is full the lane's policy decides; a full queue
// without a policy that makes room ends with 3008.
func (q *Queue) Enqueue(frame []byte, lane *Lane) Result { return q.EnqueueMany(frame, lane, 1) }

// EnqueueMany does the same with a frame that holds so many messages, which stay together whatever happens.
func (q *Queue) EnqueueMany(frame []byte, lane *Lane, messages int) Result {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ended {
		return Refused
	}
	if !q.fitsLocked(len(frame)) && !q.makeRoomLocked(len(frame), lane) {
		q.drops.Dropped(DroppedSlow, messages)
		q.endLocked(core.DisconnectSlow)
		q.listed = true
		return Overrun
	}
	q.items = append(q.items, item{frame: frame, lane: lane, messages: int32(messages)}) //nolint:gosec // At most some thousand.
	q.bytes += len(frame)
	q.messages += uint64(messages) //nolint:gosec // Never negative.
	if q.listed {
		return Waiting
	}
	q.listed = true
	return Dirty
}

// Send frames a payload of one or more replies and queues it, compressed if the connection has that. It is queued as by
// Enqueue, and followed by Flush.
func (q *Queue) Send(payload []byte) Result {
	frame := q.encoding.AppendFrame(make([]byte, 0, len(payload)+maxHeader), payload)
	if q.deflate != nil {
		frame = q.deflate.Frame(q.encoding, frame)
	}
	return q.Enqueue(frame, nil)
}

// maxHeader is the longest frame header of any encoding (RFC 6455 §5.2, unmasked).
const maxHeader = 10

// Write queues a copy of p as it is, in order with everything else, and flushes. It implements net.Conn for control frames
// that a protocol library writes.
func (q *Queue) Write(p []byte) (int, error) {
	if q.Enqueue(append([]byte(nil), p...), nil) == Refused {
		return 0, net.ErrClosed
	}
	q.Flush()
	return len(p), nil
}

// Disconnect ends the queue: what waits is still written, then the goodbye, then the socket's sending side is closed. It
// reports whether this call was the first to end it. The caller flushes.
func (q *Queue) Disconnect(d core.Disconnect) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ended {
		return false
	}
	q.endLocked(d)
	q.listed = true
	return true
}

// endLocked ends an open queue with a goodbye. For a slow client that is all it still gets.
func (q *Queue) endLocked(d core.Disconnect) {
	q.ended, q.reason = true, d
	if d == core.DisconnectSlow {
		q.discardLocked(DroppedSlow)
	}
	if frame := q.closing(d); frame != nil {
		q.items = append(q.items, item{frame: frame})
		q.bytes += len(frame)
	}
	if q.waiting {
		q.hurryLocked()
	}
}

// goodbyeTimeout is the usual Limits.Goodbye.
const goodbyeTimeout = 5 * time.Second

// hurryLocked limits the time in which an ended queue must be written. It runs from the first wait for the socket: what a socket takes at
// once is written however late somebody comes to it.
func (q *Queue) hurryLocked() {
	if !q.hurried {
		q.hurried = true
		_ = q.SetWriteDeadline(time.Now().Add(cmp.Or(q.limits.Goodbye, goodbyeTimeout)))
	}
}

// discardLocked throws away what waits, but for the rest of a frame that is half written.
func (q *Queue) discardLocked(why DropReason) {
	kept := 0
	if len(q.items) > 0 && q.items[0].started {
		kept = 1
	}
	gone := q.items[kept:]
	if len(gone) == 0 {
		return
	}
	lost := messagesIn(gone)
	q.drops.Dropped(why, lost)
	q.messages -= uint64(lost) //nolint:gosec // Never negative.
	for _, it := range gone {
		q.bytes -= len(it.frame)
	}
	clear(gone)
	q.items = q.items[:kept]
}

// Ended returns why the queue ended, and whether it did.
func (q *Queue) Ended() (core.Disconnect, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.reason, q.ended
}

// Sent returns how many frames were accepted for sending and how many bytes the kernel took.
func (q *Queue) Sent() (frames, bytes uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.messages, q.written
}

// Close ends the queue as if the connection had been closed by the peer. The socket stays open for reading until Destroy.
func (q *Queue) Close() error {
	q.Disconnect(core.DisconnectConnectionClosed)
	q.Flush()
	return nil
}

// Destroy closes the socket, whatever still waits. The reader of the connection calls it when it is done.
func (q *Queue) Destroy() {
	q.mu.Lock()
	if q.destroyed {
		q.mu.Unlock()
		return
	}
	q.destroyed, q.drained = true, true
	if !q.ended {
		q.ended, q.reason = true, core.DisconnectConnectionClosed
	}
	q.discardLocked(DroppedClosed)
	q.mu.Unlock()
	_ = q.Conn.Close()
}
