package wasm_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/zenconn/server/hooks"
	"github.com/zenconn/server/hooks/hooktest"
	"github.com/zenconn/server/hooks/wasm"
)

// The guide's plugin in Go is built with the guide's command, by somebody who has the kit, and does what it says.
func TestGuide(t *testing.T) {
	guide, err := os.ReadFile("../../docs/hooks.md")
	if err != nil {
		t.Fatal(err)
	}
	program := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllSubmatch(guide, -1)
	command := regexp.MustCompile("```\n(GOOS=wasip1 .*)\n```").FindSubmatch(guide)
	if len(program) != 1 || command == nil {
		t.Fatal("the guide has lost its program in Go, or the command that builds it")
	}
	kit, err := filepath.Abs("../../plugins/sdk/go")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, content := range map[string]string{
		"main.go": string(program[0][1]),
		"go.mod": "module shout\n\ngo 1.24\n\nrequire github.com/zenconn/server/plugins/sdk/go v0.0.0\n\n" +
			"replace github.com/zenconn/server/plugins/sdk/go => " + filepath.ToSlash(kit) + "\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "go")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOWORK=off", "GOPROXY=off", "GOFLAGS=")
	for word := range strings.FieldsSeq(string(command[1])) {
		if strings.HasPrefix(word, "GO") {
			cmd.Env = append(cmd.Env, word)
		} else if word != "go" {
			cmd.Args = append(cmd.Args, strings.ReplaceAll(word, "'", ""))
		}
	}
	cmd.Args = joinFlags(cmd.Args)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	p, err := wasm.Load(t.Context(), filepath.Join(dir, "shout.wasm"), wasm.Options{Config: map[string]any{"limit": 10}})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close() //nolint:errcheck // Nothing is asserted about it here.
	for _, tt := range []struct {
		channel, data, want string
		answer              hooks.Answer
	}{
		{"shout", "hello", "HELLO", hooks.Answer{Verdict: hooks.Pass, Modified: true}},
		{"shout", "hello, hello", "hello, hello", hooks.Answer{Verdict: hooks.Deny, Code: 400, Reason: "shout, but be brief"}},
		{"whisper", "hello, hello", "hello, hello", hooks.Answer{Verdict: hooks.Pass}},
	} {
		e := hooktest.NewPublish(tt.data)
		e.Channel = tt.channel
		if a, err := p.Publish(t.Context(), e); err != nil || a != tt.answer || string(e.Data) != tt.want {
			t.Errorf("%s in %s: %+v, %v, %s", tt.data, tt.channel, a, err, e.Data)
		}
	}
}

// joinFlags puts together what the shell's quotes kept together: -ldflags='-s -w'.
func joinFlags(args []string) []string {
	joined := args[:0]
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if strings.HasPrefix(arg, "-ldflags=") && i+1 < len(args) {
			i++
			arg += " " + args[i]
		}
		joined = append(joined, arg)
	}
	return joined
}
