package packaging_test

import (
	"debug/elf"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/zenconn/server/core/config"
	"github.com/zenconn/server/internal/testenv"
)

// instruction is one line of a Dockerfile, continuations joined.
type instruction struct{ name, args string }

// readDockerfile returns the instructions of each stage.
func readDockerfile(t *testing.T) [][]instruction {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	joined := regexp.MustCompile(`\\\n\s*`).ReplaceAllString(regexp.MustCompile(`(?m)^#.*\n`).ReplaceAllString(string(text), ""), "")
	var stages [][]instruction
	for line := range strings.Lines(joined) {
		name, args, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch {
		case name == "":
			continue
		case name == "FROM":
			stages = append(stages, nil)
		case len(stages) == 0:
			t.Fatalf("%s before FROM", name)
		}
		last := len(stages) - 1
		stages[last] = append(stages[last], instruction{name, args})
	}
	return stages
}

// find returns the arguments of every instruction of that name.
func find(stage []instruction, name string) []string {
	var found []string
	for _, i := range stage {
		if i.name == name {
			found = append(found, i.args)
		}
	}
	return found
}

func TestDockerfile(t *testing.T) {
	stages := readDockerfile(t)
	if len(stages) != 2 {
		t.Fatalf("%d stages, want one that builds and one that runs", len(stages))
	}
	for _, stage := range stages {
		image := strings.Fields(strings.TrimPrefix(stage[0].args, "--platform=$BUILDPLATFORM "))[0]
		if _, tag, ok := strings.Cut(image, ":"); !ok || tag == "latest" {
			t.Errorf("FROM %s: want a version", image)
		}
	}
	goMod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	goVersion := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(string(goMod))[1]
	if !strings.Contains(stages[0][0].args, "golang:"+goVersion) {
		t.Errorf("FROM %s, but go.mod says go %s", stages[0][0].args, goVersion)
	}

	final := stages[1]
	if len(find(final, "RUN")) > 0 {
		t.Error("the image that runs has no shell to RUN anything")
	}
	for name, want := range map[string]string{"EXPOSE": "8000", "VOLUME": "/data", "USER": "65532:65532", "STOPSIGNAL": "SIGTERM"} {
		if got := find(final, name); !slices.Equal(got, []string{want}) {
			t.Errorf("%s %q, want %s", name, got, want)
		}
	}
	for _, name := range []string{"ENTRYPOINT", "CMD", "HEALTHCHECK"} {
		args := find(final, name)
		if len(args) != 1 {
			t.Fatalf("%d times %s, want it once", len(args), name)
		}
		var words []string
		list := args[0][max(0, strings.Index(args[0], "[")):]
		if err := json.Unmarshal([]byte(list), &words); err != nil {
			t.Errorf("%s %s: want a list of words, there is no shell: %v", name, args[0], err)
		}
		if name != "CMD" && words[0] != "/usr/local/bin/zenconn" {
			t.Errorf("%s runs %s", name, words[0])
		}
	}
	context := buildContext(t)
	for _, args := range find(final, "COPY") {
		if strings.HasPrefix(args, "--from=") {
			continue
		}
		source := strings.Fields(args)[0]
		if _, err := os.Stat(filepath.Join(context, source)); err != nil {
			t.Errorf("COPY %s: %v", args, err)
		}
	}
}

func TestImageConfiguration(t *testing.T) {
	loaded, err := config.Load(config.Sources{Files: []string{filepath.Join(root, "configs/docker.yaml")}})
	if err != nil {
		t.Fatal(err)
	}
	c := loaded.Config
	if c.Data != "/data" || c.Client.Addr != "0.0.0.0:8000" {
		t.Errorf("data %s, clients at %s; want what the image's VOLUME and EXPOSE say", c.Data, c.Client.Addr)
	}
	if c.Demo || c.Auth.Type == "none" || len(c.Namespaces) > 0 {
		t.Errorf("demo %v, auth %s, %d namespaces: an image listens on all addresses and must start closed", c.Demo, c.Auth.Type, len(c.Namespaces))
	}
}

// buildContext copies what .dockerignore leaves of the repository. It understands what that file uses: everything is ignored (*),
// entries of the root are let in again (!name), and names are left out at any depth (**/pattern).
func buildContext(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, ".dockerignore"))
	if err != nil {
		t.Fatal(err)
	}
	var allowed, left []string
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		name, isAllowed := strings.CutPrefix(line, "!")
		pattern, isLeft := strings.CutPrefix(line, "**/")
		switch {
		case isAllowed:
			allowed = append(allowed, name)
		case isLeft:
			left = append(left, pattern)
		case line != "" && line != "*" && !strings.HasPrefix(line, "#"):
			t.Fatalf(".dockerignore: this test does not understand %q", line)
		}
	}
	dir := t.TempDir()
	for _, name := range allowed {
		err := filepath.WalkDir(filepath.Join(root, name), func(path string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil // Another test's file, which has gone again.
			}
			if err != nil {
				return err
			}
			if slices.ContainsFunc(left, func(p string) bool { ok, _ := filepath.Match(p, d.Name()); return ok }) {
				if d.IsDir() {
					return fs.SkipDir
				}
				return nil
			}
			relative, err := filepath.Rel(root, path)
			if err != nil {
				return err
			}
			return copyTo(filepath.Join(dir, relative), path, d)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func copyTo(to, from string, d fs.DirEntry) error {
	if d.IsDir() {
		return os.MkdirAll(to, 0o755)
	}
	text, err := os.ReadFile(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return os.WriteFile(to, text, 0o644)
}

// TestImageBuild runs the Dockerfile's own build command in nothing but the build context.
func TestImageBuild(t *testing.T) {
	shell := testenv.Program(t, "sh")
	var command string
	for _, run := range find(readDockerfile(t)[0], "RUN") {
		if strings.Contains(run, "go build") {
			command = regexp.MustCompile(`--mount=\S+\s+`).ReplaceAllString(run, "")
		}
	}
	out := t.TempDir()
	if !strings.Contains(command, "-o /out/zenconn ") {
		t.Fatalf("the build command is %q, want one with -o /out/zenconn", command)
	}
	cmd := exec.CommandContext(t.Context(), shell, "-c", strings.Replace(command, "/out/zenconn", out+"/zenconn", 1))
	cmd.Dir = buildContext(t)
	cmd.Env = append(os.Environ(), "TARGETOS=linux", "TARGETARCH="+runtime.GOARCH, "VERSION=v0.0.0-packaging", "GOFLAGS=-mod=readonly", "GOWORK=off")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", command, err, text)
	}
	program := filepath.Join(out, "zenconn")
	binary, err := elf.Open(program)
	if err != nil {
		t.Fatal(err)
	}
	defer binary.Close()
	if slices.ContainsFunc(binary.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }) {
		t.Error("the program needs a dynamic loader, which the image does not have")
	}
	if runtime.GOOS != "linux" {
		return // It is a Linux program; the rest would have to run it.
	}
	version, err := exec.CommandContext(t.Context(), program, "version").CombinedOutput()
	if err != nil || !strings.Contains(string(version), "v0.0.0-packaging") {
		t.Errorf("zenconn version: %v, %s; want the version the image was built with", err, version)
	}
}
