package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/zenconn/server/core/api"
)

// shortHash is how much of a hash tells versions apart.
const shortHash = 12

func newPluginListCommand(env *environment) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Show the plugins that are active in the running server, on each of its nodes",
		Long: `Asks the running server with the same configuration, through its API (api.addr, api.key), which plugins its processes ask at this
moment, in their order. A plugin that is not the same everywhere has a line for each version, with the nodes that have it; problems
come first. BREAKER says which hooks are not asked because they failed too often.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := env.api(cmd)
			if err != nil {
				return err
			}
			return listPlugins(cmd.Context(), client, env.stdout, asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the answer as JSON")
	return cmd
}

func listPlugins(ctx context.Context, client *apiClient, out io.Writer, asJSON bool) error {
	var nodes api.PluginNodes
	if err := client.call(ctx, "plugins", struct{}{}, &nodes); err != nil {
		return err
	}
	if asJSON {
		encoder := json.NewEncoder(out)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		return encoder.Encode(nodes)
	}
	return printPlugins(out, nodes.Nodes)
}

// pluginVersion is one version of a plugin, and where it is.
type pluginVersion struct {
	name, hash string
	hooks      []string
	open       []string // Hooks whose breaker is not closed, with the node.
	nodes      []string
}

// versions puts together what is the same on several nodes, in the order in which plugins are asked.
func versions(nodes []api.PluginNode) []*pluginVersion {
	var all []*pluginVersion
	for _, n := range nodes {
		for _, p := range n.Plugins {
			i := slices.IndexFunc(all, func(v *pluginVersion) bool { return v.name == p.Name && v.hash == p.Hash })
			if i < 0 {
				i, all = len(all), append(all, &pluginVersion{name: p.Name, hash: p.Hash, hooks: p.Hooks})
			}
			v := all[i]
			v.nodes = append(v.nodes, n.Name)
			for _, hook := range p.Hooks {
				if state := p.Breakers[hook]; state != "" && state != "closed" {
					v.open = append(v.open, fmt.Sprintf("%s %s on %s", hook, state, n.Name))
				}
			}
		}
	}
	first := make(map[string]int, len(all)) // Where the first version of a plugin is.
	for i, v := range all {
		if _, ok := first[v.name]; !ok {
			first[v.name] = i
		}
	}
	slices.SortStableFunc(all, func(a, b *pluginVersion) int { return first[a.name] - first[b.name] })
	return all
}

func printPlugins(w io.Writer, nodes []api.PluginNode) error {
	var out strings.Builder
	all := versions(nodes)
	for _, n := range nodes {
		if n.Problem != "" {
			fmt.Fprintf(&out, "! %s: %s\n", printable(n.Name), printable(n.Problem))
		}
	}
	for i, v := range all {
		if i > 0 && all[i-1].name == v.name && (i < 2 || all[i-2].name != v.name) {
			fmt.Fprintf(&out, "! %s is not the same on all nodes; while a new version is put into the server that passes\n", printable(v.name))
		}
	}
	if out.Len() > 0 {
		out.WriteByte('\n')
	}
	if len(all) == 0 {
		out.WriteString("no plugins are active\n")
		_, err := io.WriteString(w, out.String())
		return err
	}
	table := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "PLUGIN\tVERSION\tHOOKS\tBREAKER\tNODES")
	for _, v := range all {
		breaker := "closed"
		if len(v.open) > 0 {
			breaker = strings.Join(v.open, ", ")
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", printable(v.name), printable(v.hash[:min(len(v.hash), shortHash)]),
			printable(strings.Join(v.hooks, " ")), printable(breaker), printable(strings.Join(v.nodes, " ")))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	_, err := io.WriteString(w, out.String())
	return err
}
