package cli

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/zenconn/server/audit/store"
)

// exportTimeout bounds the reading of an hour of the audit, which is what is asked for at once.
const exportTimeout = 2 * time.Hour

func newAuditExportCommand(env *environment) *cobra.Command {
	var e export
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write a table to a file, as NDJSON, CSV or Parquet",
		Long: `Writes the rows of one table, in the order of their time, to a file or the standard output. The server may be running; what it
writes meanwhile may or may not be there. The memory that is needed does not depend on how many rows there are.

In NDJSON a payload that is not text is called payload_base64; in CSV it is written as 0x and hexadecimal digits. In Parquet payloads are
bytes and the other columns have the types of the tables; what should be text and is not is written as in CSV. Parquet is
compressed (zstd), in row groups of at most 131072 rows.`,
		Example: `  zenconn audit export --since 7d --out messages.ndjson
  zenconn audit export --table audit_sessions --format csv --since 2026-11-01 --until 2026-12-01 --out november.csv
  zenconn audit export --since 30d --out messages.parquet
  zenconn audit export | gzip > messages.ndjson.gz`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return e.run(cmd, env) },
	}
	cmd.Flags().StringVar(&e.table, "table", auditTables[0].name, "the `TABLE`: "+tablesList())
	cmd.Flags().StringVar(&e.format, "format", "", "ndjson, csv or parquet; without: what the file's name ends in, or ndjson")
	cmd.Flags().StringVar(&e.out, "out", "", "the `FILE`, which is replaced; without: standard output")
	cmd.Flags().StringVar(&e.since, "since", "", "only what happened from this `TIME` on")
	cmd.Flags().StringVar(&e.until, "until", "", "only what happened before this `TIME`")
	return cmd
}

type export struct{ table, format, out, since, until string }

func (e *export) run(cmd *cobra.Command, env *environment) error {
	table, ok := findTable(e.table)
	if !ok {
		return usageError(fmt.Sprintf("--table: there is no table %q; there are %s", e.table, tablesList()))
	}
	now := time.Now()
	from, to, err := period("since", e.since, "until", e.until, now)
	if err != nil {
		return err
	}
	if to.IsZero() {
		to = now.Add(time.Hour) // Another node's clock may be ahead.
	}
	make, err := e.printer(table, env.stdout)
	if err != nil {
		return err
	}
	reader, err := env.reader(cmd)
	if err != nil {
		return err
	}
	defer reader.Close() //nolint:errcheck // Only read.
	shown := newProgress(env.stderr)
	defer shown.end()
	return e.into(env.stdout, func(w io.Writer) error {
		return exportRows(cmd.Context(), reader, table, from, to, make(w), shown)
	})
}

// printer chooses the format.
func (e *export) printer(table auditTable, stdout io.Writer) (func(io.Writer) answer, error) {
	format := e.format
	if ext := filepath.Ext(e.out); format == "" && (ext == ".csv" || ext == ".parquet") {
		format = ext[1:]
	}
	switch format {
	case "", "ndjson", "json", "jsonl":
		return func(w io.Writer) answer { return &lossless{newJSONLines(w)} }, nil
	case "csv":
		return func(w io.Writer) answer { return newCSVLines(w) }, nil
	case "parquet":
		if e.out == "" && isTerminal(stdout) {
			return nil, usageError("--format parquet is not for terminals: give it a file with --out FILE, or redirect the standard output")
		}
		return func(w io.Writer) answer { return newParquetLines(w, table.name) }, nil
	}
	return nil, usageError(fmt.Sprintf("--format: want ndjson, csv or parquet, not %q", format))
}

// into writes to the file, which appears under its name when it is whole, or to the standard output.
func (e *export) into(stdout io.Writer, write func(io.Writer) error) error {
	if e.out == "" {
		buffered := bufio.NewWriterSize(stdout, 64<<10)
		return errors.Join(write(buffered), buffered.Flush())
	}
	file, err := os.CreateTemp(filepath.Dir(e.out), "."+filepath.Base(e.out)+".*") // For nobody but its owner: it holds what people said.
	if failure, ok := errors.AsType[*fs.PathError](err); ok {
		return fmt.Errorf("--out %s: nothing can be written there: %w", e.out, failure.Err) // Not the name of a file that nobody knows.
	}
	if err != nil {
		return err
	}
	buffered := bufio.NewWriterSize(file, 256<<10)
	err = errors.Join(write(buffered), buffered.Flush(), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), e.out)
	}
	if err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	return nil
}

