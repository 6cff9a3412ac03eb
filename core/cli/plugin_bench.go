package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/zenconn/server/bench"
	"github.com/zenconn/server/hooks"
	"github.com/zenconn/server/hooks/scenario"
)

// pluginBench is what the command line asks for.
type pluginBench struct {
	hook     string
	scenario string
	runs     int
	length   time.Duration // Of a run.
}

func newPluginBenchCommand(env *environment) *cobra.Command {
	b := pluginBench{runs: 10, length: 200 * time.Millisecond}
	cmd := &cobra.Command{
		Use:   "bench FILE",
		Short: "Measure what a plugin costs: time, allocations and memory",
		Long: `Loads a plugin and asks its hooks again and again, in turn with a plugin of the same kind that does nothing, which shows what asking
costs by itself. The event is a sample, or that of the first step about the hook in the scenarios given by --scenario, with the
configuration, the rights and the stored values of its scenario; web servers then answer as the step says.

NS is the median of the runs, by call. P99 is of calls that were measured one by one, with the two looks at the clock that takes. ALLOCS and
BYTES are what the Go side allocates by call; a Wasm plugin's own memory is beside it.`,
		Example: `  zenconn plugin bench words.lua
  zenconn plugin bench limit.wasm --hook publish --scenario limit.test.yaml`,
		Args: one("plugin bench", "the FILE of a plugin", "plugins/words.lua"),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case b.runs < 1 || b.runs > 1000:
				return usageError("--runs: want 1 to 1000")
			case b.length < time.Millisecond || b.length > time.Minute:
				return usageError("--time: want 1ms to 1m")
			}
			loaded, err := env.load(cmd)
			if err != nil {
				return err
			}
			p, remove, err := env.readPlugin(args[0], loaded.Config.Plugins)
			if err != nil {
				return err
			}
			return errors.Join(b.run(cmd.Context(), env, p), remove())
		},
	}
	cmd.Flags().StringVar(&b.hook, "hook", "", "the `HOOK` to measure, such as publish; default: all that the plugin implements")
	cmd.Flags().StringVar(&b.scenario, "scenario", "", "`FILE` of scenarios to take the events from")
	cmd.Flags().IntVar(&b.runs, "runs", b.runs, "runs of which the median counts")
	cmd.Flags().DurationVar(&b.length, "time", b.length, "length of a run")
	return cmd
}

func (b *pluginBench) run(ctx context.Context, env *environment, p *pluginFile) (err error) {
	found := scenario.Empty(nil, everything)
	if b.scenario != "" {
		f, err := readScenarios(b.scenario)
		if err != nil {
			return err
		}
		found = f.Scenarios[0]
		if hook := hooks.Hook(b.hook); hook != "" {
			i := slices.IndexFunc(f.Scenarios, func(s *scenario.Scenario) bool { return s.About(hook) })
			if i < 0 {
				return fmt.Errorf("%s: no scenario has a step about %s", b.scenario, b.hook)
			}
			found = f.Scenarios[i]
		}
	}
	stage, err := open(ctx, found, p)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stage.Close()) }()
	nothing, err := open(ctx, scenario.Empty(nil, everything), idle(p))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, nothing.Close()) }()

	wanted := stage.Hooks()
	if b.hook != "" {
		if !slices.Contains(wanted, hooks.Hook(b.hook)) {
			return fmt.Errorf("%s does not implement %q; it implements %v", p.path, b.hook, wanted)
		}
		wanted = []hooks.Hook{hooks.Hook(b.hook)}
	}
	watch, clear := func(bench.Progress) {}, func() {}
	if columns, ok := terminal(env.stderr); ok {
		bar := bench.NewProgressBar(env.stderr, columns)
		watch, clear = bar.Show, bar.Clear
	}
	var rows []costs
	for _, hook := range wanted {
		c, err := b.measure(ctx, stage, nothing, hook, watch)
		if err != nil {
			clear()
			return err
		}
		rows = append(rows, c)
	}
	inParallel, err := parallel(ctx, stage, wanted[0], b.length)
	clear()
	if err != nil {
		return err
	}
	return printCosts(env.stdout, rows, inParallel)
}

func open(ctx context.Context, s *scenario.Scenario, p *pluginFile) (*scenario.Stage, error) {
	st, err := s.Open(ctx, p.load)
	if err == nil {
		st.Ignore()
	}
	return st, err
}

// eventOf is what a hook is asked about.
func eventOf(st *scenario.Stage, hook hooks.Hook) (scenario.Event, error) {
	e, err := st.First(hook)
	if e == nil && err == nil {
		e = scenario.Sample(hook)
	}
	return e, err
}

// measure measures one hook, in turn with nothing.
func (b *pluginBench) measure(ctx context.Context, stage, nothing *scenario.Stage, hook hooks.Hook, watch func(bench.Progress)) (costs, error) {
	c := costs{hook: hook}
	e, err := eventOf(stage, hook)
	if err != nil {
		return c, err
	}
	answer, fault := stage.Ask(ctx, e)
	if fault != nil {
		return c, fmt.Errorf("it fails: %w; --scenario gives it a configuration and an event", fault)
	}
	c.answer = answer.Verdict.String()
	mine, idle := &series{stage: stage, event: e}, &series{stage: nothing, event: scenario.Sample(hook)}
	for n := range b.runs {
		watch(bench.Progress{Phase: "on_" + string(hook), Done: n, Total: b.runs})
		for _, s := range []*series{mine, idle} {
			if err := s.run(ctx, b.length); err != nil {
				return c, fmt.Errorf("on_%s: %w", hook, err)
			}
		}
	}
	if c.p99, err = mine.percentile(ctx, b.length); err != nil {
		return c, fmt.Errorf("on_%s: %w", hook, err)
	}
	c.ns, c.idle = mine.median(), idle.median()
	c.allocs, c.bytes = mine.allocated()
	return c, nil
}

// costs is what one hook takes.
type costs struct {
	hook          hooks.Hook
	answer        string
	ns, idle      float64 // By call.
	p99           time.Duration
	allocs, bytes float64 // By call.
}

func printCosts(w io.Writer, rows []costs, all concurrency) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "HOOK\tANSWER\tNS\tP99\tALLOCS\tBYTES\tNOTHING\t")
	for _, c := range rows {
		fmt.Fprintf(table, "%s\t%s\t%s\t%v\t%s\t%s\t%s\t\n", c.hook, c.answer, decimal(c.ns), c.p99, decimal(c.allocs), decimal(c.bytes), decimal(c.idle))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	of := "unknown: one instance was enough"
	if all.memory > 0 {
		of = kibi(all.memory)
	}
	_, err := fmt.Fprintf(w, "\n%.0f calls of %s per second in %d goroutines, with %d instances; memory of an instance: %s\n",
		all.perSecond, cmp.Or(string(rows[0].hook), "nothing"), all.goroutines, all.instances, of)
	return err
}

func decimal(v float64) string {
	if v < 10 {
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 0, 64)
}

func kibi(bytes int64) string {
	if bytes >= 10<<20 {
		return fmt.Sprintf("%d MiB", bytes>>20)
	}
	if bytes < 10<<10 {
		return fmt.Sprintf("%d B", bytes)
	}
	return fmt.Sprintf("%d KiB", bytes>>10)
}
