// Command composeconfig does what `docker compose config` does, with the library behind it and without Docker: it reads a Compose
// file, checks it against the Compose specification, and prints the resulting project as JSON.
//
// It is a module of its own, so that the server's go.mod does not carry what only this check needs.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/compose-spec/compose-go/v2/cli"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: composeconfig FILE")
		os.Exit(2)
	}
	if err := show(context.Background(), os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "composeconfig:", err)
		os.Exit(1)
	}
}

func show(ctx context.Context, file string) error {
	// No environment: the file must be complete without one.
	options, err := cli.NewProjectOptions([]string{file}, cli.WithInterpolation(true), cli.WithConsistency(true), cli.WithNormalization(true),
		cli.WithResolvedPaths(true))
	if err != nil {
		return err
	}
	project, err := options.LoadProject(ctx)
	if err != nil {
		return err
	}
	text, err := project.MarshalJSON()
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(append(text, '\n'))
	return err
}
