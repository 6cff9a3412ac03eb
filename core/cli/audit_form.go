package cli

import (
	"errors"
	"io"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/zenconn/server/audit"
	"github.com/zenconn/server/audit/store"
)

// answer is a way to print rows.
type answer interface {
	columns(names []string) error
	row(values []any) error
	end() error
}

// form is in what an answer is printed.
type form struct{ json, csv bool }

func (f *form) flags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.json, "json", false, "one JSON object per row")
	cmd.Flags().BoolVar(&f.csv, "csv", false, "comma-separated values (RFC 4180), column names first")
	cmd.MarkFlagsMutuallyExclusive("json", "csv")
}

func (f *form) table() bool { return !f.json && !f.csv }

func (f *form) answer(w io.Writer) answer {
	switch {
	case f.json:
		return newJSONLines(w)
	case f.csv:
		return newCSVLines(w)
	}
	return newTable(w, terminalWidth(w))
}

// reader opens the store that the configuration names.
func (env *environment) reader(cmd *cobra.Command) (store.Reader, error) {
	loaded, err := env.load(cmd)
	if err != nil {
		return nil, err
	}
	return store.OpenReader(loaded.Config.Audit, loaded.Config.Data)
}

// printAnswer asks and prints the rows.
func printAnswer(out answer, ask func() (audit.Rows, error)) (err error) {
	rows, err := ask()
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
