package bus_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/zenconn/server/core/bus"
	"github.com/zenconn/server/core/config"
	"github.com/zenconn/server/internal/testenv"
)

func TestMain(m *testing.M) {
	if text := os.Getenv(agentVariable); text != "" {
		if err := beAgent(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1) //nolint:forbidigo // This is the main function of an agent's process.
		}
		return
	}
	testenv.Main(m)
}

func open(t *testing.T, dir string, c config.Bus) *bus.Bus {
	t.Helper()
	b := bus.New(bus.Options{Config: c, Data: dir, Node: "test", Log: slog.New(slog.DiscardHandler)})
	if err := b.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func defaults() config.Bus { return config.Default().Bus }

// asking is for requests whose answer must come, however long the machine stands still meanwhile.
func asking(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// connect connects to a server as a program of the owner's does, again when it was too slow for the server.
func connect(t *testing.T, url string, options ...nats.Option) *nats.Conn {
	t.Helper()
	var conn *nats.Conn
	eventually(t, "a connection to "+url, func() (ok bool) {
		var err error
		conn, err = nats.Connect(url, append(options, nats.Timeout(patience))...)
		return err == nil
	})
	t.Cleanup(conn.Close)
	return conn
}

func TestEmbeddedListensToNobody(t *testing.T) {
	b := open(t, t.TempDir(), defaults())
	if b.Addr() != "" || !b.Alone() || b.External() || b.Problem() != "" || b.Replicas() != 1 || b.Disk() <= 0 {
		t.Errorf("addr %q, alone %v, external %v, problem %q, replicas %d, disk %d", b.Addr(), b.Alone(), b.External(), b.Problem(), b.Replicas(), b.Disk())
	}
	if err := b.Conn().FlushTimeout(time.Minute); err != nil {
		t.Error(err)
	}
}

func TestListenerWantsTheToken(t *testing.T) {
	dir, c := t.TempDir(), defaults()
	c.Listen = "127.0.0.1:0"
	var tokens []string
	for range 2 { // The token stays the same.
		b := open(t, dir, c)
		path := filepath.Join(dir, "bus.token")
		token, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		tokens = append(tokens, strings.TrimSpace(string(token)))
		if info, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
			t.Errorf("the token's file has mode %v: %v", info.Mode(), err)
		}
		url := "nats://" + b.Addr()
		eventually(t, "who has no token is refused", func() bool {
			conn, err := nats.Connect(url, nats.Timeout(patience))
			if err == nil {
				conn.Close()
				t.Fatal("who has no token is let in")
			}
			return errors.Is(err, nats.ErrAuthorization)
		})
		connect(t, url, nats.Token(tokens[0])).Close()
		if b.Alone() {
			t.Error("who listens is not alone")
		}
		b.Close()
	}
	if tokens[0] != tokens[1] || len(tokens[0]) < 16 {
		t.Errorf("the tokens were %q", tokens)
	}
}

func TestBadDirectory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	b := bus.New(bus.Options{Config: defaults(), Data: file, Node: "test", Log: slog.New(slog.DiscardHandler)})
	if err := b.Open(t.Context()); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("opened in a file: %v", err)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
}

func TestExternalRefusesUs(t *testing.T) {
	srv, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true, NoSigs: true, Username: "u", Password: "right", JetStream: true, StoreDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	defer func() { srv.Shutdown(); srv.WaitForShutdown() }()
	if !srv.ReadyForConnections(time.Minute) {
		t.Fatal("NATS does not start")
	}
	c := defaults()
	c.URL, c.User, c.Password = srv.ClientURL(), "u", "wrong"
	if b := open(t, t.TempDir(), c); b.Problem() == "" {
		t.Error("a wrong password is no problem")
	}
	c.Password = "right"
	well(t, open(t, t.TempDir(), c))
}

func TestRequest(t *testing.T) {
	t.Parallel() // It mostly waits.
	b := open(t, t.TempDir(), defaults())
	ctx := asking(t)
	if _, err := b.Request(ctx, "echo", nil); !errors.Is(err, bus.ErrNobody) {
		t.Errorf("nobody is there: %v", err)
	}
	released := make(chan struct{})
	stop, err := b.Handle("echo", func(ctx context.Context, body []byte) ([]byte, error) {
		switch string(body) {
		case "fail":
			return nil, errors.New("two\nlines")
		case "wait":
			<-ctx.Done()
			close(released)
			return nil, ctx.Err()
		}
		return body, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	if answer, err := b.Request(ctx, "echo", []byte("hello")); err != nil || string(answer) != "hello" {
		t.Errorf("%q, %v", answer, err)
	}
	_, err = b.Request(ctx, "echo", []byte("fail"))
	if remote, ok := errors.AsType[bus.RemoteError](err); !ok || remote != "two lines" {
		t.Errorf("%v", err)
	}
	brief, end := context.WithTimeout(ctx, 2*time.Second) // Enough to reach the other side.
	defer end()
	if _, err := b.Request(brief, "echo", []byte("wait")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	<-released // The one that was asked no longer works on it either.

	old := &nats.Msg{Subject: b.Prefix() + ".echo", Header: nats.Header{"Zc-Version": {"0"}}}
	answer, err := b.Conn().RequestMsgWithContext(ctx, old)
	if err != nil || !strings.Contains(answer.Header.Get("Zc-Error"), "version") {
		t.Errorf("an old version is answered with %v, %v", answer, err)
	}
	stop()
	if _, err := b.Request(ctx, "echo", nil); !errors.Is(err, bus.ErrNobody) {
		t.Errorf("nobody is there any more: %v", err)
	}
}
