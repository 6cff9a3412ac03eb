// Package launch starts a server for a measurement, waits until it is ready, and stops it. It knows its command line and two of its
// pages. One goroutine for each server waits for the process, until it has ended.
package launch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Key opens the server API of a server with the configuration Open.
const Key = "measuring-needs-no-secret"

// Open is the configuration of a server that admits everybody and limits nothing. Its namespaces are named after what they keep.
const Open = `
auth: {type: none, user: claimed}
client: {limits: {commands_per_second: 0}}
api: {key: ` + Key + `}
plugins: {dir: ""}
namespaces:
  default: {subscribe: anyone, publish: anyone}
  history: {subscribe: anyone, publish: anyone, history_size: 100, history_ttl: 10m, recovery: true, history_storage: memory}
  durable: {subscribe: anyone, publish: anyone, history_size: 100, history_ttl: 10m, recovery: true, history_storage: file}
  shown: {subscribe: anyone, publish: anyone, presence: true}
`

// The bounds of waiting for a server.
const (
	startTime = 60 * time.Second
	stopTime  = 20 * time.Second // Longer than the server's own.
	askTime   = 30 * time.Second
)

// errNotReady is the error of a server that does not get ready.
var errNotReady = errors.New("the server is not ready")

// Process is a server that runs.
type Process struct {
	URL string // Where clients connect.
	API string // Where its API is, http://…; empty: it has none.

	cmd   *exec.Cmd
	ended chan struct{} // Closed when the process has ended.
	data  string        // Removed in the end.
	log   bytes.Buffer  // Of the process, until it has ended.
}

// Program says how zenconn is to be run.
type Program struct {
	Path    string
	Config  string   // File.
	Dir     string   // Where it keeps its data while it runs.
	Args    []string // More of them.
	Environ []string // Besides that of this process.
}

// ZenConn runs zenconn on free ports of the loopback address and returns when it is ready. When ctx ends it is killed.
func ZenConn(ctx context.Context, o Program) (*Process, error) {
	addr, err := FreeAddr()
	if err != nil {
		return nil, err
	}
	api, err := FreeAddr()
	if err != nil {
		return nil, err
	}
	data, err := os.MkdirTemp(o.Dir, "data")
	if err != nil {
		return nil, err
	}
	args := append([]string{"--config", o.Config, "--data", data, "--client.addr", addr, "--api.addr", api, "--log.level", "warn"}, o.Args...)
	p := &Process{
		URL: "ws://" + addr + "/connection/websocket", API: "http://" + api, data: data,
		cmd: exec.CommandContext(ctx, o.Path, args...), //nolint:gosec // The user names it.
	}
	return p, p.start(ctx, addr, o.Environ)
}

// Other runs another program that listens for clients at an address, and returns when it does. When ctx ends it is killed.
func Other(ctx context.Context, addr, program string, args ...string) (*Process, error) {
	p := &Process{URL: "ws://" + addr + "/", cmd: exec.CommandContext(ctx, program, args...)} //nolint:gosec // The user names it.
	return p, p.start(ctx, addr, nil)
}

func (p *Process) start(ctx context.Context, addr string, environ []string) error {
	p.ended = make(chan struct{})
	p.cmd.Env = append(os.Environ(), environ...)
	p.cmd.Stdout, p.cmd.Stderr = &p.log, &p.log
	if err := p.cmd.Start(); err != nil {
		close(p.ended)
		return errors.Join(err, os.RemoveAll(p.data))
	}
	go func() {
		_ = p.cmd.Wait() // However it ended: it was told to, or awaitReady tells.
		close(p.ended)
	}()
	if err := p.awaitReady(ctx, addr); err != nil {
		p.Stop()
		return fmt.Errorf("%w: %s", err, bytes.TrimSpace(p.log.Bytes()))
	}
	return nil
}

func (p *Process) awaitReady(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	for {
		err := p.answers(ctx, addr)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", errNotReady, err)
		case <-p.ended:
			return fmt.Errorf("%w: it has ended", errNotReady)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (p *Process) answers(ctx context.Context, addr string) error {
	conn, err := (&net.Dialer{Timeout: askTime}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	conn.Close() //nolint:errcheck // That it could be opened is all.
	if p.API == "" {
		return nil
	}
	_, err = p.get(ctx, "/readyz")
	return err
}

// Stop ends the server and removes what it has kept. It may be called again.
func (p *Process) Stop() {
	if p.cmd.Process != nil {
		_ = p.cmd.Process.Signal(os.Interrupt)
		kill := time.AfterFunc(stopTime, func() { _ = p.cmd.Process.Kill() })
		<-p.ended
		kill.Stop()
	}
	if p.data != "" {
		os.RemoveAll(p.data) //nolint:errcheck // It lies in a directory for what is temporary.
	}
}

// PIDs returns the process and its children, as far as the system tells of them.
func (p *Process) PIDs() []int {
	all := []int{p.cmd.Process.Pid}
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", all[0])) // Each thread has its own.
	for _, task := range tasks {
		children, _ := os.ReadFile(task) //nolint:gosec // Below /proc.
		for child := range strings.FieldsSeq(string(children)) {
			if pid, err := strconv.Atoi(child); err == nil {
				all = append(all, pid)
			}
		}
	}
	return all
}

// Metrics returns the metrics of the server, each added up over all its labels; nil when it has none.
func (p *Process) Metrics(ctx context.Context) (map[string]float64, error) {
	if p.API == "" {
		return nil, nil
	}
	body, err := p.get(ctx, "/metrics")
	if err != nil {
		return nil, err
	}
	sums := make(map[string]float64)
	for line := range strings.Lines(body) {
		sample, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		name, _, _ := strings.Cut(sample, "{")
		if n, err := strconv.ParseFloat(value, 64); err == nil && !strings.HasPrefix(name, "#") {
			sums[name] += n
		}
	}
	return sums, nil
}

func (p *Process) get(ctx context.Context, path string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, p.API+path, http.NoBody)
	if err != nil {
		return "", err
	}
	r.Close = true
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close() //nolint:errcheck // It was read.
	var body bytes.Buffer
	if _, err := body.ReadFrom(answer.Body); err != nil {
		return "", err
	}
	if answer.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %s", answer.Status, bytes.TrimSpace(body.Bytes()))
	}
	return body.String(), nil
}

// FreeAddr returns an address of the loopback interface where nobody listens at the moment. Its port is below those that systems give to
// connections that go out, of which one could take it before the server does.
func FreeAddr() (string, error) {
	const first, end, tries = 10082, 32768, 100
	var err error
	for range tries {
		var l net.Listener
		port := first + rand.IntN(end-first) //nolint:gosec // Not a secret.
		if l, err = net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil {
			return l.Addr().String(), l.Close() // Only its port was wanted.
		}
	}
	return "", fmt.Errorf("no port is free: %w", err)
}
