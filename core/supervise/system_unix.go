//go:build unix

package supervise

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// maxFiles is how many files one message between supervisor and child brings.
const maxFiles = 16

func supported() error { return nil }

// apart puts a child into a process group of its own: a Ctrl-C at the terminal is the supervisor's, which then drains its children.
func apart() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// inheritable returns a copy of a file that can be handed to children any number of times. (os.File.Fd makes the file of a socket
// blocking, and with it the sockets of the children that have it already, whose listeners then could not be closed.)
func inheritable(f *os.File) (*os.File, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	var copied int
	var failed error
	err = raw.Control(func(fd uintptr) {
		if copied, failed = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0); failed != nil {
			return
		}
		var what unix.Stat_t
		if failed = unix.Fstat(copied, &what); failed == nil && what.Mode&unix.S_IFMT == unix.S_IFSOCK {
			failed = unix.SetNonblock(copied, true)
		}
	})
	if err := errors.Join(err, failed); err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(copied), f.Name()), nil
}

// socket is where a child will listen.
type socket struct {
	path string
	file *os.File // For the child.
}

// listenFor makes the socket of a child that is to be started.
func listenFor(dir string, index int) (*socket, error) {
	path := filepath.Join(dir, socketName(index))
	var file *os.File
	err := within(path, func(short string) error {
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: short, Net: "unix"})
		if err != nil {
			return err
		}
		defer func() { _ = l.Close() }()
		l.SetUnlinkOnClose(false)
		file, err = l.File()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("socket for a worker: %w", err)
	}
	return &socket{path: path, file: file}, nil
}

func (s *socket) remove() { removeSocket(s.path) }

func removeSocket(path string) { _ = os.Remove(path) }

func dial(path string, deadline time.Time) (conn *net.UnixConn, err error) {
	err = within(path, func(short string) error {
		dialer := net.Dialer{Deadline: deadline}
		c, err := dialer.Dial("unix", short)
		if err == nil {
			conn = c.(*net.UnixConn)
		}
		return err
	})
	return conn, err
}

// isGone reports whether dialing failed because nobody listens any more.
func isGone(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, fs.ErrNotExist)
}

// hungUp reports whether the other side has closed the connection.
func hungUp(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// sendFiles sends text and files in one message.
func sendFiles(conn *net.UnixConn, text []byte, files []*os.File) error {
	fds := make([]int, 0, len(files))
	copies := make([]*os.File, 0, len(files))
	defer func() {
		for _, f := range copies {
			f.Close()
		}
	}()
	for _, f := range files {
		own, err := inheritable(f)
		if err != nil {
			return err
		}
		copies, fds = append(copies, own), append(fds, int(own.Fd()))
	}
	var rights []byte
	if len(fds) > 0 {
		rights = unix.UnixRights(fds...)
	}
	_, _, err := conn.WriteMsgUnix(text, rights, nil)
	return err
}

// receiveFiles receives what sendFiles sent. The error is io.EOF when the other side has ended.
func receiveFiles(conn *net.UnixConn, text []byte) (int, []*os.File, error) {
	rights := make([]byte, unix.CmsgSpace(4*maxFiles))
	n, m, _, _, err := conn.ReadMsgUnix(text, rights)
	if err != nil {
		return 0, nil, err
	}
	if n == 0 {
		return 0, nil, io.EOF
	}
	messages, err := unix.ParseSocketControlMessage(rights[:m])
	if err != nil {
		return 0, nil, err
	}
	var files []*os.File
	for _, message := range messages {
		fds, err := unix.ParseUnixRights(&message)
		if err != nil {
			continue // Something else than files.
		}
		for _, fd := range fds {
			unix.CloseOnExec(fd)
			files = append(files, os.NewFile(uintptr(fd), "inherited"))
		}
	}
	return n, files, nil
}

var errNotInherited = errors.New("this process was not started by a supervisor")

// Inherit takes what the supervisor gave this process, with that many Options.Files. It is called once, before anything else opens
// files. From then on a standard output that nobody reads any more loses what is written, and does not end the process.
func Inherit(files int) (*Inheritance, error) {
	const first = 3
	last := first + files
	var what unix.Stat_t
	if err := unix.Fstat(last, &what); err != nil || what.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return nil, errNotInherited // What is there belongs to somebody else.
	}
	f := os.NewFile(uintptr(last), "supervisor")
	defer f.Close()
	l, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("%w (%w)", errNotInherited, err)
	}
	listener, ok := l.(*net.UnixListener)
	if !ok {
		l.Close()
		return nil, errNotInherited
	}
	listener.SetUnlinkOnClose(false) // The supervisor removes it.
	i := &Inheritance{
		listener: listener, started: time.Now(), conns: make(map[*net.UnixConn]struct{}), empty: make(chan struct{}, 1),
	}
	for fd := first; fd < last; fd++ {
		unix.CloseOnExec(fd)
		i.Files = append(i.Files, os.NewFile(uintptr(fd), "inherited"))
	}
	signal.Ignore(syscall.SIGPIPE)
	return i, nil
}

// keepOpen keeps a connection open until the process ends, even when conn is closed or forgotten; unless it is released.
func keepOpen(conn *net.UnixConn) (release func()) {
	kept := -1
	if raw, err := conn.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { kept, _ = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0) }) //nolint:errcheck // -1 then.
	}
	return func() {
		if kept >= 0 {
			_ = unix.Close(kept) //nolint:errcheck // A socket.
		}
	}
}

// writeTo makes files the standard output and error of this process.
func writeTo(files []*os.File) error {
	if len(files) != 2 {
		return errors.New("two files were expected")
	}
	for i, f := range files {
		if err := errors.Join(unix.SetNonblock(int(f.Fd()), false), replaceFD(int(f.Fd()), i+1)); err != nil {
			return err
		}
	}
	return nil
}
