package audit_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"golang.org/x/sys/unix"

	"github.com/zenconn/server/internal/testenv"
	"github.com/zenconn/server/test/chaos"
)

// engine is a ClickHouse server of the test's own, on a small disk of its own where the test may make one.
type engine struct {
	t        testing.TB
	command  []string
	address  string
	user     string // "": default.
	password string
	dir      string
	disk     error // Why there is no disk of its own; nil: there is.

	conn driver.Conn

	running *os.Process // nil: it is not.
	ended   chan struct{}
	mu      sync.Mutex
	said    bytes.Buffer // Guarded by mu.
}

// newEngine makes an engine whose disk has so many bytes. It runs until the test ends.
func newEngine(t testing.TB, disk int64, credentials ...string) *engine {
	t.Helper()
	e := &engine{t: t, command: testenv.ClickHouseServer(t), address: testenv.FreeAddr(t), dir: t.TempDir()}
	if e.disk = unix.Mount("tmpfs", e.dir, "tmpfs", 0, fmt.Sprintf("size=%d", disk)); e.disk == nil {
		t.Cleanup(func() {
			if err := unix.Unmount(e.dir, unix.MNT_DETACH); err != nil {
				t.Error(err)
			}
		})
	}
	if len(credentials) == 2 {
		e.user, e.password = credentials[0], credentials[1]
		e.command = append(e.command, "-user", e.user, "-password", e.password)
	}
	options, err := clickhouse.ParseDSN(e.dsn(e.address))
	if err != nil {
		t.Fatal(err)
	}
	if e.conn, err = clickhouse.Open(options); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		e.conn.Close()
		e.kill()
		if t.Failed() {
			e.mu.Lock()
			defer e.mu.Unlock()
			t.Logf("the end of ClickHouse's log:\n%s", e.said.Bytes()[max(0, e.said.Len()-2000):])
		}
	})
	e.start()
	return e
}

// dsn leads to the engine by way of an address. Whoever takes it waits for the greeting of an engine that a busy machine keeps waiting itself.
func (e *engine) dsn(address string) string {
	who := "default"
	if e.user != "" {
		who = e.user + ":" + e.password
	}
	return fmt.Sprintf("clickhouse://%s@%s/default?dial_timeout=30s", who, address)
}

// Write implements io.Writer.
func (e *engine) Write(p []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.said.Write(p)
}

// start runs it with what it had before, and returns when it answers.
func (e *engine) start() {
	e.t.Helper()
	if err := os.MkdirAll(filepath.Join(e.dir, "data"), 0o750); err != nil {
		e.t.Fatal(err)
	}
	args := append(e.command[1:len(e.command):len(e.command)], "-path", filepath.Join(e.dir, "data"), "-native", e.address)
	started := make(chan error)
	cmd, ended := exec.Command(e.command[0], args...), make(chan struct{}) //nolint:gosec // What the environment names.
	cmd.Stdout, cmd.Stderr = e, e
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // Also when the test ends in a panic.
	go func() {
		defer close(ended)
		runtime.LockOSThread() // The death that counts is that of the thread.
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			cmd.Wait() //nolint:errcheck // It is killed.
		}
	}()
	if err := <-started; err != nil {
		e.t.Fatal(err)
	}
	e.running, e.ended = cmd.Process, ended
	chaos.Await(e.t, chaos.Patience, "ClickHouse answers", func() string {
		ctx, cancel := context.WithTimeout(e.t.Context(), 30*time.Second)
		defer cancel()
		if err := e.conn.Ping(ctx); err != nil {
			return err.Error()
		}
		return ""
	})
}

// kill ends it at once. It does nothing to one that has ended.
func (e *engine) kill() {
	if e.running != nil {
		e.running.Kill() //nolint:errcheck // If it has ended by itself, that shows elsewhere.
		<-e.ended
		e.running = nil
	}
}

// freeze stops it from doing anything, until thaw.
func (e *engine) freeze() { e.signal(syscall.SIGSTOP) }

func (e *engine) thaw() { e.signal(syscall.SIGCONT) }

func (e *engine) signal(s os.Signal) {
	e.t.Helper()
	if err := e.running.Signal(s); err != nil {
		e.t.Fatal(err)
	}
}

// rest has it write nothing of its own accord, and returns when it does not write.
func (e *engine) rest() {
	e.t.Helper()
	e.do("SYSTEM STOP MERGES")
	chaos.Await(e.t, chaos.Patience, "ClickHouse rests", func() string {
		inserts := e.number("count()", "system.processes WHERE query_kind = 'Insert'")
		merges := e.number("count()", "system.merges")
		if inserts+merges > 0 {
			return fmt.Sprintf("it has %d inserts and %d merges", inserts, merges)
		}
		return ""
	})
}

// do executes a statement that answers nothing.
func (e *engine) do(sql string) {
	e.t.Helper()
	ctx, cancel := context.WithTimeout(e.t.Context(), chaos.Patience)
	defer cancel()
	if err := e.conn.Exec(ctx, sql); err != nil {
		e.t.Fatalf("%s: %v", sql, err)
	}
}

// fill leaves so many bytes on its disk until the returned function is called. It must rest meanwhile: where a write finds no room, this
// engine goes on as if it had gone well, and has lost the rows, or those that it merges.
func (e *engine) fill(leave int64) (release func()) {
	e.t.Helper()
	ballast := filepath.Join(e.dir, "ballast")
	f, err := os.Create(ballast)
	if err != nil {
		e.t.Fatal(err)
	}
	defer f.Close()
	for block := make([]byte, 1<<20); ; {
		if _, err := f.Write(block); err != nil {
			break // It is full.
		}
	}
	if size, err := f.Seek(0, io.SeekCurrent); err != nil {
		e.t.Fatal(err)
	} else if err := f.Truncate(max(0, size-leave)); err != nil {
		e.t.Fatal(err)
	}
	return func() {
		if err := os.Remove(ballast); err != nil {
			e.t.Error(err)
		}
	}
}

// each asks, with the sessions in their latest version, and has each row scanned.
func (e *engine) each(sql string, row func(rows driver.Rows) error) {
	e.t.Helper()
	ctx, cancel := context.WithTimeout(e.t.Context(), 10*time.Minute)
	defer cancel()
	rows, err := e.conn.Query(clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{"final": 1})), sql)
	if err != nil {
		e.t.Fatalf("%s: %v", sql, err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := row(rows); err != nil {
			e.t.Fatalf("%s: %v", sql, err)
		}
	}
	if err := rows.Err(); err != nil {
		e.t.Fatalf("%s: %v", sql, err)
	}
}

// number asks for one.
func (e *engine) number(what, from string) (n int) {
	e.t.Helper()
	e.each("SELECT toInt64("+what+") FROM "+from, func(rows driver.Rows) error {
		var value int64
		err := rows.Scan(&value)
		n = int(value)
		return err
	})
	return n
}

// awaitTables waits until a server has made the tables, at its first contact.
func (e *engine) awaitTables() {
	e.t.Helper()
	chaos.Await(e.t, chaos.Patience, "ClickHouse has tables", func() string {
		if e.number("count()", "system.tables WHERE database = currentDatabase() AND name = 'audit_erasures'") == 0 {
			return "it has none"
		}
		return ""
	})
}
