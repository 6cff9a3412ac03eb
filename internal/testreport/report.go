package main

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// event is one line of go test -json; see `go doc test2json`.
type event struct {
	Action     string
	Package    string
	ImportPath string // Instead of Package in the events of a build.
	Test       string // Empty: the event is about the package.
	Output     string
	Elapsed    float64 // Seconds.
}

// report follows a test run. A test counts once whether or not it has subtests; subtests count too.
type report struct {
	out     io.Writer
	verbose bool // Also name every test that passed.

	passed, failed int
	skipped        []skip
	failures       []string            // Tests, packages and builds, in the order they failed.
	output         map[testKey][]byte  // What running tests have printed.
	failedIn       map[string]struct{} // Packages with a failed test: the package's own failure says nothing more.
	took           []took              // Packages and top-level tests that took long enough to be of interest.
}

// testKey names a test, or with an empty test a package, or a build by its import path.
type testKey struct{ pkg, test string }

type skip struct{ name, reason string }

// took is the time of a package, or of a test in it.
type took struct {
	testKey
	seconds float64
}

// What is said about the slowest.
const (
	slowSeconds = 5.0 // Less is not worth a line,
	slowMost    = 10  // nor are more packages, and tests, than that.
)

func newReport(out io.Writer, verbose bool) *report {
	return &report{out: out, verbose: verbose, output: map[testKey][]byte{}, failedIn: map[string]struct{}{}}
}

// read consumes the stream to its end and shows failures at once.
func (r *report) read(stream io.Reader) error {
	lines := bufio.NewReader(stream)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) == nil && e.Action != "" {
				r.add(e)
			} else {
				r.out.Write(line) //nolint:errcheck // The terminal. Not an event: a message of the go command.
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the output of go test: %w", err)
		}
	}
}

func (r *report) add(e event) {
	key := testKey{e.Package, e.Test}
	switch e.Action {
	case "build-output":
		fmt.Fprint(r.out, e.Output)
	case "build-fail":
		r.failed++
		r.failures = append(r.failures, "build of "+e.ImportPath)
	case "output":
		r.keep(key, e.Output)
	case "pass", "fail", "skip":
		output := r.output[key]
		delete(r.output, key)
		if e.Elapsed >= slowSeconds && !strings.Contains(e.Test, "/") {
			r.took = append(r.took, took{key, e.Elapsed})
		}
		if e.Test == "" {
			r.endPackage(e, output)
		} else {
			r.endTest(e, output)
		}
	}
}

// keep saves output until it is known how the test ends. The marks that go test -json adds for its own use are left out.
func (r *report) keep(key testKey, output string) {
	for _, mark := range []string{"=== RUN", "=== PAUSE", "=== CONT", "=== NAME"} {
		if strings.HasPrefix(output, mark) {
			return
		}
	}
	r.output[key] = append(r.output[key], output...)
}

func (r *report) endTest(e event, output []byte) {
	switch e.Action {
	case "pass":
		r.passed++
		if r.verbose {
			fmt.Fprintf(r.out, "--- PASS: %s (%.2fs)\n", e.Test, e.Elapsed)
		}
	case "fail":
		r.failed++
		r.failures = append(r.failures, e.Package+" "+e.Test)
		r.failedIn[e.Package] = struct{}{}
		r.out.Write(output) //nolint:errcheck // The terminal.
	case "skip":
		r.skipped = append(r.skipped, skip{e.Package + " " + e.Test, reason(output)})
	}
}

// endPackage shows the package's line as go test does. What else a package printed is shown only when it failed.
func (r *report) endPackage(e event, output []byte) {
	if e.Action != "fail" {
		for line := range bytes.Lines(output) {
			if bytes.HasPrefix(line, []byte("ok ")) {
				r.out.Write(line) //nolint:errcheck // The terminal.
			}
		}
		return
	}
	// A panic, a time-out or a failed TestMain ends the process in the middle of its tests: they get no event of their own.
	for _, key := range slices.SortedFunc(maps.Keys(r.output), func(a, b testKey) int { return strings.Compare(a.test, b.test) }) {
		if key.pkg == e.Package {
			r.out.Write(r.output[key]) //nolint:errcheck // The terminal.
			delete(r.output, key)
			r.endTest(event{Action: "fail", Package: key.pkg, Test: key.test}, nil)
		}
	}
	r.out.Write(output) //nolint:errcheck // The terminal.
	if _, explained := r.failedIn[e.Package]; !explained && !bytes.Contains(output, []byte("[build failed]")) {
		r.failed++
		r.failures = append(r.failures, e.Package)
	}
}

var location = regexp.MustCompile(`^\s*[\w.-]+\.go:\d+: `)

// reason finds what a skipped test said: the message of t.Skip comes last, before the line that tells of the skip.
func reason(output []byte) string {
	var said string
	for line := range bytes.Lines(output) {
		if text := location.ReplaceAllString(string(line), ""); len(text) < len(line) {
			said = strings.TrimSpace(strings.TrimPrefix(text, "SKIPPED: "))
		} else if said != "" && !strings.HasPrefix(string(line), "--- SKIP") {
			said += " " + strings.TrimSpace(string(line)) // A message of several lines.
		}
	}
	if said == "" {
		return "no reason given"
	}
	return said
}

// showSlowest prints the packages and the tests that took longest, for whoever wants to wait less.
func (r *report) showSlowest() {
	slices.SortStableFunc(r.took, func(a, b took) int { return cmp.Compare(b.seconds, a.seconds) })
	for _, kind := range []struct {
		title string
		tests bool
	}{{"packages", false}, {"tests", true}} {
		shown := 0
		for _, t := range r.took {
			if (t.test != "") != kind.tests || shown == slowMost {
				continue
			}
			if shown++; shown == 1 {
				fmt.Fprintf(r.out, "\nThe slowest %s:\n", kind.title)
			}
			fmt.Fprintf(r.out, "%7.1f s  %s\n", t.seconds, strings.TrimSpace(t.pkg+" "+t.test))
		}
	}
}

// summarize prints what was slow, what was skipped and why, what failed, and the counts. It reports whether all is well.
func (r *report) summarize(requireAll bool) bool {
	r.showSlowest()
	byReason := map[string][]string{}
	for _, s := range r.skipped {
		byReason[s.reason] = append(byReason[s.reason], s.name)
	}
	if len(byReason) > 0 {
		fmt.Fprintf(r.out, "\nSkipped:\n")
	}
	for _, why := range slices.Sorted(maps.Keys(byReason)) {
		fmt.Fprintf(r.out, "  %s\n", why)
		for _, name := range byReason[why] {
			fmt.Fprintf(r.out, "    %s\n", name)
		}
	}
	if len(r.failures) > 0 {
		fmt.Fprintf(r.out, "\nFailed:\n")
	}
	for _, name := range r.failures {
		fmt.Fprintf(r.out, "  %s\n", name)
	}
	refused := requireAll && len(r.skipped) > 0
	if refused {
		fmt.Fprintf(r.out, "\nZENCONN_TEST_REQUIRE=all: a skipped test is a failure.\n")
	}
	if r.passed+r.failed == 0 {
		fmt.Fprintf(r.out, "\nNo test was run.\n")
	}
	fmt.Fprintf(r.out, "\n%d passed, %d failed, %d skipped\n", r.passed, r.failed, len(r.skipped))
	return r.failed == 0 && r.passed > 0 && !refused
}
