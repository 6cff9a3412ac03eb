package cli

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/zenconn/server/audit/erase"
	"github.com/zenconn/server/audit/store"
)

func newAuditForgetCommand(env *environment) *cobra.Command {
	var name string
	yes := false
	cmd := &cobra.Command{
		Use:   "forget --user USER",
		Short: "Remove what a user said and did from the audit (right to erasure)",
		Long: `Removes the messages, sessions, decisions and drops of a user from the store that the configuration names, and the user's name from
the actions about the user. What is kept, the numbers, and how the record stays verifiable, docs/audit.md says. It cannot be undone.

The server may be running. What is on the way to the store is not removed, nor what the user does from now on: disconnect the user first, and run
this again when the spool is empty.`,
		Example: "  zenconn audit forget --user alice",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if name == "" {
				return usageError("say whom: --user USER")
			}
			loaded, err := env.load(cmd)
			if err != nil {
				return err
			}
			c := loaded.Config
			reader, err := store.OpenReader(c.Audit, c.Data)
			if err != nil {
				return err
			}
			found, err := known(cmd.Context(), reader, name)
			if err = errors.Join(err, reader.Close()); err != nil {
				return err
			}
			if found.rows == 0 {
				fmt.Fprintf(env.stdout, "the audit knows no user %s\n", printable(name))
				return nil
			}
			if !yes {
				if err := confirm(env.stdin, env.stderr, found.question(name)); err != nil {
					return err
				}
			}
			return erasing(c, func(s erase.Store) error {
				removed, err := erase.User(cmd.Context(), s, name, operator(c))
				if err != nil {
					return err
				}
				printRemoved(env.stdout, removed, "it was gone already")
				if found.connected > 0 {
					fmt.Fprintf(env.stderr, "zenconn: the user seems to be connected; what happens from now on is recorded again\n")
				}
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&name, "user", "", "the `USER`")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

// trace is how much the audit knows of a user.
type trace struct{ rows, connected int64 }

func (t trace) question(name string) string {
	if t.rows == 1 {
		return fmt.Sprintf("1 row of the audit is about %s. Remove it for good?", printable(name))
	}
	return fmt.Sprintf("%d rows of the audit are about %s. Remove them for good?", t.rows, printable(name))
}

const knownRows = `SELECT (SELECT count(*) FROM audit_messages WHERE user = @user) + (SELECT count(*) FROM audit_sessions WHERE user = @user) +
  (SELECT count(*) FROM audit_decisions WHERE user = @user) + (SELECT count(*) FROM audit_drops WHERE user = @user) +
  (SELECT count(*) FROM audit_actions WHERE target = @user) AS n,
  (SELECT count(*) FROM audit_sessions WHERE user = @user AND version % 3 = 1) AS connected`

func known(ctx context.Context, from store.Reader, name string) (t trace, err error) {
	rows, err := from.Ask(ctx, knownRows, sql.Named("user", name))
	if err != nil {
		return t, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		values, err := rows.Values()
		if err != nil {
			return t, err
		}
		n, err := whole(values[0])
		connected, err2 := whole(values[1])
		if err := errors.Join(err, err2); err != nil {
			return t, err
		}
		t = trace{n, connected}
	}
	return t, rows.Err()
}

// confirm asks a person at a terminal. Nobody else can say yes but by the flag.
func confirm(stdin io.Reader, out io.Writer, question string) error {
	if file, ok := stdin.(*os.File); !ok || !term.IsTerminal(int(file.Fd())) {
		return usageError(question + " There is no terminal to ask on: say --yes")
	}
	fmt.Fprintf(out, "%s [y/N] ", question)
	line, err := bufio.NewReader(stdin).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if said := strings.ToLower(strings.TrimSpace(line)); said != "y" && said != "yes" {
		return errors.New("nothing was removed")
	}
	return nil
}
