package audit_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"

	driver "github.com/ClickHouse/clickhouse-go/v2"

	"github.com/zenconn/server/audit/audittest"
	"github.com/zenconn/server/internal/testenv"
	"github.com/zenconn/server/test/chaos"
	"github.com/zenconn/server/test/server"
)

func TestMain(m *testing.M) { server.Main(m) }

const config = `
api: {insecure: true}
client: {max_connections: 0, limits: {commands_per_second: 0}, ping: {interval: 5s, timeout: 3s}}
auth: {type: none, user: claimed}
namespaces:
  default: {subscribe: anyone, publish: anyone, history_size: 20000, history_ttl: 10m, recovery: true}
`

// rounds is how often everything is broken: longer with ZENCONN_TEST_AUDIT_ROUNDS.
func rounds(t *testing.T) int {
	t.Helper()
	text := os.Getenv("ZENCONN_TEST_AUDIT_ROUNDS")
	if text == "" {
		return 1
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("ZENCONN_TEST_AUDIT_ROUNDS is %q", text)
	}
	return n
}

// clickhouse makes an empty database, and returns where it is and its DSN by way of another address.
func clickhouse(t *testing.T) (target string, through func(address string) string) {
	t.Helper()
	dsn, err := url.Parse(testenv.ClickHouse(t))
	if err != nil {
		t.Fatal(err)
	}
	options, err := driver.ParseDSN(dsn.String())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := driver.Open(options)
	if err != nil {
		t.Fatal(err)
	}
	name := "zenconn_faults_" + strings.ToLower(rand.Text()[:12])
	if err := conn.Exec(t.Context(), "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Exec(context.Background(), "DROP DATABASE "+name); err != nil {
			t.Error(err)
		}
		conn.Close()
	})
	target, dsn.Path = dsn.Host, "/"+name
	return target, func(address string) string {
		by := *dsn
		by.Host = address
		return by.String()
	}
}

// count asks for one number.
func count(t *testing.T, s *server.Server, sql string) int {
	t.Helper()
	rows := s.Audit(sql)
	if len(rows) != 1 {
		t.Fatalf("%s: %v", sql, rows)
	}
	for _, value := range rows[0] {
		n, err := strconv.ParseFloat(fmt.Sprint(value), 64)
		if err != nil {
			t.Fatal(err)
		}
		return int(n)
	}
	return 0
}

func grow(t *testing.T, f *chaos.Fleet, by int) {
	t.Helper()
	enough := f.Acknowledged() + by
	chaos.Await(t, chaos.Patience, "clients publish", func() string {
		if f.Acknowledged() < enough {
			return "too little was acknowledged"
		}
		return ""
	})
}

