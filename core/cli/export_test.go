package cli

import (
	"context"
	"io"
)

// RunEnviron is Run with an environment of the test's making.
func RunEnviron(ctx context.Context, args, environ []string, stdin io.Reader, stdout, stderr io.Writer) int {
	return run(ctx, args, &environment{stdin: stdin, stdout: stdout, stderr: stderr, environ: environ})
}

// Watch is what status --watch does.
var Watch = watch
