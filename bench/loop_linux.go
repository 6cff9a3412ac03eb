package bench

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

const haveLoops = true

// loop reads many connections with one epoll instance, one buffer and one goroutine: a goroutine per connection costs a wake-up
// per delivery. The connections are taken out of Go's own poller for that.
type loop struct {
	network *network
	shard   *shard
	epoll   int
	stopped atomic.Bool

	mu      sync.Mutex
	clients []*client // By the number that epoll knows them by; nil once they ended.
	files   []int
}

const (
	loopBuffer = 256 << 10
	loopEvents = 256
	loopTick   = 50 // Milliseconds after which a quiet loop looks whether it shall stop.
)

func newLoop(n *network, s *shard) (*loop, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	return &loop{network: n, shard: s, epoll: fd}, nil
}

// adopt takes the connection's file from conn, which is closed.
func (l *loop) adopt(c *client, conn *net.TCPConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	fd, dupErr := -1, error(nil)
	if err := raw.Control(func(old uintptr) { fd, dupErr = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0) }); err != nil {
		return err
	}
	if dupErr != nil {
		return dupErr
	}
	conn.Close() //nolint:errcheck // The duplicate keeps the connection open.
	l.mu.Lock()
	defer l.mu.Unlock()
	number := len(l.clients)
	c.mu.Lock()
	c.socket = &fileSocket{loop: l, fd: fd, number: int32(number)}
	c.mu.Unlock()
	l.clients, l.files = append(l.clients, c), append(l.files, fd)
	event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(number)}
	return unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, fd, &event)
}

// stop makes run return soon.
func (l *loop) stop() { l.stopped.Store(true) }

func (l *loop) run() {
	events := make([]unix.EpollEvent, loopEvents)
	buf := make([]byte, loopBuffer)
	for !l.stopped.Load() {
		n, err := unix.EpollWait(l.epoll, events, loopTick)
		if err != nil && !errors.Is(err, unix.EINTR) {
			break // Cannot happen with a valid epoll instance; the run then stalls and says so.
		}
		l.mu.Lock()
		clients, files := l.clients, l.files
		l.mu.Unlock()
		for _, e := range events[:max(n, 0)] {
			c := clients[e.Fd]
			if c == nil {
				continue
			}
			if e.Events&unix.EPOLLOUT != 0 {
				l.writable(c, files[e.Fd], e.Fd)
			}
			if e.Events&^unix.EPOLLOUT == 0 {
				continue
			}
			if buf, err = l.read(c, files[e.Fd], buf); err != nil {
				l.mu.Lock()
				l.clients[e.Fd] = nil
				l.mu.Unlock()
				l.network.over(c, err, l.shard)
			}
		}
		l.shard.flush()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.clients {
		if c != nil {
			c.close()
		}
	}
	unix.Close(l.epoll) //nolint:errcheck // Nothing is left to lose.
}

// read takes what one connection has, once: what does not fit makes epoll come back. It returns the buffer, larger if need be.
func (l *loop) read(c *client, fd int, buf []byte) ([]byte, error) {
	kept := copy(buf, c.rest)
	if len(buf)-kept < loopBuffer/2 {
		buf = make([]byte, 2*len(buf))
		kept = copy(buf, c.rest)
	}
	n, err := unix.Read(fd, buf[kept:])
	switch {
	case errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR):
		return buf, nil
	case err != nil:
		return buf, why(err)
	case n == 0:
		return buf, why(io.EOF)
	}
	l.shard.mu.Lock()
	defer l.shard.mu.Unlock()
	l.shard.bytes += uint64(n)
	return buf, c.received(buf[:kept+n], l.network.now(), l.shard)
}

// writable goes on writing to a socket that was full.
func (l *loop) writable(c *client, fd int, number int32) {
	event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: number}
	err := unix.EpollCtl(l.epoll, unix.EPOLL_CTL_MOD, fd, &event)
	if err = errors.Join(err, c.writable()); err != nil {
		c.abort()
	}
}

// fileSocket is a non-blocking socket that a loop reads.
type fileSocket struct {
	loop   *loop
	fd     int
	number int32
}

func (s *fileSocket) write(p []byte) (int, error) {
	for done := 0; ; {
		n, err := unix.Write(s.fd, p[done:])
		switch {
		case err == nil:
			if done += n; done == len(p) {
				return done, nil
			}
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			event := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLOUT, Fd: s.number}
			return done, unix.EpollCtl(s.loop.epoll, unix.EPOLL_CTL_MOD, s.fd, &event)
		default:
			return done, err
		}
	}
}

func (s *fileSocket) shutdown() { unix.Shutdown(s.fd, unix.SHUT_RDWR) } //nolint:errcheck // It may be broken already.
func (s *fileSocket) close()    { unix.Close(s.fd) }                    //nolint:errcheck // Nothing is left to lose.
