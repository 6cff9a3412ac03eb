package session

import (
	"runtime/debug"
	"sync"
	"sync/atomic"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/hub"
	"github.com/zenconn/server/core/outbound"
	"github.com/zenconn/server/core/protocol"
)

// maxUnderWay is how many publications of a session may wait for a history at a time; before another one its reader waits.
const maxUnderWay = 64

// keptReplies is how many bytes of scratch a session keeps for the replies to its publications.
const keptReplies = 256

// underway is the publications of a session that were handed to a history and are not answered. The session goes on with what its client
// publishes next meanwhile, so that several are stored together; everything else it does waits for their end. They are answered in the
// order in which they came.
type underway struct {
	mu          sync.Mutex // Guards all below.
	first, last *outgoing  // The oldest, and by next the others.
	count       int
	less        sync.Cond // One was answered.
	replies     []byte    // Scratch.
}

// The stages of a publication that was handed over.
const (
	handing  int32 = iota // The call has not returned.
	answered              // Before it had, the history answered; whoever made it goes on.
	away                  // Whoever brings the answer goes on.
)

// fate is what became of a publication that was handed over. Guarded by underway.mu once it is listed there.
type fate struct {
	stage   atomic.Int32
	out     hub.Published
	err     error
	ended   bool        // All that is left is to answer.
	refusal *core.Error // The answer; nil: it succeeded.
	next    *outgoing
}

// Published implements hub.Then.
func (o *outgoing) Published(out hub.Published, err error) {
	o.out, o.err = out, err
	switch {
	case o.stage.CompareAndSwap(handing, answered):
	case o.session.node.waits():
		go o.session.conclude(o)
	default:
		o.session.conclude(o)
	}
}

// list takes note that a publication was handed over. Replies to what came before it go first.
func (s *Session) list(o *outgoing) {
	s.sendReplies()
	if s.underway == nil {
		s.underway = new(underway)
		s.underway.less.L = &s.underway.mu
	}
	u := s.underway
	u.mu.Lock()
	if u.first == nil {
		u.first = o
	} else {
		u.last.next = o
	}
	u.last = o
	u.count++
	u.mu.Unlock()
	if !o.stage.CompareAndSwap(handing, away) {
		s.conclude(o)
	}
}

// await returns when at most so many publications are under way, which is soon after Node.StoreTimeout at the latest. Only the reading
// goroutine calls it.
func (s *Session) await(most int) {
	u := s.underway
	if u == nil {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	for u.count > most {
		if s.pending {
			u.mu.Unlock()
			s.Flush()
			u.mu.Lock()
			continue
		}
		u.less.Wait()
	}
}

// idle says that no publication is under way. Only the reading goroutine calls it.
func (s *Session) idle() bool {
	if s.underway == nil {
		return true
	}
	s.underway.mu.Lock()
	defer s.underway.mu.Unlock()
	return s.underway.count == 0
}

// conclude records a publication that is listed and answers it, unless one before it is still under way; then that one's end does it.
func (s *Session) conclude(o *outgoing) {
	if o.err == nil {
		o.err = s.settle(o)
	}
	var coded *core.Error
	if o.err != nil {
		coded = s.refusal("publish", o.err)
	}
	u := s.underway
	u.mu.Lock()
	o.ended, o.refusal = true, coded
	replies := u.replies[:0]
	for u.first != nil && u.first.ended {
		oldest := u.first
		replies = oldest.appendReply(replies)
		u.first = oldest.next
		u.count--
		oldest.release()
	}
	left := u.count
	if left == 0 {
		u.last = nil
	}
	if u.replies = replies; cap(replies) > keptReplies {
		u.replies = nil
	}
	result := outbound.Waiting
	if len(replies) > 0 { // With the lock held, so that nobody who ends others overtakes.
		result = s.queue.Send(replies)
	}
	u.less.Signal()
	u.mu.Unlock()
	switch {
	case result != outbound.Dirty && result != outbound.Overrun:
	case left > 0: // Others may end before the flusher comes to it.
		s.queue.FlushSoon()
	default:
		s.queue.Flush()
	}
}

// settle counts and records a publication that was handed out. No transport catches a fault in it, which may happen on a goroutine of the history.
func (s *Session) settle(o *outgoing) (err error) {
	defer func() {
		if fault := recover(); fault != nil {
			s.node.Log.Error("recording a publication panicked", "session", s.id, "panic", fault, "stack", string(debug.Stack()))
			err = core.ErrInternal
		}
	}()
	s.node.Metrics.Published(o.ns.Name, o.out.Deliveries)
	return s.recordMessage(o)
}

func (o *outgoing) appendReply(dst []byte) []byte {
	r := protocol.Reply{Id: o.command, Publish: &protocol.PublishResult{}}
	if o.refusal != nil {
		r.Publish, r.Error = nil, errorOf(o.refusal)
	}
	return o.session.format.AppendReply(dst, &r)
}
