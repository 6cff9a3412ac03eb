//go:build unix

package supervise_test

import (
	"bufio"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/zenconn/server/core/supervise"
)

// orphans runs a supervisor of two children, kills it, and returns the directory and connections to its children, with their process
// IDs.
func orphans(t *testing.T, environ ...string) (dir string, left map[int]*client) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "children")
	command := exec.Command(os.Args[0], dir)
	command.Env = append(os.Environ(), append(environ, roleVariable+"=supervisor")...)
	stdout, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	left = make(map[int]*client)
	for deadline := time.Now().Add(patience); len(left) < 2; {
		c, err := connect(strings.TrimSpace(line))
		if err != nil {
			t.Fatal(err)
		}
		pid, err := c.ask("who")
		if err != nil || time.Now().After(deadline) {
			t.Fatalf("%d answer: %v", len(left), err)
		}
		if left[pid] != nil {
			c.Close()
			continue
		}
		left[pid] = c
		t.Cleanup(func() { c.Close() })
	}
	if err := command.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = command.Wait()
	return dir, left
}

// find returns the two survivors in a directory.
func find(t *testing.T, dir string) []*supervise.Survivor {
	t.Helper()
	survivors, err := supervise.Find(t.Context(), dir)
	for deadline := time.Now().Add(patience); err != nil && time.Now().Before(deadline); { // This machine may be slow to answer.
		release(survivors)
		survivors, err = supervise.Find(t.Context(), dir)
	}
	if err != nil || len(survivors) != 2 {
		t.Fatalf("%+v %v", survivors, err)
	}
	for _, left := range survivors {
		t.Cleanup(func() { left.Files[0].Close() })
	}
	return survivors
}

// release forgets survivors, which go on as before.
func release(survivors []*supervise.Survivor) {
	for _, s := range survivors {
		s.Files[0].Close()
		s.Close()
	}
}

// adopt runs a Supervisor that takes over what is left in a directory.
func adopt(t *testing.T, dir string, count int) *supervised {
	t.Helper()
	survivors := find(t, dir)
	return start(t, count, children("server"), func(o *supervise.Options) {
		o.Dir, o.Survivors, o.Files = dir, survivors, survivors[0].Files
	})
}

func TestAdopt(t *testing.T) {
	t.Parallel() // It mostly waits.
	dir, left := orphans(t)
	for pid, c := range left { // They go on without a supervisor, also when they write to a log that nobody reads.
		if got, err := c.ask("say nobody reads this"); err != nil || got != pid {
			t.Fatalf("%d %v", got, err)
		}
	}
	s := adopt(t, dir, 2)
	s.eventually("both are children", func() bool { return s.count(supervise.Adopted) == 2 })
	if s.placed != 2 {
		t.Errorf("%d had their place when their adoption was told", s.placed)
	}
	for _, status := range s.Status() {
		if left[status.PID] == nil || status.State != supervise.StateStarting || status.Started.IsZero() {
			t.Errorf("%+v", status)
		}
		s.eventually("it is known", func() bool { return s.Ready(status.PID) })
	}
	all := s.inState(supervise.StateReady)
	for pid, c := range left {
		if got, err := c.ask("say somebody reads this"); err != nil || got != pid {
			t.Errorf("%d %v", got, err)
		}
	}
	s.eventually("their output comes here", func() bool { return s.stderr.String() == strings.Repeat("somebody reads this\n", 2) })

	// One that crashes is replaced, on the same listener.
	if _, err := left[all[0].PID].ask("crash"); err == nil {
		t.Fatal("it did not crash")
	}
	s.eventually("it is replaced", func() bool {
		now := s.Status()[0]
		return now.PID != all[0].PID && now.State == supervise.StateReady
	})
	last := s.Status()[0].LastExit
	if last.PID != all[0].PID || last.Lines[len(last.Lines)-1] != "crashing as told" || !strings.Contains(last.Text, "how is not known") {
		t.Errorf("%+v", last)
	}
	// The other is drained like any child.
	left[all[1].PID].Close()
	if err := s.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if pid, err := s.connect().ask("who"); err != nil || left[pid] != nil {
		t.Errorf("%d %v", pid, err)
	}
}

