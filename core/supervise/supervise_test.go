//go:build unix

package supervise_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/zenconn/server/core/supervise"
)

func TestChildrenServeOnTheInheritedListener(t *testing.T) {
	s := start(t, 2, children("server"), nil)
	all := s.inState(supervise.StateReady)
	c := s.connect()
	pid, err := c.ask("say a line of the log")
	if err != nil {
		t.Fatal(err)
	}
	if pid != all[0].PID && pid != all[1].PID {
		t.Errorf("%d answers, and is none of %+v", pid, all)
	}
	if all[0].Index != 1 || all[1].Index != 2 || all[0].Restarts != 0 || all[0].LastExit != nil || all[0].Started.IsZero() {
		t.Errorf("status %+v", all)
	}
	s.eventually("the line comes as it is", func() bool { return s.stderr.String() == "a line of the log\n" })
	if s.Ready(1) {
		t.Error("a process that is no child is ready")
	}
	c.Close()
	s.stop()
	if s.count(supervise.Stopped) != 2 || s.count(supervise.Ended) != 0 {
		t.Errorf("events %+v", s.events)
	}
}

func TestCrash(t *testing.T) {
	s := start(t, 1, children("server"), nil)
	before := s.inState(supervise.StateReady)[0]
	if _, err := s.connect().ask("crash"); err == nil {
		t.Fatal("it did not crash")
	}
	s.eventually("another is ready", func() bool { now := s.Status()[0]; return now.State == supervise.StateReady && now.PID != before.PID })
	now := s.Status()[0]
	if now.Restarts != 1 || now.LastExit == nil || now.LastExit.PID != before.PID || now.LastExit.Text != "exit status 5" ||
		!slices.Equal(now.LastExit.Lines, []string{"crashing as told"}) {
		t.Errorf("%+v %+v", now, now.LastExit)
	}
	if err := syscall.Kill(now.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	s.eventually("a third is ready", func() bool { s := s.Status()[0]; return s.State == supervise.StateReady && s.Restarts == 2 })
	if last := s.Status()[0].LastExit; last.Text != "signal: killed" {
		t.Errorf("%+v", last)
	}
	if pid, err := s.connect().ask("who"); err != nil || pid != s.Status()[0].PID {
		t.Errorf("%d %v", pid, err)
	}
}

func TestCrashLoop(t *testing.T) {
	t.Parallel() // It mostly waits.
	var role atomic.Value
	role.Store("crash")
	s := start(t, 1, func(i int) *exec.Cmd { return children(role.Load().(string))(i) }, func(o *supervise.Options) {
		o.StableAfter = time.Nanosecond
	})
	s.eventually("crash loop", func() bool { return s.Status()[0].State == supervise.StateCrashLoop })
	now := s.Status()[0]
	if now.Restarts < 5 || now.LastExit.Text != "exit status 3" || !slices.Equal(now.LastExit.Lines, []string{"I cannot work like this"}) {
		t.Errorf("%+v %+v", now, now.LastExit)
	}
	s.eventually("it goes on trying", func() bool { return s.Status()[0].Restarts > now.Restarts+1 })
	if state := s.Status()[0].State; state != supervise.StateCrashLoop {
		t.Errorf("state %s", state)
	}
	role.Store("server")
	s.inState(supervise.StateReady)
	// After a stable time it is no loop any more.
	if _, err := s.connect().ask("crash"); err == nil {
		t.Fatal("it did not crash")
	}
	role.Store("mute")
	s.eventually("an ordinary end", func() bool {
		state := s.Status()[0].State
		return state == supervise.StateBackingOff || state == supervise.StateStarting
	})
}

func TestPausesGrow(t *testing.T) {
	t.Parallel() // It mostly waits.
	s := start(t, 1, children("crash"), func(o *supervise.Options) {
		o.FirstPause, o.LongestPause, o.LoopEnds = 40*time.Millisecond, time.Hour, 4
	})
	s.eventually("crash loop", func() bool { return s.Status()[0].State == supervise.StateCrashLoop })
	now := s.Status()[0]
	if pause := now.NextTry.Sub(now.LastExit.At); pause > time.Hour || pause < 45*time.Minute {
		t.Errorf("in a loop it waits %v", pause)
	}
	s.eventually("all ends are told", func() bool { return s.count(supervise.Ended) == 4 })
	var ends []time.Time
	s.mu.Lock()
	for _, e := range s.events {
		if e.Kind == supervise.Ended {
			ends = append(ends, e.Exit.At)
		}
	}
	s.mu.Unlock()
	for i, least := range []time.Duration{30 * time.Millisecond, 60 * time.Millisecond, 120 * time.Millisecond} {
		if took := ends[i+1].Sub(ends[i]); took < least {
			t.Errorf("pause %d: %v, want at least %v", i+1, took, least)
		}
	}
}

func TestCannotStart(t *testing.T) {
	s := start(t, 1, func(int) *exec.Cmd { return exec.Command("/nowhere/zenconn") }, nil)
	s.eventually("crash loop", func() bool { return s.Status()[0].State == supervise.StateCrashLoop })
	if last := s.Status()[0].LastExit; !strings.Contains(last.Text, "no such file") || last.PID != 0 {
		t.Errorf("%+v", last)
	}
}

func TestNotReadyInTime(t *testing.T) {
	t.Parallel() // It mostly waits.
	s := start(t, 1, children("mute"), func(o *supervise.Options) { o.ReadyTimeout = 300 * time.Millisecond })
	s.eventually("it is given up", func() bool { return s.Status()[0].Restarts > 0 })
	if last := s.Status()[0].LastExit; last.Text != "was not ready within 300ms" {
		t.Errorf("%+v", last)
	}
	if s.count(supervise.Ready) != 0 {
		t.Error("it was ready")
	}
}

// Slow is not dead: readiness may be told late, and more than once.
func TestReadyLate(t *testing.T) {
	s := start(t, 1, children("mute"), nil)
	s.eventually("it runs", func() bool { return s.Status()[0].PID != 0 })
	now := s.Status()[0]
	if now.State != supervise.StateStarting {
		t.Errorf("%+v", now)
	}
	for range 3 {
		if !s.Ready(now.PID) {
			t.Error("it is not known")
		}
	}
	s.inState(supervise.StateReady)
	s.stop()
	if s.count(supervise.Ready) != 1 {
		t.Errorf("%+v", s.events)
	}
}

func TestStubbornChildIsKilled(t *testing.T) {
	t.Parallel() // It mostly waits.
	s := start(t, 2, children("stubborn"), func(o *supervise.Options) { o.DrainTimeout = 200 * time.Millisecond })
	s.inState(supervise.StateReady)
	s.stop()
	for _, e := range s.events {
		if e.Kind == supervise.Stopped && (e.Exit == nil || !strings.Contains(e.Exit.Text, "was killed")) {
			t.Errorf("%+v", e)
		}
	}
}

func TestNothingToSupervise(t *testing.T) {
	s, err := supervise.New(supervise.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Run(ctx); err != nil || len(s.Status()) != 0 {
		t.Errorf("%v %v", err, s.Status())
	}
	if err := s.Restart(t.Context()); !errors.Is(err, supervise.ErrNotRunning) {
		t.Errorf("restart: %v", err)
	}
}

func TestInheritWithoutSupervisor(t *testing.T) {
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), roleVariable+"=server")
	if text, err := command.CombinedOutput(); err == nil || !strings.Contains(string(text), "not started by a supervisor") {
		t.Errorf("%v %s", err, text)
	}
}
