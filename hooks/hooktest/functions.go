package hooktest

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/hooks"
	"github.com/zenconn/server/hooks/host"
)

// RunFunctions finds out whether a runtime offers the functions of the server. load returns a fresh plugin, with {probe: true} as its
// configuration if it has the right to kv, and with these hooks:
//
//	rpc      calls the function that the method names, with the elements of the data, a JSON array in which null is nothing, and answers
//	         {"results": […]}, with texts as hexadecimal numbers; {"absent": true}; or {"failed": "why"}. The method loaded tells the
//	         outcome of kv_get of the key x while the plugin was loaded, which it tries when config.probe is true; flood calls the function that is the first element for
//	         ever, with the others.
//	audit    publishes {} to room:1 and writes to reason why that failed.
//	channel  does the same, and denies with it.
func RunFunctions(t *testing.T, load func(t *testing.T, services *host.Services, rights host.Rights) hooks.Plugin) {
	for name, test := range map[string]func(*testing.T, *bench){
		"kv": testStore, "http": testWeb, "server": testServer, "jwt": testTokens, "password": testPasswords, "small ones": testSmall,
		"rights": testRights, "deadlines": testDeadlines, "where": testWhere, "counted": testCounted,
	} {
		t.Run(name, func(t *testing.T) { test(t, newBench(t, load)) })
	}
}

// bench is what the tests of functions work with.
type bench struct {
	load     func(t *testing.T, services *host.Services, rights host.Rights) hooks.Plugin
	services *host.Services
	server   *recordingServer
	metrics  *counts
}

func newBench(t *testing.T, load func(t *testing.T, services *host.Services, rights host.Rights) hooks.Plugin) *bench {
	b := &bench{load: load, server: &recordingServer{}, metrics: &counts{all: map[string]float64{}}}
	b.services = host.New(host.Options{Metrics: b.metrics})
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { b.services.Run(ctx) })
	t.Cleanup(func() { stop(); running.Wait() })
	first := &recordingServer{}
	b.services.Serve(first)
	probe, err := host.NewPlugin(b.services, "probe", host.Rights{Disconnect: true}, host.NewLog(nil, "probe"))
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(enough); ; <-time.After(time.Millisecond) { // Until the services run.
		c := host.Call{Hook: hooks.OnRPC, Deadline: end, Args: [host.MaxParams]host.Value{{Text: "somebody"}}}
		f := host.Functions()[slices.IndexFunc(host.Functions(), func(f *host.Function) bool { return f.Name == "server_disconnect" })]
		if err = probe.Call(f, &c); err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
	first.done(t, "probe disconnects somebody/ 3503 force disconnect")
	b.services.Serve(b.server)
	return b
}

// guest is a loaded plugin.
type guest struct {
	t        *testing.T
	chain    *hooks.Chain
	record   *record
	deadline time.Duration
}

// enough is a deadline for what is not about time, on a busy machine.
const enough = time.Minute

func (b *bench) guest(t *testing.T, rights host.Rights) *guest {
	return b.hurried(t, rights, enough)
}

