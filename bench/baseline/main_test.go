package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zenconn/server/bench"
	"github.com/zenconn/server/bench/benchtest"
	"github.com/zenconn/server/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// start runs the control and returns its host:port.
func start(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(newBroadcaster())
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// small returns the options of a short run.
func small(scenario bench.Scenario, addr string) bench.Options {
	o := bench.Defaults(scenario)
	o.URL = "ws://" + addr + "/"
	o.Warmup, o.Duration = 100*time.Millisecond, 400*time.Millisecond
	switch scenario {
	case bench.Fanout:
		o.Clients, o.Publishers = 20, 3
	case bench.Channels:
		o.Channels, o.Publishers = 10, 4
	case bench.History:
		o.Channels, o.Publishers = 10, 4
	default:
		o.Clients = 20
	}
	return o
}

func TestScenarios(t *testing.T) {
	for _, scenario := range []bench.Scenario{bench.Fanout, bench.Channels, bench.Echo, bench.Connect, bench.Idle, bench.History} {
		for name, change := range map[string]func(*bench.Options){
			"closed loop": func(o *bench.Options) { o.Rate = 0 },
			"open loop":   func(o *bench.Options) { o.Rate = 500 },
			"goroutines":  func(o *bench.Options) { o.Rate, o.Readers = 0, -1 },
			"two readers": func(o *bench.Options) { o.Rate, o.Readers = 0, 2 },
			"processes":   func(o *bench.Options) { o.PIDs = []int{os.Getpid()} },
		} {
			t.Run(string(scenario)+", "+name, func(t *testing.T) {
				o := small(scenario, start(t))
				change(&o)
				if len(o.PIDs) > 0 && runtime.GOOS != "linux" {
					t.Skip("only Linux says what a process uses")
				}
				r, err := bench.Run(t.Context(), o, nil)
				if err != nil {
					t.Fatal(err)
				}
				check(t, r)
			})
		}
	}
}

func TestBareHandshakes(t *testing.T) {
	o := small(bench.Connect, start(t))
	o.Bare = true
	r, err := bench.Run(t.Context(), o, nil)
	if err != nil {
		t.Fatal(err)
	}
	check(t, r)
	o.UserData = "somebody"
	if _, err := bench.Run(t.Context(), o, nil); err == nil {
		t.Error("without a connect command nobody can say who connects")
	}
	o = small(bench.Echo, "127.0.0.1:1")
	o.Bare = true
	if _, err := bench.Run(t.Context(), o, nil); err == nil || !strings.Contains(err.Error(), "only connect can do it") {
		t.Errorf("echo without connect commands: %v", err)
	}
}

// check looks at the report of a run in which all went well.
func check(t *testing.T, r *bench.Report) {
	t.Helper()
	var table, line bytes.Buffer
	if err := r.WriteTable(&table, true); err != nil {
		t.Fatal(err)
	}
	if err := r.WriteJSON(&line); err != nil {
		t.Fatal(err)
	}
	if err := r.Err(); err != nil {
		t.Fatalf("%v\n%s", err, &table)
	}
	published := r.Verification.Published > 0
	if quiet := r.Options.Scenario == bench.Connect || r.Options.Scenario == bench.Idle; published == quiet || r.Connections == 0 || !strings.Contains(table.String(), "no disconnects") {
		t.Errorf("nothing was done:\n%s", &table)
	}
	if v := r.Verification; v.Received != v.Expected || (r.Latency == nil) != (r.Count == 0 || r.Options.Scenario == bench.Idle) {
		t.Errorf("received %d of %d, latency %v", v.Received, v.Expected, r.Latency)
	}
	if (r.Server != nil) != (len(r.Options.PIDs) > 0) || (r.Server != nil && r.Server.RSSConnected == 0) {
		t.Errorf("the server used %+v", r.Server)
	}
	var back map[string]any
	if err := json.Unmarshal(line.Bytes(), &back); err != nil || bytes.Count(line.Bytes(), []byte("\n")) != 1 {
		t.Errorf("not one line of JSON: %v\n%s", err, &line)
	}
}

func TestFaultsAreFound(t *testing.T) {
	t.Parallel() // It mostly waits for what is lost.
	var mu sync.Mutex
	var held []byte
	for name, test := range map[string]struct {
		edit  func(n int, frame []byte) [][]byte
		found func(bench.Verification) uint64
		says  string
	}{
		"lost": {
			func(n int, f []byte) [][]byte {
				if n == 30 {
					return nil
				}
				return [][]byte{f}
			},
			func(v bench.Verification) uint64 { return v.Lost }, "1 lost",
		},
		"duplicated": {
			func(n int, f []byte) [][]byte {
				if n == 30 {
					return [][]byte{f, f}
				}
				return [][]byte{f}
			},
			func(v bench.Verification) uint64 { return v.Duplicated }, "1 duplicated",
		},
		"out of order": {
			func(n int, f []byte) [][]byte {
				mu.Lock()
				defer mu.Unlock()
				if n == 30 {
					held = f
					return nil
				}
				if held != nil {
					first := held
					held = nil
					return [][]byte{f, first}
				}
				return [][]byte{f}
			},
			func(v bench.Verification) uint64 { return v.Reordered }, "1 out of order",
		},
		"damaged": {
			func(n int, f []byte) [][]byte {
				if n == 30 {
					f = bytes.Replace(f, []byte("zcb:0"), []byte("zcb:!"), 1)
				}
				return [][]byte{f}
			},
			func(v bench.Verification) uint64 { return v.Damaged }, "1 damaged",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, end := context.WithCancel(t.Context())
			defer end()
			o := small(bench.Fanout, benchtest.Tamper(t, start(t), func(n int, frame []byte) [][]byte {
				if n == 60 { // The fault is there, and something after it.
					end()
				}
				return test.edit(n, frame)
			}))
			o.Clients, o.Publishers, o.Rate, o.Duration = 1, 1, 200, 10*time.Minute
			r, err := bench.Run(ctx, o, nil)
			if err != nil {
				t.Fatal(err)
			}
			if test.found(r.Verification) != 1 || r.Err() == nil || !strings.Contains(r.Err().Error(), test.says) {
				t.Errorf("%v; %+v", r.Err(), r.Verification)
			}
		})
	}
}

