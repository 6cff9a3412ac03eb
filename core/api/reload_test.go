package api_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/zenconn/server/core/api"
)

// reloads stands for an agent; that it reloads is tested where it does.
type reloads struct{}

func (reloads) ReloadPlugins(context.Context) (*api.PluginReload, error) {
	return &api.PluginReload{
		Changed: true, Before: []api.PluginVersion{{Name: "words", Hash: "ab"}}, After: []api.PluginVersion{{Name: "words", Hash: "cd"}},
		Nodes: []api.ReloadedNode{{UID: "u1", Name: "host"}, {UID: "u2", Name: "host-1", Problem: "out of memory"}},
	}, nil
}

func TestReload(t *testing.T) {
	r := start(t, configuration())
	var got api.PluginReload
	r.must("reload", `{"what":"plugins"}`, &got)
	if want, _ := (reloads{}).ReloadPlugins(t.Context()); mustText(t, got) != mustText(t, want) {
		t.Errorf("%+v", got)
	}
	if answer := r.call("reload", `{}`); !strings.Contains(answer, `"code":107`) || !strings.Contains(answer, "say what to reload") {
		t.Error(answer)
	}
	if code, answer, _ := r.do(http.MethodPost, "/api/reload", `{"what":"plugins"}`); code != http.StatusUnauthorized {
		t.Errorf("without the key: %d %s", code, answer)
	}
}
