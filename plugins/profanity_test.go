package plugins_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zenconn/server/core/config"
	"github.com/zenconn/server/hooks"
)

// buildPlugin compiles a sample the way its README says, and, with the same compiler, so that it is the bundled module to the byte: its
// machine code, which takes minutes to make with the race detector, is then made once for all tests.
func buildPlugin(t *testing.T, name string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name+".wasm")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-buildvcs=false", "-buildmode=c-shared", "-ldflags=-s -w -buildid=",
		"-o", file, ".")
	cmd.Dir = name
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOWORK=off", "GOPROXY=off", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return file
}

func TestProfanity(t *testing.T) {
	file, cache := buildPlugin(t, "profanity"), compiled
	words := []any{"Darn", "größe"}
	pass, masked := hooks.Answer{Verdict: hooks.Pass}, hooks.Answer{Verdict: hooks.Pass, Modified: true}
	refused := func(reason string) hooks.Answer { return hooks.Answer{Verdict: hooks.Deny, Code: 400, Reason: reason} }
	for name, tt := range map[string]struct {
		config     map[string]any
		data, want string
		answer     hooks.Answer
	}{
		"clean":                 {map[string]any{"words": words}, `{"text":"darning a sock"}`, `{"text":"darning a sock"}`, pass},
		"masked":                {map[string]any{"words": words}, `{"text":"DARN it, darn!"}`, `{"text":"**** it, ****!"}`, masked},
		"beyond ASCII":          {map[string]any{"words": words}, `Die Größe`, `Die *******`, masked},
		"not UTF-8":             {map[string]any{"words": words}, "\xff\xfedarn\xff", "\xff\xfe****\xff", masked},
		"nothing":               {map[string]any{"words": words}, "", "", pass},
		"refused":               {map[string]any{"words": words, "action": "deny"}, "darn", "darn", refused("please mind your language")},
		"refused with a reason": {map[string]any{"words": words, "action": "deny", "reason": "no"}, "darn", "darn", refused("no")},
		"swallowed":             {map[string]any{"words": words, "action": "drop"}, "darn", "darn", hooks.Answer{Verdict: hooks.Drop}},
	} {
		t.Run(name, func(t *testing.T) {
			links, err := loadWith(t, config.Plugins{Load: []config.Plugin{{Path: file, Config: tt.config}}}, cache)
			if err != nil {
				t.Fatal(err)
			}
			e := &hooks.Publish{Data: []byte(tt.data)}
			if a := hooks.NewChain(links, nil).Publish(t.Context(), e); a != tt.answer || string(e.Data) != tt.want {
				t.Errorf("%+v, %q; want %+v, %q", a, e.Data, tt.answer, tt.want)
			}
		})
	}
	for want, settings := range map[string]map[string]any{
		"config.words is empty":                           {},
		"config.action is shout, want mask, deny or drop": {"words": words, "action": "shout"},
		"cannot unmarshal string into Go struct field":    {"words": "darn"},
	} {
		_, err := loadWith(t, config.Plugins{Load: []config.Plugin{{Path: file, Config: settings}}}, cache)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("configuration %v: error %v, want %q", settings, err, want)
		}
	}
}
