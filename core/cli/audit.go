package cli

import "github.com/spf13/cobra"

func newAuditCommand(*environment) *cobra.Command { return &cobra.Command{Use: "audit", Short: "Ask the audit what happened"} }
