package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/zenconn/server/core/api"
)

const (
	restartPoll     = 500 * time.Millisecond
	restartPatience = 15 * time.Second // For a server that does not answer while it restarts its workers.
)

func newRestartCommand(env *environment) *cobra.Command {
	cmd := group("restart", "Restart parts of the running server")
	cmd.AddCommand(&cobra.Command{
		Use:   "workers",
		Short: "Replace the worker processes one after the other, without refusing a connection",
		Long: `Asks the running server with the same configuration, through its API (api.addr, api.key), to replace its worker processes
(agent.workers) one after the other: a new process is started beside the old one; when it is ready, the clients of the old one are
told to reconnect, and it ends. When a new process does not get ready, its old one stays and the restart is given up: the exit code is
1 and the reason is said.

The server does it by itself: ending this command does not stop it.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := env.api(cmd)
			if err != nil {
				return err
			}
			var begun api.FleetRestart
			if err := client.call(cmd.Context(), "restart", map[string]string{"what": "workers"}, &begun); err != nil {
				return err
			}
			fmt.Fprintf(env.stdout, "restarting the workers of %s: %d\n", printable(begun.Agent), begun.Count)
			return followRestart(cmd.Context(), client, env.stdout, begun)
		},
	})
	return cmd
}

// followRestart prints how far a restart is until it is over.
func followRestart(ctx context.Context, client *apiClient, out io.Writer, r api.FleetRestart) error {
	told, heard := 0, time.Now()
	for {
		for ; told < r.Done; told++ {
			fmt.Fprintf(out, "%d of %d restarted\n", told+1, r.Count)
		}
		switch {
		case r.Error != "":
			return fmt.Errorf("given up after %d of %d: %s", r.Done, r.Count, printable(r.Error))
		case !r.Running:
			return nil
		}
		select {
		case <-time.After(restartPoll):
		case <-ctx.Done():
			return errors.New("not waited for: the server goes on with the restart, and zenconn status shows it")
		}
		var status api.FleetStatus
		err := client.call(ctx, "status", struct{}{}, &status)
		if err != nil {
			if _, refused := errors.AsType[refusedByAPI](err); refused || time.Since(heard) >= restartPatience {
				return fmt.Errorf("what became of the restart is not known: %w", err)
			}
			continue
		}
		heard = time.Now()
		if r, err = sameRestart(status.Restarts, r); err != nil {
			return err
		}
	}
}

// sameRestart finds a restart again.
func sameRestart(all []api.FleetRestart, r api.FleetRestart) (api.FleetRestart, error) {
	for _, now := range all {
		if now.Agent == r.Agent && now.Begun.Equal(r.Begun) {
			return now, nil
		}
	}
	return r, errors.New("the server does not know the restart any more: it was itself started again meanwhile")
}
