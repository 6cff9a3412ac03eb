package registry

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/session"
)

// Bus carries announcements and questions. Implemented by core/bus, whose comments say what each method does; all may be called
// concurrently.
type Bus interface {
	Request(ctx context.Context, subject string, body []byte) ([]byte, error)
	Handle(subject string, answer func(ctx context.Context, body []byte) ([]byte, error)) (stop func(), err error)
	Publish(subject string, body []byte) error
	Listen(subject string, each func(subject string, body []byte)) (stop func(), err error)
	OnReconnect(f func()) (stop func())
}

// Subjects, with the UID of a member behind the first and in the second.
const (
	batchSubject     = "sessions."
	pageSubject      = "node.%s.sessions"
	lostSubject      = "registry.lost"
	listeningSubject = "registry.listening"
)

// The pace of a Sender.
const (
	batchEvery  = 50 * time.Millisecond // A change waits that long at most.
	batchesWait = 32                    // Batches that may wait; beyond it all of them are dropped, and the registries ask for the list.
	heartbeat   = 2 * time.Second       // Without a batch, the number of the next change is told, so that a loss is noticed.
)

// SenderOptions are what a Sender is made of.
type SenderOptions struct {
	Node *session.Node // Whose sessions are announced. Its Announcer is to be this Sender.
	UID  string        // Of this process among the members of the cluster.
	Bus  Bus           // nil: this process is alone; only $system:sessions is told.
	Log  *slog.Logger
}

// Sender announces the sessions of one process. It is the session.Announcer of its node.
type Sender struct {
	options SenderOptions
	notices *notices
	wake    chan struct{} // Asks Run to look at pending.
	work    sync.WaitGroup

	mu      sync.Mutex // Guards all below.
	pending []change
	spare   []change // The other half of a double buffer.
	next    uint64   // Number of the next change; the last of pending has the one before.

	dropped atomic.Uint64 // Changes that were not announced.
	batches atomic.Uint64
}

// NewSender makes a Sender. It must be the Announcer of its node before the first session opens.
func NewSender(o SenderOptions) *Sender {
	return &Sender{options: o, notices: newNotices(o.Node.Hub, o.UID), wake: make(chan struct{}, 1), next: 1}
}

// Opened implements session.Announcer.
func (s *Sender) Opened(o session.Opening) { s.add(change{Opening: o}) }

// Closed implements session.Announcer.
func (s *Sender) Closed(o session.Opening, at time.Time, d core.Disconnect) {
	s.add(change{Opening: o, closed: true, at: at, reason: d})
}

func (s *Sender) add(c change) {
	s.mu.Lock()
	s.next++
	if len(s.pending) == batchesWait*batchChanges {
		s.dropped.Add(uint64(len(s.pending)))
		s.pending = s.pending[:0]
	}
	s.pending = append(s.pending, c)
	n := len(s.pending)
	s.mu.Unlock()
	if n == 1 || n == batchChanges {
		s.wakeUp()
	}
}

func (s *Sender) wakeUp() {
	select {
	case s.wake <- struct{}{}:
	default: // Somebody has asked already.
	}
}

func (s *Sender) waiting() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.pending)
}

// Run announces until ctx ends, and then what still waits: it should end after the last session has.
func (s *Sender) Run(ctx context.Context) error {
	defer s.work.Wait()
	working, stop := context.WithCancel(ctx)
	defer stop()
	if bus := s.options.Bus; bus != nil {
		silence, err := s.notices.listen(bus)
		if err != nil {
			return err
		}
		defer silence()
		unhandle, err := s.answerPages(working)
		if err != nil {
			return err
		}
		defer unhandle()
		forget := bus.OnReconnect(s.wakeUp) // What was lost meanwhile shall be noticed soon.
		defer forget()
	}
	s.announce(ctx)
	return nil
}

// announce sends batches until ctx ends.
func (s *Sender) announce(ctx context.Context) {
	soon := time.NewTimer(0) // Tells the registries at once that this process is there.
	defer soon.Stop()
	beat := time.NewTicker(listeningCheck)
	defer beat.Stop()
	var spoken time.Time
	for {
		select {
		case <-ctx.Done():
			s.flush()
			return
		case <-s.wake:
			if s.waiting() < batchChanges {
				soon.Reset(batchEvery)
				continue
			}
			s.flush()
		case <-soon.C:
			s.flush()
		case now := <-beat.C:
			s.tellListening(now)
			if now.Sub(spoken) < heartbeat {
				continue
			}
			s.flush()
		}
		spoken = time.Now()
	}
}

// flush sends all that is pending; without anything, only the number of the next change.
func (s *Sender) flush() {
	s.mu.Lock()
	changes, first := s.pending, s.next-uint64(len(s.pending))
	s.pending, s.spare = s.spare[:0], nil
	s.mu.Unlock()

	s.notices.tell(s.origin(), changes)
	for rest := changes; s.options.Bus != nil; {
		sent := s.send(first, rest[:min(len(rest), batchChanges)])
		first, rest = first+uint64(sent), rest[sent:]
		if len(rest) == 0 {
			break
		}
	}
	if cap(changes) > 4*batchChanges {
		return // After a burst; the memory need not stay.
	}
	clear(changes)
	s.mu.Lock()
	s.spare = changes[:0]
	s.mu.Unlock()
}

// send broadcasts one batch and returns how many of the changes were in it. One that cannot be sent is lost: the numbers tell.
func (s *Sender) send(first uint64, changes []change) int {
	m := &message{origin: s.origin(), first: first, changes: changes}
	body, n := appendMessage(make([]byte, 0, headRoom+changeRoom*len(changes)), m)
	if err := s.options.Bus.Publish(batchSubject+s.options.UID, body); err != nil {
		s.dropped.Add(uint64(n))
		s.options.Log.Debug("sessions could not be announced; the registries will ask", "changes", n, "error", err)
		return n
	}
	s.batches.Add(1)
	return n
}

func (s *Sender) origin() origin {
	n := s.options.Node
	return origin{uid: s.options.UID, name: n.Name, epoch: n.Epoch, worker: n.Worker, incarnation: n.Incarnation()}
}