// A run that cannot go on ends by itself, with the loss in its report.
func TestDeadConnectionEndsTheRun(t *testing.T) {
	t.Parallel() // It mostly waits for what the connection would have brought.
	o := small(bench.Fanout, benchtest.Tamper(t, start(t), func(n int, f []byte) [][]byte {
		if n == 30 {
			return [][]byte{{0x88, 6, 0x0B, 0xC0, 's', 'l', 'o', 'w'}} // Close, 3008.
		}
		return [][]byte{f}
	}))
	o.Duration = 10 * time.Minute
	r, err := bench.Run(t.Context(), o, nil)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(r.Errors, "\n")
	if v := r.Verification; v.Disconnected != 1 || v.Lost == 0 || r.Err() == nil || !strings.Contains(text, "3008 slow") {
		t.Errorf("%v; %+v; %s", r.Err(), v, text)
	}
}

func TestInterruptedRunHasFigures(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	o := small(bench.Fanout, start(t))
	o.Duration = 10 * time.Minute
	var phases []string
	r, err := bench.Run(ctx, o, func(p bench.Progress) {
		phases = append(phases, p.Phase)
		if p.Phase == "running" && p.Rate > 0 {
			cancel()
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if !r.Interrupted || r.Count == 0 || r.Verification.Lost != 0 || r.Err() == nil || r.Seconds > 300 {
		t.Errorf("%v; %+v; phases %v", r.Err(), r, phases)
	}
}

// What goes wrong before anything is measured is said in a sentence that helps.
func TestRefusals(t *testing.T) {
	free := testenv.FreeAddr(t)
	page := httptest.NewServer(nil)
	t.Cleanup(page.Close)
	for name, test := range map[string]struct {
		change func(*bench.Options)
		says   string
	}{
		"nobody listens":      {func(o *bench.Options) { o.URL = "ws://" + free + "/" }, "is the server running?"},
		"not a WebSocket":     {func(o *bench.Options) { o.URL = "ws://" + page.Listener.Addr().String() + "/x" }, "404 Not Found"},
		"other protocol":      {func(o *bench.Options) { o.Protocol = bench.Protobuf }, "handshake"},
		"wrong URL":           {func(o *bench.Options) { o.URL = "http://127.0.0.1/" }, "want ws://"},
		"too small":           {func(o *bench.Options) { o.Size = 10 }, "size: want"},
		"nobody":              {func(o *bench.Options) { o.Clients = 0 }, "at least one client"},
		"too many":            {func(o *bench.Options) { o.Clients = 1 << 40 }, "more than"},
		"unknown scenario":    {func(o *bench.Options) { o.Scenario = "dance" }, "scenario: want"},
		"unknown process":     {func(o *bench.Options) { o.PIDs = []int{1 << 30} }, ""},
		"two kinds of tokens": {func(o *bench.Options) { o.Token, o.TokenSecret = "a", "b" }, "exclude"},
	} {
		t.Run(name, func(t *testing.T) {
			o := small(bench.Fanout, start(t))
			test.change(&o)
			if _, err := bench.Run(t.Context(), o, nil); err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %v, want %q", err, test.says)
			}
		})
	}
}

// TestStorm has clients come and go while others are measured.
func TestStorm(t *testing.T) {
	addr := start(t)
	o := small(bench.Echo, addr)
	o.Rate, o.Storm = 200, 4
	r, err := bench.Run(t.Context(), o, nil)
	if err != nil {
		t.Fatal(err)
	}
	check(t, r)
	if s := r.Storm; s == nil || s.AtATime != 4 || s.Connected == 0 || s.Refused+s.Failed > 0 || s.Problem != "" {
		t.Errorf("the storm: %+v", s)
	}
	o = small(bench.Fanout, addr)
	o.Storm = 1
	if r, err := bench.Run(t.Context(), o, nil); err == nil {
		t.Errorf("a storm in another scenario: %+v", r.Storm)
	}
}
