package jetstream_test

import (
	"context"
	"sync"
	"testing"

	"github.com/zenconn/server/core/history"
	"github.com/zenconn/server/core/history/historytest"
	"github.com/zenconn/server/core/history/jetstream"
	"github.com/zenconn/server/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

var _ history.Store = (*jetstream.Store)(nil)

// run lets the store do its work until the test ends, or stop is called.
func run(t *testing.T, s *jetstream.Store) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { s.Run(ctx) })
	stop = sync.OnceFunc(func() { cancel(); wg.Wait() })
	t.Cleanup(stop)
	return stop
}

// one returns the namespace that channels without a colon belong to.
func one(limits history.Limits) map[string]jetstream.Namespace {
	return map[string]jetstream.Namespace{"default": {Limits: limits}}
}

func TestConformance(t *testing.T) {
	t.Parallel() // It mostly waits.
	historytest.Run(t, func(t *testing.T, limits history.Limits) history.Store {
		s := openStore(t, openBus(t, t.TempDir(), embedded()), one(limits))
		run(t, s)
		return s
	})
}

// Writers that may not be alone compare and swap.
func TestConformanceWithOthers(t *testing.T) {
	t.Parallel() // It mostly waits.
	historytest.Run(t, func(t *testing.T, limits history.Limits) history.Store {
		c := embedded()
		c.Listen = "127.0.0.1:0"
		s := openStore(t, openBus(t, t.TempDir(), c), one(limits))
		run(t, s)
		return s
	})
}
