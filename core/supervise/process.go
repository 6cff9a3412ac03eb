package supervise

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// outputWait is how long the output of a process that has ended may take to end too: its own children may hold it.
const outputWait = time.Second

// process is one running child, or one that has ended.
type process struct {
	// Fixed.
	index   int
	pid     int
	started time.Time
	since   time.Time // When it was started or taken over by this process.
	handle  *os.Process
	lease   *net.UnixConn // Open as long as both this process and the child live.
	tail    *tail
	ready   chan struct{}
	ended   chan struct{} // Closed when it has ended and its output was read.

	exit string // How it ended; may be read after ended.

	mu      sync.Mutex
	isReady time.Time // When; zero before.
}

func (p *process) markReady() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.isReady.IsZero() {
		p.isReady = time.Now()
		close(p.ready)
	}
}

func (p *process) readyAt() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.isReady
}

// last is the report of a process that has ended.
func (p *process) last(text string) Exit {
	return Exit{At: time.Now(), PID: p.pid, Text: text, Lines: p.tail.lines()}
}

// report says how it ended, with the last it wrote.
func (p *process) report() string {
	if lines := p.tail.lines(); len(lines) > 0 {
		return p.exit + ": " + strings.TrimSpace(lines[len(lines)-1])
	}
	return p.exit
}

// pipes are where a child writes: the ends that are read here, and the child's.
type pipes struct {
	read, write [2]*os.File // Standard output and error.
}

func newPipes() (*pipes, error) {
	p := &pipes{}
	for i := range p.read {
		var err error
		if p.read[i], p.write[i], err = os.Pipe(); err != nil {
			p.close()
			return nil, fmt.Errorf("pipe for the output of a worker: %w", err)
		}
	}
	return p, nil
}

func (p *pipes) close() {
	for _, f := range slices.Concat(p.read[:], p.write[:]) {
		f.Close() // Of nil, too.
	}
}

// launch starts a child.
func (s *Supervisor) launch(index int) (*process, error) {
	output, err := newPipes()
	if err != nil {
		return nil, err
	}
	defer output.write[0].Close()
	defer output.write[1].Close()
	socket, err := listenFor(s.o.Dir, index)
	if err != nil {
		output.close()
		return nil, err
	}
	defer socket.file.Close()
	command := s.o.Command(index)
	command.Stdin, command.Stdout, command.Stderr = nil, output.write[0], output.write[1]
	command.ExtraFiles = append(slices.Clone(s.files), socket.file)
	command.SysProcAttr = apart()
	if err := command.Start(); err != nil {
		socket.remove()
		output.close()
		return nil, fmt.Errorf("start: %w", err)
	}
	now := time.Now()
	p := &process{
		index: index, pid: command.Process.Pid, started: now, since: now, handle: command.Process, tail: &tail{},
		ready: make(chan struct{}), ended: make(chan struct{}),
	}
	p.lease, err = dial(socket.path, time.Now().Add(leaseTimeout)) // The system accepts it, whatever the child is doing.
	if err != nil {
		s.o.Log.Warn("no connection to a worker's socket: it will think that it is abandoned", "worker", s.o.Name(index), "pid", p.pid, "error", err)
	}
	s.o.Log.Info("a worker was started", "worker", s.o.Name(index), "pid", p.pid)
	s.tell(Event{Kind: Started, Index: index, PID: p.pid})
	reading := s.follow(p, output)
	go func() {
		err := command.Wait()
		reading()
		if p.lease != nil {
			_ = p.lease.Close()
		}
		socket.remove()
		p.exit = describe(command.ProcessState, err)
		close(p.ended)
	}()
	return p, nil
}

// takeOver makes a survivor a child like any other.
func (s *Supervisor) takeOver(left *Survivor) (*process, error) {
	output, err := newPipes()
	if err != nil {
		left.Close()
		return nil, err
	}
	defer output.write[0].Close()
	defer output.write[1].Close()
	// Whom the handle means is certain when the process still answers after the handle was made.
	handle, err := os.FindProcess(left.PID)
	if err == nil {
		err = left.redirect(output.write[0], output.write[1])
	}
	if err != nil {
		output.close()
		left.Close()
		return nil, err
	}
	p := &process{
		index: left.Index, pid: left.PID, started: left.Started, since: time.Now(), handle: handle, lease: left.conn, tail: &tail{},
		ready: make(chan struct{}), ended: make(chan struct{}),
	}
	reading := s.follow(p, output)
	go func() {
		left.wait()
		reading()
		_ = handle.Release() //nolint:errcheck // It has ended.
		left.Close()
		removeSocket(left.path)
		p.exit = "how is not known, because it was started by an earlier process"
		close(p.ended)
	}()
	return p, nil
}

// follow passes on what a process writes. The function it returns is called when the process has ended, and returns when all is read.
func (s *Supervisor) follow(p *process, output *pipes) (wait func()) {
	var reading sync.WaitGroup
	reading.Go(func() { s.stdout.forward(output.read[0], nil) })
	reading.Go(func() { s.stderr.forward(output.read[1], p.tail) })
	return func() {
		for _, f := range output.read {
			_ = f.SetReadDeadline(time.Now().Add(outputWait)) //nolint:errcheck // Pipes have deadlines.
		}
		reading.Wait()
		for _, f := range output.read {
			f.Close()
		}
	}
}

// describe says how a process of our own ended.
func describe(state *os.ProcessState, err error) string {
	switch {
	case state != nil:
		return state.String()
	case err != nil:
		return err.Error()
	}
	return "ended"
}

// drain asks a process to end, and sees to it.
func (s *Supervisor) drain(p *process) {
	e := Event{Kind: Stopped, Index: p.index, PID: p.pid}
	if killed := s.end(p, s.o.DrainTimeout); killed {
		exit := p.last(fmt.Sprintf("was killed: it had not ended %v after it was asked to", s.o.DrainTimeout))
		e.Exit = &exit
	}
	s.o.Log.Info("a worker was stopped", "worker", s.o.Name(p.index), "pid", p.pid, "killed", e.Exit != nil)
	s.tell(e)
}

// end gives a process that much time between SIGTERM and SIGKILL, and returns when it has ended.
func (s *Supervisor) end(p *process, timeout time.Duration) (killed bool) {
	s.signal(p, syscall.SIGTERM)
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-p.ended:
		return false
	case <-timer.C:
	}
	s.o.Log.Error("a worker does not end and is killed", "worker", s.o.Name(p.index), "pid", p.pid, "after", timeout)
	s.signal(p, syscall.SIGKILL)
	<-p.ended // Nothing withstands this one.
	return true
}

func (s *Supervisor) signal(p *process, which syscall.Signal) {
	if err := p.handle.Signal(which); err != nil && !errors.Is(err, os.ErrProcessDone) {
		s.o.Log.Error("a worker could not be signaled", "pid", p.pid, "signal", which, "error", err)
	}
}
