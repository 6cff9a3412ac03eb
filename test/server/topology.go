package server

import (
	"testing"

	"github.com/nats-io/nats-server/v2/server"
)

// Topology says what processes a server under test is made of. To its clients all are the same.
type Topology string

// The topologies.
const (
	AllInOne Topology = ""        // One process.
	Workers  Topology = "workers" // An agent and four workers, on one address.
	Agents   Topology = "agents"  // Two agents on an external NATS, each with its address.
)

// Topologies are all there are, by the name of a subtest.
var Topologies = map[string]Topology{"all in one": AllInOne, "four workers": Workers, "two agents": Agents}

// arrange completes the options for a topology and returns those of the second agent, if there is one.
func arrange(t testing.TB, o Options) (first Options, second *Options) {
	t.Helper()
	switch o.Topology {
	case Workers:
		o.Args = append([]string{"--agent.workers", "4"}, o.Args...)
	case Agents:
		bus := []string{"--bus.url", NATS(t)}
		o.Args = append(bus, o.Args...)
		other := o
		other.Dir, other.Topology = t.TempDir(), AllInOne
		other.Args = append([]string{"--agent.name", "second"}, o.Args...)
		o.Args = append([]string{"--agent.name", "first"}, o.Args...)
		return o, &other
	case AllInOne:
	}
	return o, nil
}

// NATS runs an external NATS server with JetStream until the test ends, and returns its URL.
func NATS(t testing.TB) string {
	t.Helper()
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true, NoSigs: true, JetStream: true, StoreDir: t.TempDir(),
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(readyTimeout) {
		t.Fatal("the NATS server does not start")
	}
	return s.ClientURL()
}
