package api_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/zenconn/server/core/api"
)

// active stands for the plugins of two nodes; that nodes tell of theirs is tested where they are.
type active struct{}

func (active) Plugins(context.Context) (*api.PluginNodes, error) {
	return &api.PluginNodes{Nodes: []api.PluginNode{
		{UID: "u1", Name: "host", Kind: "agent", Plugins: []api.ActivePlugin{
			{Name: "words", Hash: "ab", Hooks: []string{"publish"}, Breakers: map[string]string{"publish": "half-open"}},
		}},
		{UID: "u2", Name: "host-1", Kind: "worker", Problem: "does not say which plugins it has", Plugins: []api.ActivePlugin{}},
	}}, nil
}

func TestPlugins(t *testing.T) {
	r := start(t, configuration())
	var got api.PluginNodes
	r.must("plugins", `{}`, &got)
	if want, _ := (active{}).Plugins(t.Context()); mustText(t, got) != mustText(t, want) {
		t.Errorf("%+v", got)
	}
	if answer := r.call("batch", `{"commands":[{"plugins":{}}]}`); !strings.Contains(answer, `{"plugins":{"nodes":[{"uid":"u1"`) {
		t.Error(answer)
	}
	if code, answer, _ := r.do(http.MethodPost, "/api/plugins", `{}`); code != http.StatusUnauthorized {
		t.Errorf("without the key: %d %s", code, answer)
	}
}
