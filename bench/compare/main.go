// Command compare measures the server beside others in the same minutes: each case in turn on the server, on the control
// (bench/baseline) and on the server set up differently, several times, and prints medians with their spread, and whether the goals
// are reached, as Markdown. Absolute figures move with the machine; the ratios hold.
//
//	make bench-all
//	go build -o zenconn . && go run ./bench/compare -server ./zenconn -case '^(echo|channels)'
//
// It must be run in the module, whose control it builds.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"
	"time"

	"github.com/zenconn/server/bench/launch"
)

// options are what the flags say.
type options struct {
	server, table, cases, clickhouse string
	runs                             int
	warmup, duration                 time.Duration
	list                             bool
}

func main() {
	log.SetFlags(0)
	var o options
	flag.StringVar(&o.server, "server", "./zenconn", "program of the server")
	flag.StringVar(&o.table, "table", "reach", "reach: the server beside the control, with its goals; workers: one process beside several")
	flag.StringVar(&o.cases, "case", "", "measure only the cases whose names match this regular expression; see -list")
	flag.IntVar(&o.runs, "runs", 5, "runs of each server in each case")
	flag.DurationVar(&o.warmup, "warmup", 500*time.Millisecond, "time of each run that is checked but not measured")
	flag.DurationVar(&o.duration, "duration", 3*time.Second, "time of each run that is measured")
	flag.StringVar(&o.clickhouse, "clickhouse", os.Getenv("ZENCONN_TEST_CLICKHOUSE_DSN"), "DSN of a ClickHouse to keep an audit in; empty: SQLite only")
	flag.BoolVar(&o.list, "list", false, "only list the cases")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := compare(ctx, &o, os.Stdout, os.Stderr); err != nil {
		stop()
		log.Fatal("compare: ", err)
	}
}

// errRunsFailed makes the exit code 1 although there is a table.
var errRunsFailed = errors.New("some runs failed; see the table")

// compare measures and writes the tables. When it is interrupted it writes those of the cases that are complete.
func compare(ctx context.Context, o *options, out, progress io.Writer) error {
	groups, err := choose(o)
	if err != nil {
		return err
	}
	if o.list {
		for _, g := range groups {
			fmt.Fprintf(out, "%-28s %s\n", g.id, g.name)
		}
		return nil
	}
	m := &measurer{runs: o.runs, warmup: o.warmup, duration: o.duration, patience: storeTime}
	dir, err := os.MkdirTemp("", "zenconn-compare-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // A leftover in the temporary directory.
	if m.programs, err = prepare(ctx, o.server, dir); err != nil {
		return err
	}
	shown := newProgress(progress, groups, o.runs)
	m.tell = shown.tell
	began := time.Now()
	var all []*measured
	var stopped error
	for i := range groups {
		one, err := m.measure(ctx, &groups[i])
		if err != nil {
			stopped = err
			break
		}
		all = append(all, one)
	}
	if len(all) == 0 {
		return stopped
	}
	if err := writeMachine(context.WithoutCancel(ctx), out, m, began); err != nil {
		return errors.Join(stopped, err)
	}
	writeTable(out, all)
	fmt.Fprintln(out)
	writeCommands(out, all, m.command)
	for _, one := range all {
		if stopped == nil && one.failed() {
			stopped = errRunsFailed
		}
	}
	return stopped
}

// choose returns the groups that are to be measured.
func choose(o *options) ([]group, error) {
	if o.runs < 1 || o.duration <= 0 || o.warmup < 0 {
		return nil, errors.New("want at least one run, and positive times")
	}
	wanted, err := regexp.Compile(o.cases)
	if err != nil {
		return nil, fmt.Errorf("-case: %w", err)
	}
	var from []group
	switch o.table {
	case "reach":
		from = reach(o.clickhouse)
	case "workers":
		from = spread()
	default:
		return nil, fmt.Errorf("-table: want reach or workers, not %q", o.table)
	}
	var groups []group
	for _, g := range from {
		if wanted.MatchString(g.id) {
			groups = append(groups, g)
		}
	}
	if len(groups) == 0 {
		return nil, fmt.Errorf("no case of the table %s matches %q; -list shows them", o.table, o.cases)
	}
	return groups, nil
}

// prepare builds the control and writes the configuration.
func prepare(ctx context.Context, server, dir string) (p programs, err error) {
	p = programs{dir: dir, control: filepath.Join(dir, "baseline"), config: filepath.Join(dir, "zenconn.yaml")}
	if p.server, err = filepath.Abs(server); err != nil {
		return p, err
	}
	if _, err := os.Stat(p.server); err != nil {
		return p, fmt.Errorf("%w (build it with make build, or say -server)", err)
	}
	const control = "github.com/zenconn/server/bench/baseline"
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", p.control, control).CombinedOutput(); err != nil { //nolint:gosec // Our own.
		return p, fmt.Errorf("build the control: %w\n%s", err, out)
	}
	return p, os.WriteFile(p.config, []byte(launch.Open), 0o600)
}