// hour is an hour in which something happened.
type hour struct {
	from time.Time
	rows int64
}

// exportRows prints hour after hour, so that no store has to sort, or hold, more than one.
func exportRows(ctx context.Context, from store.Reader, t auditTable, since, until time.Time, out answer, shown *progress) error {
	if since.IsZero() {
		since = time.Unix(0, 0)
	}
	hours, err := hoursOf(ctx, from, t, since, until)
	if err != nil {
		return err
	}
	total := int64(0)
	for _, h := range hours {
		total += h.rows
	}
	shown.begin(total)
	out = &counted{answer: out, hidden: -1, progress: shown}
	statement := fmt.Sprintf("SELECT * FROM %s WHERE %s >= @since AND %s < @until ORDER BY %s", t.name, t.time, t.time, t.time)
	if len(hours) == 0 { // For the names of the columns.
		hours = []hour{{from: until}}
	}
	for _, h := range hours {
		begin, end := h.from, h.from.Add(time.Hour)
		if begin.Before(since) {
			begin = since
		}
		if end.After(until) {
			end = until
		}
		if err := exportHour(ctx, from, statement, begin, end, out); err != nil {
			return errors.Join(err, out.end())
		}
	}
	return out.end()
}

func exportHour(ctx context.Context, from store.Reader, statement string, begin, end time.Time, out answer) error {
	ctx, cancel := context.WithTimeout(ctx, exportTimeout)
	defer cancel()
	rows, err := from.Ask(ctx, statement, sql.Named("since", begin), sql.Named("until", end))
	if err != nil {
		return err
	}
	if err := out.columns(rows.Columns()); err != nil {
		return errors.Join(err, rows.Close())
	}
	return errors.Join(printRows(rows, out), rows.Close())
}

func hoursOf(ctx context.Context, from store.Reader, t auditTable, since, until time.Time) (hours []hour, err error) {
	statement := fmt.Sprintf("SELECT substr(CAST(%s AS TEXT), 1, 13) AS hour, count(*) AS n FROM %s WHERE %s >= @since AND %s < @until GROUP BY hour ORDER BY hour",
		t.time, t.name, t.time, t.time)
	rows, err := from.Ask(ctx, statement, sql.Named("since", since), sql.Named("until", until))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		values, err := rows.Values()
		if err != nil {
			return nil, err
		}
		at, err := time.Parse("2006-01-02 15", asText(values[0]))
		if err != nil {
			return nil, err
		}
		n, err := whole(values[1])
		if err != nil {
			return nil, err
		}
		hours = append(hours, hour{at, n})
	}
	return hours, rows.Err()
}

// whole reads a count, which one store answers as int64 and the other as uint64.
func whole(value any) (n int64, err error) {
	_, err = fmt.Sscan(asText(value), &n)
	return n, err
}

// counted prints the columns once, and shows how many rows were printed. It leaves out what SQLite numbers rows with for its indexes.
type counted struct {
	answer
	begun  bool
	hidden int // A column; -1: none.
	*progress
}

func (c *counted) columns(names []string) error {
	if c.begun {
		return nil
	}
	c.begun = true
	if c.hidden = slices.Index(names, "block"); c.hidden >= 0 {
		names = slices.Delete(slices.Clone(names), c.hidden, c.hidden+1)
	}
	return c.answer.columns(names)
}

func (c *counted) row(values []any) error {
	c.progress.add(1)
	if c.hidden >= 0 {
		values = slices.Delete(values, c.hidden, c.hidden+1)
	}
	return c.answer.row(values)
}

func (c *counted) end() error { return c.answer.end() }

// lossless prints JSON from which every byte can be had back.
type lossless struct{ *jsonLines }

func (l *lossless) row(values []any) error {
	var names [][]byte
	for i, value := range values {
		b, binary := value.([]byte)
		if text, ok := value.(string); ok {
			b, binary = []byte(text), true
		}
		if !binary || utf8.Valid(b) {
			continue
		}
		if names == nil {
			names = l.keys
			l.keys = append([][]byte(nil), names...)
		}
		values[i] = base64.StdEncoding.EncodeToString(b)
		l.keys[i] = append(append([]byte(nil), names[i][:len(names[i])-1]...), `_base64"`...)
	}
	err := l.jsonLines.row(values)
	if names != nil {
		l.keys = names
	}
	return err
}