// hurried is a guest with a deadline.
func (b *bench) hurried(t *testing.T, rights host.Rights, deadline time.Duration) *guest {
	t.Helper()
	g := &guest{t: t, record: &record{}, deadline: deadline}
	g.chain = hooks.NewChain([]hooks.Link{{Plugin: b.load(t, b.services, rights), Deadline: deadline}}, g.record)
	t.Cleanup(func() {
		if err := g.chain.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return g
}

// outcome is what became of a call of a function.
type outcome struct {
	Results []any  `json:"results"`
	Absent  bool   `json:"absent"`
	Failed  string `json:"failed"`
	fault   error
}

func (g *guest) call(method string, args ...any) outcome {
	g.t.Helper()
	if args == nil {
		args = []any{}
	}
	input, err := json.Marshal(args)
	if err != nil {
		g.t.Fatal(err)
	}
	*g.record = record{}
	e := &hooks.RPC{Client: NewClient(), Method: method, Input: input}
	var o outcome
	switch a := g.chain.Call(g.t.Context(), e); {
	case g.record.last.Fault != nil:
		o.fault = g.record.last.Fault
	case a.Verdict != hooks.Allow:
		g.t.Fatalf("%s: answer %+v", method, a)
	default:
		if err := json.Unmarshal(e.Reply, &o); err != nil {
			g.t.Fatalf("%s: reply %q: %v", method, e.Reply, err)
		}
	}
	return o
}

// gets calls a function that must have these results. Texts are given as they are; any is a result that may be anything.
func (g *guest) gets(method string, args []any, want ...any) []any {
	g.t.Helper()
	o := g.call(method, args...)
	if o.fault != nil || o.Absent || o.Failed != "" || len(o.Results) != len(want) {
		g.t.Fatalf("%s%.200v: %+v, %v; want %v", method, args, o, o.fault, want)
	}
	for i := range want {
		if text, ok := o.Results[i].(string); ok {
			plain, err := hex.DecodeString(text)
			if err != nil {
				g.t.Fatalf("%s: result %d is %q, which is not hexadecimal", method, i, text)
			}
			o.Results[i] = string(plain)
		}
		w := want[i]
		if n, ok := w.(int); ok {
			w = float64(n)
		}
		if want[i] != any(anything) && !reflect.DeepEqual(o.Results[i], w) {
			g.t.Fatalf("%s%.200v: result %d is %v, want %v", method, args, i, o.Results[i], want[i])
		}
	}
	return o.Results
}

type anyValue struct{}

var anything anyValue

func (g *guest) absent(method string, args ...any) {
	g.t.Helper()
	if o := g.call(method, args...); !o.Absent {
		g.t.Fatalf("%s%.200v: %+v, %v; want no result", method, args, o, o.fault)
	}
}

func (g *guest) fails(want, method string, args ...any) {
	g.t.Helper()
	if o := g.call(method, args...); o.Failed == "" || !strings.Contains(o.Failed, want) {
		g.t.Fatalf("%s%.200v: %.500v, %v; want a failure with %q", method, args, o, o.fault, want)
	}
}

func (g *guest) faults(want, method string, args ...any) {
	g.t.Helper()
	if o := g.call(method, args...); o.fault == nil || !strings.Contains(o.fault.Error(), want) || strings.Contains(o.fault.Error(), "\n") {
		g.t.Fatalf("%s%.200v: %+v, %v; want a fault with %q in one line", method, args, o, o.fault, want)
	}
}

func (g *guest) tooLate(method string, args ...any) {
	g.t.Helper()
	start := time.Now()
	if o := g.call(method, args...); !errors.Is(o.fault, context.DeadlineExceeded) {
		g.t.Fatalf("%s%.200v: %+v, %v; want a fault that wraps context.DeadlineExceeded", method, args, o, o.fault)
	}
	if took := time.Since(start); took > g.deadline+enough {
		g.t.Fatalf("%s: ended after %v", method, took)
	}
}

// list is a short way to write arguments.
func list(args ...any) []any { return args }

// recordingServer remembers what plugins want of it.
type recordingServer struct {
	mu    sync.Mutex
	did   []string
	err   error
	block chan struct{} // nil: it does not.
}

func (s *recordingServer) note(ctx context.Context, format string, args ...any) error {
	s.mu.Lock()
	block, err := s.block, s.err
	s.did = append(s.did, fmt.Sprintf(format, args...))
	s.mu.Unlock()
	if block != nil {
		select {
		case <-block:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return err
}

func (s *recordingServer) Publish(ctx context.Context, plugin, channel string, data []byte, tags map[string]string) error {
	return s.note(ctx, "%s publishes %s %s %v", plugin, channel, data, tags)
}

func (s *recordingServer) Unsubscribe(ctx context.Context, plugin, user, client, channel string) error {
	return s.note(ctx, "%s unsubscribes %s/%s %s", plugin, user, client, channel)
}

func (s *recordingServer) Disconnect(ctx context.Context, plugin, user, client string, d core.Disconnect) error {
	return s.note(ctx, "%s disconnects %s/%s %d %s", plugin, user, client, d.Code, d.Reason)
}

func (s *recordingServer) answer(err error, block chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err, s.block = err, block
}

// done waits until the server was asked to do something, and forgets it.
func (s *recordingServer) done(t *testing.T, want string) {
	t.Helper()
	deadline := time.Now().Add(enough)
	for {
		s.mu.Lock()
		did := s.did
		if len(did) > 0 {
			s.did = nil
		}
		s.mu.Unlock()
		if len(did) > 0 {
			if len(did) != 1 || did[0] != want {
				t.Fatalf("the server was asked for %q, want %q", did, want)
			}
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the server was never asked for %q", want)
		}
		<-time.After(time.Millisecond)
	}
}

// counts implements host.Metrics.
type counts struct {
	mu  sync.Mutex
	all map[string]float64
}

func (c *counts) add(name string, n float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all[name] += n
}

func (c *counts) of(name string) float64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.all[name]
}

type count struct {
	counts *counts
	name   string
}

func (c count) Add(n float64) { c.counts.add(c.name, n) }

func (c *counts) PluginInstances(plugin string, change int) {
	c.add("instances of "+plugin, float64(change))
}

func (c *counts) PluginCalls(plugin, function, result string) host.Counter {
	return count{c, plugin + " " + function + " " + result}
}

func (c *counts) PluginMetric(plugin, name string) host.Counter {
	return count{c, plugin + "'s " + name}
}

func (c *counts) PluginActions(plugin, action, result string, n float64) {
	c.add(plugin+" "+action+" "+result, n)
}
