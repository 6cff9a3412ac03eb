package outbound_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/zenconn/server/core"
	"github.com/zenconn/server/core/outbound"
	"github.com/zenconn/server/core/protocol"
	"github.com/zenconn/server/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// counts is a Drops that a test can look into.
type counts struct {
	mu sync.Mutex
	n  map[outbound.DropReason]int
}

func (c *counts) Dropped(reason outbound.DropReason, frames int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == nil {
		c.n = make(map[outbound.DropReason]int)
	}
	c.n[reason] += frames
}

func (c *counts) of(reason outbound.DropReason) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n[reason]
}

// goodbyeFrame is recognised by the tests as the last frame.
func goodbyeFrame(d core.Disconnect) []byte { return frame(uint64(1)<<63 | uint64(d.Code)) }

// frame is a numbered frame of 16 bytes: its length, and the number.
func frame(n uint64) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, 16), n)
}

// fat is a numbered frame of the given size.
func fat(n uint64, size int) []byte {
	f := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, uint64(size)), n)
	return append(f, make([]byte, size-len(f))...)
}

// numbers reads frames until the connection ends.
func numbers(r io.Reader) (all []uint64, err error) {
	for {
		var head [16]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			if err == io.EOF {
				return all, nil
			}
			return all, err
		}
		if _, err := io.CopyN(io.Discard, r, int64(binary.BigEndian.Uint64(head[:]))-16); err != nil {
			return all, err
		}
		all = append(all, binary.BigEndian.Uint64(head[8:]))
	}
}

type pair struct {
	queue *outbound.Queue
	peer  *net.TCPConn
	drops *counts
}

// connect makes a queue on a real socket with small buffers, and its peer.
func connect(t *testing.T, limits outbound.Limits) pair {
	t.Helper()
	return connectBy(t, limits, func(c *net.TCPConn) net.Conn { return c })
}

// connectBy does so with something between the queue and the socket.
func connectBy(t *testing.T, limits outbound.Limits, by func(*net.TCPConn) net.Conn) pair {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	accepted := make(chan net.Conn, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			c = nil
		}
		accepted <- c
	}()
	peer, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_ = peer.SetReadDeadline(time.Now().Add(time.Minute)) // Instead of a test that hangs.
	server := (<-accepted).(*net.TCPConn)
	_ = server.SetWriteBuffer(32 << 10)
	_ = peer.(*net.TCPConn).SetReadBuffer(32 << 10)
	drops := &counts{}
	q := outbound.New(by(server), protocol.WebSocketJSON, limits, drops, outbound.NewFlushers(1), goodbyeFrame)
	t.Cleanup(func() { q.Destroy(); peer.Close() })
	return pair{q, peer.(*net.TCPConn), drops}
}

var wide = outbound.Limits{Messages: 1 << 20, Bytes: 1 << 30, WriteTimeout: time.Minute, Goodbye: time.Minute}

func TestQueueKeepsOrderThroughAFullSocket(t *testing.T) {
	p := connect(t, wide)
	const n, size = 1000, 1500 // Far more than the socket's buffers hold.
	go func() {
		for i := range uint64(n) {
			if p.queue.Enqueue(fat(i, size), nil) == outbound.Dirty {
				p.queue.Flush()
			}
		}
		p.queue.Disconnect(core.DisconnectShutdown)
		p.queue.Flush()
	}()
	got, err := numbers(p.peer)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != n+1 {
		t.Fatalf("got %d frames, want %d and the goodbye", len(got), n)
	}
	for i, v := range got[:n] {
		if v != uint64(i) {
			t.Fatalf("frame %d has number %d", i, v)
		}
	}
	if want := uint64(1)<<63 | 3001; got[n] != want {
		t.Errorf("last frame is %x, want the goodbye %x", got[n], want)
	}
	frames, written := p.queue.Sent()
	if frames != n || written != n*size+16 {
		t.Errorf("Sent() = %d frames, %d bytes", frames, written)
	}
}

