package supervise

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"sync"
	"time"
)

// Options are what a Supervisor is made of. Of those with a default, zero is the default.
type Options struct {
	// Count is how many children there are. Their indices are 1 to Count.
	Count int

	// Dir is a directory for this supervisor and its successors alone, for the sockets by which a successor finds the children. It is
	// made when it is missing.
	Dir string

	// Command returns what to start as a child, a new one each time. Its standard streams, ExtraFiles and SysProcAttr are the
	// Supervisor's.
	Command func(index int) *exec.Cmd

	// Name returns what logs call a child.
	Name func(index int) string

	// Files are inherited by the children as file descriptors 3, 4 and so on. They stay the caller's, who closes them after Run.
	Files []*os.File

	// Survivors are children of a supervisor that is gone, to be adopted. Run takes them over; their Files stay the caller's.
	Survivors []*Survivor

	// Stdout and Stderr get what the children write there, in whole lines.
	Stdout, Stderr io.Writer

	FirstPause   time.Duration // Between an end and the next start, doubled with each further one. Default: 100 ms.
	LongestPause time.Duration // Default: 30 s. A quarter of a pause is left to chance.
	StableAfter  time.Duration // A child that was ready for that long begins again with the first pause. Default: 30 s.
	LoopEnds     int           // That many ends within LoopWindow are a crash loop: from then on pauses are the longest. Default: 5.
	LoopWindow   time.Duration // Default: 1 min.
	ReadyTimeout time.Duration // For a child to become ready. Default: 30 s.
	DrainTimeout time.Duration // Between SIGTERM and SIGKILL. Default: 30 s.

	Log *slog.Logger

	// On is told of what happens, in the order of it for each child. It must return quickly and must not call the Supervisor. May be
	// nil.
	On func(Event)
}

// EventKind says what happened to a child.
type EventKind string

// The events.
const (
	Started EventKind = "started"
	Adopted EventKind = "adopted"
	Ready   EventKind = "ready"
	Ended   EventKind = "ended"   // Nobody had asked it to. Exit says more.
	Stopped EventKind = "stopped" // Asked to. Exit is there when it had to be killed.
)

// Event is what happened to a child.
type Event struct {
	Kind  EventKind
	Index int
	PID   int
	Exit  *Exit
}

// Errors of Restart.
var (
	ErrRestarting = errors.New("a restart of the workers is already under way")
	ErrNotRunning = errors.New("the supervisor is not running")
)

// Supervisor keeps children running. Methods may be called concurrently.
type Supervisor struct {
	o     Options
	files []*os.File // Options.Files, so that starting a child leaves them as they are.
	slots []*slot
	kick  chan struct{} // To begin a restart.

	stdout, stderr *lines

	mu      sync.Mutex
	ending  bool
	restart Progress
	over    chan struct{} // Closed when the restart under way is over.
}

// New checks the options. Where processes cannot inherit listeners, on Windows, Count must be 0.
func New(o Options) (*Supervisor, error) {
	if o.Count > 0 {
		if err := supported(); err != nil {
			return nil, err
		}
	}
	o.FirstPause = cmp.Or(o.FirstPause, 100*time.Millisecond)
	o.LongestPause = cmp.Or(o.LongestPause, 30*time.Second)
	o.StableAfter = cmp.Or(o.StableAfter, 30*time.Second)
	o.LoopEnds = cmp.Or(o.LoopEnds, 5)
	o.LoopWindow = cmp.Or(o.LoopWindow, time.Minute)
	o.ReadyTimeout = cmp.Or(o.ReadyTimeout, 30*time.Second)
	o.DrainTimeout = cmp.Or(o.DrainTimeout, 30*time.Second)
	s := &Supervisor{o: o, kick: make(chan struct{}, 1), stdout: &lines{to: o.Stdout}, stderr: &lines{to: o.Stderr}}
	for i := range o.Count {
		s.slots = append(s.slots, newSlot(s, i+1))
	}
	return s, nil
}

// Run keeps the children running until ctx ends, then drains all of them and returns after the last has ended. It may be called once.
func (s *Supervisor) Run(ctx context.Context) error {
	if err := s.open(); err != nil {
		for _, left := range s.o.Survivors {
			left.Close()
		}
		return err
	}
	defer s.close()
	surplus := s.adopt()
	var all sync.WaitGroup
	for _, p := range surplus {
		all.Go(func() { s.drain(p) })
	}
	for _, k := range s.slots {
		all.Go(func() { k.run(ctx) })
	}
	all.Go(func() { s.roll(ctx) })
	all.Wait()
	return nil
}

// open makes what is needed before the first child.
func (s *Supervisor) open() error {
	if s.o.Count == 0 {
		return nil
	}
	if err := os.MkdirAll(s.o.Dir, 0o700); err != nil {
		return fmt.Errorf("directory for the workers: %w", err)
	}
	for _, f := range s.o.Files {
		own, err := inheritable(f)
		if err != nil {
			s.close()
			return fmt.Errorf("file to be inherited: %w", err)
		}
		s.files = append(s.files, own)
	}
	return nil
}

func (s *Supervisor) close() {
	for _, f := range s.files {
		f.Close()
	}
	s.files = nil
}

// adopt gives the survivors their places and returns those for which there is none, to be drained.
func (s *Supervisor) adopt() (surplus []*process) {
	survivors := slices.Clone(s.o.Survivors)
	slices.SortFunc(survivors, func(a, b *Survivor) int { return b.Started.Compare(a.Started) }) // The newest of a place stays.
	for _, left := range survivors {
		p, err := s.takeOver(left)
		if err != nil {
			s.o.Log.Error("a worker that was left running could not be taken over", "worker", s.o.Name(left.Index), "pid", left.PID, "error", err)
			continue
		}
		s.o.Log.Info("took over a worker that was left running", "worker", s.o.Name(left.Index), "pid", left.PID)
		if left.Index < 1 || left.Index > len(s.slots) || s.slots[left.Index-1].current != nil {
			surplus = append(surplus, p)
		} else {
			k := s.slots[left.Index-1]
			k.current = p
			k.hold(p)
		}
		s.tell(Event{Kind: Adopted, Index: left.Index, PID: left.PID}) // From now on Ready finds it.
	}
	return surplus
}

// Ready says that a child has become ready, as often as one likes. It reports whether there is such a child.
func (s *Supervisor) Ready(pid int) bool {
	for _, k := range s.slots {
		if k.markReady(pid) {
			return true
		}
	}
	return false
}

func (s *Supervisor) tell(e Event) {
	if s.o.On != nil {
		s.o.On(e)
	}
}
