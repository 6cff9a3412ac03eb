package chaos_test

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/zenconn/server/test/chaos"
	"github.com/zenconn/server/test/server"
)

// With three copies of everything on an external cluster, one of its servers may die at any time.
func TestNATSNodeKilled(t *testing.T) {
	nodes := server.NATSNodes(t, 3)
	var urls []string
	for _, n := range nodes {
		n.Run()
		urls = append(urls, n.URL)
	}
	for _, n := range nodes {
		n.AwaitReady()
	}
	bus := open + "bus: {replicas: 3, url: '" + strings.Join(urls, ",") + "'}\n"
	first := server.Launch(t, server.Options{Config: bus, Args: []string{"--agent.name", "first"}})
	second := server.Launch(t, server.Options{Config: bus, Args: []string{"--agent.name", "second"}})
	first.AwaitReady()
	second.AwaitReady()
	f := chaos.Board(t, chaos.Load{Subscribers: 100, Channels: 8, Rate: 10, URLs: []string{url(first), url(second)}})
	for i, n := range nodes {
		grow(t, f, 50)
		killed := time.Now()
		n.Kill()
		grow(t, f, 50) // With the two that are left.
		t.Logf("50 publications were acknowledged %v after node %d was killed", time.Since(killed).Round(100*time.Millisecond), i)
		n.Run()
		n.AwaitReady()
		f.AwaitAll()
	}
	grow(t, f, 50)
	f.Verify()
	for _, s := range []*server.Server{first, second} {
		awaitHealth(t, s, "ok")
	}
}

// awaitHealth waits until /readyz says so, and returns all it says.
func awaitHealth(t *testing.T, s *server.Server, status string) (h server.Health) {
	t.Helper()
	chaos.Await(t, chaos.Patience, "/readyz says "+status, func() string {
		if h = s.Health(); h.Status != status {
			return strings.Join(append([]string{h.Status}, problems(h)...), "; ")
		}
		return ""
	})
	return h
}

func problems(h server.Health) (all []string) {
	for part, problem := range h.Checks {
		if problem != "ok" {
			all = append(all, part+": "+problem)
		}
	}
	return all
}

// A server whose bus does not answer when it starts serves what needs none, says so, and is whole when the bus comes.
func TestBusThatComesLate(t *testing.T) {
	for name, silent := range map[string]bool{"nobody listens": false, "somebody listens and says nothing": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			nats := server.NATSNodes(t, 1)[0]
			addr, _ := strings.CutPrefix(nats.URL, "nats://")
			hush := func() {}
			if silent {
				hush = mute(t, addr)
			}
			s := server.Start(t, server.Options{Config: open + `
  plain: {subscribe: anyone, publish: anyone}
bus: {url: "` + nats.URL + `"}
`})
			h := awaitHealth(t, s, "degraded")
			if problem := h.Checks["bus"]; !strings.Contains(problem, "does not answer") {
				t.Errorf("/readyz says of the bus: %q", problem)
			}
			hearer := chaos.Join(t, chaos.Who{URL: url(s), User: "hearer", Channel: "plain:x"})
			speaker := chaos.Join(t, chaos.Who{URL: url(s), User: "speaker"})
			say := func(text string) {
				t.Helper()
				if err := speaker.Publish("plain:x", text); err != nil {
					t.Errorf("without the bus: %v", err)
				}
			}
			say("one")
			hearer.AwaitOnce("one")
			if err := speaker.Publish("kept", "lost"); err == nil || !strings.Contains(err.Error(), "error 100") {
				t.Errorf("a publication into a history that cannot be reached: %v", err)
			}
			say("two")
			hush()
			nats.Run()
			nats.AwaitReady()
			chaos.Await(t, chaos.Patience, "the bus is there", func() string {
				if problem := s.Health().Checks["bus"]; problem != "ok" {
					return problem
				}
				return ""
			})
			say("three")
			hearer.AwaitOnce("one", "two", "three")
			chaos.Await(t, chaos.Patience, "the history is there", func() string {
				if err := speaker.Publish("kept", "early"); err != nil {
					return err.Error()
				}
				return ""
			})
			awaitHealth(t, s, "ok")
			listener := chaos.Join(t, chaos.Who{URL: url(s), User: "listener", Channel: "kept"})
			if err := speaker.Publish("kept", "found"); err != nil {
				t.Errorf("the bus is there: %v", err)
			}
			listener.AwaitOnce("found")
			for _, c := range []*chaos.Client{hearer, speaker} {
				if c.Breaks() > 0 {
					t.Error("a connection of a client has ended")
				}
			}
			chaos.Await(t, chaos.Patience, "all is in the audit", func() string {
				rows := s.Audit(`SELECT payload FROM audit_messages WHERE channel = 'plain:x' ORDER BY at`)
				if len(rows) != 3 {
					return fmt.Sprintf("it has %d messages instead of 3: %v", len(rows), rows)
				}
				return ""
			})
		})
	}
}

// mute accepts connections and says nothing, until hush.
func mute(t *testing.T, addr string) (hush func()) {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	accepted := make(chan []net.Conn, 1)
	go func() {
		var all []net.Conn
		defer func() { accepted <- all }()
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all = append(all, c)
		}
	}()
	hush = func() {
		if l.Close() != nil {
			return // It was called before.
		}
		for _, c := range <-accepted {
			c.Close()
		}
	}
	t.Cleanup(hush)
	return hush
}
