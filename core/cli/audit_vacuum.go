package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/user"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/zenconn/server/audit/erase"
	"github.com/zenconn/server/audit/store"
	"github.com/zenconn/server/core/agent"
	"github.com/zenconn/server/core/config"
)

func newAuditVacuumCommand(env *environment) *cobra.Command {
	compact := false
	cmd := &cobra.Command{
		Use:   "vacuum",
		Short: "Remove what is older, or more, than the configuration keeps",
		Long: `Removes from the SQLite store what audit.keep and audit.sqlite.retention_rows do not allow, and says how many rows of each table
that were. The server does the same when it starts and once a day. It may be running: what it has to write comes in between. ClickHouse
removes by itself what is too old.

The room of removed rows is used again by new ones. --compact gives it back to the file system, which rewrites the whole file: the server's
events wait in the spool meanwhile.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			loaded, err := env.load(cmd)
			if err != nil {
				return err
			}
			limits, ours := agent.Retention(loaded.Config.Audit)
			if !ours {
				return errors.New("there is nothing to do here: ClickHouse removes by itself what is older than audit.keep allows")
			}
			return erasing(loaded.Config, func(s erase.Store) error {
				removed, err := erase.Trim(cmd.Context(), s, limits, time.Now(), operator(loaded.Config))
				if err != nil {
					return err
				}
				printRemoved(env.stdout, removed, "nothing is older, or more, than is kept")
				if file, ok := s.(interface{ Compact(context.Context) error }); ok && compact {
					return file.Compact(cmd.Context())
				}
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&compact, "compact", false, "give the room of removed rows back to the file system")
	return cmd
}

// erasing opens the store that the configuration names, to remove from it. There must be one.
func erasing(c config.Config, do func(erase.Store) error) error {
	reader, err := store.OpenReader(c.Audit, c.Data)
	if err != nil {
		return err
	}
	if err := reader.Close(); err != nil {
		return err
	}
	sink, err := store.Open(c.Audit, c.Data)
	if err != nil {
		return err
	}
	return errors.Join(do(sink), sink.Close())
}

// operator says who removes something, for the audit.
func operator(c config.Config) erase.By {
	host, _ := os.Hostname() //nolint:errcheck // Without one there is a name too.
	who := "unknown"
	if u, err := user.Current(); err == nil {
		who = u.Username
	}
	return erase.By{Node: c.Agent.NodeName(host), Actor: who}
}

// printRemoved says how many rows of which table are gone.
func printRemoved(w io.Writer, removed map[string]int, none string) {
	if len(removed) == 0 {
		fmt.Fprintln(w, none)
	}
	for _, table := range slices.Sorted(maps.Keys(removed)) {
		fmt.Fprintf(w, "%s: %d removed\n", table, removed[table])
	}
}
