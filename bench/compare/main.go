// Command compare measures the server beside the control (bench/baseline) in the same minutes: every case in turn on the one and on
// the other, several times, and prints medians with their spread as a Markdown table. Absolute figures move with the machine;
// the ratios hold.
//
//	go build -o zenconn . && go run ./bench/compare -server ./zenconn -runs 5
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// configuration opens the server as wide as the control is: no limit of commands, no record of messages unless the case asks.
const configuration = `
auth: {type: none, user: claimed}
client: {limits: {commands_per_second: 0}}
api: {key: comparing-needs-no-secret}
namespaces:
  default: {subscribe: anyone, publish: anyone}
  history: {subscribe: anyone, publish: anyone, history_size: 100, history_ttl: 10m, recovery: true, history_storage: memory}
  durable: {subscribe: anyone, publish: anyone, history_size: 100, history_ttl: 10m, recovery: true, history_storage: file}
  shown: {subscribe: anyone, publish: anyone, presence: true}
`

// measurement is one case.
type measurement struct {
	name   string
	unit   string
	args   []string // Of zenconn bench.
	server []string // Of zenconn, beyond the configuration.
	alone  bool     // The control cannot do it.
	byAPI  bool     // The server API is measured.
}

// spread makes of a case one all in one, and one with worker processes.
func spread(workers int, m measurement) []measurement {
	m.alone = true
	clustered := m
	clustered.name += fmt.Sprintf(", workers: %d", workers)
	clustered.server = append(slices.Clone(m.server), "--agent.workers", strconv.Itoa(workers))
	return []measurement{m, clustered}
}

var noAudit = []string{"--audit.store", "none"}

var cases = append([]measurement{
	{name: "fan-out to 1,000, as fast as it goes", unit: "deliveries/s", args: []string{"fanout"}},
	{name: "fan-out to 1,000, Protobuf", unit: "deliveries/s", args: []string{"fanout", "--protocol", "protobuf"}, alone: true},
	{name: "fan-out to 1,000, 30 publications/s", unit: "deliveries/s", args: []string{"fanout", "--rate", "30"}},
	{name: "1,000 channels × 2, as fast as it goes", unit: "deliveries/s", args: []string{"channels"}},
	{name: "1,000 channels × 2, 5,000 publications/s", unit: "deliveries/s", args: []string{"channels", "--rate", "5000"}},
	{name: "echo, 100 connections, 1,000/s", unit: "round trips/s", args: []string{"echo"}},
	{name: "connect 5,000", unit: "connections/s", args: []string{"connect"}},
	{name: "10,000 idle, one subscription each", unit: "", args: []string{"idle"}},
	{name: "history in memory, 1,000 channels", unit: "publications/s", args: []string{"history", "--namespace", "history"}, alone: true},
	{name: "history in files, 1,000 channels", unit: "publications/s", args: []string{"history", "--namespace", "durable"}, alone: true},
	{name: "history in files, no audit", unit: "publications/s", args: []string{"history", "--namespace", "durable"}, server: []string{"--audit.store", "none"}, alone: true},
	{
		name: "history in files, no audit, 20,000/s", unit: "publications/s", args: []string{"history", "--namespace", "durable", "--rate", "20000"},
		server: []string{"--audit.store", "none"}, alone: true,
	},
	{name: "1,000 channels × 2, no audit", unit: "deliveries/s", args: []string{"channels"}, server: []string{"--audit.store", "none"}},
	{name: "fan-out to 1,000, without the audit", unit: "deliveries/s", args: []string{"fanout"}, server: noAudit, alone: true},
}, slices.Concat(
	spread(4, measurement{name: "recovery storm", unit: "recovered/s", args: []string{"recovery", "--namespace", "durable"}}),
	spread(4, measurement{name: "recovery storm, one channel", unit: "recovered/s", args: []string{"recovery", "--namespace", "durable", "--channels", "1"}}),
	spread(4, measurement{name: "presence of 1,000", unit: "answers/s", args: []string{"presence", "--namespace", "shown"}}),
	spread(4, measurement{name: "presence of 1,000, server API", unit: "answers/s", args: []string{"presence", "--namespace", "shown"}, byAPI: true}),
	spread(1, measurement{name: "100,000 subscriptions", args: []string{"subscriptions"}, server: noAudit}),
	spread(1, measurement{name: "100,000 subscriptions with history", args: []string{"subscriptions", "--namespace", "durable"}, server: noAudit}),
	spread(4, measurement{name: "fan-out to 1,000 from the history", unit: "deliveries/s", args: []string{"fanout", "--namespace", "durable"}}),
	spread(4, measurement{name: "fan-out to 1,000, as fast as it goes", unit: "deliveries/s", args: []string{"fanout"}})[1:],
	spread(4, measurement{name: "fan-out to 1,000, 30/s", unit: "deliveries/s", args: []string{"fanout", "--rate", "30"}})[1:],
	spread(4, measurement{
		name: "1,000 channels × 1, history in files, 5,000/s", unit: "deliveries/s",
		args: []string{"channels", "--subscribers", "1", "--namespace", "durable", "--rate", "5000"}, server: noAudit,
	}),
	spread(4, measurement{name: "history in files, no audit", unit: "publications/s", args: []string{"history", "--namespace", "durable"}, server: noAudit})[1:],
)...)

