package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// buildTimeout is generous: on a small machine a cold build with the race detector takes minutes.
const buildTimeout = 10 * time.Minute

// program is the server under test. The first test that needs it builds it; Main removes it.
var program struct {
	once sync.Once
	dir  string // Made by us; empty when the binary was given.
	path string
	err  error
}

// Main runs the tests of a package and then removes what was built for them. A package that uses Start or Binary calls it from
// its TestMain.
func Main(m *testing.M) {
	code := m.Run()
	for _, dir := range []string{program.dir, natsProgram.dir} {
		if dir != "" {
			os.RemoveAll(dir) //nolint:errcheck // A leftover in the temporary directory is no failure.
		}
	}
	os.Exit(code)
}

// Binary returns the path of the zenconn binary under test: the one ZENCONN_TEST_BINARY names, or a fresh build of this module,
// with the race detector when the test has it.
func Binary(t testing.TB) string {
	t.Helper()
	program.once.Do(func() {
		if program.path = os.Getenv("ZENCONN_TEST_BINARY"); program.path == "" {
			program.dir, program.path, program.err = build()
		}
	})
	if program.err != nil {
		t.Fatal(program.err)
	}
	return program.path
}

// touchSources lists every folder of the module, so that go test, which notes what a test reads, does not repeat an old result
// after a change to the server: it cannot know that the test runs a build of its own.
func touchSources(root string) error {
	return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // Another test's folder, which has gone again.
		}
		if err == nil && entry.IsDir() && path != root && (entry.Name() == "node_modules" || entry.Name()[0] == '.') {
			return filepath.SkipDir
		}
		return err
	})
}

// BuildFlags are the flags of go build that Binary is built with.
func BuildFlags() []string { return slices.Clone(buildFlags) }

// Lean are flags of the linker that leave out what only a debugger needs, and with it a good part of the linker's work.
const Lean = "-s -w"

func build() (dir, path string, err error) {
	root, err := Root()
	if err != nil {
		return "", "", err
	}
	if err := touchSources(root); err != nil {
		return "", "", err
	}
	if dir, err = os.MkdirTemp("", "zenconn-test-"); err != nil {
		return "", "", err
	}
	path = filepath.Join(dir, "zenconn.exe") // The ending is needed on Windows and harmless elsewhere.
	ctx, cancel := context.WithTimeout(context.Background(), buildTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", slices.Concat([]string{"build", "-ldflags=" + Lean}, buildFlags, []string{"-o", path, "."})...)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return dir, "", fmt.Errorf("build the server under test: %w\n%s", err, out)
	}
	return dir, path, nil
}

// Root returns the directory of this module's go.mod.
func Root() (string, error) {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("find the module's root: %w", err)
	}
	return filepath.Dir(strings.TrimSpace(string(out))), nil
}
