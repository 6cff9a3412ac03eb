// Package cli holds the commands of the program zenconn: what the user typed becomes a checked configuration and a call into the
// packages that do the work. It knows no more of them than how to start them.
//
// Every command has its file and its constructor newXCommand(env). Nothing here reads or writes the process's own streams or
// environment: they arrive in an environment value, so that a test can run any command as a user would.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/zenconn/server/core/config"
)

// The exit codes of the program.
const (
	exitOK      = 0
	exitFailure = 1 // It was asked for properly and failed.
	exitUsage   = 2 // The command line or the configuration is wrong; nothing was started.
)

// environment is what the process gives a command.
type environment struct {
	stdin   io.Reader
	stdout  io.Writer
	stderr  io.Writer
	environ []string // As os.Environ returns it.
	args    []string // Without the program's name.
}

// Run runs the command that args (without the program's name) ask for and returns the exit code of the process: 0 when all went
// well, 1 on failure, 2 when the command line or the configuration is wrong and nothing was started. Canceling ctx asks the
// command for an orderly end.
func Run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	return run(ctx, args, &environment{stdin: stdin, stdout: stdout, stderr: stderr, environ: os.Environ(), args: args})
}

func run(ctx context.Context, args []string, env *environment) int {
	root, started := newRootCommand(env)
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	if broken, ok := errors.AsType[*config.Error](err); ok {
		fmt.Fprintf(env.stderr, "zenconn: the configuration is wrong:\n")
		for _, problem := range broken.Problems {
			fmt.Fprintf(env.stderr, "  %s\n", problem)
		}
		return exitUsage
	}
	fmt.Fprintf(env.stderr, "zenconn: %v\n", err)
	if _, ok := errors.AsType[usageError](err); ok || !*started {
		fmt.Fprintf(env.stderr, "run '%s --help'\n", cmd.CommandPath())
		return exitUsage
	}
	return exitFailure
}

// usageError is what a command returns when it was asked for in a wrong way: the exit code is 2. What cobra finds itself (unknown
// flags, arguments that a command's Args refuses, missing required flags) is a usage error without this type.
type usageError string

func (e usageError) Error() string { return string(e) }

// newRootCommand builds the tree of commands. started becomes true when the command line was accepted and a command began.
func newRootCommand(env *environment) (root *cobra.Command, started *bool) {
	replaceWorkers := false
	root = &cobra.Command{
		Use:   "zenconn",
		Short: "ZenConn, the real-time server",
		Long: `ZenConn keeps client connections open, moves messages between them through channels, asks your plugins what is allowed,
and keeps a record of everything that happened. Without a command it runs the server.

Without any configuration the server runs in demo mode, on this machine only. It is configured by files (--config), environment
variables (ZENCONN_CLIENT__ADDR) and flags (--client.addr), the later ones winning: every key of the configuration is a flag too.
'zenconn config print' lists all keys with their values.`,
		Example: `  zenconn                                             run the demo: http://localhost:8000/
  zenconn --config zenconn.yaml                       run the server with a configuration
  zenconn --config zenconn.yaml --client.addr :8080   the same on another port`,
		Args: unknownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return serve(cmd.Context(), env, func() (*config.Loaded, error) { return env.load(cmd) }, replaceWorkers)
		},
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetIn(env.stdin)
	root.SetOut(env.stdout)
	root.SetErr(env.stderr)
	root.SetFlagErrorFunc(flagError)
	root.PersistentFlags().StringArray("config", nil, "configuration `FILE` (.yaml, .toml or .json); repeatable, later ones win")
	root.Flags().BoolVar(&replaceWorkers, replaceFlag, false, "replace the workers that are found running")
	_ = root.Flags().MarkHidden(replaceFlag) // It exists.
	config.AddFlags(root.PersistentFlags())

	// The one place where commands are listed.
	root.AddCommand(
		newConfigCommand(env),
		newTokenCommand(env),
		newAuditCommand(env),
		newPluginCommand(env),
		newBenchCommand(env),
		newHealthCommand(env),
		newWorkerCommand(env, work),
		newStatusCommand(env),
		newRestartCommand(env),
		newVersionCommand(env),
	)

	started = new(bool)
	markStart(root, started)
	return root, started
}

// markStart makes every command below cmd say when it begins, which is after cobra has accepted its flags and arguments.
func markStart(cmd *cobra.Command, started *bool) {
	if run := cmd.RunE; run != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			*started = true
			return run(cmd, args)
		}
	}
	for _, sub := range cmd.Commands() {
		markStart(sub, started)
	}
}

// load reads the configuration that the command was given: --config files, environment variables and flags.
func (env *environment) load(cmd *cobra.Command) (*config.Loaded, error) {
	files, err := cmd.Flags().GetStringArray("config")
	if err != nil {
		return nil, err
	}
	return env.loadFiles(cmd, files)
}

func (env *environment) loadFiles(cmd *cobra.Command, files []string) (*config.Loaded, error) {
	return config.Load(config.Sources{Files: files, Environ: env.environ, Flags: cmd.Flags()})
}

// unknownCommand refuses arguments where only a subcommand can stand.
func unknownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	cmd.SuggestionsMinimumDistance = 2 // Cobra sets it only where it looks for commands itself.
	text := fmt.Sprintf("unknown command %q", cmd.CommandPath()+" "+args[0])
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		text += ", did you mean " + strings.Join(near, " or ") + "?"
	}
	return usageError(text)
}

// one wants one argument, and otherwise says which, with an example.
func one(command, what, example string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) != 1 {
			return usageError(oneArgument(command, what, example, args))
		}
		return nil
	}
}

// oneArgument says what a command wants that got no argument, or several.
func oneArgument(command, what, example string, args []string) string {
	if len(args) == 0 {
		return fmt.Sprintf("%s: give it %s; for example\n  zenconn %s %s", command, what, command, example)
	}
	return fmt.Sprintf("%s: %d arguments, want one: %s; put quotes around one with spaces", command, len(args), what)
}

// count says how many there are of something whose plural ends in s.
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func flagError(_ *cobra.Command, err error) error {
	if invalid, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		if want := wanted[invalid.GetFlag().Value.Type()]; want != "" {
			return usageError(fmt.Sprintf("--%s: %q is not %s", invalid.GetFlag().Name, invalid.GetValue(), want))
		}
	}
	unknown, ok := errors.AsType[*pflag.NotExistError](err)
	if !ok {
		return usageError(err.Error())
	}
	text := err.Error()
	if near := config.SuggestFlag(unknown.GetSpecifiedName()); near != "" {
		text += ", did you mean --" + near + "?"
	}
	return usageError(text)
}

// wanted says of the types of flags what their values are.
var wanted = map[string]string{
	"int": "a whole number", "int64": "a whole number", "uint": "a whole number of 0 or more", "uint64": "a whole number of 0 or more",
	"float64": "a number", "bool": "true or false", "duration": "a length of time such as 30s or 5m",
}

// group returns a command that only holds others.
func group(use, short string) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short,
		Args: unknownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var names []string
			for _, sub := range cmd.Commands() {
				if sub.IsAvailableCommand() {
					names = append(names, sub.Name())
				}
			}
			return usageError(fmt.Sprintf("%s: say which: %s", strings.TrimPrefix(cmd.CommandPath(), "zenconn "), strings.Join(names, ", ")))
		},
	}
}
