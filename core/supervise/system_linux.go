package supervise

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

func replaceFD(with, fd int) error { return unix.Dup3(with, fd, 0) }

// within calls f with a name of the path that is short enough for a socket.
func within(path string, f func(short string) error) error {
	if len(path) < len(unix.RawSockaddrUnix{}.Path) {
		return f(path)
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	return f(fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), filepath.Base(path)))
}
