//go:build unix

package handover

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const (
	giveTimeout = 5 * time.Second // For one handing over.
	maxProcess  = 1 << 10         // Bytes of a description.
)

// Offer is a listener that others can take.
type Offer struct {
	path   string
	socket *net.UnixListener
	file   *os.File // Of the listener that is offered.
	answer []byte
}

// New offers a listener at a path, which replaces what an earlier process left there. The path's length is limited by the system to
// about 100 bytes.
func New(path string, listener *net.TCPListener, process Process) (*Offer, error) {
	answer, err := json.Marshal(process)
	if err != nil {
		return nil, err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("hand-over: %w", err)
	}
	socket, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("hand-over: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("hand-over: %w", err), socket.Close())
	}
	file, err := listener.File()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("hand-over: %w", err), socket.Close())
	}
	return &Offer{path: path, socket: socket, file: file, answer: answer}, nil
}

// Run hands the listener to everyone who asks, until ctx ends. The offer cannot be used again.
func (o *Offer) Run(ctx context.Context) {
	defer o.file.Close()
	stop := context.AfterFunc(ctx, func() { o.socket.Close() })
	defer stop()
	for {
		conn, err := o.socket.AcceptUnix()
		if err != nil {
			return // Closed.
		}
		o.give(conn)
	}
}

// give hands the listener over. A failure is the taker's to notice.
func (o *Offer) give(conn *net.UnixConn) {
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(giveTimeout))
	_, _, _ = conn.WriteMsgUnix(o.answer, unix.UnixRights(int(o.file.Fd())), nil)
}

// Take asks for the listener that is offered at a path. The error wraps fs.ErrNotExist when nobody ever offered one there, and is another
// one when the process that did is gone.
func Take(path string) (net.Listener, Process, error) {
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, Process{}, fmt.Errorf("hand-over: %w", err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(giveTimeout))
	text, rights := make([]byte, maxProcess), make([]byte, unix.CmsgSpace(4))
	n, rn, _, _, err := conn.ReadMsgUnix(text, rights)
	if err != nil {
		return nil, Process{}, fmt.Errorf("hand-over: %w", err)
	}
	file, err := received(rights[:rn])
	if err != nil {
		return nil, Process{}, err
	}
	defer file.Close()
	var process Process
	if err := json.Unmarshal(text[:n], &process); err != nil {
		return nil, Process{}, fmt.Errorf("hand-over: %w", err)
	}
	listener, err := net.FileListener(file)
	if err != nil {
		return nil, Process{}, fmt.Errorf("hand-over: %w", err)
	}
	return listener, process, nil
}

// received returns the file among the rights of a message.
func received(rights []byte) (*os.File, error) {
	messages, err := unix.ParseSocketControlMessage(rights)
	if err != nil || len(messages) != 1 {
		return nil, errors.New("hand-over: no listener was handed over")
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return nil, errors.New("hand-over: no listener was handed over")
	}
	unix.CloseOnExec(fds[0])
	return os.NewFile(uintptr(fds[0]), "listener"), nil
}
