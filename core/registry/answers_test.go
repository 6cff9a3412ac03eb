package registry_test

import (
	"slices"
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
				asked.verify(test.f, limit, test.want)
			}
		}
		if sessions, users, err := asked.calls.Counts(t.Context()); err != nil || sessions != 15 || users != 3 {
			t.Errorf("%s counts %d sessions of %d users, %v", asked.node.Name, sessions, users, err)
		}
	}
	if got := len(well.shown(session.Filter{}, 100)); got != 9 {
		t.Errorf("a worker, which has no list, shows %d sessions", got)
	}
	mute.kill()
	for _, asked := range agents {
		eventually(t, asked.node.Name+" shows the sessions of a killed worker no more", func() bool { return len(asked.shown(session.Filter{}, 100)) == 9 })
	}
}

// verify checks how many sessions are shown, in which order, and what is said of each.
func (p *process) verify(f session.Filter, limit, want int) {
	p.t.Helper()
	shown := p.shown(f, limit)
	key := func(a, b session.Info) int { return slices.Compare([]byte(a.ID), []byte(b.ID)) }
	if len(shown) != want || !slices.IsSortedFunc(shown, key) {
		p.t.Errorf("%s: %+v in pages of %d finds %d sessions, want %d, sorted: %+v", p.node.Name, f, limit, len(shown), want, shown)
	}
	type place struct {
		worker int
		agent  string
		silent bool
	}
	places := map[string]place{"a": {}, "b": {}, "a-1": {1, "a", false}, "a-2": {2, "a", true}, "elsewhere": {}}
	for _, s := range shown {
		is, known := places[s.Node]
		if got := (place{s.Worker, s.Agent, s.Silent}); !known || got != is {
			p.t.Errorf("%s: a session of %s is at %+v, want %+v", p.node.Name, s.Node, got, is)
		}
		if s.User == "" || s.Transport != "websocket" || s.Protocol != "json" || s.UserAgent != "test" || s.ConnectedAt.IsZero() || s.LastSeen.IsZero() {
			p.t.Errorf("%s: it says of a session %+v", p.node.Name, s)
		}
		if channels := s.Channels; channels != 1 && !s.Silent || channels != 0 && s.Silent {
			p.t.Errorf("%s: a session of %s is in %d channels", p.node.Name, s.Node, channels)
		}
	}
}
