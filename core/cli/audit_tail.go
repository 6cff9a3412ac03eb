package cli

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/zenconn/server/audit/ask"
	"github.com/zenconn/server/audit/store"
)

// How the store is followed. Events reach it a fraction of a second after they happened, those of a node that was in trouble later; so every
// look goes back a little behind the newest event that was seen, some go back further, and what was shown already is not shown again.
const (
	tailPause    = 500 * time.Millisecond
	tailOverlap  = 5 * time.Second
	tailLate     = time.Minute
	tailDeepEach = 20 // Looks.
)

func newAuditTailCommand(env *environment) *cobra.Command {
	var t tail
	var since string
	cmd := &cobra.Command{
		Use:   "tail",
		Short: "Follow what happens, until Ctrl-C",
		Long: `Prints events when they have reached the store that the configuration names, which is about a second after they happened, until it is
interrupted. No event is printed twice. One that reaches the store more than a minute later than others of its kind, because its node was cut
off for example, is not printed; it is in the store. Deliveries are not printed, since they are only added up.`,
		Example: `  zenconn audit tail
  zenconn audit tail --kind message --channel chat:tea
  zenconn audit tail --user alice --since 10m --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			from, _, err := period("since", since, "", "", time.Now())
			if err != nil {
				return err
			}
			if from.IsZero() {
				from = time.Now()
			}
			if err := t.choose(cmd, from); err != nil {
				return err
			}
			reader, err := env.reader(cmd)
			if err != nil {
				return err
			}
			t.out, t.stderr = bufio.NewWriter(env.stdout), env.stderr
			return errors.Join(t.follow(cmd.Context(), reader), reader.Close())
		},
	}
	cmd.Flags().StringVar(&since, "since", "", "begin with what happened from this `TIME` on; without: now")
	cmd.Flags().StringSliceVar(&t.kinds, "kind", nil, "only events of this `KIND`: "+strings.Join(tailKinds(), ", ")+"; repeatable")
	for _, f := range tailFilters {
		cmd.Flags().String(f.name, "", f.help)
	}
	cmd.Flags().BoolVar(&t.json, "json", false, "one JSON object per event, with the columns of its table")
	return cmd
}

// tailFilters are the flags that choose events by a column.
var tailFilters = [...]struct{ name, help string }{
	{"user", "only what this `USER` did, or what was done to them"},
	{"channel", "only what happened in this `CHANNEL`"},
	{"session", "only what this `SESSION` did"},
	{"plugin", "only what this `PLUGIN` decided"},
}

// tailSource is a table that can be followed.
type tailSource struct {
	kind, table string
	time        string            // What begins an event's place in time, in SQL.
	filters     map[string]string // The columns of the filters; an event of a kind without the column does not match.
	key         []string          // The columns that make an event different from others.
	text        []string          // What is printed on a line after time and kind, by column.
}

// A session is there again, later and in a new version, when it ends.
const sessionTime = "CASE WHEN version % 3 = 1 THEN connected_at ELSE disconnected_at END"

var tailSources = [...]tailSource{
	{
		"message", "audit_messages", "at", map[string]string{"user": "user", "channel": "channel", "session": "session"},
		[]string{"id"}, []string{"user", "channel", "verdict", "payload", "payload_hash"},
	},
	{
		"session", "audit_sessions", sessionTime, map[string]string{"user": "user", "session": "session"},
		[]string{"session", "version"}, []string{"user", "remote_addr", "transport", "close_code", "close_reason"},
	},
	{
		"decision", "audit_decisions", "at", map[string]string{"user": "user", "channel": "channel", "session": "session", "plugin": "plugin"},
		[]string{"id"}, []string{"user", "channel", "verdict", "hook", "plugin", "reason"},
	},
	{
		"action", "audit_actions", "at", map[string]string{"user": "target"},
		[]string{"id"}, []string{"actor_kind", "actor", "action", "target", "error"},
	},
	{
		"drop", "audit_drops", "at", map[string]string{"user": "user", "session": "session"},
		[]string{"at", "node", "session", "reason", "messages"}, []string{"user", "reason", "messages"},
	},
}

func tailKinds() (kinds []string) {
	for _, s := range tailSources {
		kinds = append(kinds, s.kind)
	}
	return kinds
}

type tail struct {
	kinds  []string
	json   bool
	out    *bufio.Writer
	stderr io.Writer

	followed []*followed
}

// followed is a table and how far it was printed.
type followed struct {
	tailSource
	statement string
	params    []sql.NamedArg
	start     time.Time
	newest    time.Time            // Of the events that were printed.
	seen      map[string]time.Time // By their keys, those of the last time.
}

// choose makes the questions that the flags want.
func (t *tail) choose(cmd *cobra.Command, start time.Time) error {
	for _, kind := range t.kinds {
		if !slices.Contains(tailKinds(), kind) {
			return usageError(fmt.Sprintf("--kind: there is no kind %q; there are %s", kind, strings.Join(tailKinds(), ", ")))
		}
	}
	for _, source := range tailSources {
		f := &followed{tailSource: source, start: start, newest: start, seen: map[string]time.Time{}}
		f.statement = fmt.Sprintf("SELECT %s AS happened, t.* FROM %s AS t WHERE happened >= @since", source.time, source.table)
		matches := len(t.kinds) == 0 || slices.Contains(t.kinds, source.kind)
		for _, filter := range tailFilters {
			value, err := cmd.Flags().GetString(filter.name)
			if err != nil {
				return err
			}
			if value == "" {
				continue
			}
			column, has := source.filters[filter.name]
			matches = matches && has
			if filter.name == "session" {
				column = "CAST(" + column + " AS TEXT)"
			}
			f.statement += fmt.Sprintf(" AND %s = @%s", column, filter.name)
			f.params = append(f.params, sql.Named(filter.name, value))
		}
		if matches {
			f.statement += " ORDER BY happened"
			t.followed = append(t.followed, f)
		}
	}
	if len(t.followed) == 0 {
		return usageError("no kind of event has all of that")
	}
	return nil
}

// follow looks again and again until ctx ends, which is no error. A store that is away is waited for.
func (t *tail) follow(ctx context.Context, from store.Reader) error {
	away := false
	for look := 0; ; look++ {
		back := tailOverlap
		if look%tailDeepEach == tailDeepEach-1 {
			back = tailLate
		}
		err := t.look(ctx, from, back)
		switch {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // The end was asked for.
		case err != nil && look == 0:
			return err
		case err != nil && !away:
			fmt.Fprintf(t.stderr, "zenconn: the store does not answer; it is asked again: %v\n", err)
		}
		away = err != nil
		select {
		case <-time.After(tailPause):
		case <-ctx.Done():
			return nil
		}
	}
}

// event is one that was not printed yet.
type event struct {
	at, kind string
	names    []string
	values   []any
	source   *followed
}

// look prints what is new in all tables, in the order of time.
func (t *tail) look(ctx context.Context, from store.Reader, back time.Duration) error {
	var fresh []event
	var failure error
	for _, f := range t.followed {
		some, err := f.fresh(ctx, from, back)
		fresh, failure = append(fresh, some...), errors.Join(failure, err)
	}
	slices.SortStableFunc(fresh, func(a, b event) int { return strings.Compare(a.at, b.at) })
	for _, e := range fresh {
		if err := t.print(e); err != nil {
			return err
		}
	}
	return errors.Join(failure, t.out.Flush())
}

// fresh returns what is new in a table.
func (f *followed) fresh(ctx context.Context, from store.Reader, back time.Duration) (fresh []event, err error) {
	since := f.newest.Add(-back)
	if since.Before(f.start) {
		since = f.start
	}
	rows, err := from.Ask(ctx, f.statement, append(slices.Clip(f.params), sql.Named("since", since))...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	names, now := rows.Columns(), time.Now()
	for rows.Next() {
		values, err := rows.Values()
		if err != nil {
			return fresh, err
		}
		e := event{at: asText(values[0]), kind: f.kind, names: names[1:], values: values[1:], source: f}
		at, err := ask.ParseTime(e.at, since)
		if err != nil {
			return fresh, err
		}
		key := strings.Join(e.texts(f.key), "\x00")
		if _, known := f.seen[key]; known {
			continue
		}
		f.seen[key] = at
		if at.After(f.newest) && at.Before(now) { // A node whose clock is ahead must not hide the others' events.
			f.newest = at
		}
		fresh = append(fresh, e)
	}
	for key, at := range f.seen {
		if at.Before(f.newest.Add(-2 * tailLate)) {
			delete(f.seen, key)
		}
	}
	return fresh, rows.Err()
}

// texts returns the values of columns.
func (e *event) texts(columns []string) []string {
	texts := make([]string, len(columns))
	for i, column := range columns {
		if at := slices.Index(e.names, column); at >= 0 {
			texts[i] = asText(e.values[at])
		}
	}
	return texts
}

func (t *tail) print(e event) error {
	if t.json {
		line := &lossless{&jsonLines{out: t.out}}
		if err := line.columns(append([]string{"kind"}, e.names...)); err != nil {
			return err
		}
		return line.row(append([]any{e.kind}, e.values...))
	}
	words := []string{e.at, fmt.Sprintf("%-8s", e.kind)}
	for _, text := range e.texts(e.source.text) {
		if text != "" && text != "0" {
			words = append(words, printable(text))
		}
	}
	_, err := fmt.Fprintln(t.out, strings.Join(words, " "))
	return err
}
