// Command build makes the modules of the bundled plugins from their sources: go generate ./plugins. It needs Go, and clang with lld for
// those in C. What it made it writes into modules.sum, by which tests see whether a module is the one of its sources.
package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// modules are the bundled plugins that are compiled, and the kit each is compiled with, if any.
var modules = []struct{ name, kit string }{{"json-schema", "sdk/go"}, {"profanity", "sdk/go"}, {"rate-limit", ""}}

// sumFile is where in the folder of plugins it is written what was built of what.
const sumFile = "internal/build/modules.sum"

// sum is a line of sumFile: hashes of the module and of what it was built from, and by which compiler.
type sum struct{ name, module, sources, kit, compiler string }

func (s sum) String() string {
	return strings.Join([]string{s.name, s.module, s.sources, s.kit, s.compiler}, " ")
}

// parseSum reads a line. The compiler's name may have spaces.
func parseSum(line string) (s sum, ok bool) {
	f := strings.SplitN(line, " ", 5)
	if len(f) != 5 {
		return s, false
	}
	return sum{f[0], f[1], f[2], f[3], f[4]}, true
}

func main() {
	if err := run(context.Background(), "."); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1) //nolint:forbidigo // This is main.
	}
}

// run builds all modules of the folder of plugins.
func run(ctx context.Context, dir string) error {
	var lines []string
	for _, m := range modules {
		s, module, err := build(ctx, dir, m.name, m.kit)
		if err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		if err := os.WriteFile(filepath.Join(dir, "modules", m.name+".wasm.gz"), compress(module), 0o644); err != nil { //nolint:gosec // A public file.
			return err
		}
		lines = append(lines, s.String()+"\n")
	}
	return os.WriteFile(filepath.Join(dir, sumFile), []byte(strings.Join(lines, "")), 0o644) //nolint:gosec // A public file.
}

// build compiles one module.
func build(ctx context.Context, dir, name, kit string) (sum, []byte, error) {
	s := sum{name: name, kit: "-"}
	var err error
	if s.sources, err = hashFiles(filepath.Join(dir, name)); err != nil {
		return s, nil, err
	}
	if kit != "" {
		if s.kit, err = hashFiles(filepath.Join(dir, kit)); err != nil {
			return s, nil, err
		}
	}
	if s.compiler, err = compiler(ctx, kit); err != nil {
		return s, nil, err
	}
	temporary, err := os.MkdirTemp("", "build")
	if err != nil {
		return s, nil, err
	}
	defer os.RemoveAll(temporary) //nolint:errcheck // The system tidies up.
	file := filepath.Join(temporary, "module.wasm")
	var cmd *exec.Cmd
	if kit == "" {
		cmd = exec.CommandContext(ctx, "clang", "--target=wasm32", "-Wall", "-Wextra", "-Werror", "-O2", "-nostdlib", "-ffreestanding", //nolint:gosec // Of our own names.
			"-Wl,--no-entry", "-Wl,--strip-all", "-Wl,-z,stack-size=32768", "-o", file, name+".c")
	} else {
		cmd = exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-buildmode=c-shared", "-ldflags=-s -w -buildid=", "-o", file, ".") //nolint:gosec // The same.
		cmd.Env = append(cmd.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOWORK=off", "GOPROXY=off", "GOFLAGS=")
	}
	cmd.Dir = filepath.Join(dir, name)
	if out, err := cmd.CombinedOutput(); err != nil {
		return s, nil, fmt.Errorf("%w\n%s", err, out)
	}
	module, err := os.ReadFile(file) //nolint:gosec // Just made.
	s.module = hash(module)
	return s, module, err
}

// compiler says who compiles, with the version.
func compiler(ctx context.Context, kit string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "env", "GOVERSION")
	if kit == "" {
		cmd = exec.CommandContext(ctx, "clang", "--version")
	}
	out, err := cmd.Output()
	first, _, _ := strings.Cut(string(out), "\n")
	return first, err
}

// sourceEndings are those of files that modules are built from.
var sourceEndings = []string{".go", ".c", ".h", ".mod", ".sum"}

// hashFiles hashes the sources in a folder, by name, and their names. Tests are none.
func hashFiles(dir string) (string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	for _, e := range entries {
		if !slices.Contains(sourceEndings, filepath.Ext(e.Name())) || strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		content, err := os.ReadFile(filepath.Join(dir, e.Name())) //nolint:gosec // Of our own folders.
		if err != nil {
			return "", err
		}
		content = bytes.ReplaceAll(content, []byte("\r\n"), []byte("\n")) // A checkout on Windows.
		fmt.Fprintf(h, "%s %d\n%s", e.Name(), len(content), content)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func hash(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

func compress(b []byte) []byte {
	var out bytes.Buffer
	w, _ := gzip.NewWriterLevel(&out, gzip.BestCompression) // The level is a good one.
	w.Write(b)                                              //nolint:errcheck // Into memory.
	w.Close()                                               //nolint:errcheck // The same.
	return out.Bytes()
}
