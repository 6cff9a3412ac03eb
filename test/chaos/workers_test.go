package chaos_test

import (
	"fmt"
	"os"
	"slices"
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
	f := chaos.Board(t, chaos.Load{Subscribers: 1000, Channels: 20, Rate: 4, URLs: []string{url(s)}})
	var lost casualties
	for i := range 20 {
		grow(t, f, 50)
		lost.kill(t, api, f, workers(t, api, 4)[i%4])
		f.AwaitAll()
	}
	f.Verify()
	awaitClients(t, api, f)
	awaitAudited(t, s, f)
	lost.verify(t, s)
	// A publisher is answered before its publication is on its way to the store: what was in the memory of a worker that was killed is lost.
	missing, all := unaudited(t, s, f)
	t.Logf("of %d acknowledged publications %d are not in the audit", all, missing)
}

// In the durable mode what was acknowledged is in the audit, whoever was killed.
func TestDurableAudit(t *testing.T) {
	s := server.Start(t, server.Options{Config: open + "audit: {mode: durable, on_full: block}\n", Topology: server.Workers})
	api := chaos.NewAPI(t, s.APIAddr())
	workers(t, api, 4)
	f := chaos.Board(t, chaos.Load{Subscribers: 100, Channels: 20, Rate: 10, URLs: []string{url(s)}})
	var lost casualties
	for i := range 6 {
		grow(t, f, 100)
		lost.kill(t, api, f, workers(t, api, 4)[i%4])
		f.AwaitAll()
		if i%3 == 2 {
			grow(t, f, 100)
			s.KillAgent()
			s.Run()
			workers(t, api, 4)
			lost.adopted = true
		}
	}
	f.Verify()
	awaitClients(t, api, f)
	awaitAudited(t, s, f)
	lost.verify(t, s)
	if missing, all := unaudited(t, s, f); missing > 0 {
		t.Errorf("of %d acknowledged publications %d are not in the audit", all, missing)
	}
}

func TestAgentKilled(t *testing.T) {
	s := server.Start(t, server.Options{Config: open, Topology: server.Workers})
	api := chaos.NewAPI(t, s.APIAddr())
	before := workers(t, api, 4)
	f := chaos.Board(t, chaos.Load{Subscribers: 200, Channels: 10, Rate: 10, URLs: []string{url(s)}})
	sessions := awaitClients(t, api, f)
	for range 5 {
		grow(t, f, 50)
		s.KillAgent()
		s.Run()
		workers(t, api, 4)
		if after := awaitClients(t, api, f); !slices.Equal(after, sessions) {
			t.Error("the sessions are not the same as before")
		}
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
	awaitAudited(t, s, f)
	if rows := s.Audit(`SELECT user, close_reason FROM audit_sessions WHERE version > 1`); len(rows) > 0 {
		t.Errorf("the audit says that %d sessions have ended, as %v", len(rows), rows[0])
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
	if n := f.Breaks(); n < 210 || n > 4*210 {
		t.Errorf("%d connections of clients ended", n)
	}
}

// A SIGHUP makes everything anew, the agent and its workers, and costs each client a reconnect or two, and never more than one for each worker.
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
	if n := f.Breaks(); n < 210 || n > 4*210 {
		t.Errorf("%d connections of clients ended", n)
	}
}
