package cli_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/zenconn/server/audit"
	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/api"
	"github.com/zenconn/server/core/cli"
	"github.com/zenconn/server/core/metrics"
	"github.com/zenconn/server/internal/testenv"
)

const apiKey = "a-key-of-sixteen-bytes-and-more"

// scene is a fleet as a test wants it; each Status takes the next of the steps, and the last one stays.
type scene struct {
	mu      sync.Mutex
	steps   []api.FleetStatus
	refused error
	aside   int // Batches of the audit.
}

func (s *scene) Status(context.Context) (*api.FleetStatus, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.steps[0]
	if len(s.steps) > 1 {
		s.steps = s.steps[1:]
	}
	return &now, nil
}

func (s *scene) RestartWorkers(context.Context) (*api.FleetRestart, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refused != nil {
		return nil, s.refused
	}
	return &api.FleetRestart{Agent: "host", Running: true, Begun: begun, Count: 2}, nil
}

func (s *scene) Retry(context.Context) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.aside
	s.aside = 0
	return n, s.refused
}

var begun = time.Unix(1000, 0).UTC()

// deaf records nothing.
type deaf struct{}

func (deaf) Record(audit.Event) {}

// serveScene answers the server API for a fleet, and returns the flags of those who ask.
func serveScene(t *testing.T, s *scene) []string {
	t.Helper()
	registry, log := prometheus.NewRegistry(), slog.New(slog.DiscardHandler)
	commands := api.NewCommands(api.Options{
		Key: apiKey, RequestSize: 1 << 20, Node: "host", Fleet: s, Plugins: s, Audit: s, Recorder: deaf{}, Metrics: metrics.New(registry), Log: log,
	})
	server := httptest.NewServer(api.Handler(registry, nil, commands, log))
	t.Cleanup(server.Close)
	return []string{"--api.addr", strings.TrimPrefix(server.URL, "http://"), "--api.key", apiKey}
}

func TestStatusTable(t *testing.T) {
	crash := &api.FleetCrash{At: time.Now().Add(-90*time.Minute - 20*time.Second), Text: "exit status 2", Lines: []string{"one", "panic: \x1b[31mno", "2", "3", "4", "5"}}
	busy := api.FleetNode{
		UID: "u2", Name: "host-1", Kind: "worker", Agent: "host", Worker: 1, Version: "v1.2.3", PID: 4242, State: "ready", Uptime: 93784, Sessions: 12345,
		Users: 9999, Channels: 77, Subscriptions: 5, MessagesIn: 2.25, MessagesOut: 12345.6, Memory: 150 << 20, Restarts: 1, LastCrash: crash,
	}
	for name, test := range map[string]struct {
		status api.FleetStatus
		want   string
	}{
		"problems first": {
			api.FleetStatus{
				Nodes: []api.FleetNode{
					{Name: "host-2", Kind: "worker", Agent: "host", Worker: 2, State: "crash loop", Problem: "ended: exit status 2", Restarts: 7, LastCrash: crash},
					{UID: "u1", Name: "host", Kind: "agent", Version: "v1.2.3", PID: 7, State: "ready", Uptime: 61, Memory: 20 << 30},
					busy,
				},
				Restarts: []api.FleetRestart{{Agent: "host", Done: 1, Count: 2, Error: "host-2: the replacement was not ready within 30s"}},
			},
			`! host-2: ended: exit status 2
    panic: \x1b[31mno
    2
    3
    4
    5
! host: the restart of its workers was given up after 1 of 2: host-2: the replacement was not ready within 30s

NAME    KIND    STATE         VERSION   PID  UPTIME  SESSIONS  USERS  CHANNELS  IN/S  OUT/S    MEMORY  RESTARTS  LAST CRASH
host-2  worker  crash loop    -           -       -         -      -         -     -      -         -         7  1h30m ago: exit status 2
host    agent   ready         v1.2.3      7   1m01s         0      0         0     0      0  20.0 GiB         0
host-1  worker  ready         v1.2.3   4242   1d02h     12345   9999        77   2.2  12346   150 MiB         1  1h30m ago: exit status 2
total           2 of 3 ready                            12345                    2.2  12346  20.1 GiB         8
`,
		},
		"a restart is under way": {
			api.FleetStatus{Nodes: []api.FleetNode{}, Restarts: []api.FleetRestart{{Agent: "host", Running: true, Done: 1, Count: 4}}},
			`NAME   KIND  STATE         VERSION  PID  UPTIME  SESSIONS  USERS  CHANNELS  IN/S  OUT/S  MEMORY  RESTARTS  LAST CRASH
total        0 of 0 ready                               0                      0      0   0 MiB         0

host is restarting its workers: 1 of 4 done
`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			flags := serveScene(t, &scene{steps: []api.FleetStatus{test.status}})
			got := typed(t, nil, append([]string{"status"}, flags...)...)
			if got.code != 0 || got.stderr != "" || got.stdout != test.want {
				t.Errorf("%d %s\ngot\n%s\nwant\n%s", got.code, got.stderr, got.stdout, test.want)
			}
			got = typed(t, nil, append([]string{"status", "--json"}, flags...)...)
			var status api.FleetStatus
			if err := json.Unmarshal([]byte(got.stdout), &status); err != nil || got.code != 0 || len(status.Nodes) != len(test.status.Nodes) {
				t.Errorf("%v in %+v", err, got)
			}
		})
	}
}

