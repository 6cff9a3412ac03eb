package cli

import (
	"context"
	"io"
	"iter"
)

// RunEnviron is Run with an environment of the test's making.
func RunEnviron(ctx context.Context, args, environ []string, stdin io.Reader, stdout, stderr io.Writer) int {
	return run(ctx, args, &environment{stdin: stdin, stdout: stdout, stderr: stderr, environ: environ})
}

// Watch is what status --watch does.
var Watch = watch

// ParquetOf writes rows as the export does.
func ParquetOf(w io.Writer, table string, columns []string, rows iter.Seq[[]any]) error {
	p := newParquetLines(w, table)
	if err := p.columns(columns); err != nil {
		return err
	}
	for row := range rows {
		if err := p.row(row); err != nil {
			return err
		}
	}
	return p.end()
}
