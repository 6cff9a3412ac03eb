package chaos_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/zenconn/server/internal/testenv"
	"github.com/zenconn/server/test/chaos"
	"github.com/zenconn/server/test/server"
)

// network is two hosts, each with a link to this one and one between them that can be cut. They are network namespaces of this machine.
type network struct {
	t        *testing.T
	one, two string // Names of the namespaces.
	between  string // The device of the first on the link to the second.

	oneHere, twoHere   string // Their addresses on the links to this host,
	oneThere, twoThere string // and between them.
}

func newNetwork(t *testing.T) *network {
	t.Helper()
	if _, err := exec.LookPath("ip"); err != nil || os.Getuid() != 0 {
		testenv.Skip(t, "hosts are made from network namespaces, which takes root and the program ip (apt-get install iproute2)")
	}
	// Names and addresses of this process alone: the same test may run twice on a machine, or have left something behind.
	own := fmt.Sprintf("zc%x", os.Getpid())
	subnet := func(i int) string { return fmt.Sprintf("10.213.%d.", os.Getpid()%80*3+i) }
	n := &network{
		t: t, one: own + "a", two: own + "b", between: own + "3a",
		oneHere: subnet(1) + "2", twoHere: subnet(2) + "2", oneThere: subnet(3) + "1", twoThere: subnet(3) + "2",
	}
	t.Cleanup(func() {
		for _, ns := range []string{n.one, n.two} {
			exec.Command("ip", "netns", "del", ns).Run() //nolint:errcheck,gosec // It may not be there.
		}
	})
	n.ip("netns add %s", n.one)
	n.ip("netns add %s", n.two)
	n.link("", subnet(1)+"1", n.one, n.oneHere, own+"1")
	n.link("", subnet(2)+"1", n.two, n.twoHere, own+"2")
	n.link(n.one, n.oneThere, n.two, n.twoThere, own+"3")
	return n
}

// link joins two hosts; the empty name is this one.
func (n *network) link(a, addrA, b, addrB, name string) {
	n.t.Helper()
	n.ip("link add %sa type veth peer name %sb", name, name)
	for _, end := range []struct{ host, addr, device string }{{a, addrA, name + "a"}, {b, addrB, name + "b"}} {
		in := ""
		if end.host != "" {
			n.ip("link set %s netns %s", end.device, end.host)
			in = "-n " + end.host + " "
		}
		n.ip("%saddr add %s/24 dev %s", in, end.addr, end.device)
		n.ip("%slink set %s up", in, end.device)
		n.ip("%slink set lo up", in)
	}
}

func (n *network) ip(format string, args ...any) {
	n.t.Helper()
	command := fmt.Sprintf(format, args...)
	if out, err := exec.Command("ip", strings.Fields(command)...).CombinedOutput(); err != nil { //nolint:gosec // Our own words.
		testenv.Skip(n.t, fmt.Sprintf("hosts cannot be made from network namespaces here: ip %s: %v: %s", command, err, out))
	}
}

// Cut loses everything between the two hosts, without a word to either.
func (n *network) cut() { n.ip("-n %s link set %s down", n.one, n.between) }

// Restore lets it through again.
func (n *network) restore() { n.ip("-n %s link set %s up", n.one, n.between) }

// start runs the server's program on a host until the test ends.
func (n *network) start(host, dir string, args ...string) {
	n.t.Helper()
	cmd := exec.Command("ip", append([]string{"netns", "exec", host, server.Binary(n.t)}, args...)...) //nolint:gosec // Our own words.
	var out bytes.Buffer
	var mu sync.Mutex
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, locked{&mu, &out}, locked{&mu, &out}
	if err := cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM) //nolint:errcheck // Waited for below.
		late := time.AfterFunc(5*time.Minute, func() { n.t.Errorf("%s does not end", host); _ = cmd.Process.Kill() })
		defer late.Stop()
		err := cmd.Wait()
		mu.Lock()
		defer mu.Unlock()
		if err != nil || n.t.Failed() {
			n.t.Errorf("on %s it ended with %v:\n%s", host, err, out.String())
		}
	})
}

type locked struct {
	mu  *sync.Mutex
	out *bytes.Buffer
}

func (l locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.out.Write(p)
}

// A worker on another machine that is cut off from its agent keeps its clients; they miss nothing of what was acknowledged meanwhile.
func TestWorkerCutOff(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	dir := t.TempDir()
	const key = "the-key-of-these-tests"
	yaml := filepath.Join(dir, "zenconn.yaml")
	if err := os.WriteFile(yaml, []byte(config+fmt.Sprintf(`
api: {addr: "%s:8001", key: %s}
bus: {listen: "%s:4222", listen_insecure: true}
`, n.oneHere, key, n.oneThere)), 0o600); err != nil {
		t.Fatal(err)
	}
	n.start(n.one, dir, "--config", yaml, "--client.addr", n.oneHere+":8000", "--data", filepath.Join(dir, "agent"))
	token := filepath.Join(dir, "agent", "bus.token")
	chaos.Await(t, chaos.Patience, "the agent has a token", func() string {
		if _, err := os.Stat(token); err != nil {
			return err.Error()
		}
		return ""
	})
	n.start(n.two, dir, "worker", "--agent", "nats://"+n.oneThere+":4222", "--token-file", token, "--addr", n.twoHere+":8000",
		"--name", "away", "--data", filepath.Join(dir, "worker"))

	path := "/connection/websocket"
	f := chaos.Board(t, chaos.Load{Subscribers: 200, Channels: 10, Rate: 10, URLs: []string{"ws://" + n.oneHere + ":8000" + path, "ws://" + n.twoHere + ":8000" + path}})
	api := chaos.NewAPI(t, n.oneHere+":8001")
	api.Key = key
	workers(t, api, 1)
	grow(t, f, 100)
	breaks := f.Breaks()
	n.cut()
	cut := time.Now()
	chaos.Await(t, chaos.Patience, "the agent takes the worker for gone", func() string {
		if len(api.Workers()) > 0 {
			return "it is still there"
		}
		return ""
	})
	t.Logf("the agent took it for gone after %v", time.Since(cut).Round(100*time.Millisecond))
	<-time.After(time.Until(cut.Add(12 * time.Second))) // Longer than anybody waits without doing something about it.
	n.restore()
	workers(t, api, 1)
	grow(t, f, 100)
	f.Verify()
	if f.Breaks() != breaks {
		t.Errorf("%d connections of clients ended", f.Breaks()-breaks)
	}
	chaos.Await(t, chaos.Patience, "the sessions are those of the clients", func() string {
		if n := api.Sessions(); n != 210 {
			return fmt.Sprintf("there are %d", n)
		}
		return ""
	})
}
