package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

// sample is what the server's processes use together, at a time.
type sample struct {
	after                                    time.Duration
	resident, heap, goroutines, files, spool float64
}

// The figures of the table.
var figures = []struct {
	name  string
	unit  float64
	value func(*sample) float64
}{
	{"resident MiB", 1 << 20, func(s *sample) float64 { return s.resident }},
	{"heap in use MiB", 1 << 20, func(s *sample) float64 { return s.heap }},
	{"goroutines", 1, func(s *sample) float64 { return s.goroutines }},
	{"open files", 1, func(s *sample) float64 { return s.files }},
	{"audit spool MiB", 1 << 20, func(s *sample) float64 { return s.spool }},
}

// look takes samples until ctx ends, and prints one each minute.
func (s *soaking) look(ctx context.Context, began time.Time) {
	ticker := time.NewTicker(s.sample)
	defer ticker.Stop()
	var told time.Duration
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		m, err := s.server.Metrics(ctx)
		if err != nil {
			fmt.Fprintf(s.progress, "the server does not tell what it uses: %v\n", err)
			continue
		}
		now := sample{
			time.Since(began), m["process_resident_memory_bytes"], m["go_memstats_heap_inuse_bytes"], m["go_goroutines"], m["process_open_fds"],
			m["zenconn_audit_spool_bytes"],
		}
		s.samples = append(s.samples, now)
		if now.after-told >= time.Minute || told == 0 {
			told = now.after
			fmt.Fprintf(s.progress, "%8s of %s:", now.after.Round(time.Second), s.duration)
			for _, f := range figures {
				fmt.Fprintf(s.progress, " %.0f %s;", f.value(&now)/f.unit, f.name)
			}
			fmt.Fprintln(s.progress)
		}
	}
}

// parts is in how many the time is divided for the table.
const parts = 10

// errFailed makes the exit code 1 although there is a table.
var errFailed = errors.New("some rounds failed; see above")

// report writes the medians of each part of the time as a Markdown table, with what the last half has beyond the one before.
func (s *soaking) report(out io.Writer, took time.Duration) error {
	fmt.Fprintf(out, "`%s`, namespace %s, audit: %s, worker processes: %d; %.0f publications/s, half of what was measured before; %s, %d rounds, %d deliveries, %d failed rounds.\n\n",
		s.scenario, s.namespace, s.audit, s.workers, s.rate, took.Round(time.Second), s.rounds, s.messages, len(s.failures))
	fmt.Fprint(out, "| until |")
	for _, f := range figures {
		fmt.Fprintf(out, " %s |", f.name)
	}
	fmt.Fprint(out, "\n|---|---|---|---|---|---|\n")
	line := func(name string, part []sample) {
		if len(part) == 0 {
			return
		}
		fmt.Fprintf(out, "| %s |", name)
		for _, f := range figures {
			fmt.Fprintf(out, " %.0f |", median(part, f.value)/f.unit)
		}
		fmt.Fprintln(out)
	}
	for i := range parts {
		from, to := took*time.Duration(i)/parts, took*time.Duration(i+1)/parts
		line(to.Round(time.Second).String(), within(s.samples, from, to))
	}
	second, fourth := within(s.samples, took/4, took/2), within(s.samples, took*3/4, took+s.sample)
	line("the second quarter", second)
	line("the last quarter", fourth)
	if len(second) > 0 && len(fourth) > 0 {
		fmt.Fprint(out, "| grown by |")
		for _, f := range figures {
			before, after := median(second, f.value), median(fourth, f.value)
			if before == 0 {
				fmt.Fprint(out, " – |")
				continue
			}
			fmt.Fprintf(out, " %+.1f %% |", 100*(after/before-1))
		}
		fmt.Fprintln(out)
	}
	if len(s.failures) > 0 {
		return errFailed
	}
	return nil
}

// within returns the samples of a part of the time.
func within(all []sample, from, to time.Duration) (part []sample) {
	for _, s := range all {
		if s.after >= from && s.after < to {
			part = append(part, s)
		}
	}
	return part
}

func median(samples []sample, value func(*sample) float64) float64 {
	all := make([]float64, len(samples))
	for i := range samples {
		all[i] = value(&samples[i])
	}
	slices.Sort(all)
	return all[len(all)/2]
}
