package node

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/zenconn/server/internal/testenv"
	"github.com/zenconn/server/test/server"
)

// timeout ends a script that hangs. Its own waits end much earlier and say what they waited for.
const timeout = 10 * time.Minute

// Run runs one test script, relative to the test's directory, with more environment variables, KEY=value. It skips the test when
// there is no Node or its packages were not installed.
func Run(t *testing.T, script string, env ...string) {
	t.Helper()
	program := testenv.Program(t, "node")
	root, err := server.Root()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(root, "test", "node_modules", "centrifuge", "package.json")); err != nil {
		testenv.Skip(t, "the Node packages of the tests are not installed: run npm ci in the directory test")
	}
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "--test", "--test-reporter=spec", script)
	if runtime.GOOS != "windows" {
		cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // The runner then says which test hung.
		cmd.WaitDelay = 5 * time.Second
	}
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		err = errors.Join(err, ctx.Err())
	}
	if err != nil {
		t.Errorf("node --test %s: %v\n%s", script, err, out)
		return
	}
	t.Logf("%s", out)
}
