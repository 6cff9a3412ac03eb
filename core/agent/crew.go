package agent

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/zenconn/server/core/cluster"
	"github.com/zenconn/server/core/supervise"
)

// crew is the worker processes of this agent. They inherit the clients' listener, which the agent holds and never accepts from, so that
// no connection attempt is lost whatever becomes of them.
type crew struct {
	agent      *Agent
	parts      *parts
	members    *cluster.Members
	supervisor *supervise.Supervisor
	file       *os.File // Of the listener.

	environ    string // Tells workers where the bus is.
	replaceAll bool   // Every worker that was found running is to be replaced.

	mu   sync.Mutex
	over map[int]struct{} // Process IDs of workers that were found running and have ended. Guarded by mu.
}

// name is what logs, audit and status call a worker.
func (w *crew) name(index int) string { return workerName(w.agent.name, index) }

func workerName(agent string, index int) string { return agent + "-" + strconv.Itoa(index) }

// findWorkers looks for workers that an agent which is gone has left running, and takes the clients' listener from them if it is the one
// of the configuration.
func (a *Agent) findWorkers(ctx context.Context, p *parts) (err error) {
	if a.config.Agent.Workers == 0 {
		return a.leaveWorkers(ctx, p)
	}
	if p.survivors, err = supervise.Find(ctx, a.workersDir()); err != nil {
		p.strangers = true
		a.log.Warn("some workers that were left running are lost to this agent; they end by themselves", "error", err)
	}
	p.onClose(func() error {
		for _, s := range p.survivors {
			for _, f := range s.Files {
				f.Close()
			}
		}
		return nil
	})
	for _, s := range p.survivors {
		if len(s.Files) == 0 {
			continue
		}
		l, err := net.FileListener(s.Files[0])
		if err != nil {
			continue
		}
		if sameAddress(l.Addr(), a.config.Client.Addr) {
			p.clients = l
			p.onClose(func() error { return closeListener(l) })
			return nil
		}
		l.Close()
	}
	return nil
}

// leaveWorkers looks whether workers run although there are to be none any more. They end by themselves.
func (a *Agent) leaveWorkers(ctx context.Context, p *parts) error {
	left, err := supervise.Find(ctx, a.workersDir())
	for _, s := range left {
		s.Close()
		for _, f := range s.Files {
			f.Close()
		}
	}
	if p.strangers = err != nil || len(left) > 0; p.strangers {
		a.log.Warn("workers that an agent before has left running are not taken over, since agent.workers is 0; they end by themselves", "workers", len(left), "error", err)
	}
	return nil
}

// sameAddress says that a listener is what the configuration asks for.
func sameAddress(l net.Addr, configured string) bool {
	want, err := net.ResolveTCPAddr("tcp", configured)
	have, ok := l.(*net.TCPAddr)
	if err != nil || !ok {
		return false
	}
	anywhere := len(want.IP) == 0 || want.IP.IsUnspecified()
	return (want.Port == have.Port || want.Port == 0) && (want.IP.Equal(have.IP) || anywhere && have.IP.IsUnspecified())
}

func (a *Agent) workersDir() string { return filepath.Join(a.config.Data, "workers") }

// muster makes the crew; nil when the agent keeps its clients itself.
func (a *Agent) muster(p *parts) error {
	c := a.config
	if c.Agent.Workers == 0 {
		return nil
	}
	tcp, ok := p.clients.(*net.TCPListener)
	if !ok {
		return errors.New("the clients' listener cannot be inherited by workers")
	}
	file, err := tcp.File()
	if err != nil {
		return fmt.Errorf("client listener: %w", err)
	}
	p.onClose(file.Close)
	reach := p.bus.Join()
	environ, err := reach.Environ()
	if err != nil {
		return err
	}
	w := &crew{agent: a, parts: p, environ: environ, members: p.node.Members(), file: file, replaceAll: a.ReplaceWorkers, over: map[int]struct{}{}}
	w.supervisor, err = supervise.New(supervise.Options{
		Count: c.Agent.Workers, Dir: a.workersDir(), Command: w.command, Name: w.name, Files: []*os.File{file}, Survivors: p.survivors,
		Stdout: a.Stdout, Stderr: a.Stderr, DrainTimeout: c.Agent.DrainWindow + c.Shutdown.Timeout + 5*time.Second, Log: a.log, On: w.happened,
	})
	if err != nil {
		return err
	}
	p.crew, p.fleet.supervisor, p.fleet.worker = w, w.supervisor, w.name
	w.members.Watch(w.heard)
	return nil
}

