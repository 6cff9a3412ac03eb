package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/zenconn/server/bench"
	"github.com/zenconn/server/bench/launch"
)

// runTime is the longest time that one run of the load generator may take.
const runTime = 3 * time.Minute

// result is what a run's line of JSON is read for.
type result struct {
	PerSecond float64 `json:"per_second"`
	Seconds   float64 `json:"measured_seconds"`
	Latency   struct {
		P50 float64 `json:"p50"`
		P99 float64 `json:"p99"`
	} `json:"latency_ms"`
	Server struct {
		PerCount        float64 `json:"cpu_us_per_count"`
		PerConnection   float64 `json:"rss_bytes_per_connection"`
		PerSubscription float64 `json:"rss_bytes_per_subscription"`
	} `json:"server"`

	failure string // Why the run does not count; empty: it does.
}

// measured is a group with what its runs found.
type measured struct {
	*group
	results map[string][]result // By the name of the server; as many for each, in the order of the runs.
	load    [2]string           // The machine's load averages before and after.
}

// measurer runs groups.
type measurer struct {
	programs programs
	runs     int
	warmup   time.Duration
	duration time.Duration
	patience time.Duration // See storeTime.
	tell     func(group *group, server string, run int, r *result)
}

// measure has the servers of a group take turns. A run that fails, or cannot be made, is a result too: only the end of ctx is an error.
func (m *measurer) measure(ctx context.Context, g *group) (*measured, error) {
	all := &measured{group: g, results: make(map[string][]result), load: [2]string{loadAverage()}}
	for run := range m.runs {
		// Every one is the first in turn, so that none has always the same one before it.
		first := run % len(g.servers)
		for _, s := range slices.Concat(g.servers[first:], g.servers[:first]) {
			r, err := m.once(ctx, g, &s)
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			if err != nil {
				r = &result{failure: err.Error()}
			}
			all.results[s.name] = append(all.results[s.name], *r)
			m.tell(g, s.name, run, r)
		}
	}
	all.load[1] = loadAverage()
	return all, nil
}

// once starts a server anew, measures it and stops it.
func (m *measurer) once(ctx context.Context, g *group, s *server) (*result, error) {
	server, err := m.programs.start(ctx, s)
	if err != nil {
		return nil, err
	}
	defer server.Stop()
	args := append(m.command(g, s), "--json", "--url", server.URL)
	if runtime.GOOS == "linux" {
		for _, pid := range server.PIDs() {
			args = append(args, "--pid", strconv.Itoa(pid))
		}
	}
	if g.byAPI {
		args = append(args, "--api-url", server.API, "--api-key", launch.Key)
	}
	ctx, cancel := context.WithTimeout(ctx, runTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, m.programs.server, args...) //nolint:gosec // The user names it.
	var problem bytes.Buffer
	cmd.Stderr = &problem
	out, err := cmd.Output()
	if err != nil {
		// The last line is the program's own word for it.
		lines := strings.Split(strings.TrimSpace(problem.String()), "\n")
		return nil, fmt.Errorf("%s (%w)", strings.TrimPrefix(lines[len(lines)-1], "zenconn: the run failed: "), err)
	}
	r := new(result)
	if err := json.Unmarshal(out, r); err != nil {
		return nil, fmt.Errorf("the load generator: %w", err)
	}
	return r, checkAudit(ctx, server, m.patience)
}

// command returns the load generator's arguments for a server, but for its address.
func (m *measurer) command(g *group, s *server) []string {
	args := slices.Concat([]string{"bench", string(g.scenario)}, g.args, s.bench)
	switch g.scenario {
	case bench.Connect, bench.Recovery:
	case bench.Idle, bench.Subscriptions:
		args = append(args, "--duration", m.duration.String())
	case bench.Fanout, bench.Channels, bench.Echo, bench.History, bench.Presence:
		args = append(args, "--warmup", m.warmup.String(), "--duration", m.duration.String())
	}
	return args
}
