package main

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/zenconn/server/internal/testenv"
	"github.com/zenconn/server/test/server"
)

func TestMain(m *testing.M) { server.Main(m) }

// TestSoak is a soak of a moment, with the real programs.
func TestSoak(t *testing.T) {
	t.Cleanup(func() { testenv.VerifyNoLeaks(t) })
	var out, progress bytes.Buffer
	o := options{
		server: server.Binary(t), scenario: "echo", namespace: "default", audit: "none", workers: 1,
		duration: 2 * time.Second, round: time.Second, sample: 50 * time.Millisecond,
	}
	if err := soak(t.Context(), &o, &out, &progress); err != nil {
		t.Fatalf("%v\n%s", err, &progress)
	}
	for _, want := range []string{
		`worker processes: 1; \d+ publications/s, half of what was measured before; \S+, [12] rounds, [1-9]\d* deliveries, 0 failed rounds`,
		`(?m)^\| \S+s \| [1-9]\d* \| [1-9]\d* \| [1-9]\d* \| \d+ \| 0 \|$`,
	} {
		if !regexp.MustCompile(want).Match(out.Bytes()) {
			t.Errorf("the table lacks %q:\n%s", want, &out)
		}
	}
	if !strings.Contains(progress.String(), "round trips/s; half of that are") {
		t.Errorf("the progress:\n%s", &progress)
	}
}

func TestWhatCannotBeSoaked(t *testing.T) {
	for name, o := range map[string]options{
		"no such case": {scenario: "idle", duration: 1, round: 1, sample: 1},
		"no time":      {scenario: "echo", round: 1, sample: 1},
		"no server":    {scenario: "echo", duration: 1, round: 1, sample: 1, server: "/nowhere/zenconn"},
	} {
		if err := soak(t.Context(), &o, &bytes.Buffer{}, &bytes.Buffer{}); err == nil {
			t.Errorf("%s: nothing is said", name)
		}
	}
}

func TestReport(t *testing.T) {
	s := &soaking{options: &options{scenario: "echo", audit: "none"}}
	for i := range 100 {
		grown := 0.0
		if i >= 75 {
			grown = 20
		}
		s.samples = append(s.samples, sample{after: time.Duration(i) * time.Second, resident: (100 + grown) * (1 << 20), goroutines: 50, files: 10})
	}
	s.failures = []string{"round 3: lost"}
	var out bytes.Buffer
	if err := s.report(&out, 100*time.Second); err == nil {
		t.Error("a failed round is no error")
	}
	for _, want := range []string{"| 10s | 100 | 0 | 50 | 10 | 0 |\n", "| 1m40s | 120 |", "| the second quarter | 100 |", "| the last quarter | 120 |", "| grown by | +20.0 % | – | +0.0 % | +0.0 % | – |\n", "1 failed rounds"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, &out)
		}
	}
}
