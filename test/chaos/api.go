package chaos

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// API asks a server's API.
type API struct {
	Key string // Empty: it needs none.

	t   testing.TB
	url string
}

// NewAPI asks the API at host:port.
func NewAPI(t testing.TB, addr string) *API { return &API{t: t, url: "http://" + addr + "/api/"} }

// Process is one that status shows.
type Process struct {
	UID, Name, Kind, Agent, State string
	Worker, PID, Sessions         int
	Restarts                      int
	Version, Problem              string
}

// Processes returns all that the server knows, but for those that have gone.
func (a *API) Processes() []Process {
	a.t.Helper()
	var status struct{ Nodes []Process }
	a.call("status", struct{}{}, &status)
	return status.Nodes
}

// Workers returns the workers that are ready, by name.
func (a *API) Workers() (ready []Process) {
	a.t.Helper()
	for _, p := range a.Processes() {
		if p.Kind == "worker" && p.State == "ready" {
			ready = append(ready, p)
		}
	}
	slices.SortFunc(ready, func(p, q Process) int { return strings.Compare(p.Name, q.Name) })
	return ready
}

// Sessions returns how many sessions there are in the whole installation.
func (a *API) Sessions() (n int) {
	a.t.Helper()
	for _, p := range a.Processes() {
		n += p.Sessions
	}
	return n
}

// Session is one that the API lists.
type Session struct {
	ID, User, Node, Agent, Transport string
	Worker                           int
}

// List returns all sessions of the installation, or of the processes of one name.
func (a *API) List(node string) []Session {
	a.t.Helper()
	return a.Find(Filter{Node: node})
}

// Filter says which sessions: those that match all fields that are not empty.
type Filter struct {
	User      string `json:"user,omitempty"`
	Channel   string `json:"channel,omitempty"`
	Node      string `json:"node,omitempty"`
	Transport string `json:"transport,omitempty"`
}

// Find returns sessions of the whole installation.
func (a *API) Find(f Filter) (all []Session) {
	a.t.Helper()
	for after := ""; ; {
		var page struct {
			Sessions []Session
			Next     string
		}
		a.call("sessions", struct {
			Filter
			Limit int    `json:"limit"`
			After string `json:"after"`
		}{f, 1000, after}, &page)
		all = append(all, page.Sessions...)
		if after = page.Next; after == "" {
			return all
		}
	}
}

// Counts returns how many sessions and users there are in the whole installation, as users tells.
func (a *API) Counts() (sessions, users int) {
	a.t.Helper()
	var counts struct {
		Sessions int `json:"num_sessions"`
		Users    int `json:"num_users"`
	}
	a.call("users", struct{}{}, &counts)
	return counts.Sessions, counts.Users
}

// RestartWorkers replaces all workers and returns when that is done.
func (a *API) RestartWorkers() {
	a.t.Helper()
	a.call("restart", map[string]string{"what": "workers"}, nil)
	Await(a.t, 2*Patience, "the workers are replaced", func() string {
		var status struct {
			Restarts []struct {
				Running bool
				Error   string
				Done    int
			}
		}
		a.call("status", struct{}{}, &status)
		for _, r := range status.Restarts {
			if r.Error != "" {
				a.t.Fatalf("the restart failed: %s", r.Error)
			}
			if r.Running {
				return fmt.Sprintf("%d were", r.Done)
			}
		}
		return ""
	})
}

// Look is Processes, for when the server may not answer.
func (a *API) Look() ([]Process, error) {
	var status struct{ Nodes []Process }
	err := a.try("status", struct{}{}, &status)
	return status.Nodes, err
}

func (a *API) call(method string, request, result any) {
	a.t.Helper()
	if err := a.try(method, request, result); err != nil {
		a.t.Fatal(err)
	}
}

func (a *API) try(method string, request, result any) error {
	body, err := json.Marshal(request)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, a.url+method, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("X-API-Key", a.Key)
	r.Close = true // One that was kept may be to a server that was killed.
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	var got struct {
		Error  *struct{ Message string }
		Result json.RawMessage
	}
	if err := json.NewDecoder(answer.Body).Decode(&got); err != nil {
		return fmt.Errorf("%s: %s, %w", method, answer.Status, err)
	}
	if got.Error != nil {
		return fmt.Errorf("%s: %s", method, got.Error.Message)
	}
	if result == nil {
		return nil
	}
	if err := json.Unmarshal(got.Result, result); err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	return nil
}
