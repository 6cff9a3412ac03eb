package cluster_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/bus"
	"github.com/zenconn/server/core/session"
)

// Members that answer nothing, or nonsense, cost looks their part and acts an error that names them.
func TestMembersThatDoNotAnswer(t *testing.T) {
	for name, message := range map[string]func(string) []byte{
		"silence":              nil,
		"nothing":              func(string) []byte { return nil },
		"no answer":            func(string) []byte { return []byte("hello") },
		"no JSON":              func(string) []byte { return []byte("w{") },
		"other JSON":           func(string) []byte { return []byte(`w{"result":true}`) },
		"a fault":              func(string) []byte { return []byte(`w{"fault":"out of luck"}`) },
		"parts of nothing":     func(string) []byte { return append([]byte("p0123456789abcdef\x00\x00\x00\x00\x00\x00\x01\x00"), 'x') },
		"parts without an end": func(string) []byte { return append([]byte("p0123456789abcdef\xff\xff\xff\xff\xff\xff\xff\xff"), 'x') },
		"more than it promised": func(string) []byte {
			return append([]byte("p0123456789abcdef\x00\x00\x00\x00\x00\x00\x00\x01"), "xyz"...)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := startAll(t, setup{name: "a"})[0]
			s := intrude(t, a)
			s.answers(message)
			s.join("odd", a)
			victim := a.connect("alice", "room")
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			if members, err := a.calls.Presence(ctx, "room"); err != nil || len(members) != 1 {
				t.Errorf("presence %v, %v", members, err)
			}
			if n := a.unanswered("presence"); n != 1 {
				t.Errorf("counted %v", n)
			}
			if stats, err := a.calls.PresenceStats(ctx, "room"); err != nil || stats.Clients != 1 {
				t.Errorf("stats %v, %v", stats, err)
			}
			if users, err := a.calls.Users(ctx, session.Page{Limit: 9}); err != nil || len(users) != 1 {
				t.Errorf("users %v, %v", users, err)
			}
			if online, err := a.calls.Online(ctx, []string{"alice"}); err != nil || online["alice"] != 1 {
				t.Errorf("online %v, %v", online, err)
			}
			if _, err := a.calls.Online(ctx, []string{"alice", "bob"}); err == nil || !strings.Contains(err.Error(), "odd") {
				t.Errorf("bob may be at the one that did not answer: %v", err)
			}
			brief, end := context.WithTimeout(t.Context(), 2*time.Second)
			defer end()
			err := a.calls.Disconnect(brief, session.Target{User: "alice"}, core.DisconnectExpired)
			if refused, ok := errors.AsType[*core.Error](err); !ok || refused.Code != 100 || !strings.HasSuffix(refused.Message, "(the other nodes have done it): odd") {
				t.Errorf("disconnect: %v", err)
			}
			if victim.code() != core.DisconnectExpired.Code {
				t.Errorf("what is here was closed with %d", victim.code())
			}
			if !strings.Contains(a.log.String(), `msg="a process did not answer"`) {
				t.Errorf("the log says %s", a.log)
			}
		})
	}
}

// Looks do not wait for who hangs, once that was silent for a second.
func TestMemberThatHangs(t *testing.T) {
	a := startAll(t, setup{name: "a"})[0]
	s := intrude(t, a)
	var asked atomic.Int64
	if _, err := s.Subscribe("*.node."+s.uid+".call.>", func(*nats.Msg) { asked.Add(1) }); err != nil {
		t.Fatal(err)
	}
	if _, err := s.SubscribeSync("*.node." + s.uid + ".ping"); err != nil {
		t.Fatal(err)
	}
	s.join("stuck", a)
	a.connect("alice", "room")
	eventually(t, "it has been silent for a second", func() bool { m, _ := a.members.Find(s.uid); return m.Silence >= time.Second })
	if members, err := a.calls.Presence(t.Context(), "room"); err != nil || len(members) != 1 {
		t.Errorf("presence %v, %v", members, err)
	}
	if n := a.unanswered("presence"); n != 1 || asked.Load() != 0 {
		t.Errorf("asked %d times, counted %v", asked.Load(), n)
	}
}

// A member that has too many questions is asked again.
func TestMemberThatIsBusy(t *testing.T) {
	a := startAll(t, setup{name: "a"})[0]
	s := intrude(t, a)
	asked := 0
	if _, err := s.Subscribe("*.node."+s.uid+".ping", func(m *nats.Msg) { _ = m.Respond(nil) }); err != nil { // It fails when the test is over.
		t.Fatal(err)
	}
	if _, err := s.Subscribe("*.node."+s.uid+".call.>", func(m *nats.Msg) {
		answer := &nats.Msg{Data: []byte(`w{"result":5}`)}
		if asked++; asked <= 3 {
			answer = &nats.Msg{Header: nats.Header{"Zc-Error": {string(bus.Busy)}}}
		}
		if err := m.RespondMsg(answer); err != nil {
			t.Error(err)
		}
	}); err != nil {
		t.Fatal(err)
	}
	s.join("busy", a)
	a.connect("alice")
	if n, err := a.calls.Send(patient(t), session.Target{User: "alice"}, []byte(`1`)); err != nil || n != 6 {
		t.Errorf("sent to %d, %v", n, err)
	}
}

// A member that is killed while it is asked has taken its sessions along: nothing failed.
func TestMemberThatGoesMeanwhile(t *testing.T) {
	a, b, c := three(t)
	c.connect("alice")
	s := intrude(t, a)
	asked, over := make(chan struct{}, 1), make(chan struct{})
	defer close(over)
	s.answers(func(string) []byte {
		asked <- struct{}{}
		<-over
		return nil
	})
	s.join("dying", a)
	b.kill()
	done := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		done <- a.calls.Disconnect(ctx, session.Target{User: "alice"}, core.DisconnectExpired)
	}()
	<-asked
	a.members.Gone(s.uid, "signal: killed")
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Error("it waits for those that have gone")
	}
	if n := testutil.ToFloat64(a.metrics.ClusterGone.WithLabelValues("ended")); n != 1 {
		t.Errorf("%v ended", n)
	}
}
