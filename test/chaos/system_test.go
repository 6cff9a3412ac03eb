package chaos_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/zenconn/server/test/chaos"
	"github.com/zenconn/server/test/server"
)

const secret = "a-secret-of-these-tests-and-of-nobody-else"

// Who has the grant hears of every session on every worker, also of those whose worker was killed.
func TestSystemSessions(t *testing.T) {
	t.Parallel()
	const system = "$system:sessions"
	s := server.Start(t, server.Options{
		Config: patient + "api: {insecure: true}\nauth: {type: jwt, jwt: {hmac_secret: " + secret + "}}\n", Args: []string{"--agent.workers", "2"},
	})
	token := func(user string, more ...string) string {
		t.Helper()
		code, stdout, stderr := server.Execute(t, s.Dir(), append([]string{"token", "--config", "zenconn.yaml", "--user", user}, more...)...)
		if code != 0 {
			t.Fatal(stderr)
		}
		return strings.TrimSpace(stdout)
	}
	api := chaos.NewAPI(t, s.APIAddr())
	workers(t, api, 2)
	for _, grants := range [][]string{nil, {"--grant", "*=sub,pub,prs,hst"}} {
		err := chaos.Try(t, chaos.Who{URL: url(s), User: "stranger", Token: token("stranger", grants...), Channel: system})
		if err == nil || !strings.Contains(err.Error(), "error 103") {
			t.Errorf("with the grants %v: %v", grants, err)
		}
	}
	listener := chaos.Join(t, chaos.Who{URL: url(s), User: "listener", Token: token("listener", "--grant", system+"=sub"), Channel: system})
	home := ""
	chaos.Await(t, chaos.Patience, "the listener is listed", func() string {
		all := api.Find(chaos.Filter{User: "listener"})
		if len(all) != 1 {
			return fmt.Sprintf("%d are", len(all))
		}
		home = all[0].Node
		return ""
	})

	// The other worker begins to tell when it has heard of a listener: guests come until one of each has been told of.
	guests := map[string]chaos.Session{} // By worker.
	chaos.Await(t, chaos.Patience, "the listener hears of guests on both workers", func() string {
		chaos.Join(t, chaos.Who{URL: url(s), User: "guest", Token: token("guest")})
		for _, session := range api.List("") {
			if told(t, listener, "opened", session.ID) != nil {
				guests[session.Node] = session
			}
		}
		if len(guests) < 2 {
			return fmt.Sprintf("of %d", len(guests))
		}
		return ""
	})
	var lost chaos.Process
	for _, w := range workers(t, api, 2) {
		if w.Name != home {
			lost = w
		}
	}
	if len(guests) != 2 || lost.Name == "" {
		t.Fatalf("the listener is on %q and has heard of guests on %v", home, guests)
	}
	kill(t, lost)
	chaos.Await(t, chaos.Patience, "the listener hears that a session of the killed worker has ended", func() string {
		notice := told(t, listener, "closed", guests[lost.Name].ID)
		if notice == nil {
			return "not yet"
		}
		if notice.User != "guest" || notice.Node != lost.Name || notice.Code != 1006 || notice.Reason != "the worker ended: signal: killed" {
			t.Fatalf("it hears %+v", notice)
		}
		return ""
	})
	if told(t, listener, "closed", guests[home].ID) != nil {
		t.Error("it hears the same of a session of the other worker")
	}
	if listener.Breaks() > 0 {
		t.Error("the listener was not there all the time")
	}
	if err := listener.Publish(system, "hello"); err == nil || !strings.Contains(err.Error(), "error 103") {
		t.Errorf("publishing there: %v", err)
	}
}

type notice struct {
	Event, Session, User, Node, Reason string
	Code                               int
}

// told returns what a client has heard of an event of a session; nil: nothing.
func told(t *testing.T, c *chaos.Client, event, session string) *notice {
	t.Helper()
	for _, data := range c.Heard() {
		var n notice
		if err := json.Unmarshal(data, &n); err != nil {
			t.Fatal(err)
		}
		if n.Event == event && n.Session == session {
			return &n
		}
	}
	return nil
}
