package cli

import (
	"encoding/json"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/zenconn/server/core/config"
)

func newConfigCommand(env *environment) *cobra.Command {
	cmd := group("config", "Show and check the configuration")
	cmd.Example = `  zenconn config print                        the defaults of the demo
  zenconn config print --config zenconn.yaml  what the server would run with, and where each value comes from
  zenconn config check zenconn.yaml           say what is wrong with a file`
	cmd.AddCommand(newConfigPrintCommand(env), newConfigCheckCommand(env))
	return cmd
}

func newConfigPrintCommand(env *environment) *cobra.Command {
	var asJSON, asYAML, secrets bool
	cmd := &cobra.Command{
		Use:   "print",
		Short: "Show every value and where it comes from",
		Long: `Shows every value that the server would run with, and where it comes from: default, demo, file, environment or flag.
Secrets are masked. Every key shown is a flag too, and an environment variable: client.addr is --client.addr and ZENCONN_CLIENT__ADDR.`,
		Example: `  zenconn config print --config zenconn.yaml --log.level debug
  zenconn config print --demo=false --yaml > zenconn.yaml   a file to begin with`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if asJSON && asYAML {
				return usageError("--json and --yaml exclude each other")
			}
			if secrets && !asYAML {
				return usageError("--show-secrets goes with --yaml")
			}
			loaded, err := env.load(cmd)
			if err != nil {
				return err
			}
			switch {
			case asJSON:
				return printJSON(env, loaded)
			case asYAML:
				_, err = env.stdout.Write(loaded.YAML(secrets))
				return err
			}
			return printTable(env, loaded)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as one JSON object, by key")
	cmd.Flags().BoolVar(&asYAML, "yaml", false, "as a file for --config, without secrets")
	cmd.Flags().BoolVar(&secrets, "show-secrets", false, "with --yaml: secrets too")
	return cmd
}

func printTable(env *environment, loaded *config.Loaded) error {
	table := tabwriter.NewWriter(env.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "KEY\tVALUE\tFROM\n")
	for _, v := range loaded.Values() {
		fmt.Fprintf(table, "%s\t%s\t%s\n", v.Key, v.Text(), v.Origin)
	}
	return table.Flush()
}

func printJSON(env *environment, loaded *config.Loaded) error {
	type value struct {
		Value any `json:"value"`
		config.Origin
	}
	values := map[string]value{}
	for _, v := range loaded.Values() {
		values[v.Key] = value{v.Value, v.Origin}
	}
	encoder := json.NewEncoder(env.stdout)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(values)
}

func newConfigCheckCommand(env *environment) *cobra.Command {
	return &cobra.Command{
		Use:   "check FILE…",
		Short: "Say what is wrong with configuration files",
		Long: `Reads the files as --config would, together with the environment and the flags, and prints ok, or everything that is wrong.
Nothing is started. The exit code is 0 or 2.`,
		Example: `  zenconn config check zenconn.yaml
  zenconn config check base.yaml production.yaml`,
		RunE: func(cmd *cobra.Command, args []string) error {
			files, err := cmd.Flags().GetStringArray("config")
			if err != nil {
				return err
			}
			if files = append(files, args...); len(files) == 0 {
				return usageError("config check: say which file")
			}
			if _, err := env.loadFiles(cmd, files); err != nil {
				return err
			}
			_, err = fmt.Fprintln(env.stdout, "ok")
			return err
		},
	}
}
