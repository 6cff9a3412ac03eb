package spool_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/zenconn/server/audit/spool"
	"github.com/zenconn/server/audit/sqlite"
	"github.com/zenconn/server/core/bus"
	"github.com/zenconn/server/core/config"
	"github.com/zenconn/server/internal/testenv"
)

// agentEnv names, for a process that shall be an agent instead of a test, its data directory and its address.
const agentEnv = "ZENCONN_TEST_SPOOL_AGENT"

func TestMain(m *testing.M) {
	if where := os.Getenv(agentEnv); where != "" {
		beAgent(where)
		return
	}
	testenv.Main(m)
}

// beAgent embeds the bus and drains into SQLite until it is killed.
func beAgent(where string) {
	dir, addr, _ := strings.Cut(where, "|")
	c := config.Default().Bus
	c.Listen = addr
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	b := bus.New(bus.Options{Config: c, Data: dir, Node: "agent", Log: log})
	must(b.Open(context.Background()))
	store, err := sqlite.Open(filepath.Join(dir, "audit.db"))
	must(err)
	d := spool.NewDrain(spool.Options{Bus: b, Sink: store, Linger: 5 * time.Millisecond, Log: log})
	must(d.Open())
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // It ends when the test is gone.
		cancel()
	}()
	d.Run(ctx)
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// startAgent starts an agent as a process.
func startAgent(t *testing.T, dir, addr string) (kill func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0]) //nolint:gosec // This very program.
	cmd.Env = append(os.Environ(), agentEnv+"="+dir+"|"+addr)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // It was killed.
		stdin.Close()
	}
}

// The agent, with bus, spool and drain, is killed again and again while nodes record. Everything is stored once.
func TestAgentProcessKilled(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	addr := testenv.FreeAddr(t) // It is the agent's also between two of its lives.
	kill := startAgent(t, dir, addr)
	defer func() { kill() }()
	within(t, "the agent listens", func() bool {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	token, err := os.ReadFile(filepath.Join(dir, "bus.token"))
	if err != nil {
		t.Fatal(err)
	}
	c := config.Default().Bus
	c.URL, c.Token = "nats://"+addr, strings.TrimSpace(string(token))
	rs := record(t, openBus(t, t.TempDir(), c), openBus(t, t.TempDir(), c))
	const rounds, each = 5, 1000
	for round := range rounds {
		rs.messages(round*each, each, 700*time.Millisecond)
		kill()
		kill = startAgent(t, dir, addr)
	}
	within(t, "the store can be read", func() bool {
		r, err := sqlite.OpenReader(filepath.Join(dir, "audit.db"))
		if err == nil {
			r.Close()
		}
		return err == nil
	})
	reader, err := sqlite.OpenReader(filepath.Join(dir, "audit.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	arrive(t, reader, rounds*each*len(rs.all))
	for _, r := range rs.all {
		if s := r.Stats(); s.Stored != rounds*each {
			t.Errorf("a recorder says %+v", s)
		}
	}
}
