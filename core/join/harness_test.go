package join_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/bus"
	"github.com/zenconn/server/core/config"
	"github.com/zenconn/server/core/join"
	"github.com/zenconn/server/internal/testenv"
	"github.com/zenconn/server/plugins"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// patience bounds what the tests wait for.
const patience = 3 * time.Minute

// logged is a log that a test can read while it is written.
type logged struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *logged) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// installation is a bus that an agent has opened, on an address that survives its restart.
type installation struct {
	t     *testing.T
	data  string
	addr  string
	token string
	bus   *bus.Bus
	log   logged // Of the agents.
}

func install(t *testing.T) *installation {
	t.Helper()
	in := &installation{t: t, data: t.TempDir(), addr: testenv.FreeAddr(t)}
	in.open()
	token, err := os.ReadFile(filepath.Join(in.data, "bus.token"))
	if err != nil {
		t.Fatal(err)
	}
	in.token = strings.TrimSpace(string(token))
	t.Cleanup(func() { in.close() })
	return in
}

func (in *installation) open() {
	in.t.Helper()
	c := config.Default().Bus
	c.Listen = in.addr
	in.bus = bus.New(bus.Options{Config: c, Data: in.data, Node: "node", Log: slog.New(slog.DiscardHandler)})
	if err := in.bus.Open(in.t.Context()); err != nil {
		in.t.Fatal(err)
	}
	in.addr = in.bus.Addr()
}

func (in *installation) close() {
	if err := in.bus.Close(); err != nil {
		in.t.Error(err)
	}
}

// connect opens another process's connection to the bus.
func (in *installation) connect(token string) *bus.Bus {
	in.t.Helper()
	c := config.Default().Bus
	c.URL, c.Token = "nats://"+in.addr, token
	b := bus.New(bus.Options{Config: c, Node: "worker", Log: slog.New(slog.DiscardHandler)})
	if err := b.Open(in.t.Context()); err != nil {
		in.t.Fatal(err)
	}
	in.t.Cleanup(func() {
		if err := b.Close(); err != nil {
			in.t.Error(err)
		}
	})
	return b
}

// agent answers on the installation's bus until stop is called.
func (in *installation) agent(name, uid string, c *config.Config, bundles ...plugins.Bundle) (*join.Host, func()) {
	in.t.Helper()
	h := join.NewHost(join.HostOptions{Bus: in.bus, Name: name, UID: uid, Version: "1.2.3", Log: in.log.logger()})
	if c != nil {
		if err := h.Set(c, bundles); err != nil {
			in.t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(in.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx) }()
	in.answers(uid)
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			in.t.Error(err)
		}
	})
	in.t.Cleanup(stop)
	return h, stop
}

// answers waits until an agent does: its last subject is that of the bundles.
func (in *installation) answers(uid string) {
	in.t.Helper()
	eventually(in.t, "the agent answers", func() bool {
		_, err := in.bus.Request(in.t.Context(), fmt.Sprintf("agent.%s.bundle", uid), []byte("{}"))
		return err == nil
	})
}

// options are those of a worker from elsewhere.
func (in *installation) options(b *bus.Bus) join.Options {
	return join.Options{Bus: b, Version: "1.2.3", UID: core.NewID(), PID: 42, Host: "far", Data: in.t.TempDir(), Log: slog.New(slog.DiscardHandler)}
}

func mustJoin(t *testing.T, o join.Options) *join.Joined {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	j, err := join.Join(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// configured is a configuration with children.
func configured() *config.Config {
	c := config.Default()
	c.Agent.Workers, c.Auth = 2, config.Auth{Type: "jwt", User: "anonymous", JWT: config.JWT{HMACSecret: strings.Repeat("secret", 6)}}
	c.API.Key = "geheim-geheim-geheim"
	c.Namespaces = map[string]config.Namespace{"chat": config.DefaultNamespace()}
	return &c
}

// resolved is the bundles of plugins with these sources, given as file name and source in turn.
func resolved(t *testing.T, files ...string) []plugins.Bundle {
	t.Helper()
	dir := t.TempDir()
	c := config.Default().Plugins
	c.Dir, c.MaxSize = "", 1<<30
	for i := 0; i+1 < len(files); i += 2 {
		path := filepath.Join(dir, files[i])
		if err := os.WriteFile(path, []byte(files[i+1]), 0o600); err != nil {
			t.Fatal(err)
		}
		c.Load = append(c.Load, config.Plugin{
			Path: path, Config: map[string]any{"n": 3, "list": []any{1.5, "x", map[string]any{"deep": true}}},
			Allow: config.Allow{KV: true, HTTP: []string{"example.com"}, JWT: true}, Keys: []config.Key{{Name: "k", Secret: strings.Repeat("secret", 6)}},
		})
	}
	bundles, err := plugins.Resolve(c, plugins.Bundled())
	if err != nil {
		t.Fatal(err)
	}
	return bundles
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", patience, what)
		}
		<-time.After(10 * time.Millisecond)
	}
}
