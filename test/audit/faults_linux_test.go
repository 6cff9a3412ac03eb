package audit_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/zenconn/server/audit/audittest"
	"github.com/zenconn/server/internal/testenv"
	"github.com/zenconn/server/test/chaos"
	"github.com/zenconn/server/test/server"
)

// settings are those of all servers here. Histories hold what is published while a client is away, so that clients miss nothing: minutes, or
// ten seconds at full speed, where a history of minutes would make publishing slow.
func settings() string {
	return fmt.Sprintf(`
api: {insecure: true}
client: {max_connections: 0, limits: {commands_per_second: 0}}
auth: {type: none, user: claimed}
namespaces:
  default: {subscribe: anyone, publish: anyone, history_size: %d, history_ttl: 10m, recovery: true}
`, times(10_000, 1000))
}

// world is an installation with its ClickHouse, under load.
type world struct {
	t       *testing.T
	engine  *engine
	network *audittest.Proxy // Between the servers and ClickHouse.
	servers []*server.Server
	fleet   *chaos.Fleet
	began   time.Time
}

// durable is the configuration of the audit under test.
func durable(network *audittest.Proxy, engine *engine) string {
	return fmt.Sprintf("audit: {mode: durable, on_full: block, clickhouse: {dsn: %q, timeout: 5s}}\n", engine.dsn(network.Address()))
}

func newEngineBehind(t *testing.T) (*engine, *audittest.Proxy) {
	t.Helper()
	e := newEngine(t, int64(times(512, 6*1024))<<20)
	return e, audittest.StartProxy(t, "127.0.0.1:0", e.address)
}

// board lets the clients in.
func (w *world) board() {
	w.t.Helper()
	var urls []string
	for _, s := range w.servers {
		urls = append(urls, "ws://"+s.Addr()+"/connection/websocket")
	}
	w.fleet = chaos.Board(w.t, chaos.Load{Subscribers: *clients - *channels, Channels: *channels, Rate: *rate / *channels, URLs: urls})
	w.engine.awaitTables()
	w.began = time.Now()
}

// grow lets so many seconds' messages be acknowledged, at the rate that was asked for.
func (w *world) grow(seconds float64) {
	w.t.Helper()
	grow(w.t, w.fleet, int(seconds*float64(*rate)))
}

func grow(t *testing.T, f *chaos.Fleet, by int) {
	t.Helper()
	enough := f.Acknowledged() + by
	chaos.Await(t, 5*chaos.Patience, "clients publish", func() string {
		if n := f.Acknowledged(); n < enough {
			return fmt.Sprintf("%d of %d were acknowledged", by-enough+n, by)
		}
		return ""
	})
}

// stores waits until ClickHouse has got something more.
func (w *world) stores() {
	w.t.Helper()
	before, acknowledged := w.engine.number("count()", "audit_messages"), w.fleet.Acknowledged()
	chaos.Await(w.t, chaos.Patience, "ClickHouse gets messages", func() string {
		if w.engine.number("count()", "audit_messages") <= before {
			return fmt.Sprintf("it has got none; %d were acknowledged", w.fleet.Acknowledged()-acknowledged)
		}
		return ""
	})
}

// complains waits until a server says that the store does not take events.
func (w *world) complains() {
	w.t.Helper()
	chaos.Await(w.t, 2*chaos.Patience, "/readyz tells", func() string {
		for _, s := range w.servers {
			for part, problem := range s.Health().Checks {
				if strings.Contains(problem, "wait in the spool") {
					w.t.Logf("/readyz says of the part %q: %s", part, problem)
					return ""
				}
			}
		}
		return "it does not"
	})
}

// fault is what is done to a world. What follows it must find the world whole.
type fault struct {
	name string
	do   func(w *world)
}

// The faults that one agent with workers must stand.
var faults = []fault{
	{"ClickHouse killed", func(w *world) {
		for range times(2, 20) {
			w.stores()
			<-time.After(rand.N(time.Second)) // In the middle of something.
			w.engine.kill()
			w.grow(0.5)
			w.engine.start()
		}
	}},
	{"answers lost", func(w *world) {
		for range times(1, 10) {
			w.network.LoseAnswers(3)
			lost := w.network.AnswersLost() + 3
			chaos.Await(w.t, 2*chaos.Patience, "answers are lost", func() string {
				if n := w.network.AnswersLost(); n < lost {
					return fmt.Sprintf("%d of %d", n, lost)
				}
				return ""
			})
			w.network.Cut() // In the middle of an insert, or not.
			w.stores()
		}
	}},
	{"ClickHouse frozen", func(w *world) {
		thaw := time.Now().Add(lasting(30 * time.Second))
		w.engine.freeze()
		defer w.engine.thaw()
		w.complains()
		<-time.After(time.Until(thaw))
	}},
	{"ClickHouse's disk full", func(w *world) {
		if w.engine.disk != nil {
			testenv.Skip(w.t, "a small disk is a tmpfs, which takes root to mount: "+w.engine.disk.Error())
		}
		w.network.Freeze(true)
		w.network.Cut()
		w.engine.rest()
		release := w.engine.fill(0)
		w.network.Freeze(false)
		w.network.Cut() // Connections of the time in which nothing came through.
		w.complains()
		w.grow(float64(times(1, 10)))
		release()
		w.engine.do("SYSTEM START MERGES")
	}},
	{"workers killed", func(w *world) {
		api := chaos.NewAPI(w.t, w.servers[0].APIAddr())
		for range times(2, 10) {
			w.grow(0.5)
			killWorker(w.t, api)
			w.fleet.AwaitAll()
		}
	}},
	{"agent killed", func(w *world) {
		for range times(1, 5) { // With the embedded bus and who drains it.
			w.grow(0.5)
			w.servers[0].KillAgent()
			w.servers[0].Run()
			w.fleet.AwaitAll()
		}
	}},
	{"all killed", func(w *world) {
		for range times(1, 5) { // Nobody is left who sees it.
			w.grow(0.5)
			w.servers[0].Kill()
			w.servers[0].Run()
			w.fleet.AwaitAll()
		}
	}},
}

