package cli

import "github.com/spf13/cobra"

func newConfigCommand(env *environment) *cobra.Command {
	return group("config", "Show and check the configuration")
}
