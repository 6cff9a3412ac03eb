package chaos_test

import (
	"bufio"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/zenconn/server/test/chaos"
	"github.com/zenconn/server/test/server"
)

// Every agent finds every session by its user, its channel, its node and its transport, and says which worker of which agent keeps it.
func TestSessionsAreFoundWithTheirPlaces(t *testing.T) {
	for name, topology := range map[string]server.Topology{"an agent and its workers": server.Workers, "two agents": server.Agents} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := server.Start(t, server.Options{Config: open, Topology: topology})
			api := chaos.NewAPI(t, s.APIAddr())
			if topology == server.Workers {
				workers(t, api, 4)
			}
			const each = 6 // Of alice and of bob.
			for i := range 2 * each {
				at := []*server.Server{s, s.Second()}[i/2%2]
				who := chaos.Who{URL: url(at), User: "alice", Channel: "room"}
				if i%2 == 1 {
					who.User, who.Channel = "bob", ""
				}
				chaos.Join(t, who)
			}
			for _, asked := range []*server.Server{s, s.Second()} {
				findAll(t, chaos.NewAPI(t, asked.APIAddr()), each)
				chaos.Await(t, chaos.Patience, "the agent's metrics count the sessions in its list", func() string {
					if n := listed(t, asked); n != 2*each {
						return fmt.Sprintf("they count %d", n)
					}
					return ""
				})
			}
		})
	}
}

// findAll has one agent find all sessions: so many each of alice, who is in the room, and of bob.
func findAll(t *testing.T, api *chaos.API, each int) {
	t.Helper()
	for f, want := range map[chaos.Filter]int{
		{}: 2 * each, {User: "alice"}: each, {User: "carol"}: 0, {Channel: "room"}: each, {Channel: "room", User: "bob"}: 0,
		{Transport: "websocket"}: 2 * each, {Transport: "tcp"}: 0, {Node: "nowhere"}: 0,
	} {
		chaos.Await(t, chaos.Patience, fmt.Sprintf("%+v finds %d sessions", f, want), func() string {
			if got := api.Find(f); len(got) != want {
				return fmt.Sprintf("%d: %+v", len(got), got)
			}
			return ""
		})
	}
	chaos.Await(t, chaos.Patience, "the processes together have all sessions", func() string {
		byNode := 0
		for _, p := range api.Processes() {
			there := api.Find(chaos.Filter{Node: p.Name})
			byNode += len(there)
			for _, s := range there {
				if s.Node != p.Name || s.Worker != p.Worker || s.Agent != p.Agent {
					return fmt.Sprintf("%+v has the session %+v", p, s)
				}
			}
		}
		if byNode != 2*each {
			return fmt.Sprintf("they have %d", byNode)
		}
		return ""
	})
	chaos.Await(t, chaos.Patience, "the agent's list counts all sessions, and who is on several nodes once", func() string {
		if sessions, users := api.Counts(); sessions != 2*each || users != 2 {
			return fmt.Sprintf("it counts %d sessions of %d users", sessions, users)
		}
		return ""
	})
}

// listed adds up how many sessions an agent has in its list, by its metrics.
func listed(t *testing.T, s *server.Server) (n int) {
	t.Helper()
	response, err := http.Get("http://" + s.APIAddr() + "/metrics") //nolint:noctx // The server is there, and the test ends what hangs.
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		if name, value, _ := strings.Cut(lines.Text(), " "); strings.HasPrefix(name, "zenconn_registry_sessions{") {
			sessions, err := strconv.Atoi(value)
			if err != nil {
				t.Fatal(err)
			}
			n += sessions
		}
	}
	return n
}
