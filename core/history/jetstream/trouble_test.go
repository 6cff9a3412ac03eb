package jetstream_test

import (
	"context"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/bus"
	"github.com/zenconn/server/core/history"
	"github.com/zenconn/server/core/history/historytest"
	"github.com/zenconn/server/core/history/jetstream"
	"github.com/zenconn/server/internal/testenv"
)

// Several processes append to the same channels, and no offset is given twice or left out.
func TestManyWriters(t *testing.T) {
	c := embedded()
	c.Listen = "127.0.0.1:0"
	b := openBus(t, t.TempDir(), c)
	const writers, each = 4, 100
	limits := history.Limits{Size: writers * each, TTL: time.Hour}
	var stores [writers]*jetstream.Store
	for i := range stores {
		stores[i] = openStore(t, b, one(limits))
	}
	var mu sync.Mutex
	var given []uint64
	var wg sync.WaitGroup
	for _, s := range stores {
		wg.Go(func() {
			for range each {
				at, err := s.Append(t.Context(), "a", &core.Publication{Channel: "a", Data: []byte("1")}, limits)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				given = append(given, at.Offset)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	slices.Sort(given)
	for i, offset := range given {
		if offset != uint64(i+1) {
			t.Fatalf("the offsets given are %v", given)
		}
	}
	for i, s := range stores {
		if got := historytest.Read(t, s, "a", history.Query{Limit: -1}); !slices.Equal(got, given) {
			t.Errorf("writer %d reads %v", i, got)
		}
	}
}

// A publication whose acknowledgement was lost is not stored again, also when another process has closed the channel meanwhile.
func TestUnacknowledgedIsStoredOnce(t *testing.T) {
	limits := history.Limits{Size: 5, TTL: time.Hour}
	for name, closed := range map[string]bool{"the channel is open": false, "the channel was closed": true} {
		t.Run(name, func(t *testing.T) {
			c := embedded()
			c.Listen = "127.0.0.1:0" // So that there may be other processes.
			b := openBus(t, t.TempDir(), c)
			s := openStore(t, b, one(limits))
			historytest.Publish(t, s, "a", 3, limits)
			pub := &core.Publication{Channel: "a", Data: []byte("1")}
			at, err := s.Append(t.Context(), "a", pub, limits)
			if err != nil || at.Offset != 4 {
				t.Fatalf("%v, %v", at, err)
			}
			if closed {
				ctx, cancel := context.WithCancel(t.Context())
				cancel()
				s.Run(ctx) // As a process does at its end, with what it has used.
			}
			if again, err := s.AppendAgain(t.Context(), "a", pub); err != nil || again != at {
				t.Errorf("it was stored at %v, and again at %v, %v", at, again, err)
			}
			if got := historytest.Read(t, s, "a", history.Query{Limit: -1}); !slices.Equal(got, []uint64{1, 2, 3, 4}) {
				t.Errorf("the channel has %v", got)
			}
		})
	}
}

// A namespace that has used up its disk takes nothing more, says so, and leaves the others alone.
func TestFull(t *testing.T) {
	limits := history.Limits{Size: 1000, TTL: time.Hour}
	s := openStore(t, openBus(t, t.TempDir(), embedded()), map[string]jetstream.Namespace{
		"small": {Limits: limits, Disk: 1 << 20}, "default": {Limits: limits},
	})
	publish := func(channel string) error {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := s.Append(ctx, channel, &core.Publication{Channel: channel, Data: make([]byte, 10_000)}, limits)
		return err
	}
	var wg sync.WaitGroup
	var refused error
	var stored [8]uint64
	for w := range stored {
		wg.Go(func() {
			for range 100 {
				err := publish("small:" + string(rune('a'+w)))
				if err != nil {
					refused = err // Whoever comes last.
					return
				}
				stored[w]++
			}
			t.Error("a megabyte of 10 kB publications found room a hundred times")
		})
		wg.Wait() // One after the other, and then all together.
	}
	if refused == nil {
		t.Fatal("nothing was refused")
	}
	if err := publish("other"); err != nil {
		t.Errorf("another namespace: %v", err)
	}
	if p := s.Problem(); !strings.Contains(p, "small") || strings.Contains(p, "default") {
		t.Errorf("the problem is %q", p)
	}
	for w, n := range stored {
		name := "small:" + string(rune('a'+w))
		if got := historytest.Read(t, s, name, history.Query{Limit: -1}); uint64(len(got)) != n {
			t.Errorf("of %d publications that were taken in %s there are %d", n, name, len(got))
		}
		if err := s.Remove(t.Context(), name); err != nil {
			t.Errorf("%s cannot be emptied: %v", name, err)
		}
	}
	if err := publish("small:a"); err != nil {
		t.Errorf("there is room again: %v", err)
	}
	if p := s.Problem(); p != "" {
		t.Errorf("the problem that is over is %q", p)
	}
}

// An external NATS that is not there costs the deadline and no more, and is used as soon as it is there, also after it was away.
func TestExternal(t *testing.T) {
	dir := t.TempDir()
	addr := testenv.FreeAddr(t)
	_, text, _ := strings.Cut(addr, ":")
	port, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	launch := func() *server.Server {
		srv, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: port, JetStream: true, StoreDir: dir, NoLog: true, NoSigs: true,
			Username: "zenconn", Password: "secret"})
		if err != nil {
			t.Fatal(err)
		}
		srv.Start()
		if !srv.ReadyForConnections(time.Minute) {
			t.Fatal("NATS does not start")
		}
		return srv
	}
	end := func(srv *server.Server) { srv.Shutdown(); srv.WaitForShutdown() }
	c := embedded()
	c.URL, c.User, c.Password = "nats://"+addr, "zenconn", "secret"
	b := bus.New(bus.Options{Config: c, Data: dir, Node: "test", Log: slog.New(slog.DiscardHandler)})
	if err := b.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	s := openStore(t, b, one(hour))
	run(t, s)
	publish := func(patience time.Duration) (core.Position, error) {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		return s.Append(ctx, "a", &core.Publication{Channel: "a", Data: []byte("1")}, hour)
	}
	if _, err := publish(200 * time.Millisecond); err == nil {
		t.Fatal("published without a bus")
	}
	if b.Problem() == "" || s.Problem() == "" {
		t.Errorf("problems: %q, %q", b.Problem(), s.Problem())
	}
	var before core.Position
	for life := range uint64(2) {
		srv := launch()
		at, err := publish(time.Minute)
		if err != nil || at.Offset != life+1 || life > 0 && at.Epoch != before.Epoch {
			t.Fatalf("published at %v, before at %v: %v", at, before, err)
		}
		before = at
		for deadline := time.Now().Add(time.Minute); b.Problem() != "" || s.Problem() != ""; { // Every connection comes back by itself.
			if time.Now().After(deadline) {
				t.Fatalf("problems: %q, %q", b.Problem(), s.Problem())
			}
			<-time.After(10 * time.Millisecond)
		}
		end(srv)
	}
}
