package bench_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os/exec"
	"strings"
	"testing"

	"github.com/zenconn/server/bench"
	"github.com/zenconn/server/bench/benchtest"
	"github.com/zenconn/server/test/server"
)

func TestMain(m *testing.M) { server.Main(m) }

// zenconnBench runs the command as a user would, and returns what it printed and its exit code.
func zenconnBench(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), server.Binary(t), append([]string{"bench"}, args...)...)
	cmd.Dir = t.TempDir()
	var out, err bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &err
	if failed := cmd.Run(); failed != nil {
		exit, ok := errors.AsType[*exec.ExitError](failed)
		if !ok {
			t.Fatal(failed)
		}
		code = exit.ExitCode()
	}
	return out.String(), err.String(), code
}

func url(addr string) string { return "ws://" + addr + "/connection/websocket" }

// Every scenario, in both protocols, against the server as it is without any configuration.
func TestAgainstTheServer(t *testing.T) {
	t.Parallel()
	s := server.Start(t, server.Options{Args: []string{"--demo"}})
	short := []string{"--warmup=100ms", "--duration=500ms"}
	for _, protocol := range []string{bench.JSON, bench.Protobuf} {
		for scenario, args := range map[bench.Scenario][]string{
			bench.Fanout:   append([]string{"--subscribers=50", "--rate=100"}, short...),
			bench.Channels: append([]string{"--channels=20", "--publishers=20", "--rate=200"}, short...),
			bench.Echo:     append([]string{"--clients=20", "--rate=200"}, short...),
			bench.History:  append([]string{"--publishers=20", "--channels=10", "--rate=200"}, short...),
			bench.Connect:  {"--clients=50", "--user-data=bench"},
			bench.Idle:     {"--clients=50", "--duration=500ms"},
			bench.Recovery: {"--clients=20", "--channels=10", "--publishers=10", "--missed=20"},
			bench.Presence: append([]string{"--members=20"}, short...),

			bench.Subscriptions: {"--clients=10", "--channels=20", "--duration=100ms"},
		} {
			t.Run(string(scenario)+", "+protocol, func(t *testing.T) {
				args := append([]string{string(scenario), "--json", "--protocol", protocol, "--url", url(s.Addr())}, args...)
				stdout, stderr, code := zenconnBench(t, args...)
				var r bench.Report
				if err := json.Unmarshal([]byte(stdout), &r); err != nil || code != 0 {
					t.Fatalf("exit code %d, %v\n%s%s", code, err, stdout, stderr)
				}
				if r.Connections == 0 || r.Count == 0 || r.Options.Protocol != protocol || r.Verification.Received != r.Verification.Expected {
					t.Errorf("report %s", stdout)
				}
			})
		}
	}
}

// cluster is a configuration for what demo mode does not show.
const cluster = `
auth: {type: none, user: claimed}
api: {key: sixteen-letters-or-more-1}
client: {limits: {commands_per_second: 0}}
namespaces:
  kept: {subscribe: anyone, publish: anyone, history_size: 100, history_ttl: 10m, recovery: true, history_storage: file}
  shown: {subscribe: anyone, publish: anyone, presence: true}
  plain: {subscribe: anyone, publish: anyone}
`

