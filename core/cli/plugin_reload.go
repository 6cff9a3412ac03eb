package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/zenconn/server/core/api"
)

// reloadPatience is how long the command waits: workers may have to fetch and compile the plugins.
const reloadPatience = time.Minute

func newPluginReloadCommand(env *environment) *cobra.Command {
	return &cobra.Command{
		Use:   "reload",
		Short: "Put changed plugins into the running server, while clients stay connected",
		Long: `Asks the running server with the same configuration, through its API (api.addr, api.key), to read its plugins again, and what its
configuration says about them. Other parts of the configuration are not read.

The new plugins are loaded and checked beside those that are used. When something is wrong with one of them, nothing is changed: the exit
code is 1 and the reason is said. When a worker process could not change, it goes on with the former plugins: the exit code is 1 too.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := env.api(cmd)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), reloadPatience)
			defer cancel()
			var r api.PluginReload
			if err := client.call(ctx, "reload", map[string]string{"what": "plugins"}, &r); err != nil {
				return err
			}
			return printReload(env.stdout, r)
		},
	}
}

// printReload says what a reload has changed, and where it did not.
func printReload(w io.Writer, r api.PluginReload) error {
	if !r.Changed {
		fmt.Fprintln(w, "nothing has changed")
	} else {
		for _, p := range r.After {
			switch before := find(r.Before, p.Name); before {
			case "":
				fmt.Fprintf(w, "%s: added, %.12s\n", printable(p.Name), printable(p.Hash))
			case p.Hash:
				fmt.Fprintf(w, "%s: the same file, %.12s\n", printable(p.Name), printable(p.Hash))
			default:
				fmt.Fprintf(w, "%s: changed, %.12s instead of %.12s\n", printable(p.Name), printable(p.Hash), printable(before))
			}
		}
		for _, p := range r.Before {
			if find(r.After, p.Name) == "" {
				fmt.Fprintf(w, "%s: removed\n", printable(p.Name))
			}
		}
	}
	failed := slices.DeleteFunc(slices.Clone(r.Nodes), func(n api.ReloadedNode) bool { return n.Problem == "" })
	fmt.Fprintf(w, "nodes: %d of %d\n", len(r.Nodes)-len(failed), len(r.Nodes))
	for _, n := range failed {
		fmt.Fprintf(w, "%s uses the former plugins: %s\n", printable(n.Name), printable(n.Problem))
	}
	if len(failed) > 0 {
		return errors.New("not all nodes use the plugins that are there now")
	}
	return nil
}

// find returns the hash of the plugin with a name, or "".
func find(all []api.PluginVersion, name string) string {
	if i := slices.IndexFunc(all, func(p api.PluginVersion) bool { return p.Name == name }); i >= 0 {
		return all[i].Hash
	}
	return ""
}
