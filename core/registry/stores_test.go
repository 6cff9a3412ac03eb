package registry_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zenconn/server/audit"
	"github.com/zenconn/server/audit/audittest"
	"github.com/zenconn/server/audit/clickhouse"
	"github.com/zenconn/server/audit/sqlite"
	"github.com/zenconn/server/core/cluster"
	"github.com/zenconn/server/internal/testenv"
	"github.com/zenconn/server/test/server"
)

func openSQLite(t *testing.T) audit.Sink {
	s, err := sqlite.Open(filepath.Join(t.TempDir(), "audit.db"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// openClickHouse makes a database of the test's own.
func openClickHouse(t *testing.T) audit.Sink {
	dsn := audittest.ClickHouse(t, testenv.ClickHouse(t))
	s, err := clickhouse.Open(clickhouse.Options{DSN: dsn.String(), Timeout: 5 * time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Whoever asks a store, before, while and after a node is lost and comes back, sees its sessions as they are.
func TestLostSessionsInTheStores(t *testing.T) {
	for name, open := range map[string]func(*testing.T) audit.Sink{"sqlite": openSQLite, "clickhouse": openClickHouse} {
		t.Run(name, func(t *testing.T) {
			sink := &oneWriter{Sink: open(t)}
			t.Cleanup(func() { sink.Close() }) //nolint:errcheck // It says nothing.
			i := newInstallation(t)
			agent := i.start(birth{kind: cluster.Agent, name: "a"})
			proxy := server.NewProxy(t, i.nats.Addr())
			worker := i.start(birth{kind: cluster.Worker, name: "a-1", agent: agent, addr: proxy.Addr()})

			// The worker's own audit is cut off with it, and arrives late.
			own := &late{recorder: newRecorder(t, sink, "a-1")}
			worker.node.Recorder = own
			i.audit.to(newRecorder(t, sink, "a"))
			shows := func(want string) {
				t.Helper()
				eventually(t, fmt.Sprintf("the store shows %s", want), func() bool {
					got := audittest.Ask(t, sink, "SELECT version, close_code, count(*) FROM audit_sessions GROUP BY version, close_code ORDER BY version")
					return strings.Join(got, " ") == want
				})
			}
			worker.open(6)
			i.knows([]*process{agent}, worker)
			shows("[1,0,6]")
			own.hold(true)
			proxy.Cut()
			shows("[2,1006,6]")
			worker.close(2)
			own.hold(false)
			shows("[2,1006,4] [3,3000,2]")
			proxy.Restore()
			shows("[3,3000,2] [4,0,4]")
			worker.close(4)
			shows("[3,3000,2] [6,3000,4]")
		})
	}
}

// late hands events to a recorder, and can keep them back.
type late struct {
	recorder *audit.Recorder
	mu       sync.Mutex
	holding  bool
	held     []audit.Event
}

func (l *late) Record(e audit.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.holding {
		l.held = append(l.held, e)
		return
	}
	l.recorder.Record(e)
}

func (l *late) hold(holding bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.holding = holding
	for _, e := range l.held {
		l.recorder.Record(e)
	}
	l.held = nil
}

// oneWriter lets several recorders write to a sink.
type oneWriter struct {
	audit.Sink
	mu sync.Mutex
}

func (w *oneWriter) Write(ctx context.Context, b *audit.Batch) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.Sink.Write(ctx, b)
}

func newRecorder(t *testing.T, sink audit.Sink, node string) *audit.Recorder {
	r := audit.New(sink, audit.Options{Node: node, Epoch: 7, FlushInterval: 5 * time.Millisecond})
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { r.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	return r
}
