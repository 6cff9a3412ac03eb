package server

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zenconn/server/internal/testenv"
)

// natsModule is the program that the module's own version of NATS is built from.
const natsModule = "github.com/nats-io/nats-server/v2"

// natsProgram is built by the first test that needs it; Main removes it.
var natsProgram struct {
	once sync.Once
	dir  string
	path string
	err  error
}

func buildNATS() (dir, path string, err error) {
	root, err := Root()
	if err != nil {
		return "", "", err
	}
	if dir, err = os.MkdirTemp("", "zenconn-test-nats-"); err != nil {
		return "", "", err
	}
	path = filepath.Join(dir, "nats-server.exe")
	ctx, cancel := context.WithTimeout(context.Background(), buildTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "build", "-ldflags="+Lean, "-o", path, natsModule)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return dir, "", fmt.Errorf("build NATS: %w\n%s", err, out)
	}
	return dir, path, nil
}

// NATSNode is a real nats-server process with JetStream, by itself or in a cluster. It ends with the test.
type NATSNode struct {
	URL string

	t       testing.TB
	args    []string
	health  string
	log     logBuffer
	running *process // Nil while it is dead.
}

// NATSNodes makes n processes that form a cluster. Run starts them.
func NATSNodes(t testing.TB, n int) []*NATSNode {
	t.Helper()
	natsProgram.once.Do(func() { natsProgram.dir, natsProgram.path, natsProgram.err = buildNATS() })
	if natsProgram.err != nil {
		t.Fatal(natsProgram.err)
	}
	nodes, routes := make([]*NATSNode, n), make([]string, n)
	for i := range nodes {
		routes[i] = "nats-route://" + testenv.FreeAddr(t)
	}
	for i := range nodes {
		addr, health := testenv.FreeAddr(t), testenv.FreeAddr(t)
		_, port, _ := strings.Cut(addr, ":")
		_, monitor, _ := strings.Cut(health, ":")
		node := &NATSNode{t: t, URL: "nats://" + addr, health: "http://" + health + "/healthz"}
		node.args = []string{"-a", "127.0.0.1", "-p", port, "-m", monitor, "-js", "-sd", t.TempDir(), "-n", fmt.Sprintf("node%d", i)}
		if n > 1 {
			node.args = append(node.args, "--cluster_name", "chaos", "--cluster", routes[i], "--routes", strings.Join(routes, ","))
		}
		t.Cleanup(func() {
			node.Kill()
			if t.Failed() {
				t.Logf("the end of the log of the NATS node %d:\n%s", i, tail(node.log.String(), 3000))
			}
		})
		nodes[i] = node
	}
	return nodes
}

func tail(text string, most int) string { return text[max(0, len(text)-most):] }

// Run starts the process. AwaitReady waits for it.
func (n *NATSNode) Run() {
	n.t.Helper()
	cmd := exec.Command(natsProgram.path, n.args...)
	cmd.Stdout, cmd.Stderr = &n.log, &n.log
	if err := cmd.Start(); err != nil {
		n.t.Fatalf("start NATS: %v", err)
	}
	p := &process{cmd: cmd, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		cmd.Wait() //nolint:errcheck // It is killed in the end.
	}()
	n.running = p
}

// AwaitReady returns when the process serves and has all that the others have.
func (n *NATSNode) AwaitReady() {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), readyTimeout)
	defer cancel()
	for status(ctx, n.health) != http.StatusOK {
		select {
		case <-n.running.done:
			n.t.Fatalf("NATS ended:\n%s", n.log.String())
		case <-ctx.Done():
			n.t.Fatalf("NATS is not ready after %v:\n%s", readyTimeout, tail(n.log.String(), 3000))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Kill ends the process with SIGKILL. It does nothing to a dead one.
func (n *NATSNode) Kill() {
	n.t.Helper()
	if p := n.running; p != nil {
		n.running = nil
		p.cmd.Process.Kill() //nolint:errcheck // It may have ended by itself, which shows elsewhere.
		<-p.done
	}
}
