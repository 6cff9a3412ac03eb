package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/zenconn/server/bench"
	"github.com/zenconn/server/internal/testenv"
	testserver "github.com/zenconn/server/test/server"
)

func TestMain(m *testing.M) {
	testserver.Main(m)
}

// TestCompare measures a real server and the control for a moment.
func TestCompare(t *testing.T) {
	t.Cleanup(func() { testenv.VerifyNoLeaks(t) })
	var out, lines bytes.Buffer
	o := options{
		server: testserver.Binary(t), table: "reach", cases: "^echo$", runs: 1,
		warmup: 100 * time.Millisecond, duration: 200 * time.Millisecond,
	}
	if err := compare(t.Context(), &o, &out, &lines); err != nil {
		t.Fatalf("%v\n%s%s", err, &lines, &out)
	}
	if want := `\[3/3\] echo, run 1 of 1, .*: [\d,]+ round trips/s; .*; about 0s left`; !regexp.MustCompile(want).Match(lines.Bytes()) {
		t.Errorf("the progress lacks %q:\n%s", want, &lines)
	}
	for _, want := range []string{
		`built with go1`, `kernel \S+`,
		`\| echo, 100 connections, 1,000/s \| audit off \| round trips/s \| [\d,]+ \| control \| [\d,]+ \| \d`,
		`\|  \| audit in SQLite \| round trips/s \| [\d,]+ \| control \|`,
		"\\| `echo` \\| audit off \\| `--audit.store none` \\| `zenconn bench echo --warmup 100ms --duration 200ms` \\| [\\d. ?]+ → ",
	} {
		if !regexp.MustCompile(want).Match(out.Bytes()) {
			t.Errorf("the table lacks %q:\n%s", want, &out)
		}
	}
}

// TestRunsThatFail has a server that does not start, one that refuses everybody, and one whose audit is stored nowhere: all are shown, and
// nothing else is lost.
func TestRunsThatFail(t *testing.T) {
	t.Cleanup(func() { testenv.VerifyNoLeaks(t) })
	dir := t.TempDir()
	p, err := prepare(t.Context(), testserver.Binary(t), dir)
	if err != nil {
		t.Fatal(err)
	}
	m := &measurer{programs: p, runs: 1, warmup: 50 * time.Millisecond, duration: 100 * time.Millisecond, patience: time.Second}
	g := group{
		id: "echo", name: "echo", scenario: bench.Echo, args: []string{"--clients", "3"}, figures: []figure{perSecond("trips")},
		servers: []server{
			control, {name: "broken", args: []string{"--audit.mode", "never"}}, {name: "closed", environ: []string{"ZENCONN_AUTH__TYPE=hook"}},
			auditClickHouse("clickhouse://127.0.0.1:1/nobody"),
		},
		rows: []row{{"broken", control.name, nil}, {"closed", control.name, nil}, {"audit in ClickHouse", "", nil}},
	}
	m.tell = newProgress(io.Discard, []group{g}, 1).tell
	one, err := m.measure(t.Context(), &g)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	writeTable(&out, []*measured{one})
	for _, want := range []string{
		"**failed:** 1 of 1 runs of broken: the server is not ready: it has ended: ", "audit.mode: want one of fast, durable",
		"**failed:** 1 of 1 runs of closed: ", "**failed:** 1 of 1 runs of audit in ClickHouse: nothing of the audit has come to its store",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, &out)
		}
	}
	if !one.failed() {
		t.Error("nothing has failed")
	}
	if one.results[control.name][0].failure != "" {
		t.Errorf("the control: %+v", one.results[control.name])
	}
}

