package bench

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Storm is what became of the connections of clients that came and left while others were measured.
type Storm struct {
	AtATime   int     `json:"at_a_time"`
	Connected uint64  `json:"connected"` // With an answer to their connect command.
	Refused   uint64  `json:"refused"`   // Told to come back later (503).
	Failed    uint64  `json:"failed"`    // Anything else, such as a connection that was closed.
	Seconds   float64 `json:"seconds"`
	Problem   string  `json:"problem,omitempty"` // The first failure.
}

// errTurnedAway is the error of a handshake that is refused for the moment.
var errTurnedAway = errors.New("the server takes no more connections at the moment")

// stormSources are loopback addresses to come from, so that the ports of one do not run out: a port rests for a minute after its connection.
const stormSources = 32

// rage has clients connect and leave at once, as many at a time as the options say, until stop is called, which returns what became of
// them. begun says whether there was one yet. Without a storm in the options it does nothing, and stop returns nil.
func (r *run) rage(ctx context.Context) (stop func() *Storm, begun func() bool, err error) {
	if r.o.Storm == 0 {
		return func() *Storm { return nil }, func() bool { return true }, nil
	}
	d, err := newDialer(r.o, r.o.URL, r.network, stormSources*portsPerSource)
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	var connected, refused, failed atomic.Uint64
	var problem atomic.Pointer[string]
	var next atomic.Int64
	next.Store(int64(r.o.Clients))
	began := time.Now()
	var raging sync.WaitGroup
	for range r.o.Storm {
		raging.Go(func() {
			for ctx.Err() == nil {
				_, conn, _, err := d.dial(ctx, plan{number: int(next.Add(1))})
				switch {
				case err == nil:
					connected.Add(1)
					leave(conn)
				case ctx.Err() != nil:
				case errors.Is(err, errTurnedAway):
					refused.Add(1)
				default:
					failed.Add(1)
					text := err.Error()
					problem.CompareAndSwap(nil, &text)
				}
			}
		})
	}
	stop = func() *Storm {
		cancel()
		raging.Wait()
		s := &Storm{
			AtATime: r.o.Storm, Connected: connected.Load(), Refused: refused.Load(), Failed: failed.Load(), Seconds: time.Since(began).Seconds(),
		}
		if text := problem.Load(); text != nil {
			s.Problem = *text
		}
		return s
	}
	return stop, func() bool { return connected.Load()+refused.Load()+failed.Load() > 0 }, nil
}

// leave ends a connection without a goodbye, as clients do whose network is gone, so that its port is free at once.
func leave(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}