// What the scenarios look at is the same when clients are spread over workers.
func TestAgainstWorkers(t *testing.T) {
	t.Parallel()
	s := server.Start(t, server.Options{Config: cluster, Topology: server.Workers})
	api := "http://" + s.APIAddr()
	for name, args := range map[string][]string{
		"recovery":                     {"recovery", "--clients=40", "--channels=20", "--missed=60", "--namespace=kept"},
		"recovery of one channel":      {"recovery", "--clients=40", "--channels=1", "--missed=60", "--namespace=kept"},
		"presence":                     {"presence", "--members=60", "--namespace=shown", "--duration=300ms", "--warmup=0s"},
		"presence by the API":          {"presence", "--members=60", "--namespace=shown", "--duration=300ms", "--api-url", api, "--api-key=sixteen-letters-or-more-1"},
		"subscriptions":                {"subscriptions", "--clients=20", "--channels=20", "--namespace=plain", "--duration=100ms"},
		"subscriptions with a history": {"subscriptions", "--clients=20", "--channels=20", "--namespace=kept", "--duration=100ms"},
		"fanout":                       {"fanout", "--subscribers=40", "--namespace=kept", "--duration=300ms", "--warmup=0s", "--publish-url", url(s.Addr())},
	} {
		t.Run(name, func(t *testing.T) {
			stdout, stderr, code := zenconnBench(t, append(args, "--json", "--url", url(s.Addr()))...)
			var r bench.Report
			if err := json.Unmarshal([]byte(stdout), &r); err != nil || code != 0 || r.Count == 0 {
				t.Fatalf("exit code %d, %v\n%s%s", code, err, stdout, stderr)
			}
		})
	}
}

// A publication that is missing from, or unreadable in what was recovered, a presence that is not complete, and a server that cannot do
// what is measured, are found out.
func TestNewsThatIsWrong(t *testing.T) {
	t.Parallel()
	s := server.Start(t, server.Options{Config: cluster})
	api := "http://" + s.APIAddr()
	damaging := benchtest.Tamper(t, s.Addr(), func(_ int, frame []byte) [][]byte {
		if bytes.Contains(frame, []byte(`"recovered":true`)) {
			frame = bytes.Replace(frame, []byte("zcb:"), []byte("xxx:"), 1)
		}
		return [][]byte{frame}
	})
	for name, test := range map[string]struct {
		addr string
		args []string
		says []string
	}{
		"one is damaged":     {damaging, []string{"recovery", "--clients=1", "--channels=1", "--missed=5", "--namespace=kept"}, []string{"1 lost, 1 damaged"}},
		"too many to keep":   {s.Addr(), []string{"recovery", "--clients=1", "--channels=1", "--missed=150", "--namespace=kept"}, []string{" lost"}},
		"no history":         {s.Addr(), []string{"recovery", "--clients=1", "--channels=1", "--namespace=plain"}, []string{"50 lost"}},
		"no presence":        {s.Addr(), []string{"presence", "--members=2", "--namespace=plain"}, []string{"presence command", "error 108"}},
		"the wrong key":      {s.Addr(), []string{"presence", "--members=2", "--namespace=shown", "--api-url", api, "--api-key=x"}, []string{"--api-key"}},
		"too many to follow": {s.Addr(), []string{"subscriptions", "--clients=1", "--channels=500", "--namespace=plain"}, []string{"refused"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // It mostly waits for what is lost.
			args := append(test.args, "--url", url(test.addr), "--json")
			stdout, stderr, code := zenconnBench(t, args...)
			if code != 1 {
				t.Errorf("exit code %d, want 1", code)
			}
			for _, text := range test.says {
				if !strings.Contains(stderr, text) {
					t.Errorf("it does not say %q", text)
				}
			}
			if t.Failed() {
				t.Logf("it printed\n%s%s", stdout, stderr)
			}
		})
	}
}

// A network that loses one frame is found out, and said in the exit code.
func TestLossAgainstTheServer(t *testing.T) {
	t.Parallel() // It mostly waits for what is lost.
	s := server.Start(t, server.Options{Args: []string{"--demo"}})
	lossy := benchtest.Tamper(t, s.Addr(), func(n int, frame []byte) [][]byte {
		if n == 2 { // Of the first publication, so that it is lost however few there are.
			return nil
		}
		return [][]byte{frame}
	})
	stdout, stderr, code := zenconnBench(t, "fanout", "--subscribers=3", "--publishers=2", "--rate=100", "--warmup=0s", "--duration=500ms",
		"--url", url(lossy))
	if code != 1 || !strings.Contains(stdout, " lost") || !strings.Contains(stderr, "the run failed: ") {
		t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}
}