func TestRestartWorkers(t *testing.T) {
	at := func(done int, running bool, text string) api.FleetStatus {
		return api.FleetStatus{Restarts: []api.FleetRestart{
			{Agent: "other", Running: true, Begun: begun},
			{Agent: "host", Running: running, Begun: begun, Done: done, Count: 2, Error: text},
		}}
	}
	for name, test := range map[string]struct {
		scene *scene
		want  command
	}{
		"all is well": {
			&scene{steps: []api.FleetStatus{at(0, true, ""), at(1, true, ""), at(2, false, "")}},
			command{0, "restarting the workers of host: 2\n1 of 2 restarted\n2 of 2 restarted\n", ""},
		},
		"given up": {
			&scene{steps: []api.FleetStatus{at(1, false, "host-2: the replacement was not ready within 30s")}},
			command{1, "restarting the workers of host: 2\n1 of 2 restarted\n",
				"zenconn: given up after 1 of 2: host-2: the replacement was not ready within 30s\n"},
		},
		"the server was started again": {
			&scene{steps: []api.FleetStatus{{}}},
			command{1, "restarting the workers of host: 2\n", "zenconn: the server does not know the restart any more: it was itself started again meanwhile\n"},
		},
		"one is under way": {
			&scene{refused: core.ErrNotAvailable.Saying("a restart of the workers is already under way")},
			command{1, "", "zenconn: not available: a restart of the workers is already under way\n"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := typed(t, nil, append([]string{"restart", "workers"}, serveScene(t, test.scene)...)...); got != test.want {
				t.Errorf("got  %+v\nwant %+v", got, test.want)
			}
		})
	}
}

func TestAskingTheAPIFails(t *testing.T) {
	flags := serveScene(t, &scene{steps: []api.FleetStatus{{}}})
	addr := flags[1]
	old := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `{"error":{"code":104,"message":"method not found"}}`)
	}))
	defer old.Close()
	foreign := httptest.NewServer(http.NotFoundHandler())
	defer foreign.Close()
	nobody := testenv.FreeAddr(t)
	for name, test := range map[string]struct {
		flags []string
		code  int
		want  string
	}{
		"nobody is there": {[]string{"--api.addr", nobody, "--api.key", apiKey}, 1, "no server answers at http://" + nobody + " (api.addr); is it running? (connection refused)"},
		"wrong key":       {[]string{"--api.addr", addr, "--api.key", apiKey + "x"}, 1, "the server has another api.key than this configuration"},
		"no key": {
			[]string{"--api.addr", addr}, 1,
			"the server wants its key: give the api.key of its configuration, as ZENCONN_API__KEY in the environment for example",
		},
		"no listener": {[]string{"--api.addr", ""}, 2, "the server has no API listener to ask: set api.addr\nrun 'zenconn COMMAND --help'"},
		"an old one": {
			[]string{"--api.addr", strings.TrimPrefix(old.URL, "http://")}, 1,
			`the server at ` + old.URL + ` does not know "METHOD": its version is another one`,
		},
		"somebody else": {
			[]string{"--api.addr", strings.TrimPrefix(foreign.URL, "http://")}, 1,
			"what answers at " + foreign.URL + " (api.addr) is not ZenConn's API: status 404 Not Found",
		},
	} {
		for method, words := range map[string][]string{"status": {"status"}, "restart": {"restart", "workers"}} {
			t.Run(name+" "+method, func(t *testing.T) {
				want := command{test.code, "", "zenconn: " + strings.NewReplacer("METHOD", method, "COMMAND", strings.Join(words, " ")).Replace(test.want) + "\n"}
				if got := typed(t, nil, append(words, test.flags...)...); got != want {
					t.Errorf("got  %+v\nwant %+v", got, want)
				}
			})
		}
	}
	for want, words := range map[string][]string{
		"--watch needs a terminal":                 {"status", "--watch"},
		"--watch and --json exclude each other":    {"status", "--watch", "--json"},
		"restart: say which: workers":              {"restart"},
		`unknown command "zenconn restart agents"`: {"restart", "agents"},
	} {
		if got := typed(t, nil, words...); got.code != 2 || !strings.HasPrefix(got.stderr, "zenconn: "+want) {
			t.Errorf("%v: %+v", words, got)
		}
	}
}

// A server that is one process has a status, and nothing to restart.
func TestStatusOfOneProcess(t *testing.T) {
	inFolder(t)
	s := serve(t, "--demo")
	flags := []string{"--api.addr", s.api}
	got := typed(t, nil, append([]string{"status"}, flags...)...)
	if lines := strings.Split(got.stdout, "\n"); got.code != 0 || len(lines) != 4 || !strings.Contains(lines[1], " agent  ready ") || !strings.HasPrefix(lines[2], "total ") {
		t.Errorf("%+v", got)
	}
	got = typed(t, nil, append([]string{"restart", "workers"}, flags...)...)
	if want := "zenconn: not available: there are no worker processes to restart: agent.workers is 0\n"; got != (command{1, "", want}) {
		t.Errorf("%+v", got)
	}
	s.stop()
}

func TestWatch(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var out strings.Builder
	turn := 0
	err := cli.Watch(ctx, &out, time.Millisecond, func(_ context.Context, w io.Writer) error {
		switch turn++; turn {
		case 2:
			return errors.New("no server answers")
		case 4:
			cancel()
			return ctx.Err()
		}
		_, err := io.WriteString(w, "fine\n")
		return err
	})
	const clear = "\x1b[H\x1b[J"
	if want := clear + "fine\n" + clear + "no server answers\n" + clear + "fine\n"; err != nil || out.String() != want {
		t.Errorf("%v %q", err, &out)
	}
}
