package welcome_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/zenconn/server/core/config"
	"github.com/zenconn/server/hooks"
	"github.com/zenconn/server/plugins"
)

func TestWelcome(t *testing.T) {
	links, err := plugins.Load(t.Context(), config.Plugins{
		Load: []config.Plugin{{Name: "welcome"}}, Deadline: time.Minute, // A busy machine must not fail a test.
	}, plugins.Bundled(), plugins.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	c := hooks.NewChain(links, nil)
	defer c.Close()

	refused := hooks.Answer{Verdict: hooks.Deny, Code: 403, Reason: "mallory is not welcome here"}
	if a := c.Connect(t.Context(), &hooks.Connect{User: "mallory"}); a != refused {
		t.Errorf("mallory: %+v", a)
	}
	if a := c.Connect(t.Context(), &hooks.Connect{User: "alice"}); a != (hooks.Answer{Verdict: hooks.Pass}) {
		t.Errorf("alice: %+v", a)
	}
	for _, tt := range []struct {
		data, want string
		modified   bool
	}{
		{`{"text":"darn it, darn"}`, `{"text":"d**n it, d**n"}`, true},
		{`{"text":"hello"}`, `{"text":"hello"}`, false},
	} {
		e := &hooks.Publish{Data: []byte(tt.data)}
		if a := c.Publish(t.Context(), e); a != (hooks.Answer{Verdict: hooks.Pass, Modified: tt.modified}) || string(e.Data) != tt.want {
			t.Errorf("%s: %+v, %s", tt.data, a, e.Data)
		}
	}
}
