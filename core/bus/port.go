package bus

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// portFile is where a port that was chosen freely is written down: workers outlive an agent that is killed, and find the next one where
// they found this.
const portFile = "bus.port"

// lastPort returns the port of the server before this one, or of another process's before this; 0: there was none, or somebody else has
// it now.
func (e *embedded) lastPort(host string) int {
	port := 0
	if e.last != nil {
		port = e.last.Port
	} else if text, err := os.ReadFile(filepath.Join(e.options.Data, portFile)); err == nil {
		port, _ = strconv.Atoi(strings.TrimSpace(string(text))) //nolint:errcheck // It is none then.
	}
	if port <= 0 || port > 1<<16-1 {
		return 0
	}
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		e.options.Log.Warn("the bus listens on another port than before; workers of an agent that was killed do not find it", "before", port, "error", err)
		return 0
	}
	_ = l.Close() //nolint:errcheck // Nobody has used it.
	return port
}

// keepPort writes the port down. Without it a later agent chooses another one.
func (e *embedded) keepPort(addr *net.TCPAddr) {
	path := filepath.Join(e.options.Data, portFile)
	if err := os.WriteFile(path, []byte(strconv.Itoa(addr.Port)+"\n"), 0o600); err != nil {
		e.options.Log.Warn("the port of the bus could not be written down", "error", err)
	}
}
