package cli

import "github.com/spf13/cobra"

func newBenchCommand(*environment) *cobra.Command { return &cobra.Command{Use: "bench", Short: "Measure a server"} }