func TestInterrupted(t *testing.T) {
	program := filepath.Join(t.TempDir(), "zenconn")
	if err := os.WriteFile(program, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := compare(ctx, &options{server: program, table: "reach", runs: 1, duration: time.Second}, io.Discard, io.Discard); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestChoose(t *testing.T) {
	for name, test := range map[string]struct {
		o    options
		want string // The ids, or a part of the error.
	}{
		"some":       {options{table: "reach", cases: "^fanout", runs: 1, duration: 1}, "fanout fanout-30"},
		"workers":    {options{table: "workers", cases: "^history", runs: 1, duration: 1}, "history-workers history-5000-workers"},
		"none":       {options{table: "reach", cases: "sheep", runs: 1, duration: 1}, `no case of the table reach matches "sheep"`},
		"no pattern": {options{table: "reach", cases: "(", runs: 1, duration: 1}, "-case"},
		"no table":   {options{table: "chairs", runs: 1, duration: 1}, "chairs"},
		"no runs":    {options{table: "reach", duration: 1}, "at least one run"},
	} {
		t.Run(name, func(t *testing.T) {
			groups, err := choose(&test.o)
			var ids []string
			for _, g := range groups {
				ids = append(ids, g.id)
			}
			got := strings.Join(ids, " ")
			if err != nil {
				got = err.Error()
			}
			if !strings.Contains(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// TestCasesAreWhole looks for rows of servers and figures that are not measured.
func TestCasesAreWhole(t *testing.T) {
	ids := map[string]bool{}
	for _, g := range append(reach("clickhouse://u:p@h:1/d"), spread()...) {
		if ids[g.id] {
			t.Errorf("%s is there twice", g.id)
		}
		ids[g.id] = true
		servers, figures := map[string]bool{"": true}, map[string]bool{}
		for _, s := range g.servers {
			if servers[s.name] {
				t.Errorf("%s: the server %q is there twice", g.id, s.name)
			}
			servers[s.name] = true
		}
		for _, f := range g.figures {
			figures[f.name] = true
		}
		for _, r := range g.rows {
			if r.server == "" || !servers[r.server] || !servers[r.against] {
				t.Errorf("%s: a row of %q against %q, which are not measured", g.id, r.server, r.against)
			}
			for figure, goal := range r.goals {
				if !figures[figure] {
					t.Errorf("%s: a goal for %q, which is not measured", g.id, figure)
				}
				if goal.ratioAtLeast+goal.ratioAtMost > 0 && r.against == "" {
					t.Errorf("%s: a ratio to nothing", g.id)
				}
			}
		}
	}
}

func TestTable(t *testing.T) {
	rate := perSecond("messages")
	runs := func(values ...float64) (all []result) {
		for _, v := range values {
			r := result{PerSecond: v}
			if v == 0 {
				r.failure = "3 lost"
			}
			all = append(all, r)
		}
		return all
	}
	for name, test := range map[string]struct {
		ours, theirs []result
		against      string
		goal         goal
		want         string
	}{
		"reached":             {runs(3000, 1000, 2000), runs(1000, 1000, 1000), "other", goal{ratioAtLeast: 2}, "2,000 (1,000–3,000) | other | 1,000 | 2.00 (1.00–3.00) | ≥ 2 × | yes"},
		"missed":              {runs(1500, 1500), runs(1000, 1000), "other", goal{ratioAtLeast: 2}, "1,500 | other | 1,000 | 1.50 | ≥ 2 × | **no**"},
		"turns":               {runs(100, 1000), runs(100, 1000), "other", goal{ratioAtMost: 1.05}, "550 (100–1,000) | other | 550 (100–1,000) | 1.00 | ≤ 1.05 × | yes"},
		"alone":               {runs(10), nil, "", goal{atMost: 9.5}, "10 | – | – | – | ≤ 9.50 | **no**"},
		"alone, enough":       {runs(10), nil, "", goal{atLeast: 9}, "10 | – | – | – | ≥ 9 | yes"},
		"no goal":             {runs(10), runs(20), "other", goal{}, "10 | other | 20 | 0.50 | – | –"},
		"one failed":          {runs(2000, 0), runs(1000, 9), "other", goal{ratioAtLeast: 1}, "2,000 | other | 504 (9–1,000) | 2.00 | ≥ 1 × | **failed:** 1 of 2 runs of server: 3 lost"},
		"all failed":          {runs(0), runs(10), "other", goal{ratioAtLeast: 1}, "– | other | 10 | – | ≥ 1 × | **failed:** 1 of 1 runs of server: 3 lost"},
		"the other one fails": {runs(10), runs(0), "other", goal{ratioAtLeast: 1}, "10 | other | – | – | ≥ 1 × | **failed:** 1 of 1 runs of other: 3 lost"},
	} {
		t.Run(name, func(t *testing.T) {
			goals := map[string]goal{rate.name: test.goal}
			if test.goal == (goal{}) {
				goals = nil
			}
			m := &measured{
				group:   &group{name: "case", figures: []figure{rate}, rows: []row{{"server", test.against, goals}}},
				results: map[string][]result{"server": test.ours, "other": test.theirs},
			}
			var out bytes.Buffer
			writeTable(&out, []*measured{m})
			_, got, _ := strings.Cut(strings.TrimSuffix(out.String(), " |\n"), "| messages/s | ")
			if got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestNumber(t *testing.T) {
	for want, got := range map[string]string{
		"0": number(0, 0), "999": number(999, 0), "1,000": number(1000, 0), "-1,234,567.80": number(-1234567.8, 2), "-123": number(-123, 0),
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestOptionsTellNoPassword(t *testing.T) {
	s := auditClickHouse("clickhouse://somebody:geheim@host:9000/db")
	got := withoutPassword(quoted(append(s.environ, s.args...)))
	if want := "ZENCONN_AUDIT__CLICKHOUSE__DSN=clickhouse://…@host:9000/db --audit.store clickhouse"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := quoted([]string{`A={"b":1}`, "a b", "c"}), `A='{"b":1}' 'a b' c`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
