package audit_test

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/zenconn/server/test/chaos"
	"github.com/zenconn/server/test/server"
)

// steady is a configuration with which connections are not taken for dead when a machine is slow.
const steady = "api: {insecure: true}\nauth: {type: none, user: claimed}\nnamespaces: {default: {subscribe: anyone}}\n"

// lostReason is why sessions ended that nobody saw end.
const lostReason = "the node was lost together with its agent"

// join connects clients that come back whenever they are thrown out.
func join(t *testing.T, s *server.Server, prefix string, n int) {
	t.Helper()
	for i := range n {
		chaos.Join(t, chaos.Who{URL: "ws://" + s.Addr() + "/connection/websocket", User: fmt.Sprintf("%s%d", prefix, i)})
	}
}

// open are the identifiers of the sessions that are open in the audit.
func open(s *server.Server) (ids []string) {
	for _, row := range s.Audit("SELECT session FROM audit_sessions WHERE version % 3 = 1") {
		ids = append(ids, fmt.Sprint(row["session"]))
	}
	slices.Sort(ids)
	return ids
}

// listed are those of the sessions that there are.
func listed(api *chaos.API) (ids []string) {
	for _, session := range api.List("") {
		ids = append(ids, session.ID)
	}
	slices.Sort(ids)
	return ids
}

// awaitTrue waits until so many sessions are there, and those that are open in the audit are the same.
func awaitTrue(t *testing.T, s *server.Server, want int) (ids []string) {
	t.Helper()
	api := chaos.NewAPI(t, s.APIAddr())
	chaos.Await(t, 2*chaos.Patience, "the audit is as things are", func() string {
		there := open(s)
		ids = listed(api)
		if len(ids) != want || !slices.Equal(there, ids) {
			return fmt.Sprintf("%d of %d clients are there, and open in the audit are %d", len(ids), want, len(there))
		}
		return ""
	})
	return ids
}

// ended checks how the sessions ended that nobody saw end: in time, and with the code and the reason of those that are lost.
func ended(t *testing.T, s *server.Server, ids []string, before time.Time) {
	t.Helper()
	rows := map[string]map[string]any{}
	for _, row := range s.Audit("SELECT session, connected_at, disconnected_at, close_code, close_reason, version FROM audit_sessions") {
		rows[fmt.Sprint(row["session"])] = row
	}
	for _, id := range ids {
		row := rows[id]
		at, err := time.ParseInLocation("2006-01-02 15:04:05.000", fmt.Sprint(row["disconnected_at"]), time.UTC)
		if err != nil || at.After(before) || fmt.Sprint(row["disconnected_at"]) < fmt.Sprint(row["connected_at"]) ||
			fmt.Sprint(row["close_code"]) != "1006" || row["close_reason"] != lostReason || fmt.Sprint(row["version"]) != "2" {
			t.Errorf("of the session %s, which ended before %v, the audit says %v", id, before, row)
		}
	}
}

// A server that is killed cannot say how its sessions ended. It does so when it is started again, also if it is killed again at that.
func TestSessionsOfKilledServer(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{"all in one": nil, "with its workers": {"--agent.workers", "2"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := server.Start(t, server.Options{Config: steady, Args: args})
			join(t, s, "user", 5)
			before := awaitTrue(t, s, 5)
			s.Kill()
			s.Run()
			s.Kill() // Whether it has done the work or not, or is in the middle of it.
			s.Run()
			began := time.Now()
			awaitTrue(t, s, 5)
			ended(t, s, before, began)
			verifies(t, s)
		})
	}
}

// Workers that outlive their agent keep their sessions. Those of a worker that died while there was no agent are closed by the next one.
func TestSessionsOfAdoptedWorker(t *testing.T) {
	t.Parallel()
	s := server.Start(t, server.Options{Config: steady, Args: []string{"--agent.workers", "2"}})
	api := chaos.NewAPI(t, s.APIAddr())
	workers := func() []chaos.Process {
		t.Helper()
		var there []chaos.Process
		chaos.Await(t, chaos.Patience, "there are two workers", func() string {
			if there = api.Workers(); len(there) != 2 {
				return fmt.Sprint(there)
			}
			return ""
		})
		return there
	}
	all := workers()
	const most = 64
	n := 0
	for len(api.List(all[0].Name)) == 0 || len(api.List(all[1].Name)) == 0 {
		if n == most {
			t.Fatal("all clients are with one worker")
		}
		join(t, s, fmt.Sprintf("user%d-", n), 1)
		n++
	}
	awaitTrue(t, s, n)
	var dead, alive []string
	for _, session := range api.List(all[0].Name) {
		dead = append(dead, session.ID)
	}
	for _, session := range api.List(all[1].Name) {
		alive = append(alive, session.ID)
	}
	s.KillAgent()
	kill(t, all[0].PID)
	s.Run()
	began := time.Now()
	there := awaitTrue(t, s, n)
	ended(t, s, dead, began)
	for _, id := range alive {
		if !slices.Contains(there, id) {
			t.Errorf("the session %s of a worker that lives is closed", id)
		}
	}
	verifies(t, s)
}

// kill ends a process, and returns when it is dead and its files are closed. An agent that finds it dying does not know whether it will live.
func kill(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	chaos.Await(t, chaos.Patience, "the process is dead", func() string {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		threads, errThreads := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
		if err != nil || errThreads != nil || bytes.Contains(stat, []byte(") Z ")) && len(threads) == 1 {
			return "" // It is gone, or nobody has asked yet how it ended.
		}
		return string(stat)
	})
}

// Each agent answers for its own processes, and for no others. It waits for a store that is not there.
func TestSessionsOfKilledAgents(t *testing.T) {
	t.Parallel()
	e := newEngine(t, 256<<20)
	nats := server.NATSNodes(t, 1)[0]
	nats.Run()
	nats.AwaitReady()
	config := steady + fmt.Sprintf("bus: {url: %q}\naudit: {clickhouse: {dsn: %q, timeout: 5s}}\n", nats.URL, e.dsn(e.address))
	var agents []*server.Server
	for _, name := range []string{"first", "second"} {
		s := server.Launch(t, server.Options{Config: config, Args: []string{"--agent.name", name}})
		s.AwaitReady()
		agents = append(agents, s)
	}
	for i, s := range agents {
		join(t, s, fmt.Sprintf("user%d-", i), 3)
	}
	e.awaitTables()
	first := awaitTrue(t, agents[0], 6)
	for _, s := range agents {
		s.Kill()
	}
	e.kill()
	agents[0].Run()
	began := time.Now()
	e.start()
	const of = "SELECT session FROM audit_sessions WHERE close_reason = '" + lostReason + "' AND node = '%s'"
	lost := func(node string) (ids []string) {
		for _, row := range agents[0].Audit(fmt.Sprintf(of, node)) {
			ids = append(ids, fmt.Sprint(row["session"]))
		}
		return ids
	}
	chaos.Await(t, 2*chaos.Patience, "the sessions of the first are closed", func() string { return missing(lost("first"), 3) })
	if there := lost("second"); len(there) > 0 {
		t.Errorf("an agent has closed the sessions of another: %v", there)
	}
	agents[1].Run()
	awaitTrue(t, agents[1], 6)
	if problem := missing(lost("second"), 3); problem != "" {
		t.Error(problem)
	}
	ended(t, agents[1], slices.DeleteFunc(first, func(id string) bool { return !slices.Contains(lost("first"), id) }), began)
	verifies(t, agents[1])
}

func missing(ids []string, want int) string {
	if len(ids) != want {
		return fmt.Sprintf("%d are, of %d", len(ids), want)
	}
	return ""
}
