//go:build unix

package handover_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/zenconn/server/core/handover"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The taker accepts what comes to the port after the one that offered has closed its own end.
func TestTake(t *testing.T) {
	first, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "worker-1.sock")
	if _, _, err := handover.Take(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("before the offer: %v", err)
	}
	want := handover.Process{PID: os.Getpid(), Index: 1, UID: "u"}
	offer, err := handover.New(path, first.(*net.TCPListener), want)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("others may take it: %v, %v", info.Mode(), err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var offering sync.WaitGroup
	offering.Go(func() { offer.Run(ctx) })
	second, process, err := handover.Take(path)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if process != want {
		t.Errorf("taken from %+v", process)
	}
	cancel()
	offering.Wait()
	first.Close()

	client, err := net.Dial("tcp", first.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	server, err := second.Accept()
	if err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = server.Write([]byte("hello")); server.Close() }()
	if b, err := io.ReadAll(client); err != nil || string(b) != "hello" {
		t.Errorf("%q, %v", b, err)
	}
}

// What a killed process left behind is an error, and no obstacle to the next offer.
func TestLeftBehind(t *testing.T) {
	path := filepath.Join(t.TempDir(), "worker-1.sock")
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	dead.Close()
	if _, _, err := handover.Take(path); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("taken from a dead process: %v", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	offer, err := handover.New(path, l.(*net.TCPListener), handover.Process{})
	if err != nil {
		t.Fatal(err)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	offer.Run(ended)
}
