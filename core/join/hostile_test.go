package join_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/zenconn/server/core/join"
)

// ask asks an agent as a program of the test's making.
func (in *installation) ask(request string) map[string]any {
	in.t.Helper()
	ctx, cancel := context.WithTimeout(in.t.Context(), patience)
	defer cancel()
	reply, err := in.bus.Request(ctx, "agent.join", []byte(request))
	if err != nil {
		return map[string]any{"error": err.Error()}
	}
	var answer map[string]any
	if err := json.Unmarshal(reply, &answer); err != nil {
		in.t.Fatal(err)
	}
	return answer
}

func TestWorkerOfAnotherVersion(t *testing.T) {
	in := install(t)
	in.agent("node", "agent-uid", configured())
	for request, want := range map[string]string{
		`{"protocol": 2, "version": "9.0", "uid": 7}`: "malformed request to join",
		`{"protocol": 2, "version": "9.0"}`: "the agent is zenconn 1.2.3 (protocol 1) and the worker is zenconn 9.0 (protocol 2), " +
			"which do not understand each other: run the same version of zenconn on both",
		`{"protocol": 1, "version": "1.2.4", "uid": "u", "news": [1]}`: "", // Another program with the same protocol, and something new to say.
		`{"protocol": 1}`:                          "malformed request to join",
		`{"protocol": 1, "uid": "u", "index": -1}`: "malformed request to join",
		`{"protocol": 1, "uid": "u", "pid": -1}`:   "malformed request to join",
		`{`:                                        "malformed request to join",
		`{"protocol": 1, "uid": "` + strings.Repeat("u", 65) + `"}`: "malformed request to join",
	} {
		a := in.ask(request)
		said, _ := a["refused"].(string)
		if failed, ok := a["error"].(string); ok {
			said = failed
		}
		if want == "" && said != "" || !strings.Contains(said, want) {
			t.Errorf("%s: %v, want %q", request, a, want)
		}
	}
	if !strings.Contains(in.log.String(), "a worker was refused") {
		t.Errorf("the agent's log: %s", in.log.String())
	}
}

func TestBundlesThatAreNotThere(t *testing.T) {
	in := install(t)
	c := configured()
	in.agent("node", "agent-uid", c, resolved(t, "a.lua", script)...)
	hash := resolved(t, "a.lua", script)[0].Hash
	for request, want := range map[string]string{
		fmt.Sprintf(`{"hash": %q}`, hash):                                script,
		fmt.Sprintf(`{"hash": %q, "offset": %d}`, hash, len(script)-1):   script[len(script)-1:],
		fmt.Sprintf(`{"hash": %q, "offset": %d}`, hash, len(script)):     "",
		fmt.Sprintf(`{"hash": %q, "offset": -1}`, hash):                  "",
		fmt.Sprintf(`{"hash": %q, "offset": 9223372036854775807}`, hash): "",
		`{"hash": "../../etc/passwd"}`:                                   "",
		`{"hash": 5}`:                                                    "malformed request for a bundle",
	} {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		reply, err := in.bus.Request(ctx, "agent.agent-uid.bundle", []byte(request))
		cancel()
		if err != nil {
			reply = []byte(err.Error())
		}
		if want == "" && len(reply) > 0 || !strings.Contains(string(reply), want) {
			t.Errorf("%s: %q, want %q", request, reply, want)
		}
	}
}