// In durable mode every acknowledged message is in ClickHouse exactly once, whoever was killed, and the record verifies.
func TestFaults(t *testing.T) {
	target, through := clickhouse(t)
	proxy := audittest.StartProxy(t, "127.0.0.1:0", target)
	address := proxy.Address()
	s := server.Start(t, server.Options{Topology: server.Workers, Config: config + fmt.Sprintf(
		"audit: {mode: durable, on_full: block, clickhouse: {dsn: %q, timeout: 5s}}\n", through(address))})
	api := chaos.NewAPI(t, s.APIAddr())
	f := chaos.Board(t, chaos.Load{Subscribers: 40, Channels: 20, Rate: 50, URLs: []string{"ws://" + s.Addr() + "/connection/websocket"}})
	for range rounds(t) {
		grow(t, f, 200)
		proxy.LoseAnswers(5)
		grow(t, f, 500)
		proxy.Stop() // As if ClickHouse were killed.
		grow(t, f, 500)
		proxy = audittest.StartProxy(t, address, target)
		killWorker(t, api)
		f.AwaitAll()
		grow(t, f, 300)
		proxy.Freeze(true)
		grow(t, f, 500)
		s.KillAgent() // With the embedded bus and the drain's leader in it.
		s.Run()
		proxy.Freeze(false)
		proxy.Cut()
		f.AwaitAll()
		grow(t, f, 300)
	}
	f.Verify()
	acknowledged := f.Numbers()
	chaos.Await(t, 2*chaos.Patience, "all is in ClickHouse", func() string {
		for channel, numbers := range acknowledged {
			sql := fmt.Sprintf("SELECT count(DISTINCT payload) AS n FROM audit_messages WHERE channel = '%s'", channel)
			if n := count(t, s, sql); n < len(numbers) {
				return fmt.Sprintf("%s has %d of %d", channel, n, len(numbers))
			}
		}
		return ""
	})
	if n := count(t, s, "SELECT count(*) - count(DISTINCT id) AS n FROM audit_messages"); n != 0 {
		t.Errorf("%d messages are there twice", n)
	}
	missing := unaudited(s, acknowledged)
	if missing > 0 {
		t.Errorf("%d acknowledged messages are missing", missing)
	}
	t.Logf("%d messages in the audit, of which %d were acknowledged; %d connections broken", count(t, s, "SELECT count(*) AS n FROM audit_messages"), f.Acknowledged(), f.Breaks())
	s.Stop()
	if n := count(t, s, "SELECT count(*) AS n FROM audit_sessions WHERE version % 3 = 1"); n != 0 {
		t.Errorf("%d sessions are still open", n)
	}
	verifies(t, s)
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

// unaudited returns how many of the acknowledged messages are not in the audit.
func unaudited(s *server.Server, acknowledged map[string][]int64) (missing int) {
	for channel, numbers := range acknowledged {
		there := map[string]bool{}
		for _, row := range s.Audit(fmt.Sprintf("SELECT payload FROM audit_messages WHERE channel = '%s'", channel)) {
			there[fmt.Sprint(row["payload"])] = true
		}
		for _, number := range numbers {
			if !there[strconv.FormatInt(number, 10)] {
				missing++
			}
		}
	}
	return missing
}

// In fast mode a worker that is killed takes with it what it had not handed to the spool: what was published within the flush interval.
func TestFastLoss(t *testing.T) {
	_, through := clickhouse(t)
	real, err := url.Parse(testenv.ClickHouse(t))
	if err != nil {
		t.Fatal(err)
	}
	const channels, rate = 20, 50
	s := server.Start(t, server.Options{Topology: server.Workers, Config: config + fmt.Sprintf("audit: {clickhouse: {dsn: %q}}\n", through(real.Host))})
	api := chaos.NewAPI(t, s.APIAddr())
	f := chaos.Board(t, chaos.Load{Subscribers: 20, Channels: channels, Rate: rate, URLs: []string{"ws://" + s.Addr() + "/connection/websocket"}})
	killed := 0
	for range 2 * rounds(t) {
		grow(t, f, 1000)
		killWorker(t, api)
		killed++
		f.AwaitAll()
	}
	f.Verify()
	acknowledged := f.Numbers()
	s.Stop() // What was recorded is stored then.
	missing := unaudited(s, acknowledged)
	if most := killed * channels * rate; missing > most {
		t.Errorf("%d messages are missing, more than all that are published in %d seconds", missing, killed)
	}
	t.Logf("%d workers killed at %d messages a second: %d of %d acknowledged messages are not in the audit", killed, channels*rate, missing, f.Acknowledged())
	verifies(t, s)
}

// verifies has the command judge the record.
func verifies(t *testing.T, s *server.Server) {
	t.Helper()
	var said string
	chaos.Await(t, chaos.Patience, "the record verifies", func() string {
		code, stdout, stderr := server.Execute(t, s.Dir(), "audit", "verify", "--data", "data", "--config", "zenconn.yaml")
		if said = stdout; code != 0 {
			return stdout + stderr
		}
		return ""
	})
	t.Log(said)
}

// A ClickHouse that refuses us, as for a wrong password or a database that is not there, keeps nobody from talking: the server says what is
// wrong, and what waits. (The engine of the tests asks for no password.)
func TestClickHouseThatRefuses(t *testing.T) {
	dsn, err := url.Parse(testenv.ClickHouse(t))
	if err != nil {
		t.Fatal(err)
	}
	dsn.User, dsn.Path = url.UserPassword("default", "wrong-secret"), "/no_such_database"
	s := server.Start(t, server.Options{Config: config + fmt.Sprintf("audit: {spool_size: 1MiB, clickhouse: {dsn: %q}}\n", dsn)})
	f := chaos.Board(t, chaos.Load{Subscribers: 5, Channels: 5, Rate: 50, URLs: []string{"ws://" + s.Addr() + "/connection/websocket"}})
	chaos.Await(t, chaos.Patience, "health tells", func() string {
		if problem := fmt.Sprintf("%+v", s.Health()); !strings.Contains(problem, "wait in the spool") || !strings.Contains(problem, "will be full in") {
			return problem
		}
		return ""
	})
	grow(t, f, 100)
	f.Verify()
	if strings.Contains(s.Log(), "wrong-secret") {
		t.Error("the log shows the password")
	}
	if !strings.Contains(s.Log(), "no_such_database") {
		t.Error("the log does not say what is wrong")
	}
}
