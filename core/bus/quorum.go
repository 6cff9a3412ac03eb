package bus

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

const (
	othersTimeout = 3 * time.Second  // At the start, for enough other agents to be there.
	leaderTimeout = 15 * time.Second // At the start, for them to choose a leader.
	quorumPoll    = 50 * time.Millisecond
	handTimeout   = 8 * time.Second  // For handing over, at the end.
	twinShown     = 30 * time.Second // A name that is there twice is complained about every few seconds.
)

func (e *embedded) clustered() bool { return e.options.Config.Cluster.Listen != "" }

// agents returns how many agents the cluster has, and how many of them storing something needs.
func (e *embedded) agents() (all, needed int) {
	all = strings.Count(e.options.Config.Cluster.Peers, ",") + 1
	return all, all/2 + 1
}

// there counts the agents that this one is connected with, and itself.
func there(s *server.Server) int {
	routes, err := s.Routez(nil)
	if err != nil {
		return 1
	}
	names := map[string]bool{}
	for _, r := range routes.Routes {
		names[r.RemoteID] = true
	}
	return len(names) + 1
}

// leaderless says what is wrong with the cluster, or "".
func (e *embedded) leaderless(s *server.Server) string {
	if twin := e.twin.Load(); twin != nil && time.Since(*twin) < twinShown {
		return fmt.Sprintf("another agent of the cluster is called %s too: give each a name of its own (agent.name)", e.options.Node)
	}
	all, needed := e.agents()
	if n := there(s); n < needed {
		return fmt.Sprintf("no quorum: %d of the %d agents of the cluster (bus.cluster.peers) can be reached, %d are needed; nothing can be stored until they are there",
			n, all, needed)
	}
	if now := health(s, &server.HealthzOptions{JSMetaOnly: true}); now.StatusCode >= 400 {
		return "no quorum: the agents of the cluster have not agreed on a leader yet (at the very first start all must be there); nothing can be stored until they have (" + now.Error + ")"
	}
	return ""
}

// gather waits, for a while, until the cluster can store.
func (e *embedded) gather(ctx context.Context, s *server.Server) {
	_, needed := e.agents()
	begin := time.Now()
	for e.leaderless(s) != "" {
		timeout := leaderTimeout
		if there(s) < needed {
			timeout = othersTimeout
		}
		if time.Since(begin) >= timeout {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(quorumPoll):
		}
	}
}

// handOver has others lead what this server leads, so that they need not find out by themselves that it has gone.
func (e *embedded) handOver(s *server.Server) {
	if e.leaderless(s) != "" {
		return
	}
	done := make(chan struct{})
	go func() { s.LameDuckShutdown(); close(done) }()
	select {
	case <-done:
	case <-time.After(handTimeout):
		s.Shutdown() // Ends the other as well.
		<-done
	}
}