// result is what a run's line of JSON is read for.
type result struct {
	PerSecond float64 `json:"per_second"`
	Seconds   float64 `json:"measured_seconds"`
	Latency   struct {
		P50 float64 `json:"p50"`
		P99 float64 `json:"p99"`
	} `json:"latency_ms"`
	Server struct {
		PerCount      float64 `json:"cpu_us_per_count"`
		PerConnection float64 `json:"rss_bytes_per_connection"`

		PerSubscription float64 `json:"rss_bytes_per_subscription"`
	} `json:"server"`
}

func main() {
	log.SetFlags(0)
	server := flag.String("server", "./zenconn", "program of the server")
	runs := flag.Int("runs", 5, "runs of each case")
	only := flag.String("case", "", "run only the cases whose scenario this is")
	flag.Parse()
	ctx := context.Background()
	if err := compare(ctx, *server, *runs, *only); err != nil {
		log.Fatal(err)
	}
}

func compare(ctx context.Context, server string, runs int, only string) error {
	dir, err := os.MkdirTemp("", "zenconn-compare-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // A leftover in the temporary directory.
	if server, err = filepath.Abs(server); err != nil {
		return err
	}
	control := filepath.Join(dir, "baseline")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", control, "./bench/baseline").CombinedOutput(); err != nil {
		return fmt.Errorf("build the control: %w\n%s", err, out)
	}
	config := filepath.Join(dir, "zenconn.yaml")
	if err := os.WriteFile(config, []byte(configuration), 0o600); err != nil {
		return err
	}
	fmt.Println("| case | | server | control | ratio |\n|---|---|---|---|---|")
	for _, m := range cases {
		if only != "" && m.args[0] != only {
			continue
		}
		var ours, theirs []result
		for range runs {
			api, err := freeAddr()
			if err != nil {
				return err
			}
			args := m.args
			if m.byAPI {
				args = append(slices.Clone(args), "--api-url", "http://"+api, "--api-key", "comparing-needs-no-secret")
			}
			one, err := run(ctx, server, args, func(addr string) []string {
				data, _ := os.MkdirTemp(dir, "data")
				return append([]string{server, "--config", config, "--data", data, "--client.addr", addr, "--api.addr", api,
					"--log.level", "error"}, m.server...)
			}, "/connection/websocket", "http://"+api+"/readyz")
			if err != nil {
				return fmt.Errorf("%s: %w", m.name, err)
			}
			ours = append(ours, one)
			if m.alone {
				continue
			}
			if one, err = run(ctx, server, m.args, func(addr string) []string { return []string{control, "-addr", addr} }, "/", ""); err != nil {
				return fmt.Errorf("%s, control: %w", m.name, err)
			}
			theirs = append(theirs, one)
		}
		report(&m, ours, theirs)
	}
	return nil
}

