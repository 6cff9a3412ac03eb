package kv_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/zenconn/server/core/bus"
	"github.com/zenconn/server/core/config"
	"github.com/zenconn/server/core/kv"
	"github.com/zenconn/server/hooks/hooktest"
	"github.com/zenconn/server/hooks/host"
	"github.com/zenconn/server/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

func openBus(t testing.TB, dir string, c config.Bus) *bus.Bus {
	t.Helper()
	b := bus.New(bus.Options{Config: c, Data: dir, Node: "test", Log: slog.New(slog.DiscardHandler)})
	if err := b.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func open(t testing.TB, b *bus.Bus) *kv.Store {
	t.Helper()
	s := kv.New(kv.Options{Bus: b, Log: slog.New(slog.DiscardHandler)})
	if err := s.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestConformance(t *testing.T) {
	hooktest.RunKV(t, func(t *testing.T) host.KV { return open(t, openBus(t, t.TempDir(), config.Default().Bus)) })
}

func TestSurvivesARestart(t *testing.T) {
	dir := t.TempDir()
	b := openBus(t, dir, config.Default().Bus)
	revision, err := open(t, b).Set(t.Context(), "p", "k", []byte("kept"), 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	s := open(t, openBus(t, dir, config.Default().Bus))
	value, again, err := s.Get(t.Context(), "p", "k")
	if err != nil || string(value) != "kept" || again != revision {
		t.Errorf("%q, revision %d, %v; stored was %d", value, again, err, revision)
	}
	if next, err := s.Swap(t.Context(), "p", "k", nil, 0, revision); err != nil || next <= revision {
		t.Errorf("swap: %d, %v", next, err)
	}
}

// Another process on the same bus sees what was stored, and one with another prefix does not.
func TestSharedOnTheBus(t *testing.T) {
	c := config.Default().Bus
	c.Listen = "127.0.0.1:0"
	dir := t.TempDir()
	server := openBus(t, dir, c)
	here := open(t, server)
	away := c
	away.URL, away.Listen, away.Token = "nats://"+server.Addr(), "", token(t, dir)
	there := open(t, openBus(t, t.TempDir(), away))
	away.Prefix = "others"
	stranger := open(t, openBus(t, t.TempDir(), away))
	revision, err := here.Set(t.Context(), "p", "k", []byte("shared"), 0)
	if err != nil {
		t.Fatal(err)
	}
	if next, err := there.Swap(t.Context(), "p", "k", []byte("swapped"), 0, revision); err != nil || next == 0 {
		t.Errorf("swap: %d, %v", next, err)
	}
	if value, _, err := here.Get(t.Context(), "p", "k"); err != nil || string(value) != "swapped" {
		t.Errorf("%q, %v", value, err)
	}
	if _, revision, err := stranger.Get(t.Context(), "p", "k"); err != nil || revision != 0 {
		t.Errorf("an installation of another prefix finds revision %d, %v", revision, err)
	}
}

// A bus that is not there is told within the deadline.
func TestWithoutABus(t *testing.T) {
	c := config.Default().Bus
	c.URL = "nats://127.0.0.1:1"
	s := open(t, openBus(t, t.TempDir(), c))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, _, err := s.Get(ctx, "p", "k"); err == nil {
		t.Error("no error")
	}
	if _, err := s.Set(ctx, "p", "k", nil, 0); err == nil {
		t.Error("no error")
	}
}

// Whoever no longer waits is not kept.
func TestEndsWithItsContext(t *testing.T) {
	s := open(t, openBus(t, t.TempDir(), config.Default().Bus))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := s.Get(ctx, "p", "k"); !errors.Is(err, context.Canceled) {
		t.Errorf("get: %v", err)
	}
	if _, err := s.Set(ctx, "p", "k", nil, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("set: %v", err)
	}
}

func BenchmarkGet(b *testing.B) {
	s := open(b, openBus(b, b.TempDir(), config.Default().Bus))
	if _, err := s.Set(b.Context(), "p", "k", make([]byte, 100), 0); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := s.Get(b.Context(), "p", "k"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSet(b *testing.B) {
	s := open(b, openBus(b, b.TempDir(), config.Default().Bus))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Set(b.Context(), "p", "k", make([]byte, 100), time.Minute); err != nil {
			b.Fatal(err)
		}
	}
}

// token is that of the embedded server, which it keeps in a file for other processes.
func token(t *testing.T, dir string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "bus.token"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}
