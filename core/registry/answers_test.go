package registry_test

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/zenconn/server/core/cluster"
	"github.com/zenconn/server/core/session"
)

// shown returns the sessions that a process's Calls find, read in pages.
func (p *process) shown(f session.Filter, limit int) (all []session.Info) {
	p.t.Helper()
	for after := ""; ; after = all[len(all)-1].ID {
		page, err := p.calls.Sessions(p.t.Context(), f, session.Page{After: after, Limit: limit})
		if err != nil {
			p.t.Fatal(err)
		}
		if all = append(all, page...); len(page) < limit {
			return all
		}
	}
}

// Whichever agent is asked, every session is shown with where it is. For a worker that fails to answer, the agent's list does; only of the
// members of a channel it knows nothing. When that worker is gone, so are its sessions.
func TestListStandsInForWhoDoesNotAnswer(t *testing.T) {
	i := newInstallation(t)
	first := i.start(birth{kind: cluster.Agent, name: "a"})
	well := i.start(birth{kind: cluster.Worker, name: "a-1", agent: first, index: 1})
	mute := i.start(birth{kind: cluster.Worker, name: "a-2", agent: first, index: 2, mute: true})
	second := i.start(birth{kind: cluster.Agent, name: "b"})
	lone := i.start(birth{kind: cluster.Worker, name: "elsewhere"})
	all := []*process{first, well, mute, second, lone}
	for _, p := range []*process{mute, well, second, mute, lone} {
		p.open(3) // Of u0, u1 and u2.
		for _, s := range p.sessions {
			if err := p.server.Subscribe(t.Context(), session.Target{Client: s.ID().String()}, "room", session.Subscription{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	agents := []*process{first, second}
	i.knows(agents, all...)
	for _, asked := range agents {
		asked.current(len(all))
		for _, test := range []struct {
			f    session.Filter
			want int
		}{
			{session.Filter{}, 15},
			{session.Filter{User: "u1"}, 5},
			{session.Filter{User: "u1", Node: "a-2"}, 2},
			{session.Filter{Node: "a-1"}, 3},
			{session.Filter{Node: "a-2", Transport: "websocket"}, 6},
			{session.Filter{Node: "b"}, 3},
			{session.Filter{Transport: "tcp"}, 0},
			{session.Filter{Channel: "room"}, 9},
			{session.Filter{Channel: "room", User: "u2"}, 3},
		} {
			for _, limit := range []int{1, 4, 100} {
				asked.finds(test.f, limit, test.want)
			}
		}
		eventually(t, asked.node.Name+" counts 15 sessions of 3 users", func() bool {
			sessions, users, err := asked.calls.Counts(t.Context())
			return err == nil && sessions == 15 && users == 3
		})
	}
	eventually(t, "a worker, which has no list, shows only the sessions of those that answer", func() bool {
		return len(well.shown(session.Filter{}, 100)) == 9
	})
	mute.kill()
	for _, asked := range agents {
		eventually(t, asked.node.Name+" shows the sessions of a killed worker no more", func() bool { return len(asked.shown(session.Filter{}, 100)) == 9 })
	}
}

// finds waits until so many sessions are shown, in order, and what is said of each is right. On a slow machine others may not answer in
// time as well.
func (p *process) finds(f session.Filter, limit, want int) {
	p.t.Helper()
	wrong := ""
	defer func() {
		if p.t.Failed() {
			p.t.Logf("%s: %+v in pages of %d: %s", p.node.Name, f, limit, wrong)
		}
	}()
	eventually(p.t, fmt.Sprintf("%s finds %d sessions", p.node.Name, want), func() bool {
		shown := p.shown(f, limit)
		wrong = ""
		if len(shown) != want || !slices.IsSortedFunc(shown, func(a, b session.Info) int { return strings.Compare(a.ID, b.ID) }) {
			wrong = fmt.Sprintf("%d sessions: %+v", len(shown), shown)
		}
		for _, s := range shown {
			wrong = cmp.Or(wrong, misplaced(s))
		}
		return wrong == ""
	})
}

// misplaced says what is wrong with what is said of a session; empty: nothing.
func misplaced(s session.Info) string {
	type place struct {
		worker int
		agent  string
		silent bool
	}
	places := map[string]place{"a": {}, "b": {}, "a-1": {1, "a", false}, "a-2": {2, "a", true}, "elsewhere": {}}
	is, known := places[s.Node]
	channels := 1
	if s.Silent {
		channels = 0 // It is not known.
	}
	switch got := (place{s.Worker, s.Agent, s.Silent}); {
	case !known || got != is:
		return fmt.Sprintf("a session of %s is at %+v, want %+v", s.Node, got, is)
	case s.User == "" || s.Transport != "websocket" || s.Protocol != "json" || s.UserAgent != "test" || s.ConnectedAt.IsZero() || s.LastSeen.IsZero():
		return fmt.Sprintf("it says of a session: %+v", s)
	case s.Channels != channels:
		return fmt.Sprintf("a session of %s is in %d channels", s.Node, s.Channels)
	}
	return ""
}
