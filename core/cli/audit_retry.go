package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/zenconn/server/core/api"
)

func newAuditRetryCommand(env *environment) *cobra.Command {
	return &cobra.Command{
		Use:   "retry",
		Short: "Try again to store what was set aside",
		Long: `Asks the running server with the same configuration, through its API (api.addr, api.key), to store once more the audit events that
could not be stored and were set aside: because the store refused them, or because a newer program had written them. What still
cannot be stored is set aside again; the log says why.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := env.api(cmd)
			if err != nil {
				return err
			}
			var retried api.AuditRetried
			if err := client.call(cmd.Context(), "audit_retry", struct{}{}, &retried); err != nil {
				return err
			}
			if retried.Batches == 0 {
				fmt.Fprintln(env.stdout, "nothing was set aside")
				return nil
			}
			fmt.Fprintf(env.stdout, "%d batches are tried again\n", retried.Batches)
			return nil
		},
	}
}
