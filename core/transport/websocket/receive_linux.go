package websocket

import (
	"io"
	"os"
	"syscall"
	"unsafe"
)

// receive waits for something to read and reads it. While it waits it needs no buffer. With errCalm nothing is there, and it shall wait
// somewhere else.
func (c *conn) receive() error {
	raw := c.Raw()
	if raw == nil {
		return c.receivePlain()
	}
	if c.step == nil {
		c.step = c.receiveNow
	}
	if err := raw.Read(c.step); err != nil {
		return err
	}
	err := c.received
	c.received = nil
	return err
}

// receiveNow is called with the descriptor. It returns false when nothing is there, and is called again when something is. RawSyscall is
// right because the descriptor does not block: telling the scheduler would cost more than the call.
func (c *conn) receiveNow(fd uintptr) bool {
	room := c.inbox.room(c.handler.buffers)
	for {
		n, _, errno := syscall.RawSyscall(syscall.SYS_READ, fd, uintptr(unsafe.Pointer(unsafe.SliceData(room))), uintptr(len(room)))
		switch {
		case errno == syscall.EINTR:
			continue
		case errno == syscall.EAGAIN:
			c.inbox.free(c.handler.buffers)
			if c.inbox.buffer != nil || !c.pace.calm() {
				return false
			}
			c.received = errCalm
		case errno != 0:
			c.received = os.NewSyscallError("read", errno)
		case n == 0:
			c.received = io.EOF
		default:
			c.inbox.to += int(n)
		}
		return true
	}
}
