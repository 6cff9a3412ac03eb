// Command testreport runs go test and says at the end what a person wants to know: what failed, what was skipped and what the
// machine would need to run it, and how many tests that makes. `make test` runs it; its arguments are those of go test.
//
//	go run ./internal/testreport [-v] [-race …] ./...
//
// It exits with 0 when every test passed, and with 1 otherwise. With ZENCONN_TEST_REQUIRE=all a skipped test is a failure.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"syscall"
	"time"
)

// killDelay is the time that go test and the tests' own processes have to end after an interrupt.
const killDelay = 10 * time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ok, err := run(ctx, os.Args[1:], os.Getenv("ZENCONN_TEST_REQUIRE") == "all", os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "testreport:", err)
	}
	if !ok || err != nil {
		os.Exit(1)
	}
}

// run reports whether all went well. An error means that the tests could not be run or read to the end.
func run(ctx context.Context, args []string, requireAll bool, out io.Writer) (bool, error) {
	verbose := slices.Contains(args, "-v")
	args = slices.DeleteFunc(slices.Clone(args), func(arg string) bool { return arg == "-v" })
	cmd := exec.CommandContext(ctx, "go", append([]string{"test", "-json"}, args...)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = killDelay
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return false, err
	}
	if err := cmd.Start(); err != nil {
		return false, fmt.Errorf("start go test: %w", err)
	}
	r := newReport(out, verbose)
	readErr := r.read(stdout)
	if readErr != nil {
		io.Copy(io.Discard, stdout) //nolint:errcheck // Lets go test end; the reason to stop reading is what counts.
	}
	waitErr := cmd.Wait()
	if readErr != nil {
		return false, readErr
	}
	ok := r.summarize(requireAll)
	if waitErr != nil && ok {
		// Nothing in the stream says why; without this line the exit code would be a riddle.
		return false, fmt.Errorf("go test: %w", waitErr)
	}
	return ok, nil
}
