package outbound

import (
	"net"
	"os"
	"runtime"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// maxVectors is how many frames go into one writev. More costs stack and gains nothing measurable.
const maxVectors = 64

// rawConn returns the access to the socket's descriptor for writes that do not block, or nil when conn has none (TLS, pipes).
func rawConn(conn net.Conn) syscall.RawConn {
	if c, ok := conn.(syscall.Conn); ok {
		if raw, err := c.SyscallConn(); err == nil {
			return raw
		}
	}
	return nil
}

// writer is what one writeRaw call needs. It is pooled: as local variables its parts would be allocated for every write, or make
// the stack of every connection's reader grow by a kibibyte.
type writer struct {
	vectors [maxVectors]syscall.Iovec
	batch   []item
	frames  int
	bytes   int
	err     error
	step    func(fd uintptr) bool // The method value of write, made once.
}

var writers = sync.Pool{New: func() any {
	w := &writer{}
	w.step = w.write
	return w
}}

// writeRaw writes frames with as few system calls as possible and stops when the socket is full.
func writeRaw(raw syscall.RawConn, batch []item) (frames, bytes int, err error) {
	w := writers.Get().(*writer)
	w.batch = batch
	err = raw.Write(w.step)
	if w.err != nil {
		err = os.NewSyscallError("writev", w.err)
	}
	frames, bytes = w.frames, w.bytes
	clear(w.vectors[:min(len(batch), maxVectors)])
	w.batch, w.frames, w.bytes, w.err = nil, 0, 0, nil
	writers.Put(w)
	return frames, bytes, err
}

// write is called with the descriptor. It returns true always: waiting is not its business.
func (w *writer) write(fd uintptr) bool {
	for w.frames < len(w.batch) {
		n, errno := w.vector(fd)
		switch errno {
		case 0:
			w.bytes += n
			w.frames += advance(w.batch[w.frames:], n)
		case syscall.EINTR:
		case syscall.EAGAIN:
			return true
		default:
			w.err = errno
			return true
		}
	}
	return true
}

// vector makes one system call. RawSyscall is right because the descriptor does not block: telling the scheduler would cost more
// than the call.
func (w *writer) vector(fd uintptr) (int, syscall.Errno) {
	batch := w.batch[w.frames:]
	n := min(len(batch), maxVectors)
	for i := range batch[:n] {
		w.vectors[i].Base = unsafe.SliceData(batch[i].frame)
		w.vectors[i].SetLen(len(batch[i].frame))
	}
	var written uintptr
	var errno syscall.Errno
	if n == 1 {
		first := &w.vectors[0]
		// Not write: sendto goes to the socket without the detour through the file system's layer.
		written, _, errno = syscall.RawSyscall6(unix.SYS_SENDTO, fd, uintptr(unsafe.Pointer(first.Base)), uintptr(first.Len),
			unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
	} else {
		written, _, errno = syscall.RawSyscall(syscall.SYS_WRITEV, fd, uintptr(unsafe.Pointer(&w.vectors[0])), uintptr(n))
	}
	runtime.KeepAlive(batch)
	return int(written), errno
}