// A refusal of the server names its code and says what to do.
func TestRefusalsOfTheServer(t *testing.T) {
	demo := server.Start(t, server.Options{Args: []string{"--demo"}})
	closed := server.Start(t, server.Options{Config: "auth: {type: jwt, jwt: {hmac_secret: 0123456789abcdef0123456789abcdef}}\n" +
		"namespaces: {news: {subscribe: user, publish: user}}\n"})
	secret := "--token-secret=0123456789abcdef0123456789abcdef"
	for name, test := range map[string]struct {
		addr string
		args []string
		code int
		says []string
	}{
		"unknown namespace":  {demo.Addr(), []string{"--namespace=nowhere"}, 1, []string{"error 102", "--namespace"}},
		"too many commands":  {demo.Addr(), []string{"--publishers=1", "--rate=5000", "--duration=1m"}, 1, []string{" refused"}},
		"no token":           {closed.Addr(), []string{"--namespace=news"}, 1, []string{"--token"}},
		"wrong token":        {closed.Addr(), []string{"--namespace=news", "--token=x"}, 1, []string{"3500", "--token-secret"}},
		"the right one":      {closed.Addr(), []string{"--namespace=news", secret}, 0, nil},
		"no such flag":       {closed.Addr(), []string{"--clients=1"}, 2, []string{"unknown flag"}},
		"impossible payload": {closed.Addr(), []string{"--size=1"}, 2, []string{"size: want"}},
	} {
		t.Run(name, func(t *testing.T) {
			args := append([]string{"fanout", "--subscribers=2", "--publishers=2", "--rate=50", "--warmup=0s", "--duration=300ms", "--url",
				url(test.addr)}, test.args...)
			stdout, stderr, code := zenconnBench(t, args...)
			if code != test.code {
				t.Errorf("exit code %d, want %d", code, test.code)
			}
			for _, text := range test.says {
				if !strings.Contains(stderr, text) {
					t.Errorf("it does not say %q", text)
				}
			}
			if t.Failed() {
				t.Logf("it printed\n%s%s", stdout, stderr)
			}
		})
	}
}

// With --compress the server compresses, and everything is still there.
func TestCompress(t *testing.T) {
	t.Parallel()
	args := []string{"fanout", "--json", "--subscribers=20", "--rate=50", "--size=2000", "--warmup=100ms", "--duration=500ms"}
	measure := func(s *server.Server, more ...string) (r bench.Report) {
		stdout, stderr, code := zenconnBench(t, append(append(args, "--url", url(s.Addr())), more...)...)
		if err := json.Unmarshal([]byte(stdout), &r); err != nil || code != 0 {
			t.Fatalf("exit code %d, %v\n%s%s", code, err, stdout, stderr)
		}
		return r
	}
	s := server.Start(t, server.Options{Args: []string{"--demo", "--client.websocket.compression.enabled=true"}})
	for _, protocol := range []string{bench.JSON, bench.Protobuf} {
		plain, packed := measure(s, "--protocol", protocol), measure(s, "--protocol", protocol, "--compress")
		if packed.Verification.Received == 0 || packed.Verification.Received != packed.Verification.Expected {
			t.Errorf("%s: %+v", protocol, packed.Verification)
		}
		// About: the last bytes that are counted may belong to a delivery that is not.
		if plain.BytesPerCount < 1500 || packed.BytesPerCount <= 0 || packed.BytesPerCount > 0.9*plain.BytesPerCount {
			t.Errorf("%s: %.0f bytes for each delivery became %.0f", protocol, plain.BytesPerCount, packed.BytesPerCount)
		}
	}
	without := server.Start(t, server.Options{Args: []string{"--demo"}})
	_, stderr, code := zenconnBench(t, append(args, "--url", url(without.Addr()), "--compress")...)
	if want := "the server does not compress: see client.websocket.compression.enabled"; code != 1 || !strings.Contains(stderr, want) {
		t.Errorf("exit code %d, %q, want %q", code, stderr, want)
	}
}
