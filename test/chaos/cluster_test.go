package chaos_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/zenconn/server/internal/testenv"
	"github.com/zenconn/server/test/chaos"
	"github.com/zenconn/server/test/server"
)

// agents starts three agents whose embedded buses form a cluster with three copies of everything.
func agents(t *testing.T) (all [3]*server.Server) {
	t.Helper()
	var peers []string
	var listen [3]string
	for i := range listen {
		listen[i] = testenv.FreeAddr(t)
		peers = append(peers, "nats-route://"+listen[i])
	}
	for i := range all {
		// The last of them to end can store nothing any more, and would try for all the time it has.
		all[i] = server.Launch(t, server.Options{Args: []string{"--shutdown.timeout", "10s"}, Config: open + fmt.Sprintf(`
agent: {name: agent%d}
bus:
  replicas: 3
  cluster: {listen: "%s", peers: "%s", name: chaos, secret: 0123456789abcdef}
`, i, listen[i], strings.Join(peers, ","))})
	}
	for _, s := range all {
		s.AwaitReady()
	}
	t.Cleanup(func() { // All at once.
		var stopping sync.WaitGroup
		for _, s := range all {
			stopping.Go(func() { s.Stop() })
		}
		stopping.Wait()
	})
	chaos.Await(t, chaos.Patience, "the three agents are one cluster", func() string {
		for _, s := range all {
			if n := len(chaos.NewAPI(t, s.APIAddr()).Processes()); n != 3 {
				return fmt.Sprintf("one sees %d", n)
			}
		}
		return ""
	})
	return all
}

func TestClusteredAgentKilled(t *testing.T) {
	all := agents(t)
	f := chaos.Board(t, chaos.Load{Subscribers: 150, Channels: 9, Rate: 10, URLs: []string{url(all[0]), url(all[1]), url(all[2])}})
	for i := range all {
		grow(t, f, 50)
		all[i].Kill()
		grow(t, f, 50) // With the two that are left.
		all[i].Run()
		f.AwaitAll()
		grow(t, f, 50)
	}
	f.Verify()
}
