package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// configuration opens the server as wide as the control is: no limit of commands, nothing that a case does not ask for.
const configuration = `
auth: {type: none, user: claimed}
client: {limits: {commands_per_second: 0}}
api: {key: comparing-needs-no-secret}
plugins: {dir: ""}
namespaces:
  default: {subscribe: anyone, publish: anyone}
  history: {subscribe: anyone, publish: anyone, history_size: 100, history_ttl: 10m, recovery: true, history_storage: memory}
  durable: {subscribe: anyone, publish: anyone, history_size: 100, history_ttl: 10m, recovery: true, history_storage: file}
  shown: {subscribe: anyone, publish: anyone, presence: true}
`

const apiKey = "comparing-needs-no-secret"

// The bounds of waiting for a server.
const (
	startTime = 30 * time.Second
	stopTime  = 20 * time.Second
	storeTime = 20 * time.Second // For the first events to come to the audit's store, after a run.
)

// programs are the files that are run.
type programs struct {
	server, control, config string
	dir                     string // For what servers keep; removed in the end.
}

// running is a server that was started.
type running struct {
	cmd   *exec.Cmd
	ended chan struct{} // Closed when the process has ended.
	url   string        // For clients.
	api   string        // http://…; empty: it has none.
	data  string
	log   bytes.Buffer // Of the process, until it has ended.
}

// start runs a server on free ports of the loopback address and returns when it is ready.
func (p *programs) start(ctx context.Context, s *server) (*running, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	r := &running{ended: make(chan struct{})}
	if s.control {
		r.url = "ws://" + addr + "/"
		r.cmd = exec.CommandContext(ctx, p.control, "-addr", addr) //nolint:gosec // We have built it.
	} else {
		api, err := freeAddr()
		if err != nil {
			return nil, err
		}
		if r.data, err = os.MkdirTemp(p.dir, "data"); err != nil {
			return nil, err
		}
		r.url, r.api = "ws://"+addr+"/connection/websocket", "http://"+api
		args := append([]string{"--config", p.config, "--data", r.data, "--client.addr", addr, "--api.addr", api, "--log.level", "warn"}, s.args...)
		r.cmd = exec.CommandContext(ctx, p.server, args...) //nolint:gosec // The user names it.
	}
	r.cmd.Env = append(os.Environ(), s.environ...)
	r.cmd.Stdout, r.cmd.Stderr = &r.log, &r.log
	if err := r.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = r.cmd.Wait() // However it ended: it was told to, or ready tells.
		close(r.ended)
	}()
	if err := r.ready(ctx, addr); err != nil {
		r.stop()
		return nil, fmt.Errorf("%w: %s", err, bytes.TrimSpace(r.log.Bytes()))
	}
	return r, nil
}

var errNotReady = errors.New("the server is not ready")

// ready returns when the server answers.
func (r *running) ready(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	for {
		err := r.answers(addr)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", errNotReady, err)
		case <-r.ended:
			return fmt.Errorf("%w: it has ended", errNotReady)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (r *running) answers(addr string) error {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return err
	}
	conn.Close() //nolint:errcheck // That it could be opened is all.
	if r.api == "" {
		return nil
	}
	body, err := get(r.api + "/readyz")
	if err != nil {
		return fmt.Errorf("%w: %s", err, body)
	}
	return nil
}

// stop ends the server and removes what it has kept.
func (r *running) stop() {
	_ = r.cmd.Process.Signal(os.Interrupt)
	kill := time.AfterFunc(stopTime, func() { _ = r.cmd.Process.Kill() })
	<-r.ended
	kill.Stop()
	if r.data != "" {
		os.RemoveAll(r.data) //nolint:errcheck // The whole directory is removed in the end.
	}
}

// checkAudit returns an error when the server's audit has lost events, or none of them has come to its store.
func (r *running) checkAudit(ctx context.Context, patience time.Duration) error {
	if r.api == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		var recorded, dropped, stored float64
		err := r.metrics(map[string]*float64{
			"zenconn_audit_recorded_total": &recorded, "zenconn_audit_dropped_total": &dropped, "zenconn_audit_drain_events_total": &stored,
		})
		switch {
		case err != nil:
			return err
		case dropped > 0:
			return fmt.Errorf("the audit dropped %.0f events", dropped)
		case recorded == 0 || stored > 0:
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.New("nothing of the audit has come to its store")
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// metrics adds up the values of each name, over all labels.
func (r *running) metrics(sums map[string]*float64) error {
	body, err := get(r.api + "/metrics")
	if err != nil {
		return err
	}
	for lines := bufio.NewScanner(bytes.NewReader(body)); lines.Scan(); {
		sample, value, _ := strings.Cut(lines.Text(), " ")
		name, _, _ := strings.Cut(sample, "{")
		sum, wanted := sums[name]
		if !wanted {
			continue
		}
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return err
		}
		*sum += n
	}
	return nil
}

func get(url string) ([]byte, error) {
	client := http.Client{Timeout: 5 * time.Second}
	answer, err := client.Get(url) //nolint:noctx // It has a time limit.
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close() //nolint:errcheck // It was read.
	var body bytes.Buffer
	if _, err := body.ReadFrom(answer.Body); err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		return body.Bytes(), errors.New(answer.Status)
	}
	return body.Bytes(), nil
}

func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close() //nolint:errcheck // Only its port was wanted.
	return l.Addr().String(), nil
}

// family returns a process and its children, as far as the system tells of them.
func family(pid int) []string {
	all := []string{strconv.Itoa(pid)}
	tasks, _ := filepath.Glob(filepath.Join("/proc", all[0], "task/*/children")) // Each thread has its own.
	for _, task := range tasks {
		children, _ := os.ReadFile(task) //nolint:gosec // Below /proc.
		all = append(all, strings.Fields(string(children))...)
	}
	return all
}
