//go:build unix

package supervise_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/zenconn/server/core/supervise"
	"github.com/zenconn/server/internal/testenv"
)

// patience is how long a test waits for what must come. It is long, because the machine may be slow.
const patience = 3 * time.Minute

// roleVariable makes the test's program play a child.
const roleVariable = "SUPERVISE_TEST_ROLE"

// abandonVariable says how long a child stays without a supervisor.
const abandonVariable = "SUPERVISE_TEST_ABANDON"

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		play(role)
		return
	}
	testenv.Main(m)
}

// play is a child, or a supervisor that is to be killed.
func play(role string) {
	switch role {
	case "crash":
		fmt.Fprintln(os.Stderr, "I cannot work like this")
		exit(3)
	case "supervisor":
		playSupervisor()
	default:
		playServer(role)
	}
}

func exit(code int) { os.Exit(code) } //nolint:forbidigo // This is the program of a child.

// playServer answers lines on the inherited listener until SIGTERM. Other roles than "server" do not do one thing of it: "mute" does
// not get ready, "stubborn" does not end.
func playServer(role string) {
	inherited, err := supervise.Inherit(1)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		exit(1)
	}
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM)
	alone, err := time.ParseDuration(os.Getenv(abandonVariable))
	if err != nil {
		alone = 2 * patience
	}
	go func() {
		if err := inherited.Run(context.Background(), alone); err != nil {
			fmt.Fprintln(os.Stderr, err)
			exit(4)
		}
	}()
	l, err := net.FileListener(inherited.Files[0])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		exit(1)
	}
	if role != "mute" {
		fmt.Fprintln(os.Stdout, "ready", os.Getpid())
	}
	var serving sync.WaitGroup
	accepting := make(chan struct{})
	go func() {
		defer close(accepting)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { serveLines(conn) })
		}
	}()
	<-end
	for role == "stubborn" {
		<-end
	}
	l.Close()
	<-accepting
	serving.Wait()
}

func serveLines(conn net.Conn) {
	defer conn.Close()
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		word, rest, _ := strings.Cut(lines.Text(), " ")
		switch word {
		case "say":
			fmt.Fprintln(os.Stderr, rest)
		case "crash":
			fmt.Fprintln(os.Stderr, "crashing as told")
			exit(5)
		}
		fmt.Fprintln(conn, os.Getpid())
	}
}

// playSupervisor supervises two servers in the directory it is given until it is killed, and says where they listen.
func playSupervisor() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	file, err := l.(*net.TCPListener).File()
	if err != nil {
		panic(err)
	}
	var s *supervise.Supervisor
	s, err = supervise.New(supervise.Options{
		Count: 2, Dir: os.Args[1], Command: children("server"), Name: strconv.Itoa, Files: []*os.File{file},
		Stdout: readiness(func(pid int) { s.Ready(pid) }), Stderr: os.Stderr, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		panic(err)
	}
	fmt.Fprintln(os.Stdout, l.Addr())
	_ = s.Run(context.Background())
}

// children makes the commands of children that play a role.
func children(role string) func(int) *exec.Cmd {
	return func(int) *exec.Cmd {
		command := exec.Command(os.Args[0])
		command.Env = append(os.Environ(), roleVariable+"="+role)
		return command
	}
}

// readiness hears children say that they are ready.
type readiness func(pid int)

func (r readiness) Write(line []byte) (int, error) {
	if pid, err := strconv.Atoi(strings.TrimSpace(strings.TrimPrefix(string(line), "ready "))); err == nil {
		r(pid)
	}
	return len(line), nil
}

// output keeps what was written.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// supervised is a running Supervisor.
type supervised struct {
	*supervise.Supervisor
	t      *testing.T
	dir    string
	addr   string
	stderr output
	cancel context.CancelFunc
	ended  chan error

	mu     sync.Mutex
	events []supervise.Event
	placed int // Survivors that had their place when their adoption was told: only then Ready knows them.
}

func (s *supervised) on(e supervise.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, e)
	if e.Kind == supervise.Adopted && slices.ContainsFunc(s.Status(), func(now supervise.Status) bool { return now.PID == e.PID }) {
		s.placed++
	}
}

