// Command soak keeps a server at half of what it can do, for an hour unless told otherwise, and prints its memory, goroutines and open
// files over the time: what grows there is a leak. First it measures what the server can do. Then clients come, talk at half that rate
// and leave, round after round, while others connect and leave beside them; the load generator checks every message.
//
//	make soak
//	go build -o zenconn . && go run ./bench/soak -server ./zenconn -duration 10m -case channels -workers 2
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/zenconn/server/bench"
	"github.com/zenconn/server/bench/launch"
)

// options are what the flags say.
type options struct {
	server, scenario, namespace, audit string
	workers                            int
	duration, round, sample            time.Duration
}

func main() {
	log.SetFlags(0)
	var o options
	flag.StringVar(&o.server, "server", "./zenconn", "program of the server")
	flag.StringVar(&o.scenario, "case", string(bench.Fanout), "what clients do: fanout, channels or echo")
	flag.StringVar(&o.namespace, "namespace", "durable", "default: no history; history: one in memory; durable: in files")
	flag.StringVar(&o.audit, "audit", "sqlite", "where the audit goes: sqlite (about 1 KB of disk for each publication), or none")
	flag.IntVar(&o.workers, "workers", 0, "worker processes; 0: none")
	flag.DurationVar(&o.duration, "duration", time.Hour, "how long it takes")
	flag.DurationVar(&o.round, "round", time.Minute, "after which clients leave and others come")
	flag.DurationVar(&o.sample, "sample", 5*time.Second, "how often the server is looked at")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := soak(ctx, &o, os.Stdout, os.Stderr); err != nil {
		stop()
		log.Fatal("soak: ", err)
	}
}

// soaking is a soak under way.
type soaking struct {
	*options
	server   *launch.Process
	progress io.Writer
	rate     float64 // Publications per second.
	samples  []sample
	rounds   int
	messages uint64
	failures []string
}

// soak runs the server and writes what it used.
func soak(ctx context.Context, o *options, out, progress io.Writer) (err error) {
	if !slices.Contains([]string{string(bench.Fanout), string(bench.Channels), string(bench.Echo)}, o.scenario) {
		return fmt.Errorf("-case: want fanout, channels or echo, not %q", o.scenario)
	}
	if o.duration <= 0 || o.round <= 0 || o.sample <= 0 {
		return errors.New("want positive times")
	}
	program, err := filepath.Abs(o.server)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "zenconn-soak-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // A leftover in the temporary directory.
	config := filepath.Join(dir, "zenconn.yaml")
	if err := os.WriteFile(config, []byte(launch.Open), 0o600); err != nil {
		return err
	}
	s := &soaking{options: o, progress: progress}
	o.server = program
	s.server, err = launch.ZenConn(ctx, launch.Program{
		Path: program, Config: config, Dir: dir, Args: []string{"--audit.store", o.audit, "--agent.workers", strconv.Itoa(o.workers)},
	})
	if err != nil {
		return err
	}
	defer s.server.Stop()
	if err := s.findRate(ctx); err != nil {
		return err
	}
	began := time.Now()
	sampling, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { s.look(sampling, began); close(done) }()
	for ctx.Err() == nil && time.Since(began) < o.duration {
		s.runRound(ctx, min(o.round, max(o.duration-time.Since(began), time.Second)))
	}
	stop()
	<-done
	return errors.Join(s.report(out, time.Since(began)), context.Cause(ctx))
}

// findRate measures what the server can do.
func (s *soaking) findRate(ctx context.Context) error {
	r, err := s.generate(ctx, s.scenario, "--namespace", s.namespace, "--duration", min(s.round, 10*time.Second).String(), "--rate", "0")
	if err != nil {
		return fmt.Errorf("what the server can do: %w", err)
	}
	s.rate = r.PerSecond / 2
	if s.scenario != string(bench.Echo) {
		s.rate /= float64(r.Options.Clients) // One publication is delivered to all of them.
	}
	fmt.Fprintf(s.progress, "the server makes %.0f %s/s; half of that are %.0f publications/s\n", r.PerSecond, r.Counted, s.rate)
	return nil
}

// runRound has clients come, talk and leave, and others connect beside them.
func (s *soaking) runRound(ctx context.Context, length time.Duration) {
	visit := make(chan error, 1)
	go func() {
		_, err := s.generate(ctx, string(bench.Connect), "--clients", "500", "--concurrency", "4")
		visit <- err
	}()
	r, err := s.generate(ctx, s.scenario, "--namespace", s.namespace, "--warmup", "0s", "--duration", length.String(),
		"--rate", strconv.FormatFloat(max(s.rate, 1), 'f', 0, 64))
	err = errors.Join(err, <-visit)
	if ctx.Err() != nil {
		return
	}
	s.rounds++
	if r != nil {
		s.messages += r.Verification.Received
	}
	if err != nil {
		s.failures = append(s.failures, fmt.Sprintf("round %d: %v", s.rounds, err))
		fmt.Fprintln(s.progress, s.failures[len(s.failures)-1])
	}
}

// generate runs the load generator. A run that fails has a report beside its error, unless it could not be made.
func (s *soaking) generate(ctx context.Context, scenario string, args ...string) (*bench.Report, error) {
	args = append([]string{"bench", scenario, "--json", "--url", s.server.URL}, args...)
	cmd := exec.CommandContext(ctx, s.options.server, args...) //nolint:gosec // The user names it.
	var problem bytes.Buffer
	cmd.Stderr = &problem
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%s: %w: %s", scenario, err, strings.TrimSpace(problem.String()))
	}
	r := new(bench.Report)
	if bad := json.Unmarshal(out, r); bad != nil {
		return nil, errors.Join(err, bad)
	}
	return r, err
}
