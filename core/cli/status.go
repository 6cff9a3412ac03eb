package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/zenconn/server/core/api"
)

// watchInterval is how often --watch asks.
const watchInterval = 2 * time.Second

func newStatusCommand(env *environment) *cobra.Command {
	var asJSON, watched bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show agents and workers, and what is wrong with them",
		Long: `Asks the running server with the same configuration, through its API (api.addr, api.key), for all its processes: those of all
agents, if there are several. Problems come first. The exit code is 0 when the server answers, whatever it says.

IN/S are commands of clients, OUT/S publications sent to them, both per second; MEMORY is what the process occupies. RESTARTS counts
how often a worker was started again after it had ended by itself. Users and channels of several processes may be the same, and have
no total.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if watched && asJSON {
				return usageError("--watch and --json exclude each other")
			}
			if watched && !isTerminal(env.stdout) {
				return usageError("--watch needs a terminal")
			}
			client, err := env.api(cmd)
			if err != nil {
				return err
			}
			show := func(ctx context.Context, out io.Writer) error { return showStatus(ctx, client, out, asJSON) }
			if watched {
				return watch(cmd.Context(), env.stdout, watchInterval, show)
			}
			return show(cmd.Context(), env.stdout)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the answer as JSON")
	cmd.Flags().BoolVar(&watched, "watch", false, "show it again every two seconds, until Ctrl-C")
	return cmd
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

func showStatus(ctx context.Context, client *apiClient, out io.Writer, asJSON bool) error {
	var status api.FleetStatus
	if err := client.call(ctx, "status", struct{}{}, &status); err != nil {
		return err
	}
	if asJSON {
		encoder := json.NewEncoder(out)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		return encoder.Encode(status)
	}
	return printStatus(out, &status, time.Now())
}

const clearScreen = "\x1b[H\x1b[J"

// watch shows something on a terminal again and again until ctx ends. That it cannot be shown is shown too, and may pass.
func watch(ctx context.Context, out io.Writer, interval time.Duration, show func(context.Context, io.Writer) error) error {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		var screen bytes.Buffer
		screen.WriteString(clearScreen)
		if err := show(ctx, &screen); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			fmt.Fprintf(&screen, "%v\n", err)
		}
		if _, err := screen.WriteTo(out); err != nil {
			return err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}
