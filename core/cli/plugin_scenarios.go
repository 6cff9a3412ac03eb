package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/zenconn/server/core/config"
	"github.com/zenconn/server/hooks/scenario"
)

func newPluginTestCommand(env *environment) *cobra.Command {
	var verbose bool
	var only string
	cmd := &cobra.Command{
		Use:   "test FILE...",
		Short: "Play the scenarios of plugins and compare what they do with what is expected",
		Long: `Loads a plugin for each of its scenarios, asks it about the scenario's events, and compares its answers, changes, log lines, stored values,
requests and calls with what the scenario expects. No server is needed. A FILE is a plugin, whose scenarios are beside it in NAME.test.yaml,
or a file of scenarios. docs/plugin-testing.md is the reference of the format.

The exit code is 1 when a scenario fails.`,
		Example: `  zenconn plugin test plugins/words.lua
  zenconn plugin test words.wasm --run 'masks|refuses' -v`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError(oneArgument("plugin test", "the FILE of a plugin, or several", "plugins/words.lua", args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			wanted, err := regexp.Compile(only)
			if err != nil {
				return usageError(fmt.Sprintf("--run: %q is no regular expression", only))
			}
			loaded, err := env.load(cmd)
			if err != nil {
				return err
			}
			t := tester{env: env, config: loaded.Config.Plugins, only: wanted, verbose: verbose}
			for _, path := range args {
				t.file(cmd.Context(), path)
			}
			if t.failed {
				return errors.New("not all is as expected")
			}
			return nil
		},
	}
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "show every scenario, every answer and every line of the log")
	cmd.Flags().StringVar(&only, "run", "", "play only the scenarios whose names match this regular `EXPRESSION`")
	return cmd
}

// tester plays files of scenarios, one after the other.
type tester struct {
	env     *environment
	config  config.Plugins
	only    *regexp.Regexp
	verbose bool
	failed  bool
}

// file plays one file, and prints how it went.
func (t *tester) file(ctx context.Context, path string) {
	began := time.Now()
	played, failed, err := t.play(ctx, &path)
	out, took := t.env.stdout, time.Since(began).Seconds()
	switch {
	case err != nil:
		t.failed = true
		fmt.Fprintf(out, "%s\nFAIL\t%s\n", printableLines(err.Error()), path)
	case failed > 0:
		t.failed = true
		fmt.Fprintf(out, "FAIL\t%s\t%d of %s failed\t%.3fs\n", path, failed, scenarios(played), took)
	case played == 0:
		fmt.Fprintf(out, "ok\t%s\t%.3fs [no scenario has such a name]\n", path, took)
	default:
		fmt.Fprintf(out, "ok\t%s\t%s\t%.3fs\n", path, scenarios(played), took)
	}
}

func scenarios(n int) string {
	if n == 1 {
		return "1 scenario"
	}
	return fmt.Sprintf("%d scenarios", n)
}

// play plays a file. path becomes that of the scenarios.
func (t *tester) play(ctx context.Context, path *string) (played, failed int, err error) {
	plugin := ""
	if ending := filepath.Ext(*path); ending == ".lua" || ending == ".wasm" {
		plugin, *path = *path, scenarioPath(*path)
	}
	f, err := readScenarios(*path)
	if err != nil {
		return 0, 0, err
	}
	if plugin == "" {
		if plugin, err = pluginOf(*path, f); err != nil {
			return 0, 0, err
		}
	}
	p, remove, err := t.env.readPlugin(plugin, t.config)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, remove()) }()
	for _, s := range f.Scenarios {
		if !t.only.MatchString(s.Name) {
			continue
		}
		played++
		if result := s.Run(ctx, p.load); !t.show(*path, s, result) {
			failed++
		}
		if ctx.Err() != nil {
			return played, failed, errors.New("the test was ended")
		}
	}
	return played, failed, nil
}

// show prints how a scenario went, and says whether well.
func (t *tester) show(path string, s *scenario.Scenario, r scenario.Result) bool {
	ok := len(r.Problems) == 0
	if ok && !t.verbose {
		return true
	}
	out, word := t.env.stdout, "FAIL"
	if ok {
		word = "ok"
	}
	fmt.Fprintf(out, "--- %s: %s (%.3fs)\n", word, printable(s.Name), r.Took.Seconds())
	if t.verbose {
		for _, step := range r.Steps {
			fmt.Fprintf(out, "    %s\n", printable(step))
		}
	}
	for _, p := range slices.SortedStableFunc(slices.Values(r.Problems), func(a, b scenario.Problem) int { return a.Line - b.Line }) {
		fmt.Fprintf(out, "    %s:%d: %s\n", path, p.Line, strings.ReplaceAll(printableLines(p.Text), "\n", "\n    "))
	}
	return ok
}

// printableLines is printable for several lines.
func printableLines(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = printable(line)
	}
	return strings.Join(lines, "\n")
}
