package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zenconn/server/audit"
	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/api"
)

// fleet stands for processes, which tests of this package do not start.
type fleet struct {
	mu      sync.Mutex
	refused error
}

func (f *fleet) refuse(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refused = err
}

func (f *fleet) Status(context.Context) (*api.FleetStatus, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return &api.FleetStatus{
		Nodes: []api.FleetNode{
			{
				Name: "host-1", Kind: "worker", Agent: "host", Worker: 1, State: "crash loop", Restarts: 7,
				LastCrash: &api.FleetCrash{At: time.Unix(1, 0).UTC(), Text: "exit status 2", Lines: []string{"panic: no"}},
			},
			{UID: "u1", Name: "host", Kind: "agent", Version: "v1", PID: 10, State: "ready", Uptime: 5, MessagesIn: 1.5, Memory: 1 << 20},
		},
		Restarts: []api.FleetRestart{{Agent: "host", Begun: time.Unix(2, 0).UTC(), Done: 1, Count: 2, Error: "host-2: no"}},
	}, f.refused
}

func (f *fleet) RestartWorkers(context.Context) (*api.FleetRestart, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return &api.FleetRestart{Agent: "host", Running: true, Begun: time.Unix(2, 0).UTC(), Count: 2}, f.refused
}

func TestStatusAndRestart(t *testing.T) {
	r := start(t, configuration())
	var status api.FleetStatus
	r.must("status", `{}`, &status)
	if want, _ := r.fleet.Status(t.Context()); mustText(t, status) != mustText(t, want) {
		t.Errorf("%+v", status)
	}
	var restart api.FleetRestart
	r.must("restart", `{"what":"workers"}`, &restart)
	if !restart.Running || restart.Count != 2 || restart.Over != nil {
		t.Errorf("%+v", restart)
	}
	for body, want := range map[string]string{
		`{}`: `{"error":{"code":107,"message":"bad request: say what to restart: {\"what\":\"workers\"}"}}`, `{"what":"agents"}`: `"code":107`,
	} {
		if answer := r.call("restart", body); !strings.Contains(answer, want) {
			t.Errorf("%s: %s", body, answer)
		}
	}
	r.fleet.refuse(core.ErrNotAvailable.Saying("not now"))
	if answer := r.call("restart", `{"what":"workers"}`); answer != `{"error":{"code":108,"message":"not available: not now"}}` {
		t.Error(answer)
	}
	r.fleet.refuse(errors.New("inside"))
	if answer := r.call("status", ``); !strings.Contains(answer, `"code":100`) || strings.Contains(answer, "inside") {
		t.Error(answer)
	}
	for _, method := range []string{"status", "restart"} {
		if code, answer, _ := r.do(http.MethodPost, "/api/"+method, `{"what":"workers"}`); code != http.StatusUnauthorized {
			t.Errorf("%s without the key: %d %s", method, code, answer)
		}
	}
	var seen []string
	for _, a := range all[*audit.Action](r.audit) {
		if a.OK {
			seen = append(seen, a.Action+" "+a.Target+" "+a.Request)
		}
	}
	if got := strings.Join(seen, "; "); got != `status  ; restart workers {"what":"workers"}` {
		t.Errorf("audit: %s", got)
	}
}

func mustText(t *testing.T, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
