package supervise

import (
	"errors"
	"net"
	"os"
	"syscall"
	"time"
)

var errWindows = errors.New("worker processes need a system that can hand listeners to them, and Windows cannot: set agent.workers to 0")

func supported() error { return errWindows }

func apart() *syscall.SysProcAttr { return nil }

func inheritable(*os.File) (*os.File, error) { return nil, errWindows }

type socket struct {
	path string
	file *os.File
}

func listenFor(string, int) (*socket, error) { return nil, errWindows }

func (*socket) remove() {}

func removeSocket(string) {}

func dial(string, time.Time) (*net.UnixConn, error) { return nil, errWindows }

func isGone(error) bool { return false }

func hungUp(error) bool { return false }

func sendFiles(*net.UnixConn, []byte, []*os.File) error { return errWindows }

func receiveFiles(*net.UnixConn, []byte) (int, []*os.File, error) { return 0, nil, errWindows }

// Inherit is not possible on Windows.
func Inherit(int) (*Inheritance, error) { return nil, errWindows }

func keepOpen(*net.UnixConn) (release func()) { return func() {} }

func writeTo([]*os.File) error { return errWindows }
