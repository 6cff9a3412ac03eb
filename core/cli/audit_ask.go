package cli

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/zenconn/server/audit"
	"github.com/zenconn/server/audit/ask"
)

const defaultLimit = 100 // Rows that are more than a person reads.

func newAuditAskCommand(env *environment) *cobra.Command {
	cmd := group("ask", "Answer a question that has a name")
	cmd.Long = `Answers one of the questions below from the store that the configuration names, as a table and, on a terminal, with bars. The server
may be running. Times are UTC; they are written as "2026-11-21 14:03", 14:03 for today, or 24h or 7d for so long ago.`
	cmd.Example = `  zenconn audit ask top-channels --since 7d
  zenconn audit ask user-history alice
  zenconn audit ask connections-at "2026-11-21 14:03"`
	for _, q := range ask.Questions() {
		cmd.AddCommand(newQuestionCommand(env, &q))
	}
	return cmd
}

// asking is what the flags of a question say.
type asking struct {
	since, until string
	limit        int
	form         form
}

func newQuestionCommand(env *environment, q *ask.Question) *cobra.Command {
	var a asking
	cmd := &cobra.Command{
		Use: q.Name, Short: q.Short, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return a.answer(cmd, env, q, args) },
	}
	if q.Argument != "" {
		cmd.Use += " " + q.Argument
		cmd.Args = func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError(oneArgument("audit ask "+q.Name, "a "+q.Argument, q.Example, args))
			}
			return nil
		}
	}
	if q.Period() {
		without := "everything"
		if q.Recent {
			without = "24 hours"
		}
		cmd.Flags().StringVar(&a.since, "since", "", "only what happened from this `TIME` on (without: "+without+")")
		cmd.Flags().StringVar(&a.until, "until", "", "only what happened before this `TIME`")
	}
	cmd.Flags().IntVar(&a.limit, "limit", defaultLimit, "most rows")
	a.form.flags(cmd)
	return cmd
}

func (a *asking) answer(cmd *cobra.Command, env *environment, q *ask.Question, args []string) error {
	now := time.Now()
	terms, err := a.terms(args, now)
	if err != nil {
		return err
	}
	terms.Limit++ // One more tells whether there are more.
	params, err := q.Params(q.SQL, terms, now)
	if err != nil {
		return usageError(err.Error())
	}
	reader, err := env.reader(cmd)
	if err != nil {
		return err
	}
	out := &limited{answer: a.form.answer(env.stdout), most: a.limit}
	var drawn *bars
	if width := terminalWidth(env.stdout); width > 0 && a.form.table() && q.Chart.Value != "" {
		drawn = &bars{out: env.stdout, width: width, chart: q.Chart}
		if q.Chart.SQL == "" {
			out.answer = both{out.answer, drawn}
		}
	}
	err = printAnswer(out, func() (audit.Rows, error) { return reader.Ask(cmd.Context(), q.SQL, params...) })
	if err == nil && drawn != nil && q.Chart.SQL != "" {
		if params, err = q.Params(q.Chart.SQL, terms, now); err == nil {
			err = printAnswer(drawn, func() (audit.Rows, error) { return reader.Ask(cmd.Context(), q.Chart.SQL, params...) })
		}
	}
	if err == nil && out.more {
		fmt.Fprintf(env.stderr, "zenconn: there are more than %d rows; see --limit\n", a.limit)
	}
	return errors.Join(err, reader.Close())
}

func (a *asking) terms(args []string, now time.Time) (t ask.Terms, err error) {
	if a.limit < 1 || a.limit > 10_000_000 {
		return t, usageError("--limit: want 1 to 10000000")
	}
	t.Limit = a.limit
	if len(args) > 0 {
		t.Argument = args[0]
	}
	if t.Since, t.Until, err = period("since", a.since, "until", a.until, now); err != nil {
		return t, err
	}
	return t, nil
}

// period reads a beginning and an end from flags of these names.
func period(begin, since, end, until string, now time.Time) (from, to time.Time, err error) {
	if since != "" {
		if from, err = ask.ParseTime(since, now); err != nil {
			return from, to, usageError("--" + begin + ": " + err.Error())
		}
	}
	if until != "" {
		if to, err = ask.ParseTime(until, now); err != nil {
			return from, to, usageError("--" + end + ": " + err.Error())
		}
	}
	if since != "" && until != "" && !from.Before(to) {
		return from, to, usageError(fmt.Sprintf("--%s must be before --%s", begin, end))
	}
	return from, to, nil
}

// limited prints the first rows of an answer.
type limited struct {
	answer
	most int
	more bool // There were more.
}

func (l *limited) row(values []any) error {
	if l.most == 0 {
		l.more = true
		return nil
	}
	l.most--
	return l.answer.row(values)
}

// both prints an answer in two forms, the second after the first.
type both struct{ first, second answer }

func (b both) columns(names []string) error {
	return errors.Join(b.first.columns(names), b.second.columns(names))
}
func (b both) row(values []any) error { return errors.Join(b.first.row(values), b.second.row(values)) }
func (b both) end() error             { return errors.Join(b.first.end(), b.second.end()) }
