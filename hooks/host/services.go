package host

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/zenconn/server/core"
)

// Server is what plugins do to the sessions and channels of the whole installation. Its methods may be called concurrently, return soon after
// ctx ends, and ask neither rules nor hooks. A *core.Error is for the plugin to see; of any other it learns only that it did not
// work. plugin is who asks, for the record.
type Server interface {
	Publish(ctx context.Context, plugin, channel string, data []byte, tags map[string]string) error

	// Unsubscribe and Disconnect are for the sessions that match both user and client, of which one may be empty.
	Unsubscribe(ctx context.Context, plugin, user, client, channel string) error
	Disconnect(ctx context.Context, plugin, user, client string, d core.Disconnect) error
}

// Counter only grows. It is an alias, so that who implements Metrics need not know this package.
type Counter = interface{ Add(n float64) }

// Metrics counts what plugins do. Its methods may be called concurrently and do not block.
type Metrics interface {
	PluginInstances(plugin string, change int)              // Instances that were made or destroyed.
	PluginCalls(plugin, function, result string) Counter    // Of the functions; the result is ok, absent, failed or fault.
	PluginMetric(plugin, name string) Counter               // Of metric_add.
	PluginActions(plugin, action, result string, n float64) // Of server_unsubscribe and server_disconnect; ok, failed or dropped.
}

// Options say what the functions act on. The zero value is fine for a process without a server, such as a test of a plugin.
type Options struct {
	KV      KV      // nil: what is stored is forgotten with this process.
	Metrics Metrics // nil: nothing is counted.
}

// Services is what stands behind the functions, once for all plugins of a process.
type Services struct {
	kv      KV
	metrics Metrics
	server  atomic.Pointer[Server] // nil: none yet.
	running atomic.Bool
	actions chan action
	hashing chan hashing
}

const (
	actionQueue   = 4096 // What plugins want done to sessions and is not done yet. More is refused.
	actionWorkers = 4
)

// New makes services.
func New(o Options) *Services {
	s := &Services{kv: o.KV, metrics: o.Metrics, actions: make(chan action, actionQueue), hashing: make(chan hashing)}
	if s.kv == nil {
		s.kv = NewMemory()
	}
	if s.metrics == nil {
		s.metrics = uncounted{}
	}
	return s
}

// Serve gives the server to the plugins, which are loaded before it can be there. Until then what they ask of it fails.
func (s *Services) Serve(server Server) { s.server.Store(&server) }

// Run hashes passwords and does to sessions what plugins want until ctx ends; without it, this fails. What had begun is
// then cut short, and what was waiting is dropped.
func (s *Services) Run(ctx context.Context) {
	s.running.Store(true)
	defer s.running.Store(false)
	var workers sync.WaitGroup
	defer workers.Wait()
	for range actionWorkers {
		workers.Go(func() { s.act(ctx) })
	}
	// Each needs up to 64 MiB and a processor; clients need some too.
	for range max(1, runtime.GOMAXPROCS(0)/2) {
		workers.Go(func() { s.hash(ctx) })
	}
}

// Running says whether Run has begun, and not ended.
func (s *Services) Running() bool { return s.running.Load() }

var errNotRunning = Failure("the server is starting or stopping")

// uncounted is Metrics for those who want none.
type uncounted struct{}

func (uncounted) PluginInstances(string, int)                   {}
func (u uncounted) PluginCalls(string, string, string) Counter  { return u }
func (u uncounted) PluginMetric(string, string) Counter         { return u }
func (uncounted) PluginActions(string, string, string, float64) {}
func (uncounted) Add(float64)                                   {}
