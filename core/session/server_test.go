package session_test

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/zenconn/server/audit"
	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/channel"
	"github.com/zenconn/server/core/config"
	histories "github.com/zenconn/server/core/history"
	"github.com/zenconn/server/core/hub"
	"github.com/zenconn/server/core/metrics"
	"github.com/zenconn/server/core/outbound"
	"github.com/zenconn/server/core/presence"
	"github.com/zenconn/server/core/protocol"
	"github.com/zenconn/server/core/session"
	"github.com/zenconn/server/hooks"
)

// slow is a store whose positions take until somebody lets them go.
type slow struct {
	histories.Store
	asked chan struct{} // Gets one for each question.
	let   chan struct{} // An answer takes one.
}

func (s *slow) Position(ctx context.Context, name string) (core.Position, error) {
	s.asked <- struct{}{}
	<-s.let
	return s.Store.Position(ctx, name)
}

type silent struct{}

func (silent) Record(audit.Event)               {}
func (silent) Dropped(outbound.DropReason, int) {}

// sink is a connection that keeps what is written.
type sink struct {
	net.Conn
	mu   sync.Mutex
	text strings.Builder
}

func (s *sink) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}
func (s *sink) Close() error                     { return nil }
func (s *sink) SetWriteDeadline(time.Time) error { return nil }
func (s *sink) SetReadDeadline(time.Time) error  { return nil }

func (s *sink) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// A session that ends while the server subscribes it leaves the channel, and the others hear of both in this order.
func TestEndWhileServerSubscribes(t *testing.T) {
	c := config.Default()
	c.Auth.Type, c.Auth.User = "none", "claimed"
	ns := config.DefaultNamespace()
	ns.Subscribe, ns.Presence, ns.JoinLeave, ns.HistorySize = "anyone", true, true, 10
	namespaces, err := channel.New(map[string]config.Namespace{"default": ns}, 255)
	if err != nil {
		t.Fatal(err)
	}
	store := &slow{Store: histories.NewMemory(histories.Options{}), asked: make(chan struct{}, 2), let: make(chan struct{}, 2)}
	flushers := outbound.NewFlushers(1)
	members := hub.New(hub.Options{History: store, Flushers: flushers})
	counters, log, chain := metrics.New(prometheus.NewRegistry()), slog.New(slog.DiscardHandler), hooks.NewChain(nil, nil)
	node := &session.Node{
		Name: "test", Client: c.Client, Auth: c.Auth, Namespaces: namespaces, Hub: members, History: store, Presence: presence.New(members),
		Hooks: chain, Notices: session.NewNotices(chain, counters, log), Recorder: silent{}, Metrics: counters,
		Registry: session.NewRegistry(0), Wheel: session.NewWheel(), Log: log, StoreTimeout: time.Hour,
	}
	server := session.NewServer(node, "v0")
	open := func(user string) (*session.Session, *sink) {
		conn := &sink{}
		limits := outbound.Limits{Messages: 1000, Bytes: 1 << 20, WriteTimeout: time.Minute}
		queue := outbound.New(conn, protocol.WebSocketJSON, limits, silent{}, flushers, func(core.Disconnect) []byte { return nil })
		s := node.Open(queue, session.Peer{Transport: "test", Header: func(string) string { return "" }})
		s.Handle([]byte(`{"id":1,"connect":{"data":{"user":"` + user + `"}}}`))
		s.Flush()
		return s, conn
	}
	store.let <- struct{}{}
	watcher, seen := open("watcher")
	watcher.Handle([]byte(`{"id":2,"subscribe":{"channel":"room","join_leave":true}}`))
	watcher.Flush()
	<-store.asked

	alice, _ := open("alice")
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := server.Subscribe(t.Context(), session.Target{User: "alice"}, "room", session.Subscription{}); err != nil {
			t.Error(err)
		}
	})
	<-store.asked // The server is in the middle of it.
	wg.Go(func() { alice.End(core.DisconnectConnectionClosed, true) })
	for sessions := 0; sessions != 1; sessions, _ = node.Registry.Counts() { // The end has begun.
		<-time.After(time.Millisecond)
	}
	store.let <- struct{}{}
	wg.Wait()

	if there := members.Members("room"); len(there) != 1 || there[0].User != "watcher" {
		t.Errorf("in the channel are %+v", there)
	}
	const joined, left = `"join":{"info":{"user":"alice"`, `"leave":{"info":{"user":"alice"`
	for deadline := time.Now().Add(time.Minute); !strings.Contains(seen.String(), left) || !strings.Contains(seen.String(), joined); {
		if time.Now().After(deadline) {
			t.Fatalf("the watcher saw %s", seen)
		}
		<-time.After(time.Millisecond)
	}
	if strings.Index(seen.String(), left) < strings.Index(seen.String(), joined) {
		t.Errorf("the watcher saw %s", seen)
	}
	if n, err := server.Send(t.Context(), session.Target{User: "alice"}, []byte(`1`)); err != nil || n != 0 {
		t.Errorf("sent to %d sessions, %v", n, err)
	}
}