// An agent that answers whatever the test wants. What is wrong once may be right the next time, so that a worker goes on trying, and
// says what is wrong.
func TestAgentsThatAreNotRight(t *testing.T) {
	type answers struct{ join, bundle string }
	const hash = "0000000000000000000000000000000000000000000000000000000000000000"
	right := func(description, size string) string {
		return `{"protocol": 1, "version": "1", "agent": "bad-uid", "node": "node", "name": "far", "description": "` + description + `", "replicas": 1, "size": ` + size + `}`
	}
	described := func(text string) (string, string) { return right(hashOf(text), fmt.Sprint(len(text))), text }
	plugin := func(text string) answers {
		a, b := described(`{"config": {}, "plugins": [` + text + `]}`)
		return answers{a, b}
	}
	known, b := described(`{"config": {"values": {"quic": {"addr": ":1"}}, "set": ["quic.addr"]}}`)
	for name, test := range map[string]struct {
		says  answers
		final bool
		want  string
	}{
		"no JSON":               {answers{join: "x"}, false, "the agent's answer is malformed"},
		"too long":              {answers{join: `"` + strings.Repeat("x", 70_000) + `"`}, false, "it is too long"},
		"no name":               {answers{join: `{"protocol": 1}`}, false, "it gives this worker no name"},
		"no agent":              {answers{join: `{"protocol": 1, "name": "a"}`}, false, "it does not say whose it is"},
		"another index":         {answers{join: `{"protocol": 1, "name": "a", "agent": "a", "node": "a", "index": 1}`}, false, "it is for another worker"},
		"another protocol":      {answers{join: `{"protocol": 2, "version": "9"}`}, true, "the agent is zenconn 9 (protocol 2) and the worker is zenconn 1.2.3 (protocol 1)"},
		"a path for a hash":     {answers{join: right("../../../../etc/passwd", "5")}, false, "it does not say what to fetch"},
		"too large":             {answers{join: right(hash, "99999999999")}, false, "it does not say what to fetch"},
		"no terms":              {answers{join: strings.Replace(right(hash, "5"), `"replicas": 1`, `"replicas": 0`, 1)}, false, "it does not say how the bus is used"},
		"nothing to fetch":      {answers{join: right(hash, "5")}, false, "the agent no longer has it"},
		"other bytes":           {answers{join: right(hash, "5"), bundle: "12345"}, false, "what came is not what its hash promises"},
		"more bytes":            {answers{join: right(hash, "5"), bundle: "123456"}, false, "what came is not what its hash promises"},
		"a newer setting":       {answers{known, b}, true, "from the agent: quic: unknown key"},
		"a plugin of no kind":   {plugin(`{"name": "a", "file": "a.exe", "hash": "` + hash + `"}`), false, "a plugin is of no known kind"},
		"a plugin with a path":  {plugin(`{"name": "a", "file": "a.lua", "hash": "../../a"}`), false, "it does not say where to get a plugin"},
		"a plugin without name": {plugin(`{"file": "a.lua", "hash": "` + hash + `"}`), false, "a plugin has no name of its own"},
		"a plugin twice": {plugin(`{"name": "a", "file": "a.lua", "hash": "` + hash + `"}, {"name": "a", "file": "a.lua", "hash": "` + hash + `"}`), false,
			"a plugin has no name of its own"},
		"impossible limits":      {plugin(`{"name": "a", "file": "a.lua", "hash": "` + hash + `", "deadline": -1}`), false, "a plugin has impossible limits"},
		"a plugin's other bytes": {plugin(`{"name": "a", "file": "a.lua", "hash": "` + hash + `", "size": 3}`), false, "what came is not what its hash promises"},
	} {
		t.Run(name, func(t *testing.T) {
			in := install(t)
			reply := func(text string) func(context.Context, []byte) ([]byte, error) {
				return func(context.Context, []byte) ([]byte, error) { return []byte(text), nil }
			}
			for subject, text := range map[string]string{"agent.join": test.says.join, "agent.bad-uid.bundle": test.says.bundle} {
				stop, err := in.bus.Handle(subject, reply(text))
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(stop)
			}
			var log logged
			o := in.options(in.connect(in.token))
			o.Log = log.logger()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			ended := make(chan error, 1)
			go func() { _, err := join.Join(ctx, o); ended <- err }()
			if test.final {
				err := <-ended
				if _, ok := errors.AsType[join.RefusedError](err); !ok || !strings.Contains(err.Error(), test.want) {
					t.Errorf("error %v, want %s", err, test.want)
				}
				return
			}
			eventually(t, "the log says what is wrong: "+test.want, func() bool { return strings.Contains(log.String(), test.want) })
			cancel()
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
	}
}

func TestWhatCannotBeSent(t *testing.T) {
	h := join.NewHost(join.HostOptions{Name: "node", UID: "agent-uid"})
	bundles := resolved(t, "a.lua", script)
	bundles[0].Config = map[string]any{"f": func() {}}
	if err := h.Set(configured(), bundles); err == nil || !strings.HasPrefix(err.Error(), "plugins.load[0]: the values in config cannot be sent to workers") {
		t.Errorf("error %v", err)
	}
	h = join.NewHost(join.HostOptions{Name: strings.Repeat("x", 300), UID: "agent-uid"})
	if err := h.Run(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "agent.name: ") {
		t.Errorf("error %v", err)
	}
}

// The child of an agent that is gone gives up, because the next agent starts its own.
func TestOrphan(t *testing.T) {
	in := install(t)
	o := in.options(in.connect(in.token))
	o.Agent, o.Index, o.Patience = "gone-uid", 1, 50*time.Millisecond
	if _, err := join.Join(t.Context(), o); err == nil || !strings.HasPrefix(err.Error(), "the agent that started this worker has been gone for") {
		t.Errorf("error %v", err)
	}
}

func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}
