//go:build unix

package supervise_test

import (
	"context"
	"errors"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zenconn/server/core/supervise"
)

// While all children are replaced, no connection is refused and none that was accepted goes unanswered.
func TestRestartLosesNoConnection(t *testing.T) {
	t.Parallel() // It mostly waits.
	s := start(t, 3, children("server"), nil)
	before := s.inState(supervise.StateReady)
	done := make(chan struct{})
	var clients sync.WaitGroup
	var served atomic.Int64
	for range 4 {
		clients.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				c, err := connect(s.addr)
				if err != nil {
					t.Errorf("refused: %v", err)
					return
				}
				_, err = c.ask("who")
				c.Close()
				if err != nil {
					t.Errorf("not answered: %v", err)
					return
				}
				served.Add(1)
			}
		})
	}
	err := s.Restart(t.Context())
	close(done)
	clients.Wait()
	if err != nil {
		t.Fatal(err)
	}
	for i, now := range s.inState(supervise.StateReady) {
		if now.PID == before[i].PID || now.Restarts != 0 || now.LastExit != nil || !now.Started.After(before[i].Started) {
			t.Errorf("before %+v, now %+v", before[i], now)
		}
	}
	p := s.Progress()
	if p.Running || p.Done != 3 || p.Count != 3 || p.Err != nil || p.Over.Before(p.Begun) || served.Load() == 0 {
		t.Errorf("%+v, served %d", p, served.Load())
	}
	if s.count(supervise.Stopped) != 3 || s.count(supervise.Ended) != 0 {
		t.Errorf("events %+v", s.events)
	}
}

// casting lets the role of children change.
type casting struct{ role atomic.Value }

func (c *casting) command(i int) *exec.Cmd { return children(c.role.Load().(string))(i) }

func cast(role string) *casting {
	c := &casting{}
	c.role.Store(role)
	return c
}

func TestRestartIsGivenUp(t *testing.T) {
	t.Parallel() // It mostly waits.
	for name, test := range map[string]struct{ role, want, last string }{
		"when the replacement does not get ready": {"mute", "child-1: the replacement was not ready within 8s", "was not ready within 8s"},
		"when the replacement ends": {
			"crash", "child-1: the replacement ended before it was ready: exit status 3: I cannot work like this", "exit status 3",
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := cast("server")
			s := start(t, 2, c.command, func(o *supervise.Options) {
				if test.role == "mute" {
					o.ReadyTimeout = 8 * time.Second // Enough for a slow machine to start the others.
				}
			})
			before := s.inState(supervise.StateReady)
			c.role.Store(test.role)
			conn := s.connect()
			if err := s.Restart(t.Context()); err == nil || err.Error() != test.want {
				t.Errorf("%v", err)
			}
			if p := s.Progress(); p.Running || p.Done != 0 || p.Err == nil {
				t.Errorf("%+v", p)
			}
			after := s.inState(supervise.StateReady)
			for i := range after {
				if after[i].PID != before[i].PID {
					t.Errorf("before %+v, now %+v", before[i], after[i])
				}
			}
			if last := after[0].LastExit; last == nil || last.Text != test.last {
				t.Errorf("%+v", last)
			}
			if _, err := conn.ask("who"); err != nil {
				t.Errorf("the old one: %v", err)
			}
			conn.Close()
			c.role.Store("server")
			s.eventually("restarted", func() bool { return s.Restart(t.Context()) == nil })
		})
	}
}

func TestOneRestartAtATime(t *testing.T) {
	c := cast("server")
	s := start(t, 1, c.command, nil)
	s.inState(supervise.StateReady)
	c.role.Store("mute")
	if err := s.BeginRestart(); err != nil {
		t.Fatal(err)
	}
	s.inState(supervise.StateReplacing)
	if err := s.Restart(t.Context()); !errors.Is(err, supervise.ErrRestarting) {
		t.Errorf("%v", err)
	}
	s.stop() // Also ends the restart, and the replacement.
	if p := s.Progress(); p.Running || !errors.Is(p.Err, supervise.ErrNotRunning) {
		t.Errorf("%+v", p)
	}
	if err := s.BeginRestart(); !errors.Is(err, supervise.ErrNotRunning) {
		t.Errorf("%v", err)
	}
}

// A process that crashes while its replacement starts is replaced all the same.
func TestCrashDuringRestart(t *testing.T) {
	t.Parallel() // It mostly waits.
	c := cast("server")
	s := start(t, 1, c.command, nil)
	s.inState(supervise.StateReady)
	conn := s.connect()
	if _, err := conn.ask("who"); err != nil { // It has accepted the connection, and not the replacement.
		t.Fatal(err)
	}
	c.role.Store("mute")
	over := make(chan error, 1)
	go func() { over <- s.Restart(context.WithoutCancel(t.Context())) }()
	s.inState(supervise.StateReplacing)
	if _, err := conn.ask("crash"); err == nil {
		t.Fatal("it did not crash")
	}
	s.eventually("it is gone", func() bool { return s.Status()[0].PID == 0 })
	s.eventually("two were started", func() bool { return s.count(supervise.Started) == 2 })
	s.mu.Lock()
	var pid int
	for _, e := range s.events {
		if e.Kind == supervise.Started {
			pid = e.PID
		}
	}
	s.mu.Unlock()
	s.eventually("it is known", func() bool { return s.Ready(pid) })
	if err := <-over; err != nil {
		t.Error(err)
	}
	if now := s.inState(supervise.StateReady)[0]; now.PID != pid || now.Restarts != 1 {
		t.Errorf("%+v", now)
	}
}

// A restart is a way out of a crash loop: it does not wait for the pause.
func TestRestartOutOfACrashLoop(t *testing.T) {
	c := cast("crash")
	s := start(t, 1, c.command, func(o *supervise.Options) { o.LongestPause = time.Hour })
	s.eventually("crash loop", func() bool {
		now := s.Status()[0]
		return now.State == supervise.StateCrashLoop && now.PID == 0
	})
	if err := s.Restart(t.Context()); err == nil || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("%v", err)
	}
	c.role.Store("server")
	if err := s.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.inState(supervise.StateReady)
}
