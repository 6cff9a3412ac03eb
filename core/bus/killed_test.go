package bus_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/zenconn/server/core/bus"
	"github.com/zenconn/server/core/config"
)

const agentVariable = "ZENCONN_TEST_BUS_AGENT"

// agentProcess is what a process of this test's is told to be.
type agentProcess struct {
	Config config.Bus
	Data   string
	Name   string
}

// beAgent is the main function of such a process. It ends when it is killed.
func beAgent(text string) error {
	var p agentProcess
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return err
	}
	b := bus.New(bus.Options{Config: p.Config, Data: p.Data, Node: p.Name, Log: slog.New(slog.DiscardHandler)})
	if err := b.Open(context.Background()); err != nil {
		return err
	}
	b.Run(context.Background())
	return nil
}

// An agent's process that is killed takes nothing with it, and does not keep the two others from storing.
func TestKilledAgent(t *testing.T) {
	t.Parallel() // It mostly waits.
	if testing.Short() {
		t.Skip("it takes many seconds to elect leaders")
	}
	a := newAgents(t, 3, nil)
	text, err := json.Marshal(agentProcess{a.conf[0], a.dirs[0], "agent-0"})
	if err != nil {
		t.Fatal(err)
	}
	process := exec.Command(os.Args[0], "-test.run=^$") //nolint:gosec // It is this program.
	process.Env = append(os.Environ(), agentVariable+"="+string(text))
	process.Stderr = os.Stderr
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	kill := func() {
		_ = process.Process.Kill() // It fails when it has ended.
		_ = process.Wait()         // It says that it was killed.
	}
	t.Cleanup(kill)
	one, two := a.start(1, "agent-1"), a.start(2, "agent-2")
	well(t, one)
	well(t, two)
	js, err := jetstream.New(one.Conn())
	if err != nil {
		t.Fatal(err)
	}
	keepAll(t, js)
	const each = 50
	for i := range each {
		store(t, one, fmt.Sprint("before ", i))
	}
	kill()
	for i := range each {
		store(t, []*bus.Bus{one, two}[i%2], fmt.Sprint("after ", i))
	}
	kept(t, js, 2*each)
}