func TestQueueWritesConcurrentProducersWhole(t *testing.T) {
	p := connect(t, wide)
	const producers, each = 8, 500
	var wg sync.WaitGroup
	for k := range uint64(producers) {
		wg.Go(func() {
			for i := range uint64(each) {
				if p.queue.Enqueue(fat(k<<32|i, 100+int(i)), nil) == outbound.Dirty {
					p.queue.Flush()
				}
			}
		})
	}
	go func() { wg.Wait(); p.queue.Disconnect(core.DisconnectShutdown); p.queue.Flush() }()
	got, err := numbers(p.peer)
	if err != nil {
		t.Fatal(err)
	}
	var next [producers]uint64
	for _, v := range got[:len(got)-1] {
		k := v >> 32
		if v&0xffffffff != next[k] {
			t.Fatalf("producer %d: got %d, want %d", k, v&0xffffffff, next[k])
		}
		next[k]++
	}
	if len(got) != producers*each+1 {
		t.Errorf("got %d frames", len(got))
	}
}

func TestSlowConsumerPolicies(t *testing.T) {
	limits := outbound.Limits{Messages: 10, Bytes: 1 << 20, WriteTimeout: time.Minute, Goodbye: time.Minute}
	fill := func(p pair, lanes []*outbound.Lane, frames int) (results []outbound.Result) {
		// The first frames fill the socket; from then on the queue fills.
		for i := range frames {
			r := p.queue.Enqueue(fat(uint64(i), 64<<10), lanes[i%len(lanes)])
			results = append(results, r)
			if r == outbound.Dirty || r == outbound.Overrun {
				p.queue.Flush()
			}
		}
		return results
	}
	t.Run("disconnect", func(t *testing.T) {
		p := connect(t, limits)
		results := fill(p, []*outbound.Lane{{Policy: outbound.Disconnect}}, 200)
		if d, ended := p.queue.Ended(); !ended || d != core.DisconnectSlow {
			t.Fatalf("Ended() = %v, %v", d, ended)
		}
		if last := results[len(results)-1]; last != outbound.Refused {
			t.Errorf("the last result is %v, want Refused", last)
		}
		got, err := numbers(p.peer)
		if err != nil {
			t.Fatal(err)
		}
		if want := uint64(1)<<63 | 3008; got[len(got)-1] != want {
			t.Errorf("the last frame is %x, want the goodbye %x", got[len(got)-1], want)
		}
		frames, _ := p.queue.Sent()
		if int(frames) != len(got)-1 {
			t.Errorf("Sent() says %d frames, the peer got %d", frames, len(got)-1)
		}
		accepted := 0
		for _, r := range results {
			if r == outbound.Waiting || r == outbound.Dirty {
				accepted++
			}
		}
		if accepted+1-p.drops.of(outbound.DroppedSlow) != len(got)-1 {
			t.Errorf("accepted %d and one refused, dropped %d, delivered %d", accepted, p.drops.of(outbound.DroppedSlow), len(got)-1)
		}
	})
	t.Run("drop oldest", func(t *testing.T) {
		p := connect(t, limits)
		fill(p, []*outbound.Lane{{Policy: outbound.DropOldest}}, 200)
		p.queue.Disconnect(core.DisconnectShutdown)
		p.queue.Flush()
		got, err := numbers(p.peer)
		if err != nil {
			t.Fatal(err)
		}
		got = got[:len(got)-1]
		if len(got)+p.drops.of(outbound.DroppedOldest) != 200 {
			t.Errorf("delivered %d, dropped %d, want 200 together", len(got), p.drops.of(outbound.DroppedOldest))
		}
		for i := 1; i < len(got); i++ {
			if got[i] <= got[i-1] {
				t.Fatalf("out of order: %d after %d", got[i], got[i-1])
			}
		}
		if got[len(got)-1] != 199 {
			t.Errorf("the newest frame is missing; last is %d", got[len(got)-1])
		}
	})
	t.Run("conflate", func(t *testing.T) {
		p := connect(t, limits)
		a, b := &outbound.Lane{Policy: outbound.Conflate}, &outbound.Lane{Policy: outbound.Conflate}
		fill(p, []*outbound.Lane{a, b}, 200)
		p.queue.Disconnect(core.DisconnectShutdown)
		p.queue.Flush()
		got, err := numbers(p.peer)
		if err != nil {
			t.Fatal(err)
		}
		got = got[:len(got)-1]
		if len(got)+p.drops.of(outbound.DroppedConflated) != 200 {
			t.Errorf("delivered %d, dropped %d, want 200 together", len(got), p.drops.of(outbound.DroppedConflated))
		}
		tail := got[len(got)-2:]
		if !bytes.Equal(sorted(tail), []byte{198, 199}) {
			t.Errorf("the last of each lane must arrive, got %v at the end", tail)
		}
	})
	t.Run("replies are never dropped", func(t *testing.T) {
		p := connect(t, limits)
		fill(p, []*outbound.Lane{nil}, 200)
		if d, ended := p.queue.Ended(); !ended || d != core.DisconnectSlow {
			t.Errorf("Ended() = %v, %v", d, ended)
		}
	})
}

