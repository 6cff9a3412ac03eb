package main

import (
	"bufio"
	"bytes"
	"context"
	"debug/buildinfo"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// loadAverage returns what /proc/loadavg says of the last 1, 5 and 15 minutes, or "?".
func loadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	fields := strings.Fields(string(text))
	if err != nil || len(fields) < 3 {
		return "?"
	}
	return strings.Join(fields[:3], " ")
}

// cpuModel returns the name of the processors, or "?".
func cpuModel() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		if name, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "?"
}

func kernel() string {
	text, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return "?"
	}
	return strings.TrimSpace(string(text))
}

// writeMachine writes what was measured, where and when.
func writeMachine(ctx context.Context, w io.Writer, m *measurer, began time.Time) error {
	built, err := buildinfo.ReadFile(m.programs.server)
	if err != nil {
		return fmt.Errorf("the program of the server: %w", err)
	}
	version, err := exec.CommandContext(ctx, m.programs.server, "version").Output() //nolint:gosec // The user names it.
	if err != nil {
		return fmt.Errorf("the program of the server: %w", err)
	}
	first, _, _ := strings.Cut(strings.TrimSpace(string(version)), "\n")
	fmt.Fprintf(w, "%s, built with %s, measured on %s in %s.\n", first, built.GoVersion, began.UTC().Format("2006-01-02 15:04 MST"),
		time.Since(began).Round(time.Second))
	fmt.Fprintf(w, "%d processors (%s), %s %s, kernel %s; they are the load generator's too.\n",
		runtime.NumCPU(), cpuModel(), runtime.GOOS, runtime.GOARCH, kernel())
	fmt.Fprintf(w, "%d runs of %s each, after %s of warm-up, the servers of a case in turn. Medians, with the lowest and highest in brackets; a ratio is the\n"+
		"median of the ratios of runs in the same turn. A run in which a message was lost, doubled or out of order, or the audit dropped an event,\n"+
		"does not count and is shown as failed.\n\n", m.runs, m.duration, m.warmup)
	return nil
}
