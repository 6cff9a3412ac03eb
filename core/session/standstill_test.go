package session

import (
	"io"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/config"
	"github.com/zenconn/server/core/metrics"
	"github.com/zenconn/server/core/outbound"
	"github.com/zenconn/server/core/protocol"
)

// void is a connection that takes everything and gives nothing.
type void struct {
	net.Conn
	io.Writer
}

func (v void) Write(p []byte) (int, error)    { return v.Writer.Write(p) }
func (void) Close() error                     { return nil }
func (void) SetReadDeadline(time.Time) error  { return nil }
func (void) SetWriteDeadline(time.Time) error { return nil }

func (void) Dropped(outbound.DropReason, int) {}

// A client that was silent while the process stood still has its time anew, since what it has sent may lie unread.
func TestStandstill(t *testing.T) {
	client := config.Default().Client
	for name, test := range map[string]struct {
		connected bool
		had       time.Duration
		end       core.Disconnect
	}{
		"before the connect command": {false, client.ConnectTimeout, core.DisconnectStale},
		"after a ping":               {true, client.Ping.Timeout, core.DisconnectNoPong},
	} {
		t.Run(name, func(t *testing.T) {
			wheel := NewWheel()
			node := &Node{
				Client: client, Registry: NewRegistry(0), Wheel: wheel, Metrics: metrics.New(prometheus.NewRegistry()),
				Log: slog.New(slog.DiscardHandler),
			}
			queue := outbound.New(void{Writer: io.Discard}, protocol.WebSocketJSON, outbound.Limits{Messages: 100, Bytes: 1 << 20, WriteTimeout: time.Minute},
				void{}, outbound.NewFlushers(1), func(core.Disconnect) []byte { return nil })
			s := node.Open(queue, Peer{Header: func(string) string { return "" }})
			now := wheel.start
			pass := func(d time.Duration) {
				for end := now.Add(d); now.Before(end); {
					now = now.Add(wheelTick)
					wheel.turn(now)
				}
			}
			if test.connected {
				s.connectedAt.Store(now.UnixNano())
				s.lastSeen.Store(0)
				for s.pings.sent.IsZero() {
					pass(wheelTick)
				}
			}
			now = now.Add(time.Hour) // It stands still.
			wheel.turn(now)
			pass(test.had - time.Second)
			if why, ended := queue.Ended(); ended {
				t.Fatalf("it ended with %v before the client had its time", why)
			}
			pass(2 * time.Second)
			if why, ended := queue.Ended(); !ended || why != test.end {
				t.Errorf("afterwards it ended: %v, with %v", ended, why)
			}
		})
	}
}