// gated is a socket before which a writer waits.
type gated struct {
	*net.TCPConn
	entered, open chan struct{}
}

type gatedRaw struct {
	syscall.RawConn
	*gated
}

func (g *gated) SyscallConn() (syscall.RawConn, error) {
	raw, err := g.TCPConn.SyscallConn()
	return gatedRaw{raw, g}, err
}

func (g gatedRaw) Write(f func(fd uintptr) bool) error {
	select {
	case g.entered <- struct{}{}:
	default:
	}
	<-g.open
	return g.RawConn.Write(f)
}

// Whoever writes may be kept from it for long with all that waited in his hands. A client whose messages may be dropped stays.
func TestSlowWriter(t *testing.T) {
	for name, policy := range map[string]outbound.Policy{"drop oldest": outbound.DropOldest, "conflate": outbound.Conflate} {
		t.Run(name, func(t *testing.T) {
			socket := &gated{entered: make(chan struct{}, 1), open: make(chan struct{})}
			p := connectBy(t, outbound.Limits{Messages: 10, Bytes: 1 << 20, WriteTimeout: time.Minute, Goodbye: time.Minute},
				func(c *net.TCPConn) net.Conn { socket.TCPConn = c; return socket })
			lane := &outbound.Lane{Policy: policy}
			for i := range uint64(10) {
				p.queue.Enqueue(frame(i), lane)
			}
			var writing sync.WaitGroup
			writing.Go(p.queue.Flush)
			<-socket.entered
			for i := range uint64(30) {
				if r := p.queue.Enqueue(frame(10+i), lane); r == outbound.Overrun || r == outbound.Refused {
					t.Fatalf("frame %d: %v", 10+i, r)
				}
			}
			close(socket.open)
			writing.Wait()
			p.queue.Disconnect(core.DisconnectShutdown)
			p.queue.Flush()
			got, err := numbers(p.peer)
			want := []uint64{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 1<<63 | 3001}
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("got %v, %v, want %v", got, err, want)
			}
			if dropped := p.drops.of(outbound.DroppedOldest) + p.drops.of(outbound.DroppedConflated); dropped != 20 {
				t.Errorf("%d are counted as dropped", dropped)
			}
		})
	}
}

func sorted(v []uint64) []byte { return []byte{byte(min(v[0], v[1])), byte(max(v[0], v[1]))} }

