package presence_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/presence"
)

// nodes are the others, by their own Presence.
type nodes []*presence.Presence

func (n nodes) Members(_ context.Context, channel string) (all []core.ClientInfo) {
	for _, one := range n {
		all = append(all, one.Local(channel)...)
	}
	return all
}

func (n nodes) Counts(_ context.Context, channel string) (all []presence.Count) {
	for _, one := range n {
		all = append(all, one.LocalCount(channel))
	}
	return all
}

func TestPresenceOfSeveralNodes(t *testing.T) {
	here := presence.New(members{"room": {{User: "alice", Client: "1"}, {Client: "2"}}})
	here.Join(nodes{
		presence.New(members{"room": {{User: "alice", Client: "3"}, {User: "bob", Client: "4"}}}),
		presence.New(members{"room": {{User: "bob", Client: "5"}, {Client: "6"}}, "other": {{User: "carol", Client: "7"}}}),
		presence.New(members{}),
	})
	got, err := here.Get(t.Context(), "room")
	if err != nil || len(got) != 6 || got["3"].User != "alice" || got["5"].User != "bob" || got["6"].User != "" {
		t.Errorf("%v, %v", got, err)
	}
	for channel, want := range map[string]presence.Stats{"room": {Clients: 6, Users: 3}, "other": {Clients: 1, Users: 1}, "empty": {}} {
		if stats, err := here.Stats(t.Context(), channel); err != nil || stats != want {
			t.Errorf("%s: %+v, %v, want %+v", channel, stats, err, want)
		}
	}
}

// Beyond the limit a node does not say who its users are, and those on two nodes count twice.
func TestMoreUsersThanAreCounted(t *testing.T) {
	crowd := make([]core.ClientInfo, presence.MaxCounted+1)
	for i := range crowd {
		crowd[i] = core.ClientInfo{User: fmt.Sprint(i), Client: fmt.Sprint(i)}
	}
	there := presence.New(members{"full": crowd, "fits": crowd[1:]})
	here := presence.New(members{"full": crowd[1:2], "fits": crowd[1:2]})
	here.Join(nodes{there})
	for channel, want := range map[string]presence.Stats{
		"full": {Clients: presence.MaxCounted + 2, Users: presence.MaxCounted + 2},
		"fits": {Clients: presence.MaxCounted + 1, Users: presence.MaxCounted},
	} {
		if stats, err := here.Stats(t.Context(), channel); err != nil || stats != want {
			t.Errorf("%s: %+v, %v, want %+v", channel, stats, err, want)
		}
	}
	if c := there.LocalCount("full"); c.Hashes != nil || c.Users != presence.MaxCounted+1 {
		t.Errorf("%d hashes of %d users", len(c.Hashes), c.Users)
	}
}