// In durable mode every acknowledged message is in ClickHouse exactly once and with the right numbers, whatever is broken.
func TestFaults(t *testing.T) {
	t.Parallel()
	w := &world{t: t}
	w.engine, w.network = newEngineBehind(t)
	w.servers = []*server.Server{server.Start(t, server.Options{
		Args: []string{"--agent.workers", "3"}, Config: settings() + durable(w.network, w.engine),
	})}
	w.board()
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			began, before := time.Now(), w.fleet.Acknowledged()
			broken := *w
			broken.t = t
			f.do(&broken)
			w.fleet.AwaitAll()
			w.stores()
			w.grow(0.5)
			took := time.Since(began)
			t.Logf("%.0f s, %.0f messages acknowledged a second", took.Seconds(), float64(w.fleet.Acknowledged()-before)/took.Seconds())
		})
	}
	w.verify()
}

// The same for the one of three agents on an external NATS that drains the spool.
func TestSinkLeaderKilled(t *testing.T) {
	t.Parallel()
	w := &world{t: t}
	w.engine, w.network = newEngineBehind(t)
	nats := server.NATSNodes(t, 1)[0]
	nats.Run()
	nats.AwaitReady()
	for i := range 3 {
		w.servers = append(w.servers, server.Launch(t, server.Options{
			Config: settings() + durable(w.network, w.engine) + fmt.Sprintf("bus: {url: %q}\n", nats.URL), Args: []string{"--agent.name", fmt.Sprintf("agent%d", i)},
		}))
	}
	for _, s := range w.servers {
		s.AwaitReady()
	}
	w.board()
	for range times(1, 5) {
		w.grow(1)
		leader := w.leader()
		leader.Kill() // With its clients.
		w.grow(0.5)
		w.stores() // By another one.
		leader.Run()
		w.fleet.AwaitAll()
	}
	w.verify()
}

// leader returns the agent that drains the spool.
func (w *world) leader() (leader *server.Server) {
	w.t.Helper()
	chaos.Await(w.t, chaos.Patience, "an agent drains the spool", func() string {
		for _, s := range w.servers {
			if metric(w.t, s, "zenconn_audit_drain_leading") == 1 {
				leader = s
				return ""
			}
		}
		return "none does"
	})
	return leader
}

// killWorker kills the worker that has the most clients.
func killWorker(t *testing.T, api *chaos.API) {
	t.Helper()
	var victim chaos.Process
	chaos.Await(t, chaos.Patience, "a worker has clients", func() string {
		victim = chaos.Process{}
		for _, w := range api.Workers() {
			if w.Sessions > victim.Sessions {
				victim = w
			}
		}
		if victim.PID == 0 {
			return "none has"
		}
		return ""
	})
	process, err := os.FindProcess(victim.PID)
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Kill(); err != nil {
		t.Fatal(err)
	}
}

// metric returns what a server says of one, added up over its labels.
func metric(t *testing.T, s *server.Server, name string) (sum float64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), chaos.Patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.APIAddr()+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	found := false
	for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
		what, value, _ := strings.Cut(lines.Text(), " ")
		if what != name && !strings.HasPrefix(what, name+"{") {
			continue
		}
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			t.Fatalf("%s: %v", lines.Text(), err)
		}
		found, sum = true, sum+n
	}
	if !found {
		t.Fatalf("there is no metric %s", name)
	}
	return sum
}

// verifies has the command judge the record.
func verifies(t *testing.T, s *server.Server) {
	t.Helper()
	code, stdout, stderr := server.Execute(t, s.Dir(), "audit", "verify", "--data", "data", "--config", "zenconn.yaml")
	if code != 0 {
		t.Errorf("the record does not verify: %s%s", stdout, stderr)
	}
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	t.Log(strings.Join(slices.Compact(lines[:min(len(lines), 6)]), "\n"))
}
