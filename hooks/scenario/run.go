package scenario

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/zenconn/server/hooks"
)

// Problem is one way in which a plugin is not as expected.
type Problem struct {
	Line int // In the file.
	Text string
}

// Result is what became of a scenario.
type Result struct {
	Problems []Problem // None: all is as expected.
	Steps    []string  // What was answered, a line for each step, and what the plugin wrote to the log.
	Took     time.Duration
}

// Run plays a scenario until something is not as expected.
func (s *Scenario) Run(ctx context.Context, load Loader) (r Result) {
	defer func(began time.Time) { r.Took = time.Since(began) }(time.Now())
	st, err := s.Open(ctx, load)
	if err != nil {
		r.Problems = s.judgeLoad(err)
		return r
	}
	defer func() {
		if err := st.Close(); err != nil {
			r.Problems = append(r.Problems, Problem{s.Line, "the plugin cannot be closed: " + err.Error()})
		}
	}()
	if s.loadError != "" {
		r.Problems = []Problem{{s.Line, fmt.Sprintf("the plugin was loaded; it was to fail with %q", s.loadError)}}
		return r
	}
	r.note(st.log.take())
	for i, next := range s.steps {
		for n := range next.repeat {
			if err := pause(ctx, next.wait); err != nil {
				r.Problems = []Problem{{next.line, "the test was ended: " + err.Error()}}
				return r
			}
			title := fmt.Sprintf("step %d", i+1)
			if next.repeat > 1 {
				title += fmt.Sprintf(", time %d of %d", n+1, next.repeat)
			}
			problems, answer := st.play(ctx, next, &r)
			r.Steps = append(r.Steps, fmt.Sprintf("%s: %s: %s", title, next.hook, answer))
			if len(problems) > 0 {
				for i := range problems {
					if problems[i].Line == 0 {
						problems[i].Line = next.line
					}
					if len(s.steps) > 1 || next.repeat > 1 {
						problems[i].Text = title + ": " + problems[i].Text
					}
				}
				r.Problems = problems
				return r
			}
		}
	}
	return r
}

func pause(ctx context.Context, d time.Duration) error {
	if d > 0 {
		select {
		case <-time.After(d):
		case <-ctx.Done():
		}
	}
	return ctx.Err()
}

// judgeLoad says whether a plugin that was not loaded was to fail like this.
func (s *Scenario) judgeLoad(err error) []Problem {
	_, isPlugins := errors.AsType[*LoadError](err)
	switch {
	case !isPlugins:
		line, text := Line(err)
		return []Problem{{max(line, s.Line), text}}
	case s.loadError == "":
		return []Problem{{s.Line, "the plugin cannot be loaded: " + err.Error()}}
	case !strings.Contains(err.Error(), s.loadError):
		return []Problem{{s.Line, fmt.Sprintf("the plugin cannot be loaded, with\n    %s\nwant\n    %s", err, s.loadError)}}
	}
	return nil
}

func (r *Result) note(lines []logLine) {
	for _, l := range lines {
		r.Steps = append(r.Steps, "log: "+l.String())
	}
}

// play carries a step out once.
func (st *Stage) play(ctx context.Context, s *step, r *Result) (problems []Problem, answer string) {
	began := time.Now() // What the event says of now is said after that.
	e, err := st.event(s)
	if err != nil {
		line, text := Line(err)
		return []Problem{{line, text}}, "not asked"
	}
	if !slices.Contains(st.Hooks(), s.hook) {
		return []Problem{{s.line, fmt.Sprintf("the plugin does not implement on_%s", s.hook)}}, "not asked"
	}
	st.web.expect(s.web, true)
	a, fault := st.Ask(ctx, e)
	took := time.Since(began)
	if !until(ctx, st.backend.settled) {
		problems = append(problems, Problem{s.line, "what the plugin wanted done to sessions was not done in time"})
	}
	x := &s.expect
	logs := st.log.take()
	r.note(logs)
	calls, metrics := st.backend.take()
	problems = append(problems, x.judgeVerdict(a, fault)...)
	if a.Verdict == hooks.Allow || a.Verdict == hooks.Pass || x.changes != nil {
		problems = append(problems, x.judgeChanges(e, fault, began, took, st)...)
	}
	problems = append(problems, x.judgeLogs(logs)...)
	problems = append(problems, x.judgeCalls(calls)...)
	problems = append(problems, x.judgeMetrics(metrics)...)
	problems = append(problems, st.web.missing()...)
	problems = append(problems, st.judgeStore(ctx, x)...)
	return problems, describe(a, fault)
}

