package cli_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zenconn/server/core/bus"
	"github.com/zenconn/server/core/cli"
	"github.com/zenconn/server/core/config"
	"github.com/zenconn/server/core/join"
	"github.com/zenconn/server/internal/testenv"
)

// agentBus opens the bus of an agent, which answers workers.
func agentBus(t *testing.T, c config.Config) (url, token string, b *bus.Bus) {
	t.Helper()
	dir := t.TempDir()
	c.Bus.Listen = "127.0.0.1:0"
	b = bus.New(bus.Options{Config: c.Bus, Data: dir, Node: "node", Log: slog.New(slog.DiscardHandler)})
	if err := b.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	host := join.NewHost(join.HostOptions{Bus: b, Name: "node", UID: "agent-uid", Version: "1.2.3", Log: slog.New(slog.DiscardHandler)})
	if err := host.Set(&c, nil); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := host.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		cancel()
		running.Wait()
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return "nats://" + b.Addr(), filepath.Join(dir, "bus.token"), b
}

// worker runs the command and returns what it joined, or the error.
func worker(t *testing.T, environ []string, args ...string) (*join.Joined, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var joined *join.Joined
	err := cli.RunWorker(ctx, args, environ, &output{}, func(j *join.Joined, b *bus.Bus) {
		joined = j
		if !b.Connected() {
			t.Error("the work begins without a bus")
		}
	})
	if err == nil && joined == nil {
		t.Fatal("it ended without an error before it has joined")
	}
	return joined, err
}

func TestWorkerFromElsewhere(t *testing.T) {
	c := config.Default()
	c.Client.Addr = ":7000"
	url, token, _ := agentBus(t, c)
	data := t.TempDir()
	j, err := worker(t, nil, "--agent", url, "--token-file", token, "--data", data, "--name", "edge-1", "--log.level", "warn")
	if err != nil || j.Name != "edge-1" || j.AgentName != "node" || j.Config.Client.Addr != ":7000" || j.Config.Data != data {
		t.Fatalf("%+v, %v", j, err)
	}
	j, err = worker(t, []string{"ZENCONN_CLIENT__ADDR=:7001"}, "--agent", url, "--token-file", token, "--data", data, "--addr", ":9000")
	if err != nil || j.Config.Client.Addr != ":9000" || j.Name == "" || j.Index != 0 {
		t.Fatalf("%+v, %v", j, err)
	}
}

func TestWorkerOfItsAgent(t *testing.T) {
	c := config.Default()
	c.Agent.Workers = 2
	_, _, b := agentBus(t, c)
	inherited := b.Join()
	variable, err := inherited.Environ()
	if err != nil {
		t.Fatal(err)
	}
	j, err := worker(t, []string{"ZENCONN_AGENT__WORKERS=2", variable}, "--child", "2", "--agent-uid", "agent-uid", "--data", t.TempDir())
	if err != nil || j.Name != "node-2" || j.Index != 2 || j.Agent != "agent-uid" {
		t.Fatalf("%+v, %v", j, err)
	}
	if _, err := worker(t, []string{variable}, "--child", "3", "--agent-uid", "agent-uid", "--data", t.TempDir()); err == nil ||
		!strings.Contains(err.Error(), "there is no worker 3") {
		t.Errorf("error %v", err)
	}
}

func TestWorkerWithAWrongToken(t *testing.T) {
	url, _, _ := agentBus(t, config.Default())
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("geheim-geheim-geheim"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string][]string{"wrong": {"--agent", url, "--token-file", token}, "none": {"--agent", url}} {
		_, err := worker(t, nil, args...)
		if !errors.Is(err, bus.ErrRefused) || strings.Contains(err.Error(), "geheim") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A demo lets everybody in, so nobody must reach it over the network.
func TestWorkerOfADemo(t *testing.T) {
	demo, err := config.Load(config.Sources{})
	if err != nil {
		t.Fatal(err)
	}
	url, token, _ := agentBus(t, demo.Config)
	args := []string{"--agent", url, "--token-file", token, "--data", t.TempDir(), "--addr"}
	if _, err := worker(t, nil, append(args, ":8000")...); err == nil || !strings.Contains(err.Error(), "the agent runs in demo mode") {
		t.Errorf("error %v", err)
	}
	if j, err := worker(t, nil, append(args, "127.0.0.1:8000")...); err != nil || !j.Config.Demo {
		t.Errorf("%+v, %v", j, err)
	}
}

func TestWorkerThatIsAskedToEnd(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	stderr := &output{}
	ended := make(chan error, 1)
	go func() {
		ended <- cli.RunWorker(ctx, []string{"--agent", "nats://" + testenv.FreeAddr(t), "--data", t.TempDir()}, nil, stderr, func(*join.Joined, *bus.Bus) {
			t.Error("it has joined nobody")
		})
	}()
	for deadline := time.Now().Add(patience); !strings.Contains(stderr.String(), "the bus does not answer; trying again"); {
		if time.Now().After(deadline) {
			t.Fatalf("the log does not say why it waits: %s", stderr)
		}
		<-time.After(10 * time.Millisecond)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("error %v", err)
	}
}

func TestWorkerUsage(t *testing.T) {
	inFolder(t, "token", "0123456789abcdef", "empty", "\n")
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"no agent":           {nil, "--agent: say where the agent's bus is, such as nats://10.0.0.1:4222"},
		"no URL":             {[]string{"--agent", "10.0.0.1"}, "--agent: want nats://host:port"},
		"password in it":     {[]string{"--agent", "nats://u:geheim@h"}, "--agent: want nats://host:port"},
		"configuration":      {[]string{"--agent", "nats://h", "--client.addr", ":1"}, "a worker takes its configuration from its agent: set client.addr there"},
		"configuration file": {[]string{"--agent", "nats://h", "--config", "a.yaml"}, "a worker takes its configuration from its agent: set config there"},
		"address":            {[]string{"--agent", "nats://h", "--addr", "8000"}, `--addr: want host:port or :port, not "8000"`},
		"name":               {[]string{"--agent", "nats://h", "--name", "a b"}, `--name: want up to 128 letters, digits, dots, - and _, not "a b"`},
		"data":               {[]string{"--agent", "nats://h", "--data", ""}, "--data: want a directory"},
		"prefix":             {[]string{"--agent", "nats://h", "--bus-prefix", "a.b"}, `--bus-prefix: "a.b" cannot be a prefix`},
		"token missing":      {[]string{"--agent", "nats://h", "--token-file", "missing"}, "--token-file: open missing: "},
		"token empty":        {[]string{"--agent", "nats://h", "--token-file", "empty"}, "--token-file: empty is empty"},
		"two ways":           {[]string{"--agent", "nats://h", "--token-file", "token", "--user", "u"}, "want one of --credentials-file, --user and --token-file"},
		"half a certificate": {[]string{"--agent", "nats://h", "--tls-cert", "c.pem"}, "--tls-cert: a certificate needs its key"},
		"half a child":       {[]string{"--child", "1"}, "--child and --agent-uid go together"},
		"log":                {[]string{"--agent", "nats://h", "--log.level", "loud"}, "--log.level: want one of debug, info, warn, error"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := worker(t, nil, test.args...)
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "geheim") {
				t.Errorf("error %v, want %s", err, test.want)
			}
		})
	}
	if _, err := worker(t, []string{"ZENCONN_WORKER_BUS=x"}, "--child", "1", "--agent-uid", "u"); err == nil || !strings.Contains(err.Error(), "ZENCONN_WORKER_BUS") {
		t.Errorf("error %v", err)
	}
}
