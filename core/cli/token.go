package cli

import "github.com/spf13/cobra"

func newTokenCommand(*environment) *cobra.Command { return &cobra.Command{Use: "token", Short: "Make a token for development"} }
