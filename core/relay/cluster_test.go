package relay_test

import (
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/config"
	"github.com/zenconn/server/internal/testenv"
)

// natsCluster are three NATS servers of the owner's.
type natsCluster struct {
	options [3]*server.Options
	servers [3]*server.Server
}

func launchCluster(t *testing.T) *natsCluster {
	t.Helper()
	c := &natsCluster{}
	var routes []*url.URL
	var ports [6]int
	for i := range ports { // Those of the servers are fixed, so that they can come back.
		addr, err := netip.ParseAddrPort(testenv.FreeAddr(t))
		if err != nil {
			t.Fatal(err)
		}
		ports[i] = int(addr.Port())
	}
	for i := range c.options {
		routes = append(routes, &url.URL{Scheme: "nats", Host: fmt.Sprint("127.0.0.1:", ports[i])})
	}
	for i := range c.options {
		c.options[i] = &server.Options{
			ServerName: fmt.Sprint("n", i), Host: "127.0.0.1", Port: ports[3+i], NoLog: true, NoSigs: true, JetStream: true, StoreDir: t.TempDir(),
			Routes: routes, Cluster: server.ClusterOpts{Name: "test", Host: "127.0.0.1", Port: ports[i]},
		}
	}
	t.Cleanup(func() {
		for i := range c.servers {
			c.end(i)
		}
	})
	return c
}

func (c *natsCluster) launch(t *testing.T, i int) {
	t.Helper()
	s, err := server.NewServer(c.options[i])
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	c.servers[i] = s
}

func (c *natsCluster) end(i int) {
	if c.servers[i] != nil {
		c.servers[i].Shutdown()
		c.servers[i].WaitForShutdown()
		c.servers[i] = nil
	}
}

func (c *natsCluster) awaitLeader(t *testing.T) {
	t.Helper()
	eventually(t, func() string {
		for _, s := range c.servers {
			if s != nil && s.JetStreamIsLeader() {
				return ""
			}
		}
		return "the servers do not find a leader"
	})
}

// On a NATS cluster, with three copies of everything, the storm passes over a server that goes and comes back.
func TestCluster(t *testing.T) {
	servers := launchCluster(t)
	for i := range servers.servers {
		servers.launch(t, i)
	}
	servers.awaitLeader(t)
	in := &installation{}
	for i := range servers.options {
		c := config.Default().Bus
		var urls []string
		for k := range servers.options {
			urls = append(urls, fmt.Sprint("nats://127.0.0.1:", servers.options[(i+k)%3].Port))
		}
		c.URL, c.Replicas = strings.Join(urls, ","), 3
		in.add(t, settings{bus: openBus(t, c, t.TempDir()), interval: 2 * time.Second})
	}
	eventually(t, func() string { // The streams are made by who comes first.
		_, err := in.nodes[0].store.Append(t.Context(), "kept:first", &core.Publication{Channel: "kept:first", Data: []byte("1")}, limitsOf(kept))
		if err != nil {
			return err.Error()
		}
		return ""
	})
	storm(t, in.nodes, 60, func() {
		servers.end(1)
		<-time.After(time.Second)
		servers.launch(t, 1)
	})
}
