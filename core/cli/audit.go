package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/zenconn/server/audit"
)

func newAuditCommand(env *environment) *cobra.Command {
	cmd := group("audit", "Ask the audit what happened")
	cmd.Long = `The audit is the server's record of everything that happened: who connected, what was said, who was refused, and by which version of
which plugin. These commands read it, prove that nobody tampered with it, and remove from it, on the store that the configuration names
(SQLite in the data directory, or ClickHouse). The server may be running. docs/audit.md lists the tables.`
	cmd.Example = `  zenconn audit ask denials                             who was refused, and why
  zenconn audit ask user-history alice                  everything about a user
  zenconn audit query "SELECT at, user, channel, payload FROM audit_messages ORDER BY at DESC LIMIT 20"
  zenconn audit tail                                    what happens now
  zenconn audit verify                                  whether the record is as it was written`
	cmd.AddCommand(newAuditAskCommand(env), newAuditQueryCommand(env), newAuditTailCommand(env), newAuditExportCommand(env), newAuditRetryCommand(env), newAuditVerifyCommand(env),
		newAuditVacuumCommand(env), newAuditForgetCommand(env))
	return cmd
}

func newAuditQueryCommand(env *environment) *cobra.Command {
	var printed form
	cmd := &cobra.Command{
		Use:   "query SQL",
		Short: "Answer a question in SQL",
		Long: `Runs one SQL statement that reads, on the store that the configuration names (SQLite or ClickHouse), and prints the answer. The
server may be running. The argument - reads the statement from the standard input.

The tables are audit_messages, audit_sessions, audit_decisions, audit_actions, audit_deliveries and audit_drops; docs/audit.md lists
their columns. Times are UTC. The examples work in both stores.`,
		Example: `  # who connected
  zenconn audit query "SELECT connected_at, user, transport, remote_addr, close_reason FROM audit_sessions ORDER BY connected_at DESC LIMIT 20"
  # what was said
  zenconn audit query "SELECT at, channel, user, verdict, payload FROM audit_messages ORDER BY at DESC LIMIT 20"
  # what was refused, and by which version of which plugin
  zenconn audit query "SELECT at, user, channel, hook, plugin, plugin_hash, reason FROM audit_decisions WHERE verdict = 'reject' ORDER BY at DESC LIMIT 20"`,
		Args: oneStatement,
		RunE: func(cmd *cobra.Command, args []string) error {
			query, err := statement(args[0], env.stdin)
			if err != nil {
				return err
			}
			reader, err := env.reader(cmd)
			if err != nil {
				return err
			}
			err = printAnswer(printed.answer(env.stdout), func() (audit.Rows, error) { return reader.Query(cmd.Context(), query) })
			return errors.Join(err, reader.Close())
		},
	}
	printed.flags(cmd)
	return cmd
}

// oneStatement wants the statement as one argument, and shows what can be asked otherwise.
func oneStatement(cmd *cobra.Command, args []string) error {
	switch len(args) {
	case 1:
		return nil
	case 0:
		return usageError("give it a statement in SQL, in quotes; for example\n" + cmd.Example + `

The tables are ` + tablesList() + `, and the view audit_messages_delivered;
"zenconn audit query --help" says more, "zenconn audit ask" answers common questions without any SQL.`)
	}
	return usageError(fmt.Sprintf("%d arguments, want one: put the statement in quotes", len(args)))
}

// statement returns the SQL that the argument is or stands for.
func statement(arg string, stdin io.Reader) (string, error) {
	if arg == "-" {
		text, err := io.ReadAll(stdin)
		if err != nil {
			return "", fmt.Errorf("standard input: %w", err)
		}
		arg = string(text)
	}
	if arg = strings.TrimSpace(arg); arg == "" {
		return "", usageError("the SQL statement is empty")
	}
	return arg, nil
}