// run starts a server anew, measures it once and stops it.
func run(ctx context.Context, program string, args []string, command func(addr string) []string, path, ready string) (r result, err error) {
	addr, err := freeAddr()
	if err != nil {
		return r, err
	}
	line := command(addr)
	server := exec.CommandContext(ctx, line[0], line[1:]...)
	server.Stderr = os.Stderr
	if line[0] != program {
		server.Stderr = nil // The control only says where it listens.
	}
	if err := server.Start(); err != nil {
		return r, err
	}
	defer func() {
		_ = server.Process.Signal(os.Interrupt)
		_ = server.Wait()
	}()
	if err := waitFor(addr, ready); err != nil {
		return r, err
	}
	all := append([]string{"bench"}, args...)
	all = append(all, "--json", "--url", "ws://"+addr+path)
	for _, pid := range family(server.Process.Pid) {
		all = append(all, "--pid", pid)
	}
	bench := exec.CommandContext(ctx, program, all...)
	bench.Stderr = os.Stderr
	out, err := bench.Output()
	if err != nil {
		return r, fmt.Errorf("the run failed: %w\n%s", err, out)
	}
	return r, json.Unmarshal(out, &r)
}

func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close() //nolint:errcheck // Only its port was wanted.
	return l.Addr().String(), nil
}

// family returns a process and its children, as far as the system tells of them.
func family(pid int) []string {
	all := []string{strconv.Itoa(pid)}
	tasks, _ := filepath.Glob(filepath.Join("/proc", all[0], "task/*/children")) // Each thread has its own.
	for _, task := range tasks {
		children, _ := os.ReadFile(task) //nolint:gosec // Below /proc.
		all = append(all, strings.Fields(string(children))...)
	}
	return all
}

// waitFor returns when somebody listens at addr, and says at ready, when that is not empty, that it is.
func waitFor(addr, ready string) error {
	for deadline := time.Now().Add(20 * time.Second); ; {
		err := listens(addr)
		if err == nil && ready != "" {
			err = isReady(ready)
		}
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("no server at %s: %w", addr, err)
		}
		<-time.After(20 * time.Millisecond)
	}
}

func listens(addr string) error {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return err
	}
	return conn.Close()
}

func isReady(url string) error {
	answer, err := http.Get(url) //nolint:gosec,noctx // It is our own server.
	if err != nil {
		return err
	}
	defer answer.Body.Close() //nolint:errcheck // Only the status is of interest.
	if answer.StatusCode != http.StatusOK {
		return errors.New(answer.Status)
	}
	return nil
}

// report prints the rows of one case.
func report(m *measurement, ours, theirs []result) {
	row := func(what string, value func(result) float64, format string) {
		a, b := median(ours, value), median(theirs, value)
		if a.median == 0 {
			return
		}
		control, ratio := "–", "–"
		if len(theirs) > 0 && b.median > 0 {
			control, ratio = b.print(format), fmt.Sprintf("%.2f", a.median/b.median)
		}
		fmt.Printf("| %s | %s | %s | %s | %s |\n", m.name, what, a.print(format), control, ratio)
	}
	if m.unit != "" {
		row(m.unit, func(r result) float64 { return r.PerSecond }, "%.0f")
		row("server µs each", func(r result) float64 { return r.Server.PerCount }, "%.2f")
		if m.args[0] == "recovery" {
			row("s until the last has all", func(r result) float64 { return r.Seconds }, "%.2f")
		}
		row("p50 ms", func(r result) float64 { return r.Latency.P50 }, "%.2f")
		row("p99 ms", func(r result) float64 { return r.Latency.P99 }, "%.1f")
		return
	}
	row("MB resident for 100,000", func(r result) float64 { return r.Server.PerSubscription * 100_000 / 1e6 }, "%.0f")
	row("KiB resident each", func(r result) float64 { return r.Server.PerConnection / 1024 }, "%.1f")
}

// figures are a median and the range around it.
type figures struct{ median, least, most float64 }

func median(results []result, value func(result) float64) (f figures) {
	if len(results) == 0 {
		return f
	}
	all := make([]float64, len(results))
	for i, r := range results {
		all[i] = value(r)
	}
	slices.Sort(all)
	return figures{all[len(all)/2], all[0], all[len(all)-1]}
}

func (f figures) print(format string) string {
	return fmt.Sprintf(format+" ("+format+"–"+format+")", f.median, f.least, f.most)
}