// count counts the events of a kind.
func (s *supervised) count(kind supervise.EventKind) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.events {
		if e.Kind == kind {
			n++
		}
	}
	return n
}

// start runs a Supervisor of children that play a role, with short times unless the test says otherwise.
func start(t *testing.T, count int, role func(int) *exec.Cmd, change func(*supervise.Options)) *supervised {
	t.Helper()
	s := &supervised{t: t, dir: filepath.Join(t.TempDir(), "children"), ended: make(chan error, 1)}
	o := supervise.Options{
		Count: count, Dir: s.dir, Command: role, Name: func(i int) string { return "child-" + strconv.Itoa(i) },
		FirstPause: 10 * time.Millisecond, LongestPause: 100 * time.Millisecond, ReadyTimeout: patience, DrainTimeout: patience, LoopWindow: time.Hour,
		Stdout: readiness(func(pid int) { s.Ready(pid) }), Stderr: &s.stderr, Log: slog.New(slog.DiscardHandler), On: s.on,
	}
	if change != nil {
		change(&o)
	}
	s.dir = o.Dir
	if o.Files == nil {
		o.Files = []*os.File{listen(t)}
	}
	l, err := net.FileListener(o.Files[0])
	if err != nil {
		t.Fatal(err)
	}
	s.addr = l.Addr().String()
	l.Close()
	s.Supervisor, err = supervise.New(o)
	if err != nil {
		t.Fatal(err)
	}
	var ctx context.Context
	ctx, s.cancel = context.WithCancel(context.Background())
	go func() { s.ended <- s.Run(ctx) }()
	t.Cleanup(s.stop)
	return s
}

// stop ends the Supervisor and sees whether anything is left.
func (s *supervised) stop() {
	s.cancel()
	select {
	case err := <-s.ended:
		if err != nil {
			s.t.Errorf("Run: %v", err)
		}
		s.ended <- nil // For a second stop.
	case <-time.After(2 * patience):
		s.t.Fatal("Run does not end")
	}
	for _, status := range s.Status() {
		if status.State != supervise.StateStopped || status.PID != 0 {
			s.t.Errorf("after the end: %+v", status)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.events {
		if e.Kind == supervise.Started { // Ours to wait for; a zombie could be signaled.
			if err := syscall.Kill(e.PID, 0); !errors.Is(err, syscall.ESRCH) {
				s.t.Errorf("process %d is left: %v", e.PID, err)
			}
		}
	}
	if left, err := os.ReadDir(s.dir); err != nil || len(left) > 0 {
		s.t.Errorf("left in the directory: %v %v", left, err)
	}
}

func listen(t *testing.T) *os.File {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	file, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	return file
}

// eventually waits until the condition holds.
func (s *supervised) eventually(what string, condition func() bool) {
	s.t.Helper()
	deadline := time.Now().Add(patience)
	for !condition() {
		if time.Now().After(deadline) {
			s.t.Fatalf("never: %s; status %+v; stderr %s", what, s.Status(), &s.stderr)
		}
		<-time.After(5 * time.Millisecond)
	}
}

// inState waits until all children are in a state.
func (s *supervised) inState(want supervise.State) []supervise.Status {
	s.t.Helper()
	var all []supervise.Status
	s.eventually(string(want), func() bool {
		all = s.Status()
		for _, status := range all {
			if status.State != want {
				return false
			}
		}
		return true
	})
	return all
}

// client speaks to one child.
type client struct {
	net.Conn
	lines *bufio.Reader
}

func connect(addr string) (*client, error) {
	conn, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		return nil, err
	}
	return &client{conn, bufio.NewReader(conn)}, nil
}

// ask sends a line and returns the process ID that answers.
func (c *client) ask(line string) (int, error) {
	_ = c.SetDeadline(time.Now().Add(patience))
	if _, err := fmt.Fprintln(c, line); err != nil {
		return 0, err
	}
	answer, err := c.lines.ReadString('\n')
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(answer))
}

func (s *supervised) connect() *client {
	s.t.Helper()
	c, err := connect(s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	return c
}
