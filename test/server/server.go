package server

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/zenconn/server/internal/testenv"
)

const (
	readyTimeout = 8 * time.Minute // With the race detector and plugins to compile a slow machine takes its time.
	stopTimeout  = 5 * time.Minute // Beyond the server's own shutdown timeout.
)

// Options say how a server under test is run. The zero value runs it with nothing but addresses and a data directory.
type Options struct {
	Config  string            // YAML, handed over as --config; empty: none.
	Plugins map[string]string // Files of the directory "plugins" below Dir: name and contents.
	Args    []string          // More arguments.
	Env     []string          // Added to the test's environment, as KEY=value.
	Dir     string            // Working directory; empty: a temporary one.

	Topology Topology
}

// Server is one running zenconn process. Its methods must not be called concurrently, except Log.
type Server struct {
	t       testing.TB
	options Options
	client  string
	api     string
	log     logBuffer
	running *process // Nil while stopped.
	second  *Server  // The other agent; nil: there is none.
}

// process is one life of the server.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // Closed when the process has ended.
}

// Start runs a server and returns when it is ready. It is stopped when the test ends; when the test has failed by then, the
// server's log is shown.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	s, second := launch(t, o)
	s.AwaitReady()
	if second != nil {
		s.second = Start(t, *second)
	}
	return s
}

// Launch is Start for one agent of several that get ready only together. AwaitReady waits for it.
func Launch(t testing.TB, o Options) *Server {
	t.Helper()
	s, _ := launch(t, o)
	return s
}

func launch(t testing.TB, o Options) (s *Server, second *Options) {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	o, second = arrange(t, o)
	s = &Server{t: t, options: o, client: testenv.FreeAddr(t), api: testenv.FreeAddr(t)}
	for name, text := range o.Plugins {
		s.WritePlugin(name, text)
	}
	if o.Config != "" {
		s.write("zenconn.yaml", o.Config)
	}
	t.Cleanup(func() {
		s.mustStop()
		s.leaveNobody()
		if t.Failed() {
			t.Logf("log of the server at %s:\n%s", s.client, s.Log())
		}
	})
	s.begin()
	return s, second
}

// Second returns the other agent, or the server itself when there is only one.
func (s *Server) Second() *Server {
	if s.second == nil {
		return s
	}
	return s.second
}

// Addr returns host:port of the listener for clients. It stays the same over restarts.
func (s *Server) Addr() string { return s.client }

// APIAddr returns host:port of the listener for operators.
func (s *Server) APIAddr() string { return s.api }

// Dir returns the working directory, which holds plugins and data.
func (s *Server) Dir() string { return s.options.Dir }

// Log returns what the server has written so far, over all its lives.
func (s *Server) Log() string { return s.log.String() }

// WritePlugin writes a file into the plugin directory. The server loads it at its next start.
func (s *Server) WritePlugin(name, text string) {
	s.t.Helper()
	s.write(filepath.Join("plugins", name), text)
	if s.second != nil {
		s.second.WritePlugin(name, text)
	}
}

func (s *Server) write(name, text string) {
	s.t.Helper()
	path := filepath.Join(s.options.Dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// Run starts the server again after Stop or Kill and returns when it is ready.
func (s *Server) Run() {
	s.t.Helper()
	s.begin()
	s.AwaitReady()
}

func (s *Server) begin() {
	s.t.Helper()
	if s.running != nil {
		s.t.Fatal("the server is running already")
	}
	args := []string{"--client.addr", s.client, "--api.addr", s.api, "--data", "data"}
	if s.options.Config != "" {
		args = append(args, "--config", "zenconn.yaml")
	}
	cmd := exec.Command(Binary(s.t), append(args, s.options.Args...)...)
	cmd.Dir, cmd.Env = s.options.Dir, append(os.Environ(), s.options.Env...)
	cmd.Stdout, cmd.Stderr = &s.log, &s.log
	if err := cmd.Start(); err != nil {
		s.t.Fatalf("start the server: %v", err)
	}
	p := &process{cmd: cmd, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		cmd.Wait() //nolint:errcheck // Stop reads the exit code from the process state.
	}()
	s.running = p
}

// AwaitReady returns when the server serves clients.
func (s *Server) AwaitReady() {
	s.t.Helper()
	p := s.running
	ctx, cancel := context.WithTimeout(context.Background(), readyTimeout)
	defer cancel()
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for {
		if status(ctx, "http://"+s.api+"/readyz") == http.StatusOK {
			return
		}
		select {
		case <-p.done:
			s.running = nil
			s.t.Fatalf("the server ended with exit code %d before it was ready:\n%s", p.cmd.ProcessState.ExitCode(), s.Log())
		case <-ctx.Done():
			s.t.Fatalf("the server is not ready after %v:\n%s", readyTimeout, s.Log())
		case <-poll.C:
		}
	}
}

// Stop asks the server to end in order, as an operator would, and returns its exit code. It does nothing to a stopped server.
func (s *Server) Stop() int {
	s.t.Helper()
	return s.end(os.Interrupt)
}

// mustStop also fails the test when the server complains at its end, as it does about data races.
func (s *Server) mustStop() {
	s.t.Helper()
	if code := s.Stop(); code != 0 {
		s.t.Errorf("the server ended with exit code %d:\n%s", code, s.Log())
	}
}

// Kill ends the server, with all its processes, without giving it a chance to say goodbye.
func (s *Server) Kill() {
	s.t.Helper()
	s.end(os.Kill)
	deadline := time.Now().Add(stopTimeout)
	for {
		left := s.processes()
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("processes of the server do not end: %v", left)
		}
		for _, pid := range left {
			if p, err := os.FindProcess(pid); err == nil {
				p.Kill() //nolint:errcheck // It may be gone.
			}
		}
		<-time.After(5 * time.Millisecond)
	}
}

// Signal sends the agent a signal that does not end it.
func (s *Server) Signal(signal os.Signal) {
	s.t.Helper()
	if err := s.running.cmd.Process.Signal(signal); err != nil {
		s.t.Fatal(err)
	}
}

// KillAgent ends the agent in the same way. Its workers live on until Run, and longer.
func (s *Server) KillAgent() {
	s.t.Helper()
	s.end(os.Kill)
}

func (s *Server) end(signal os.Signal) int {
	s.t.Helper()
	p := s.running
	if p == nil {
		return 0
	}
	s.running = nil
	if err := p.cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		s.t.Errorf("%v the server: %v", signal, err)
	}
	select {
	case <-p.done:
	case <-time.After(stopTimeout):
		p.cmd.Process.Kill() //nolint:errcheck // It is reported as hanging either way.
		<-p.done
		s.t.Errorf("the server still ran %v after %v", stopTimeout, signal)
	}
	return p.cmd.ProcessState.ExitCode()
}

// status returns the HTTP status of a GET, 0 when there is no answer.
func status(ctx context.Context, url string) int {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0
	}
	defer res.Body.Close()
	io.Copy(io.Discard, res.Body) //nolint:errcheck // Only the status is asked for.
	return res.StatusCode
}

// logBuffer collects the output of a process.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
