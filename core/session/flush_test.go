package session_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
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

// counted is a socket whose writes are counted.
type counted struct {
	*net.TCPConn
	writes atomic.Int64
}

type countedRaw struct {
	syscall.RawConn
	writes *atomic.Int64
}

func (c *counted) SyscallConn() (syscall.RawConn, error) {
	raw, err := c.TCPConn.SyscallConn()
	return countedRaw{raw, &c.writes}, err
}

func (r countedRaw) Write(f func(fd uintptr) bool) error {
	r.writes.Add(1)
	return r.RawConn.Write(f)
}

// sockets returns the two ends of a connection on loopback.
func sockets(t testing.TB) (server *counted, client net.Conn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if client, err = net.Dial("tcp", listener.Addr().String()); err != nil {
		t.Fatal(err)
	}
	accepted, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close(); accepted.Close() })
	return &counted{TCPConn: accepted.(*net.TCPConn)}, client
}

// open opens sessions on a node of its own, with the namespaces "default" and "kept", which has a history in the store.
func open(t testing.TB, store histories.Store) func() (*session.Session, *counted, net.Conn) {
	t.Helper()
	c := config.Default()
	c.Auth.Type, c.Auth.User, c.Client.Limits.CommandsPerSecond = "none", "claimed", 0
	ns := config.DefaultNamespace()
	ns.Subscribe, ns.Publish = "anyone", "anyone"
	kept := ns
	kept.HistorySize = 10
	namespaces, err := channel.New(map[string]config.Namespace{"default": ns, "kept": kept}, 255)
	if err != nil {
		t.Fatal(err)
	}
	flushers := outbound.NewFlushers(1)
	ctx, end := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { flushers.Run(ctx) })
	t.Cleanup(func() { end(); running.Wait() })
	members := hub.New(hub.Options{History: store, Flushers: flushers})
	counters, log, chain := metrics.New(prometheus.NewRegistry()), slog.New(slog.DiscardHandler), hooks.NewChain(nil, nil)
	node := &session.Node{
		Name: "test", Client: c.Client, Auth: c.Auth, Namespaces: namespaces, Hub: members, History: store, Presence: presence.New(members),
		Hooks: chain, Notices: session.NewNotices(chain, counters, log), Recorder: silent{}, Metrics: counters,
		Registry: session.NewRegistry(0), Wheel: session.NewWheel(), Log: log, StoreTimeout: time.Hour,
	}
	return func() (*session.Session, *counted, net.Conn) {
		server, client := sockets(t)
		limits := outbound.Limits{Messages: 1000, Bytes: 1 << 20, WriteTimeout: time.Minute}
		queue := outbound.New(server, protocol.WebSocketJSON, limits, silent{}, flushers, func(core.Disconnect) []byte { return nil })
		s := node.Open(queue, session.Peer{Transport: "test", Header: func(string) string { return "" }})
		s.Handle([]byte(`{"id":1,"connect":{}}`))
		s.Handle([]byte(`{"id":2,"subscribe":{"channel":"room"}}`))
		s.Flush()
		await(t, client, `"id":2`)
		return s, server, client
	}
}

// await reads until text has come, and returns all that has.
func await(t testing.TB, client net.Conn, text string) string {
	t.Helper()
	if err := client.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	buf := make([]byte, 4096)
	for !strings.Contains(all.String(), text) {
		n, err := client.Read(buf)
		if err != nil {
			t.Fatalf("%v after %q, without %q", err, all.String(), text)
		}
		all.Write(buf[:n])
	}
	return all.String()
}

// What a client publishes to itself leaves with the answer, and with those to all that came with it; what others get leaves at once.
func TestOneWrite(t *testing.T) {
	t.Parallel()
	open := open(t, histories.NewMemory(histories.Options{}))
	s, socket, client := open()
	_, others, other := open()
	before, beforeOthers := socket.writes.Load(), others.writes.Load()

	s.Handle([]byte(`{"id":3,"publish":{"channel":"room","data":"first"}}`))
	if n := others.writes.Load() - beforeOthers; n != 1 {
		t.Errorf("%d writes to the other subscriber", n)
	}
	await(t, other, `"first"`)
	s.Handle([]byte(`{"id":4,"publish":{"channel":"room","data":"second"}}` + "\n" + `{"id":5,"ping":{}}`))
	if n := socket.writes.Load() - before; n != 0 {
		t.Errorf("%d writes before the flush", n)
	}
	s.Flush()
	got := await(t, client, `"id":5`)
	if n := socket.writes.Load() - before; n != 1 {
		t.Errorf("%d writes", n)
	}
	last := -1
	for _, want := range []string{`"data":"first"`, `"id":3,"publish"`, `"data":"second"`, `"id":4,"publish"`, `"id":5,"ping"`} {
		i := strings.Index(got, want)
		if i <= last {
			t.Errorf("%s comes at %d in %q", want, i, got)
		}
		last = i
	}
	await(t, other, `"second"`)
}

// stuck is a history that stores nothing until somebody lets it.
type stuck struct {
	histories.Store
	asked, let chan struct{}
}

func (s *stuck) Append(ctx context.Context, name string, pub *core.Publication, l histories.Limits) (core.Position, error) {
	close(s.asked)
	<-s.let
	return s.Store.Append(ctx, name, pub, l)
}

// Answers do not wait behind a command that does, and neither do the publications of others.
func TestNothingWaitsForAWaitingCommand(t *testing.T) {
	t.Parallel()
	store := &stuck{Store: histories.NewMemory(histories.Options{}), asked: make(chan struct{}), let: make(chan struct{})}
	open := open(t, store)
	s, _, client := open()
	author, _, _ := open()
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Handle([]byte(`{"id":3,"publish":{"channel":"room","data":"first"}}`))
		s.Handle([]byte(`{"id":4,"publish":{"channel":"kept:room","data":"kept"}}`))
		s.Flush()
	}()
	<-store.asked
	await(t, client, `"id":3,"publish"`)
	author.Handle([]byte(`{"id":3,"publish":{"channel":"room","data":"meanwhile"}}`))
	await(t, client, `"meanwhile"`)
	close(store.let)
	<-done
	await(t, client, `"id":4,"publish"`)
}

func BenchmarkEcho(b *testing.B) {
	s, _, client := open(b, histories.NewMemory(histories.Options{}))()
	go io.Copy(io.Discard, client) //nolint:errcheck // It ends with the connection.
	command := []byte(`{"id":3,"publish":{"channel":"room","data":{"text":"` + strings.Repeat("x", 200) + `"}}}`)
	b.ReportAllocs()
	for b.Loop() {
		s.Handle(command)
		s.Flush()
	}
}