// Who knows that the survivors are out of date asks for their replacement at once.
func TestReplaceSurvivors(t *testing.T) {
	t.Parallel() // It mostly waits.
	dir, left := orphans(t)
	for _, c := range left {
		c.Close()
	}
	survivors := find(t, dir)
	s := start(t, 2, children("server"), func(o *supervise.Options) { o.Dir, o.Survivors, o.Files = dir, survivors, survivors[0].Files })
	if err := s.Restart(t.Context()); err != nil { // While they are not ready yet.
		t.Fatal(err)
	}
	for _, now := range s.inState(supervise.StateReady) {
		if left[now.PID] != nil {
			t.Errorf("%+v", now)
		}
	}
}

// Those for whom there is no place any more are drained.
func TestAdoptFewer(t *testing.T) {
	t.Parallel() // It mostly waits.
	dir, left := orphans(t)
	for _, c := range left {
		c.Close()
	}
	s := adopt(t, dir, 1)
	s.eventually("one is drained", func() bool { return s.count(supervise.Stopped) == 1 })
	now := s.Status()[0]
	s.eventually("the other is ready", func() bool { return s.Ready(now.PID) })
	if left[now.PID] == nil || now.Index != 1 {
		t.Errorf("%+v", now)
	}
}

// A survivor that hangs is named, and not waited for for ever.
func TestFindHung(t *testing.T) {
	t.Parallel() // It mostly waits for the survivor that hangs.
	dir, left := orphans(t)
	var hung int
	for pid := range left {
		hung = pid
	}
	if err := syscall.Kill(hung, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	// A process that is told to stop may still answer for a moment.
	survivors, err := supervise.Find(t.Context(), dir)
	for deadline := time.Now().Add(patience); (err == nil || len(survivors) != 1) && time.Now().Before(deadline); {
		release(survivors)
		survivors, err = supervise.Find(t.Context(), dir)
	}
	if err == nil || !strings.Contains(err.Error(), "does not answer") || len(survivors) != 1 {
		t.Errorf("%+v %v", survivors, err)
	}
	release(survivors)
	for pid := range left {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Error(err)
		}
	}
	ended(t, left)
}

// Children that nobody takes over end by themselves, and what they leave is cleaned up.
func TestAbandoned(t *testing.T) {
	t.Parallel()                                   // It mostly waits.
	dir, left := orphans(t, abandonVariable+"=2s") // Enough for a slow machine to begin.
	ended(t, left)
	survivors, err := supervise.Find(t.Context(), dir)
	if err != nil || len(survivors) != 0 {
		t.Errorf("%+v %v", survivors, err)
	}
	if sockets, err := os.ReadDir(dir); err != nil || len(sockets) != 0 {
		t.Errorf("%v %v", sockets, err)
	}
	if survivors, err := supervise.Find(t.Context(), filepath.Join(dir, "none")); err != nil || survivors != nil {
		t.Errorf("%+v %v", survivors, err)
	}
}

// A child that is being killed may still take the question: it is not there, rather than one that does not answer.
func TestFindDying(t *testing.T) {
	dir := t.TempDir()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "1-x.sock"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	var dying sync.WaitGroup
	dying.Go(func() {
		defer l.Close()
		for range 3 {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conn.Close()
		}
	})
	survivors, err := supervise.Find(t.Context(), dir)
	dying.Wait()
	if err != nil || len(survivors) != 0 {
		t.Errorf("%+v %v", survivors, err)
	}
	if sockets, err := os.ReadDir(dir); err != nil || len(sockets) != 0 {
		t.Errorf("%v %v", sockets, err)
	}
}

// ended waits until children have ended.
func ended(t *testing.T, all map[int]*client) {
	t.Helper()
	for pid, c := range all {
		_ = c.SetReadDeadline(time.Now().Add(patience))
		if _, err := c.Read(make([]byte, 1)); os.IsTimeout(err) || err == nil {
			t.Errorf("%d has not ended: %v", pid, err)
		}
	}
}
