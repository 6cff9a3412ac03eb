package spool_test

import (
	"context"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zenconn/server/audit"
	"github.com/zenconn/server/audit/audittest"
	"github.com/zenconn/server/audit/clickhouse"
	"github.com/zenconn/server/audit/spool"
	"github.com/zenconn/server/core/bus"
	"github.com/zenconn/server/internal/testenv"
)

// recorders are nodes that record all the time.
type recorders struct {
	all  []*audit.Recorder
	wg   sync.WaitGroup
	stop context.CancelFunc
}

func record(t *testing.T, buses ...*bus.Bus) *recorders {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	rs := &recorders{stop: cancel}
	for i, b := range buses {
		r := audit.New(openWriter(t, b), audit.Options{
			Node: fmt.Sprintf("node-%d", i), Queue: 1 << 20, QueueBytes: 1 << 40, FlushInterval: 10 * time.Millisecond, BatchEvents: 500, DrainTimeout: patience,
		})
		rs.all = append(rs.all, r)
		rs.wg.Go(func() { r.Run(ctx) })
	}
	t.Cleanup(func() { cancel(); rs.wg.Wait() })
	return rs
}

// messages has each recorder record n messages over a time, beginning with the k-th of each.
func (rs *recorders) messages(k, n int, over time.Duration) {
	var recording sync.WaitGroup
	for i, r := range rs.all {
		recording.Go(func() {
			for j, m := range audittest.Messages(1_000_000*i+k, n) {
				r.Record(m)
				if j%100 == 99 {
					<-time.After(over / time.Duration(max(n/100, 1)))
				}
			}
		})
	}
	recording.Wait()
}

// agent is a process with a drain, which can be killed.
type agent struct {
	drain *running
	bus   *bus.Bus
}

func (s *server) agent(t *testing.T, open func() audit.Writer) *agent {
	b := s.join(t)
	return &agent{runDrain(t, spool.Options{Bus: b, Sink: open(), DrainTimeout: time.Nanosecond, Events: 2000}), b}
}

// kill cuts the agent off at once, so that it can finish nothing.
func (a *agent) kill() {
	a.bus.Close()
	a.drain.stop()
}

// storm records while agents are killed and the store makes trouble. Everything must be stored once. Each agent opens the store for itself, as
// agents do: one that stood still may still be writing when another has taken its place.
func storm(t *testing.T, open func() audit.Writer, ask asker, trouble func(round int)) {
	srv := startServer(t, t.TempDir())
	rs := record(t, srv.join(t), srv.join(t), srv.join(t))
	const rounds, each = 4, 500
	leader, other := srv.agent(t, open), srv.agent(t, open)
	for round := range rounds {
		trouble(round)
		rs.messages(round*each, each, time.Second)
		if other.drain.Stats().Leading {
			leader, other = other, leader
		}
		leader.kill()
		leader, other = other, srv.agent(t, open)
	}
	arrive(t, ask, rounds*each*len(rs.all))
	for _, r := range rs.all {
		if s := r.Stats(); s.Stored != rounds*each {
			t.Errorf("a recorder says %+v", s)
		}
	}
}

func TestStormSQLite(t *testing.T) {
	t.Parallel()
	store := &faults{Writer: openSQLite(t, filepath.Join(t.TempDir(), "audit.db"))}
	storm(t, func() audit.Writer { return store }, store.Writer.(asker), func(round int) {
		n := 0
		var mu sync.Mutex
		sometimes := func(of, is int) bool {
			mu.Lock()
			defer mu.Unlock()
			n++
			return n%of == is
		}
		store.set(func(*audit.Batch) error {
			if sometimes(5, round) {
				return errDown
			}
			return nil
		}, func(context.Context, *audit.Batch) error {
			if sometimes(7, round) {
				return errDown // It is stored, but who wrote it does not know.
			}
			return nil
		})
	})
}

func TestStormClickHouse(t *testing.T) {
	t.Parallel()
	dsn := audittest.ClickHouse(t, testenv.ClickHouse(t))
	network := audittest.StartProxy(t, "127.0.0.1:0", dsn.Host)
	dsn.Host = network.Address()
	storm(t, func() audit.Writer { return openClickHouse(t, dsn) }, openClickHouse(t, dsn), func(round int) {
		network.LoseAnswers(round + 1)
		if round == 2 {
			network.Freeze(true)
			time.AfterFunc(2*time.Second, func() { network.Freeze(false); network.Cut() })
		}
	})
	if network.AnswersLost() == 0 {
		t.Error("no answer was lost: the test tests nothing")
	}
}

// ClickHouse is away, longer than everything would wait for it, and comes back: the events have waited in the spool.
func TestClickHouseAway(t *testing.T) {
	t.Parallel()
	dsn := audittest.ClickHouse(t, testenv.ClickHouse(t))
	target, address := dsn.Host, testenv.FreeAddr(t) // Which nobody else takes meanwhile.
	network := audittest.StartProxy(t, address, target)
	dsn.Host = address
	store := openClickHouse(t, dsn)
	network.Stop()
	dir := t.TempDir()
	for k := range 2 { // The server is even started again meanwhile.
		b := alone(t, dir)
		d := runDrain(t, spool.Options{Bus: b, Sink: store, DrainTimeout: time.Nanosecond})
		rs := record(t, b)
		rs.messages(k*5000, 5000, 0)
		rs.stop()
		rs.wg.Wait()
		if s := rs.all[0].Stats(); s.Stored != 5000 {
			t.Errorf("the recorder waits for the store: %+v", s)
		}
		within(t, "the drain tells of the trouble", func() bool { return strings.Contains(d.Problem(), "wait in the spool") })
		d.stop()
		b.Close()
	}
	audittest.StartProxy(t, address, target)
	runDrain(t, spool.Options{Bus: alone(t, dir), Sink: store})
	arrive(t, store, 10_000)
}

func openClickHouse(t testing.TB, dsn *url.URL) *clickhouse.Store {
	t.Helper()
	s, err := clickhouse.Open(clickhouse.Options{DSN: dsn.String(), Timeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// A ClickHouse that is too slow for the time of a writing gets more of it.
func TestSlowClickHouseGetsTime(t *testing.T) {
	t.Parallel()
	dsn := audittest.ClickHouse(t, testenv.ClickHouse(t))
	network := audittest.StartProxy(t, "127.0.0.1:0", dsn.Host)
	dsn.Host = network.Address()
	network.Slow(3 * time.Second)
	b := alone(t, t.TempDir())
	d := runDrain(t, spool.Options{Bus: b, Sink: openClickHouse(t, dsn), WriteTimeout: 2 * time.Second})
	batch := (&life{name: "node"}).make(100)
	for _, m := range batch.Messages {
		m.Payload = noise(500) // So that its answer is the slow one.
	}
	hand(t, openWriter(t, b), batch)
	within(t, "the drain knows that all is stored", func() bool { return d.Stats().Events >= 100 })
}
