package presence_test

import (
	"maps"
	"testing"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/presence"
)

type members map[string][]core.ClientInfo

func (m members) Members(channel string) []core.ClientInfo { return m[channel] }

func TestPresence(t *testing.T) {
	p := presence.New(members{
		"two devices":  {{User: "alice", Client: "1"}, {User: "alice", Client: "2"}, {User: "bob", Client: "3"}},
		"anonymous":    {{Client: "1"}, {Client: "2"}},
		"some of each": {{User: "alice", Client: "1"}, {Client: "2"}, {Client: "3"}},
	})
	for channel, want := range map[string]struct {
		users map[string]string // By client.
		stats presence.Stats
	}{
		"two devices":  {map[string]string{"1": "alice", "2": "alice", "3": "bob"}, presence.Stats{Clients: 3, Users: 2}},
		"anonymous":    {map[string]string{"1": "", "2": ""}, presence.Stats{Clients: 2, Users: 1}},
		"some of each": {map[string]string{"1": "alice", "2": "", "3": ""}, presence.Stats{Clients: 3, Users: 2}},
		"empty":        {map[string]string{}, presence.Stats{}},
	} {
		t.Run(channel, func(t *testing.T) {
			got, err := p.Get(t.Context(), channel)
			if err != nil {
				t.Fatal(err)
			}
			users := map[string]string{}
			for client, info := range got {
				users[client] = info.User
				if info.Client != client {
					t.Errorf("client %s is under %s", info.Client, client)
				}
			}
			if !maps.Equal(users, want.users) {
				t.Errorf("got %v, want %v", users, want.users)
			}
			if stats, err := p.Stats(t.Context(), channel); err != nil || stats != want.stats {
				t.Errorf("got %+v, %v, want %+v", stats, err, want.stats)
			}
		})
	}
}