// describe says what was answered.
func describe(a hooks.Answer, fault error) string {
	switch {
	case fault != nil:
		return "fault: " + fault.Error()
	case a.Verdict == hooks.Deny:
		return fmt.Sprintf("deny %d %q", a.Code, a.Reason)
	case a.Modified:
		return a.Verdict.String() + ", changed"
	}
	return a.Verdict.String()
}

func (x *expectation) judgeVerdict(a hooks.Answer, fault error) []Problem {
	got := a.Verdict.String()
	if fault != nil {
		got = "fault"
	}
	switch {
	case got != x.verdict:
		return []Problem{{x.line, fmt.Sprintf("the verdict is\n    %s\nwant\n    %s", describe(a, fault), x.verdict)}}
	case fault != nil && !strings.Contains(fault.Error(), x.fault):
		return []Problem{{x.line, fmt.Sprintf("the fault is\n    %s\nwant\n    %s", fault, x.fault)}}
	case x.code != nil && uint32(*x.code) != a.Code: //nolint:gosec // From 1 to 4999.
		return []Problem{{x.line, fmt.Sprintf("the code is %d, want %d", a.Code, *x.code)}}
	case x.reason != nil && *x.reason != a.Reason:
		return []Problem{{x.line, fmt.Sprintf("the reason is\n    %s\nwant\n    %s", a.Reason, *x.reason)}}
	}
	return nil
}

// judgeChanges looks at what the plugin has written, at any time between began and took later. A wanted field that holds the wanted value is
// right even if it held it before.
func (x *expectation) judgeChanges(e Event, fault error, began time.Time, took time.Duration, st *Stage) (problems []Problem) {
	if fault != nil {
		return nil // It was undone.
	}
	changed := e.changed()
	for _, name := range slices.Sorted(maps.Keys(changed)) {
		if _, ok := x.changes[name]; !ok {
			problems = append(problems, Problem{x.line, fmt.Sprintf("changes: %s has become\n    %s\nwhich is not among the changes", name, changed[name])})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(x.changes)) {
		v := x.changes[name].expand(st.replacer)
		want, err := e.want(name, v, began)
		want.late = int64(took/time.Second) + 1
		got := e.value(name)
		switch {
		case err != nil:
			problems = append(problems, Problem{v.line, fmt.Sprintf("changes: %s: %v", name, err)})
		case !want.matches(got):
			problems = append(problems, Problem{v.line, fmt.Sprintf("changes: %s is\n    %s\nwant\n    %s", name, got, want)})
		}
	}
	return problems
}

func (x *expectation) judgeLogs(got []logLine) []Problem {
	if x.logs == nil {
		return nil
	}
	for i, want := range x.logs {
		switch {
		case i >= len(got):
			return []Problem{{want.line, fmt.Sprintf("logs: the line %s was not written", want)}}
		case !got[i].like(want):
			return []Problem{{want.line, fmt.Sprintf("logs: line %d is\n    %s\nwant\n    %s", i+1, got[i], want)}}
		}
	}
	if len(got) > len(x.logs) {
		return []Problem{{x.line, fmt.Sprintf("logs: the line %s is not expected", got[len(x.logs)])}}
	}
	return nil
}

// judgeCalls compares what the plugin has had done, in whatever order: some of it is done after its answer.
func (x *expectation) judgeCalls(got []call) (problems []Problem) {
	got = slices.Clone(got)
	for _, want := range x.calls {
		i := slices.IndexFunc(got, func(c call) bool { return c.like(want) })
		if i < 0 {
			problems = append(problems, Problem{want.line, fmt.Sprintf("calls: this was not done: %s", want)})
			continue
		}
		got = slices.Delete(got, i, i+1)
	}
	for _, c := range got {
		problems = append(problems, Problem{x.line, fmt.Sprintf("calls: this was done, and is not expected: %s", c)})
	}
	return problems
}

func (x *expectation) judgeMetrics(got map[string]float64) (problems []Problem) {
	for _, name := range slices.Sorted(maps.Keys(x.metrics)) {
		want, n := x.metrics[name], fmt.Sprint(got[name])
		if !(Value{Text: want.Text, IsJSON: true}).matches(Value{Text: n}) {
			problems = append(problems, Problem{want.line, fmt.Sprintf("metrics: %s has grown by %s, want %s", name, n, want)})
		}
	}
	return problems
}

func (st *Stage) judgeStore(ctx context.Context, x *expectation) (problems []Problem) {
	for _, key := range slices.Sorted(maps.Keys(x.kv)) {
		want := x.kv[key].expand(st.replacer)
		value, revision, err := st.kv.Get(ctx, st.Plugin.Name(), key)
		got := Value{Text: string(value), Absent: revision == 0}
		if err != nil || !want.matches(got) {
			problems = append(problems, Problem{want.line, fmt.Sprintf("kv: %s is\n    %s\nwant\n    %s", key, got, want)})
		}
	}
	return problems
}
