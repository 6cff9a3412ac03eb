package chaos_test

import (
	"fmt"
	"os"
	"syscall"
	"testing"

	"github.com/zenconn/server/test/chaos"
	"github.com/zenconn/server/test/server"
)

const open = "api: {insecure: true}\n" + config

// workers waits until so many workers are ready, and returns them.
func workers(t *testing.T, api *chaos.API, n int) (ready []chaos.Process) {
	t.Helper()
	chaos.Await(t, chaos.Patience, "all workers are ready", func() string {
		if ready = api.Workers(); len(ready) < n {
			return "some are not"
		}
		return ""
	})
	return ready
}

func kill(t *testing.T, p chaos.Process) {
	t.Helper()
	one, err := os.FindProcess(p.PID)
	if err != nil {
		t.Fatal(err)
	}
	if err := one.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

func TestWorkersKilled(t *testing.T) {
	s := server.Start(t, server.Options{Config: open, Topology: server.Workers})
	api := chaos.NewAPI(t, s.APIAddr())
	workers(t, api, 4)
	f := chaos.Board(t, chaos.Load{Subscribers: 1000, Channels: 20, Rate: 10, URLs: []string{url(s)}})
	for i := range 20 {
		grow(t, f, 50)
		kill(t, workers(t, api, 4)[i%4])
		f.AwaitAll()
	}
	f.Verify()
	chaos.Await(t, chaos.Patience, "the sessions are those of the clients", func() string {
		if n := api.Sessions(); n != 1020 {
			return "they are not"
		}
		return ""
	})
}

func TestAgentKilled(t *testing.T) {
	s := server.Start(t, server.Options{Config: open, Topology: server.Workers})
	api := chaos.NewAPI(t, s.APIAddr())
	before := workers(t, api, 4)
	f := chaos.Board(t, chaos.Load{Subscribers: 200, Channels: 10, Rate: 10, URLs: []string{url(s)}})
	for range 5 {
		grow(t, f, 50)
		s.KillAgent()
		s.Run()
		workers(t, api, 4)
	}
	f.Verify()
	if n := f.Breaks(); n != 0 {
		t.Errorf("%d connections of clients ended", n)
	}
	for i, p := range workers(t, api, 4) {
		if p.PID != before[i].PID {
			t.Errorf("the worker %s is another process now", p.Name)
		}
	}
}

func TestWorkersRestarted(t *testing.T) {
	s := server.Start(t, server.Options{Config: open, Topology: server.Workers})
	api := chaos.NewAPI(t, s.APIAddr())
	workers(t, api, 4)
	f := chaos.Board(t, chaos.Load{Subscribers: 200, Channels: 10, Rate: 10, URLs: []string{url(s)}})
	grow(t, f, 50)
	api.RestartWorkers()
	grow(t, f, 50)
	f.Verify()
	// Each once; those that came to a worker whose turn was yet to come, again.
	if n := f.Breaks(); n < 210 || n > 3*210 {
		t.Errorf("%d connections of clients ended", n)
	}
}

// A SIGHUP makes everything anew, the agent and its workers, and costs each client a reconnect or two.
func TestHangUp(t *testing.T) {
	s := server.Start(t, server.Options{Config: open, Topology: server.Workers})
	api := chaos.NewAPI(t, s.APIAddr())
	before := map[int]bool{}
	for _, p := range workers(t, api, 4) {
		before[p.PID] = true
	}
	f := chaos.Board(t, chaos.Load{Subscribers: 200, Channels: 10, Rate: 10, URLs: []string{url(s)}})
	grow(t, f, 50)
	s.Signal(syscall.SIGHUP)
	chaos.Await(t, 2*chaos.Patience, "all workers are new", func() string {
		processes, err := api.Look()
		if err != nil {
			return err.Error() // The agent is just beginning anew.
		}
		n := 0
		for _, p := range processes {
			if p.Kind == "worker" && p.State == "ready" && !before[p.PID] {
				n++
			}
		}
		if n != 4 || len(processes) != 5 {
			return fmt.Sprintf("%d of %d processes are new workers", n, len(processes))
		}
		return ""
	})
	grow(t, f, 50)
	f.Verify()
	if n := f.Breaks(); n < 210 || n > 3*210 {
		t.Errorf("%d connections of clients ended", n)
	}
}
