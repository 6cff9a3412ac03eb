package cli

import (
	"context"
	"io"
	"slices"
	"strings"

	"github.com/zenconn/server/core/bus"
	"github.com/zenconn/server/core/join"
)

// RunWorker runs the command worker with something else than the work itself.
func RunWorker(ctx context.Context, args, environ []string, stderr io.Writer, work func(*join.Joined, *bus.Bus)) error {
	env := &environment{stdin: strings.NewReader(""), stdout: io.Discard, stderr: stderr, environ: environ}
	root, _ := newRootCommand(env)
	for _, c := range root.Commands() {
		if c.Name() == "worker" {
			root.RemoveCommand(c)
		}
	}
	root.AddCommand(newWorkerCommand(env, func(_ context.Context, _ *environment, j *join.Joined, b *bus.Bus) error {
		work(j, b)
		return nil
	}))
	root.SetArgs(slices.Concat([]string{"worker"}, args))
	return root.ExecuteContext(ctx)
}
