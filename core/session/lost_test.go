package session_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

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

// nowhere is a relay to no other node.
type nowhere struct{}

func (nowhere) Subscribe(string)                             {}
func (nowhere) Unsubscribe(string)                           {}
func (nowhere) Settle(context.Context) error                 { return nil }
func (nowhere) Publish(*core.Publication)                    {}
func (nowhere) Announce(string, hub.Change, core.ClientInfo) {}
func (nowhere) Check(string, hub.Urgency)                    {}

// A subscription that misses publications ends in the way that makes the client come back: with 2500 what it has subscribed to itself,
// with a new connection what the server has subscribed it to.
func TestLost(t *testing.T) {
	c := config.Default()
	c.Auth.Type, c.Auth.User = "none", "claimed"
	ns := config.DefaultNamespace()
	ns.Subscribe, ns.HistorySize, ns.Recovery = "anyone", 10, true
	namespaces, err := channel.New(map[string]config.Namespace{"default": ns}, 255)
	if err != nil {
		t.Fatal(err)
	}
	first, second := histories.NewMemory(histories.Options{}), histories.NewMemory(histories.Options{})
	current := first
	store := histories.Route(func(string) histories.Store { return current })
	flushers := outbound.NewFlushers(1)
	counters, log, chain := metrics.New(prometheus.NewRegistry()), slog.New(slog.DiscardHandler), hooks.NewChain(nil, nil)
	members := hub.New(hub.Options{History: store, Flushers: flushers, Relay: nowhere{}, Metrics: counters})
	node := &session.Node{
		Name: "test", Client: c.Client, Auth: c.Auth, Namespaces: namespaces, Hub: members, History: store, Presence: presence.New(members),
		Hooks: chain, Notices: session.NewNotices(chain, counters, log), Recorder: silent{}, Metrics: counters,
		Registry: session.NewRegistry(0), Wheel: session.NewWheel(), Log: log, StoreTimeout: time.Hour,
	}
	server := session.NewServer(node, "v0")
	open := func(user string) (*session.Session, *sink, *outbound.Queue) {
		conn := &sink{}
		limits := outbound.Limits{Messages: 1000, Bytes: 1 << 20, WriteTimeout: time.Minute}
		queue := outbound.New(conn, protocol.WebSocketJSON, limits, silent{}, flushers, func(core.Disconnect) []byte { return nil })
		s := node.Open(queue, session.Peer{Transport: "test", Header: func(string) string { return "" }})
		s.Handle([]byte(`{"id":1,"connect":{"data":{"user":"` + user + `"}}}`))
		s.Flush()
		return s, conn, queue
	}
	asker, heard, asking := open("asker")
	asker.Handle([]byte(`{"id":2,"subscribe":{"channel":"room"}}`))
	asker.Flush()
	_, _, taking := open("taker")
	if err := server.Subscribe(t.Context(), session.Target{User: "taker"}, "room", session.Subscription{}); err != nil {
		t.Fatal(err)
	}
	current = second // The history begins anew.
	if !members.Verify(t.Context(), "room") {
		t.Error("the channel is not verified again")
	}
	for deadline := time.Now().Add(time.Minute); !strings.Contains(heard.String(), `"unsubscribe":{"code":2500`); {
		if time.Now().After(deadline) {
			t.Fatalf("the client heard %s", heard.String())
		}
		<-time.After(time.Millisecond)
	}
	if _, ended := asking.Ended(); ended {
		t.Error("the client that can subscribe again was disconnected")
	}
	if why, ended := taking.Ended(); !ended || why != core.DisconnectInsufficientState {
		t.Errorf("what the server has subscribed ended with %v", why)
	}
	asker.Handle([]byte(`{"id":3,"subscribe":{"channel":"room"}}`))
	asker.Flush()
	if channels, subscribed := members.Counts(); channels != 1 || subscribed != 1 {
		t.Errorf("%d channels, %d members", channels, subscribed)
	}
}