// command is what starts a worker.
func (w *crew) command(index int) *exec.Cmd {
	c := w.agent.config
	cmd := exec.Command(w.agent.Executable, //nolint:gosec // It is this program.
		"worker", "--child", strconv.Itoa(index), "--agent-uid", w.members.UID(), "--data", filepath.Join(c.Data, "worker"),
		"--log.level", c.Log.Level, "--log.format", c.Log.Format)
	cmd.Env = append(slices.Clone(w.agent.Environ), w.environ)
	return cmd
}

// happened is told by the supervisor.
func (w *crew) happened(e supervise.Event) {
	if e.Kind == supervise.Adopted {
		// It may have said that it is ready before the supervisor had it, and says it once.
		for _, m := range w.members.List() {
			if m.PID == e.PID {
				w.heard(cluster.Event{Kind: cluster.Changed, Member: m})
			}
		}
	}
	w.record(e)
	if e.Kind == supervise.Ended || e.Kind == supervise.Stopped {
		w.bury(e.PID)
	}
	if e.Exit == nil {
		return
	}
	reason := "the worker ended: " + e.Exit.Text
	for _, m := range w.members.List() {
		// By its name, because one that was adopted a moment ago does not know yet whose it is.
		if m.Kind == cluster.Worker && m.Index == e.Index && m.PID == e.PID && m.Name == w.name(e.Index) {
			w.members.Gone(m.UID, reason)
		}
	}
}

// bury notes that a worker has ended, if it was found running.
func (w *crew) bury(pid int) {
	if !slices.ContainsFunc(w.parts.survivors, func(s *supervise.Survivor) bool { return s.PID == pid }) {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over[pid] = struct{}{}
}

// isOver says that a worker that was found running has ended.
func (w *crew) isOver(pid int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, over := w.over[pid]
	return over
}

// record writes down what happened to a worker.
func (w *crew) record(e supervise.Event) {
	if e.Kind == supervise.Ready {
		return // It began before, and writes down itself that it runs.
	}
	var err error
	if e.Exit != nil {
		err = errors.New(e.Exit.Text)
	}
	w.agent.note(w.parts, "worker_"+string(e.Kind), w.name(e.Index), err)
}

// mine says that a member is a child of this agent.
func (w *crew) mine(m cluster.Member) bool {
	return m.Kind == cluster.Worker && m.Index > 0 && m.Agent == w.members.UID()
}

// heard is told of the members.
func (w *crew) heard(e cluster.Event) {
	if e.Kind == cluster.Gone || !w.mine(e.Member) || e.Member.State != cluster.Ready {
		return
	}
	w.supervisor.Ready(e.Member.PID)
	if e.Member.Outdated == "" && e.Member.Version == w.agent.Version {
		return
	}
	w.agent.log.Info("a worker runs on an old configuration or program and is going to be replaced", "worker", e.Member.Name, "why", e.Member.Outdated)
	w.replace()
}

// replace begins to replace the workers, unless that is under way.
func (w *crew) replace() {
	if err := w.supervisor.BeginRestart(); err != nil && !errors.Is(err, supervise.ErrRestarting) {
		w.agent.log.Error("the workers could not be replaced", "error", err)
	}
}

// run keeps the workers running until ctx ends. When another agent is to take this one's place it leaves them, and what looks after them
// here, as they are: the process is about to become that agent.
func (w *crew) run(ctx context.Context) error {
	if w.replaceAll {
		w.replace()
	}
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer func() {
		if !w.agent.replaced() {
			end()
		}
	}()
	ended := make(chan error, 1)
	go func() { ended <- w.supervisor.Run(life) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	if w.agent.replaced() {
		return nil
	}
	end()
	return <-ended
}

// ready returns how many workers are ready, and what is wrong with the others.
func (w *crew) ready() (n int, problem string) {
	for _, s := range w.supervisor.Status() {
		switch s.State {
		case supervise.StateReady, supervise.StateReplacing:
			n++
		case supervise.StateStarting, supervise.StateBackingOff, supervise.StateCrashLoop, supervise.StateDraining, supervise.StateStopped:
			problem = fmt.Sprintf("the worker %s is not ready (%s)", w.name(s.Index), s.State)
			if s.LastExit != nil {
				problem += "; it ended: " + s.LastExit.Text
			}
		}
	}
	return n, problem
}
