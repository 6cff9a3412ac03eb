// Command zenconn is a real-time server: it keeps client connections open, moves messages between them through channels, asks
// its owner's plugins what is allowed, and keeps a record of everything that happened. See README.md.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/zenconn/server/core/cli"
)

func main() {
	// The first signal asks for an orderly end; after it the default action is restored, so that a second one ends at once.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	os.Exit(cli.Run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
