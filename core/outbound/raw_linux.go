package outbound

import (
	"net"
	"os"
	"runtime"
	"syscall"
	"unsafe"
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

// writeRaw writes frames with as few writev calls as possible and stops when the socket is full. RawSyscall is right because the
// descriptor does not block: telling the scheduler would cost more than the call.
func writeRaw(raw syscall.RawConn, batch []item) (frames, bytes int, err error) {
	werr := raw.Write(func(fd uintptr) bool {
		for frames < len(batch) {
			var n int
			n, err = writeVector(fd, batch[frames:])
			if err == syscall.EINTR {
				err = nil
				continue
			}
			if err == syscall.EAGAIN {
				err = nil
				break
			}
			if err != nil {
				break
			}
			bytes += n
			frames += advance(batch[frames:], n)
		}
		return true // Never wait here.
	})
	if err == nil {
		err = werr
	} else {
		err = os.NewSyscallError("writev", err)
	}
	return frames, bytes, err
}

func writeVector(fd uintptr, batch []item) (int, error) {
	var vectors [maxVectors]syscall.Iovec
	n := min(len(batch), maxVectors)
	for i, it := range batch[:n] {
		vectors[i].Base = unsafe.SliceData(it.frame)
		vectors[i].SetLen(len(it.frame))
	}
	var written uintptr
	var errno syscall.Errno
	if n == 1 {
		written, _, errno = syscall.RawSyscall(syscall.SYS_WRITE, fd, uintptr(unsafe.Pointer(vectors[0].Base)), uintptr(vectors[0].Len))
	} else {
		written, _, errno = syscall.RawSyscall(syscall.SYS_WRITEV, fd, uintptr(unsafe.Pointer(&vectors[0])), uintptr(n))
	}
	runtime.KeepAlive(batch)
	if errno != 0 {
		return 0, errno
	}
	return int(written), nil
}
