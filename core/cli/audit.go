package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/zenconn/server/audit"
	"github.com/zenconn/server/audit/store"
)

func newAuditCommand(env *environment) *cobra.Command {
	cmd := group("audit", "Ask the audit what happened")
	cmd.AddCommand(newAuditQueryCommand(env), newAuditRetryCommand(env))
	return cmd
}

func newAuditQueryCommand(env *environment) *cobra.Command {
	var jsonRows, csvRows bool
	cmd := &cobra.Command{
		Use:   "query SQL",
		Short: "Answer a question in SQL",
		Long: `Runs one SQL statement that reads, on the store that the configuration names (SQLite or ClickHouse), and prints the answer. The
server may be running. The argument - reads the statement from the standard input.

The tables are audit_messages, audit_sessions, audit_decisions, audit_actions, audit_deliveries and audit_drops; docs/audit.md lists their columns. Times are
UTC. The examples work in both stores.`,
		Example: `  # who connected
  zenconn audit query "SELECT connected_at, user, transport, remote_addr, close_reason FROM audit_sessions ORDER BY connected_at DESC LIMIT 20"
  # what was said
  zenconn audit query "SELECT at, channel, user, verdict, payload FROM audit_messages ORDER BY at DESC LIMIT 20"
  # what was refused, and by which version of which plugin
  zenconn audit query "SELECT at, user, channel, hook, plugin, plugin_hash, reason FROM audit_decisions WHERE verdict = 'reject' ORDER BY at DESC LIMIT 20"`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			query, err := statement(args[0], env.stdin)
			if err != nil {
				return err
			}
			loaded, err := env.load(cmd)
			if err != nil {
				return err
			}
			reader, err := store.OpenReader(loaded.Config.Audit, loaded.Config.Data)
			if err != nil {
				return err
			}
			out := answer(newTable(env.stdout, terminalWidth(env.stdout)))
			switch {
			case jsonRows:
				out = newJSONLines(env.stdout)
			case csvRows:
				out = newCSVLines(env.stdout)
			}
			return errors.Join(ask(cmd.Context(), reader, query, out), reader.Close())
		},
	}
	cmd.Flags().BoolVar(&jsonRows, "json", false, "one JSON object per row")
	cmd.Flags().BoolVar(&csvRows, "csv", false, "comma-separated values (RFC 4180), column names first")
	cmd.MarkFlagsMutuallyExclusive("json", "csv")
	return cmd
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

// answer is a way to print rows.
type answer interface {
	columns(names []string) error
	row(values []any) error
	end() error
}

func ask(ctx context.Context, from store.Reader, query string, out answer) (err error) {
	rows, err := from.Query(ctx, query)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	if err := out.columns(rows.Columns()); err != nil {
		return err
	}
	if err := printRows(rows, out); err != nil {
		return errors.Join(err, out.end()) // With the rows that came before.
	}
	return out.end()
}

func printRows(rows audit.Rows, out answer) error {
	for rows.Next() {
		values, err := rows.Values()
		if err != nil {
			return err
		}
		if err := out.row(values); err != nil {
			return err
		}
	}
	return rows.Err()
}

// terminalWidth returns the columns of the terminal that w is, and 0 when it is none.
func terminalWidth(w io.Writer) int {
	file, ok := w.(*os.File)
	if !ok {
		return 0
	}
	width, _, err := term.GetSize(int(file.Fd()))
	if err != nil {
		return 0
	}
	return width
}