func TestOneFrameOfAnySizeFits(t *testing.T) {
	p := connect(t, outbound.Limits{Messages: 2, Bytes: 100, WriteTimeout: time.Minute, Goodbye: time.Minute})
	if r := p.queue.Enqueue(fat(7, 1<<20), nil); r != outbound.Dirty {
		t.Fatalf("Enqueue = %v", r)
	}
	go func() { p.queue.Flush(); p.queue.Disconnect(core.DisconnectShutdown); p.queue.Flush() }()
	got, err := numbers(p.peer)
	if err != nil || len(got) != 2 || got[0] != 7 {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestDeadPeerIsGivenUp(t *testing.T) {
	p := connect(t, outbound.Limits{Messages: 100, Bytes: 100 << 20, WriteTimeout: 50 * time.Millisecond})
	for i := range uint64(50) {
		p.queue.Enqueue(fat(i, 256<<10), nil)
	}
	buf := make([]byte, 1)
	_ = p.queue.Conn.SetReadDeadline(time.Now().Add(time.Minute))
	p.queue.Flush()                                   // The peer never reads.
	if _, err := p.queue.Conn.Read(buf); err == nil { // Wakes when the queue has failed.
		t.Fatal("the reader got data from nowhere")
	}
	if d, ended := p.queue.Ended(); !ended || d != core.DisconnectWriteError {
		t.Errorf("Ended() = %v, %v", d, ended)
	}
	if p.drops.of(outbound.DroppedClosed) == 0 {
		t.Error("the lost frames were not counted")
	}
}

// A socket that takes it at once gets the goodbye, however late that is.
func TestLateGoodbye(t *testing.T) {
	limits := wide
	limits.Goodbye = time.Nanosecond
	p := connect(t, limits)
	p.queue.Enqueue(frame(7), nil)
	p.queue.Disconnect(core.DisconnectShutdown)
	<-time.After(time.Millisecond)
	p.queue.Flush()
	if got, err := numbers(p.peer); err != nil || len(got) != 2 || got[1] != uint64(1)<<63|3001 {
		t.Errorf("got %x, %v", got, err)
	}
}

// One that takes nothing does not get that long for it.
func TestGoodbyeToADeadPeer(t *testing.T) {
	for name, flushed := range map[string]bool{"somebody waits for the socket": true, "nobody does yet": false} {
		t.Run(name, func(t *testing.T) {
			p := connect(t, outbound.Limits{Messages: 100, Bytes: 100 << 20, WriteTimeout: time.Hour, Goodbye: 50 * time.Millisecond})
			for i := range uint64(50) {
				p.queue.Enqueue(fat(i, 256<<10), nil)
			}
			_ = p.queue.Conn.SetReadDeadline(time.Now().Add(time.Minute))
			if flushed {
				p.queue.Flush()
			}
			p.queue.Disconnect(core.DisconnectShutdown)
			p.queue.Flush()
			if _, err := p.queue.Conn.Read(make([]byte, 1)); err == nil { // Wakes when the queue has failed.
				t.Fatal("the reader got data from nowhere")
			}
			if d, ended := p.queue.Ended(); !ended || d != core.DisconnectShutdown || p.drops.of(outbound.DroppedClosed) == 0 {
				t.Errorf("it ended: %v, with %v; %d messages are lost", ended, d, p.drops.of(outbound.DroppedClosed))
			}
		})
	}
}

func TestDestroyWhileWriting(t *testing.T) {
	p := connect(t, wide)
	for i := range uint64(100) {
		p.queue.Enqueue(fat(i, 256<<10), nil)
	}
	p.queue.Flush()
	p.queue.Destroy()
	p.queue.Destroy()
	if r := p.queue.Enqueue(frame(1), nil); r != outbound.Refused {
		t.Errorf("Enqueue after Destroy = %v", r)
	}
	if _, err := p.queue.Write([]byte("x")); err == nil {
		t.Error("Write after Destroy succeeded")
	}
}

func TestEnqueueAndFlushDoNotAllocatePerFrame(t *testing.T) {
	p := connect(t, wide)
	go func() { _, _ = io.Copy(io.Discard, p.peer) }()
	f, lane := frame(1), &outbound.Lane{}
	if n := testing.AllocsPerRun(2000, func() {
		p.queue.Enqueue(f, lane)
		p.queue.Flush()
	}); n >= 1 {
		t.Errorf("%v allocations per frame", n)
	}
}
